"""What holds for every pod that the chart can make."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic_settings import BaseSettings

from services.aggregator.settings import AggregatorSettings
from services.check.settings import CheckSettings
from services.consumer.settings import ConsumerSettings
from services.migrate.settings import MigrateSettings
from services.producer.settings import SimulateSettings
from tests.chart.render import CHART, CI_VALUES, ROOT, Object, containers, pods, render, render_file

every_values_file = pytest.mark.parametrize("path", CI_VALUES, ids=lambda path: path.stem)
_LABELS = {
    f"app.kubernetes.io/{name}" for name in ("name", "instance", "version", "component", "part-of", "managed-by")
}
_SETTINGS: dict[str, type[BaseSettings]] = {
    "aggregator": AggregatorSettings,
    "check": CheckSettings,
    "consumer": ConsumerSettings,
    "migrate": MigrateSettings,
    "producer": SimulateSettings,
    "wait-for-schema": MigrateSettings,
}


@every_values_file
def test_pods_keep_to_the_restricted_security_standard(path: Path) -> None:
    for name, pod in pods(render_file(path)):
        spec, security = pod["spec"], pod["spec"]["securityContext"]
        assert security["runAsNonRoot"] is True, name
        assert security["runAsUser"] > 0, name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys(), name
        kinds = {kind for volume in spec.get("volumes", []) for kind in volume if kind != "name"}
        assert kinds <= {"configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret"}, name
        for container in containers(pod):
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False, name
            assert own["capabilities"] == {"drop": ["ALL"]}, name
            assert own["readOnlyRootFilesystem"] is True, name
            assert not own.get("privileged"), name
            assert all("hostPort" not in port for port in container.get("ports", [])), name


@every_values_file
def test_pods_ask_kubernetes_for_nothing(path: Path) -> None:
    for name, pod in pods(render_file(path)):
        assert pod["spec"]["automountServiceAccountToken"] is False, name
        # Links would set POSTGRES_PORT to tcp://….
        assert pod["spec"]["enableServiceLinks"] is False, name
        assert pod["spec"]["serviceAccountName"] != "default", name
    for item in render_file(path):
        assert item["kind"] not in {"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"}


@every_values_file
def test_containers_state_what_they_need(path: Path) -> None:
    for name, pod in pods(render_file(path)):
        for container in containers(pod):
            for kind in ("requests", "limits"):
                assert {"cpu", "memory"} <= container["resources"][kind].keys(), (name, container["name"])
            image = container["image"]
            assert ":" in image.rsplit("/", 1)[-1], image
            assert not image.endswith(":latest"), image


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ({"tag": "1.2.3"}, "clickstream:1.2.3"),
        ({"registry": "ghcr.io/you", "repository": "shop/events", "tag": "1.2.3"}, "ghcr.io/you/shop/events:1.2.3"),
        ({"tag": "1.2.3", "digest": f"sha256:{64 * '0'}"}, f"clickstream@sha256:{64 * '0'}"),
    ],
    ids=["tag", "registry", "digest"],
)
def test_all_services_run_one_image(image: Object, name: str) -> None:
    found = {
        container["name"]: container["image"]
        for _, pod in pods(render({"image": image}))
        for container in containers(pod)
        if container["name"] in _SETTINGS
    }
    assert found == dict.fromkeys(_SETTINGS, name)


def test_arguments_name_a_service_and_a_command_of_it() -> None:
    """The image runs `python -m` with them."""
    ours = [c for _, pod in pods(render()) for c in containers(pod) if c["name"] in _SETTINGS]
    assert not any("command" in container for container in ours)
    for arguments in {tuple(container["args"]) for container in ours}:
        command = [sys.executable, "-m", *arguments, "--help"]
        told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        assert told.returncode == 0, told.stderr
        assert f"python -m {' '.join(arguments).removesuffix(' --wait')}" in told.stdout


@every_values_file
def test_everything_carries_the_common_labels(path: Path) -> None:
    for item in render_file(path):
        assert item["metadata"]["labels"].keys() >= _LABELS, (item["kind"], item["metadata"]["name"])
    for name, pod in pods(render_file(path)):
        assert pod["metadata"]["labels"].keys() >= _LABELS, name


@every_values_file
def test_selectors_find_their_pods_and_no_others(path: Path) -> None:
    objects = render_file(path)
    labels = {name: pod["metadata"]["labels"] for name, pod in pods(objects)}
    for item in objects:
        selector = _selector(item)
        if selector:
            found = {name for name, own in labels.items() if selector.items() <= own.items()}
            name = f"{item['kind']}/{item['metadata']['name']}"
            assert len(found) == 1 or item["metadata"]["name"].endswith("-producer"), (name, found)
            assert "app.kubernetes.io/version" not in selector, name


def _selector(item: Object) -> dict[str, str]:
    spec = item.get("spec", {})
    if item["kind"] == "Service":
        return dict(spec["selector"])
    if item["kind"] == "NetworkPolicy":
        return dict(spec["podSelector"]["matchLabels"])
    if item["kind"] in {"Deployment", "StatefulSet", "PodDisruptionBudget"}:
        return dict(spec["selector"]["matchLabels"])
    return {}


@every_values_file
def test_no_password_is_readable_outside_secrets(path: Path) -> None:
    for name, pod in pods(render_file(path)):
        for container in containers(pod):
            for variable in container.get("env", []):
                if "PASSWORD" in variable["name"] and not variable["name"].endswith("FILE"):
                    assert "secretKeyRef" in variable["valueFrom"], (name, variable["name"])


@every_values_file
def test_services_get_only_variables_that_they_read(path: Path) -> None:
    for name, pod in pods(render_file(path)):
        for container in containers(pod):
            if settings := _SETTINGS.get(container["name"]):
                given = [variable["name"] for variable in container["env"]]
                assert {variable.lower() for variable in given} <= settings.model_fields.keys(), name
                assert len(given) == len(set(given)), name


def test_values_reach_the_services_as_their_settings_understand_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for _, pod in pods(render()):
        for container in containers(pod):
            if settings := _SETTINGS.get(container["name"]):
                with monkeypatch.context() as patch:
                    for variable in container["env"]:
                        patch.setenv(variable["name"], variable.get("value", "secret"))
                    settings()


def test_a_dependency_that_is_away_restarts_nothing() -> None:
    for name, pod in pods(render_file(CHART / "ci" / "default-values.yaml")):
        for container in pod["spec"]["containers"]:
            probe = container.get("livenessProbe", {})
            assert probe.get("httpGet", {}).get("path") in (None, "/healthz"), name
            assert "exec" not in probe, name
