"""Charts are clean, also each by itself."""

from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from tests.chart.render import CHARTS, CI_VALUES, KUBERNETES, SUBCHARTS, Object, render, render_file, run

# Not Kubernetes' own: their schemas come with the operators.
_CUSTOM = {"keda.sh/v1alpha1", "monitoring.coreos.com/v1"}


@pytest.mark.parametrize("chart", CHARTS, ids=lambda path: path.name)
def test_helm_lint_finds_nothing(chart: Path) -> None:
    done = run("lint", "--strict", str(chart))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", CI_VALUES, ids=lambda path: path.stem)
def test_every_object_is_one_that_kubernetes_knows(path: Path) -> None:
    _validate(render_file(path))


@pytest.mark.parametrize("chart", SUBCHARTS, ids=lambda path: path.name)
def test_a_part_installs_alone(chart: Path) -> None:
    _validate(render(chart=chart))


@pytest.mark.parametrize("chart", CHARTS, ids=lambda path: path.name)
def test_nothing_is_downloaded(chart: Path) -> None:
    declared = yaml.safe_load((chart / "Chart.yaml").read_text()).get("dependencies", [])
    for dependency in declared:
        assert dependency["repository"] == ""
        part = yaml.safe_load((chart / "charts" / dependency["name"] / "Chart.yaml").read_text())
        assert part["version"] == dependency["version"]


def _validate(objects: list[Object]) -> None:
    names = [(item["kind"], item["metadata"]["name"]) for item in objects]
    assert len(names) == len(set(names))
    for item in objects:
        if item["apiVersion"] not in _CUSTOM:
            kubernetes_validate.validate(item, KUBERNETES, strict=True)
