"""Where alerts go: what docs/kubernetes.md shows renders to what Grafana is to read, and is complete.

TEST_GRAFANA names a program that also checks provisioning, "…/grafana-standin serve"; without it, that test is skipped.
"""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.render import CI_VALUES, ROOT, Object, one, render, render_file

_GRAFANA = os.environ.get("TEST_GRAFANA", "").split()
_SECTION = re.compile(r"^## Alerts: where they go$(.*?)^## ", re.MULTILINE | re.DOTALL)
_EXAMPLE = re.compile(r"^```sh\n(.*?)^```\n+^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_POINT: Object = {"orgId": 1, "name": "a", "receivers": [{"uid": "a", "type": "webhook", "settings": {"url": "$URL"}}]}


class _Loader(yaml.SafeLoader):
    """A lone = is text, as for Grafana; in YAML 1.1 it has a type of its own, which nothing can make."""

    yaml_implicit_resolvers = {
        first: found for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items() if first != "="
    }


@dataclass(frozen=True)
class Example:
    """Values, and the Secret that is made for them."""

    values: Object
    secret: str
    keys: set[str]

    @property
    def alerting(self) -> Object:
        """What Grafana is told."""
        found: Object = self.values["grafana"]["alerting"]
        return found


def _examples() -> list[Example]:
    section = _SECTION.search((ROOT / "docs" / "kubernetes.md").read_text())
    assert section, "the section is gone"
    return [_example(*found) for found in _EXAMPLE.findall(section[1])]


def _example(commands: str, values: str) -> Example:
    secret = re.search(r"create secret generic (\S+)", commands)
    assert secret, commands
    return Example(yaml.safe_load(values), secret[1], set(re.findall(r"--from-literal=(\w+)=", commands)))


every_example = pytest.mark.parametrize("example", _examples(), ids=lambda example: _kinds(example.alerting))


def _kinds(alerting: Object) -> str:
    return "+".join(receiver["type"] for point in alerting["contactPoints"] for receiver in point["receivers"])


def _files(objects: list[Object]) -> dict[str, str]:
    """Grafana's provisioning, by path, as it is mounted."""
    maps = {item["metadata"]["name"]: item.get("data") or {} for item in objects if item["kind"] == "ConfigMap"}
    volumes = {volume["name"]: volume for volume in _pod(objects)["volumes"]}
    sources = [source["configMap"] for source in volumes["provisioning"]["projected"]["sources"]]
    return {item["path"]: maps[source["name"]][item["key"]] for source in sources for item in source["items"] or []}


def _pod(objects: list[Object]) -> Object:
    (found,) = (
        item for item in objects if item["kind"] == "Deployment" and item["metadata"]["name"].endswith("grafana")
    )
    spec: Object = found["spec"]["template"]["spec"]
    return spec


def _container(objects: list[Object]) -> Object:
    (found,) = _pod(objects)["containers"]
    container: Object = found
    return container


def _alerting(objects: list[Object], name: str) -> Any:
    """What the alerting files say under a key."""
    texts = [text for path, text in _files(objects).items() if path.startswith("alerting/")]
    files = [yaml.load(text, _Loader) for text in texts]  # noqa: S506 (it is a safe one)
    return [item for file in files for item in file.get(name, [])]


def _receivers(policy: Object) -> set[str]:
    return {policy["receiver"]}.union(*map(_receivers, policy.get("routes", [])))


def test_there_is_an_example_of_each_kind_that_people_ask_for() -> None:
    assert {_kinds(example.alerting) for example in _examples()} >= {"webhook", "email", "slack+webhook"}


@every_example
def test_an_examples_contact_points_and_policies_are_what_grafana_reads(example: Example) -> None:
    objects = render(example.values)
    points, policies = _alerting(objects, "contactPoints"), _alerting(objects, "policies")
    assert points == example.alerting["contactPoints"]
    assert len(policies) == 1
    assert policies == example.alerting.get("policies", policies)
    assert _receivers(policies[0]) == {point["name"] for point in points}


@every_example
def test_an_examples_secrets_and_ways_are_there(example: Example) -> None:
    objects = render(example.values)
    used = set(re.findall(r"(?<!\$)\$(\w+)", yaml.safe_dump(_alerting(objects, "contactPoints"))))
    settings = {key for key in example.keys if key.startswith("GF_")}
    assert example.keys == used | settings
    assert _container(objects)["envFrom"] == [{"secretRef": {"name": example.secret}}]
    policy = one(objects, "NetworkPolicy", "clickstream-grafana")
    ways = example.values["grafana"]["networkPolicy"]["extraEgress"]
    assert ways
    assert policy["spec"]["egress"][-len(ways) :] == ways


@pytest.mark.skipif(not _GRAFANA, reason="TEST_GRAFANA names no program that checks")
@every_example
def test_grafana_finds_nothing_wrong_with_an_example(example: Example, tmp_path: Path) -> None:
    _check(render(example.values), tmp_path)


@pytest.mark.skipif(not _GRAFANA, reason="TEST_GRAFANA names no program that checks")
@pytest.mark.parametrize("path", CI_VALUES, ids=lambda path: path.stem)
def test_grafana_finds_nothing_wrong_with_what_it_reads(path: Path, tmp_path: Path) -> None:
    _check(render_file(path), tmp_path)


def _check(objects: list[Object], folder: Path) -> None:
    for path, text in _files(objects).items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text)
    dashboards = f"/var/lib/grafana-dashboards={ROOT}/grafana/dashboards"
    command = [_GRAFANA[0], "check", str(folder), dashboards]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def test_without_policies_everything_goes_to_the_first_contact_point() -> None:
    points = [_POINT, _POINT | {"name": "b"}]
    (policy,) = _alerting(render({"grafana": {"alerting": {"contactPoints": points}}}), "policies")
    assert _receivers(policy) == {"a"}


def test_without_contact_points_grafanas_own_policy_stays() -> None:
    assert _alerting(render(), "policies") == []


@pytest.mark.parametrize(
    ("values", "url"),
    [
        ({}, None),
        ({"ingress": {"enabled": True, "host": "a.example.com"}}, "http://a.example.com/"),
        ({"ingress": {"enabled": True, "host": "a.example.com", "tlsSecret": "b"}}, "https://a.example.com/"),
        ({"rootUrl": "https://b/", "ingress": {"enabled": True, "host": "a.example.com"}}, "https://b/"),
    ],
)
def test_links_in_alerts_lead_to_where_grafana_is(values: Object, url: str | None) -> None:
    environment = {one["name"]: one["value"] for one in _container(render({"grafana": values}))["env"]}
    assert environment.get("GF_SERVER_ROOT_URL") == url
