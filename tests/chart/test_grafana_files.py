"""Every dashboard and every alert file that lies in grafana/ is in the render, unchanged, and mounted."""

import json

import yaml

from tests.chart.render import CHART, ROOT, one, render_file

_OBJECTS = CHART / "ci" / "default-values.yaml"


def test_every_dashboard_is_shipped_as_it_is() -> None:
    shipped: dict[str, object] = {}
    for item in render_file(_OBJECTS):
        if item["kind"] == "ConfigMap" and "-dashboard-" in item["metadata"]["name"]:
            shipped |= {name: json.loads(text) for name, text in item["data"].items()}
    files = ROOT.glob("grafana/dashboards/*.json")
    assert shipped == {path.name: json.loads(path.read_text()) for path in files}
    assert shipped


def test_every_dashboard_is_mounted() -> None:
    objects = render_file(_OBJECTS)
    volumes = one(objects, "Deployment", "clickstream-grafana")["spec"]["template"]["spec"]["volumes"]
    mounted = {
        source["configMap"]["name"]
        for volume in volumes
        if volume["name"] == "dashboards"
        for source in volume["projected"]["sources"]
    }
    assert mounted == {item["metadata"]["name"] for item in objects if "-dashboard-" in item["metadata"]["name"]}


def test_every_alert_file_is_shipped_as_it_is_and_mounted() -> None:
    objects = render_file(_OBJECTS)
    shipped = one(objects, "ConfigMap", "clickstream-grafana-alerting").get("data") or {}
    files = {path.name: yaml.safe_load(path.read_text()) for path in ROOT.glob("grafana/alerting/*.yaml")}
    assert {name: yaml.safe_load(text) for name, text in shipped.items()} == files
    volumes = one(objects, "Deployment", "clickstream-grafana")["spec"]["template"]["spec"]["volumes"]
    (provisioning,) = (volume for volume in volumes if volume["name"] == "provisioning")
    paths = {
        item["path"] for source in provisioning["projected"]["sources"] for item in source["configMap"]["items"] or []
    }
    assert {f"alerting/{name}" for name in files} == {path for path in paths if path.startswith("alerting/")}


def test_a_dashboard_fits_into_its_config_map() -> None:
    for item in render_file(_OBJECTS):
        if item["kind"] == "ConfigMap":
            size = sum(len(text.encode()) for text in (item.get("data") or {}).values())
            assert size < 1_000_000, item["metadata"]["name"]
