"""Renders are as they were, or changed on purpose: `make test-chart ARGS=--update-golden`.

Before a golden is written anew, it is held against the render as an upgrade would: what Kubernetes lets nobody change
must not have changed. Delete the golden if it must.
"""

import copy
from pathlib import Path

import pytest
import yaml

from tests.chart.render import CI_VALUES, Object, render_file

_GOLDEN = Path(__file__).with_name("golden")


@pytest.mark.parametrize("path", CI_VALUES, ids=lambda path: path.stem)
def test_render_is_as_it_was(path: Path, request: pytest.FixtureRequest) -> None:
    objects = [_comparable(item) for item in render_file(path)]
    golden = _GOLDEN / path.name.replace("-values", "")
    if golden.exists():
        before = list(yaml.load_all(golden.read_text(), yaml.CSafeLoader))
        _assert_upgradable(before, objects)
    if request.config.getoption("--update-golden", default=False):
        golden.write_text(yaml.dump_all(objects, Dumper=yaml.CSafeDumper, allow_unicode=True, width=120))
    assert golden.exists(), "no golden yet: make test-chart ARGS=--update-golden"
    before = list(yaml.load_all(golden.read_text(), yaml.CSafeLoader))
    assert _by_name(objects) == _by_name(before), "if that is meant: make test-chart ARGS=--update-golden"


def _comparable(item: Object) -> Object:
    """Without what differs from render to render, and without the text of dashboards and alerts."""
    if item["kind"] == "Secret":
        return {**item, "data": dict.fromkeys(item["data"], "generated")}
    name = item["metadata"]["name"]
    if item["kind"] == "ConfigMap" and ("-dashboard-" in name or name.endswith("-alerting")):
        return {key: value for key, value in item.items() if key != "data"}
    if name.endswith("-grafana") and item["kind"] == "Deployment":
        pod = copy.deepcopy(item["spec"]["template"])
        pod["metadata"].pop("annotations")
        pod["spec"]["volumes"] = [
            volume for volume in pod["spec"]["volumes"] if volume["name"] not in {"dashboards", "provisioning"}
        ]
        return {**item, "spec": {**item["spec"], "template": pod}}
    return item


def _by_name(objects: list[Object]) -> dict[str, Object]:
    return {f"{item['kind']}/{item['metadata']['name']}": item for item in objects}


_IMMUTABLE: dict[str, tuple[str, ...]] = {
    "StatefulSet": ("selector", "serviceName", "volumeClaimTemplates", "podManagementPolicy"),
    "Deployment": ("selector",),
    "PersistentVolumeClaim": ("accessModes", "storageClassName"),
    "Job": ("completions", "selector"),
    "Service": ("clusterIP",),
}


def _immutable(item: Object) -> Object:
    spec = item.get("spec", {})
    fixed = {name: spec.get(name) for name in _IMMUTABLE.get(item["kind"], ())}
    return fixed | {"type": item.get("type") if item["kind"] == "Secret" else None}


def _assert_upgradable(before: list[Object], after: list[Object]) -> None:
    old, new = _by_name(before), _by_name(after)
    for name in old.keys() & new.keys():
        assert _immutable(new[name]) == _immutable(old[name]), f"{name}: an upgrade can't change this"
