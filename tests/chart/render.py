"""The chart as Helm renders it, without a cluster."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "clickstream"
SUBCHARTS = sorted(path.parent for path in CHART.glob("charts/*/Chart.yaml"))
CHARTS = [CHART, *SUBCHARTS]
CI_VALUES = sorted(CHART.glob("ci/*-values.yaml"))
KUBERNETES = "1.34"
_LOCAL = ROOT / ".local" / "bin" / "helm"


def helm_program() -> str | None:
    """HELM if set, else the PATH's, else the one that `make test-chart` built."""
    return os.environ.get("HELM") or shutil.which("helm") or (str(_LOCAL) if _LOCAL.exists() else None)


def run(*arguments: str, values: Object | None = None) -> subprocess.CompletedProcess[str]:
    """Helm with these arguments; `values` come last and win. Helm reads JSON as YAML."""
    given = ["--values", "-"] if values is not None else []
    return subprocess.run(
        [str(helm_program()), *arguments, "--kube-version", f"v{KUBERNETES}.0", *given],
        input=json.dumps(values),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def render(values: Object | None = None, *arguments: str, chart: Path = CHART) -> list[Object]:
    """All objects of a release named clickstream, tests included."""
    done = run("template", "clickstream", str(chart), "--namespace", "shop", *arguments, values=values or {})
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.load_all(done.stdout, yaml.CSafeLoader) if document]


@cache
def render_file(path: Path) -> list[Object]:
    """What a values file renders to; don't change it."""
    return render(None, "--values", str(path))


def refusal(values: Object, chart: Path = CHART) -> str:
    """What Helm says of values that it refuses."""
    done = run("template", "clickstream", str(chart), values=values)
    assert done.returncode != 0, f"{values} was accepted"
    return "\n".join(line for line in done.stderr.splitlines() if "found symbolic link" not in line)


def pods(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """Every pod template with its metadata, by the name of what makes it."""
    for item in objects:
        spec, name = item.get("spec", {}), f"{item['kind']}/{item['metadata']['name']}"
        if item["kind"] == "Pod":
            yield name, item
        elif item["kind"] == "CronJob":
            yield name, spec["jobTemplate"]["spec"]["template"]
        elif "template" in spec:
            yield name, spec["template"]


def containers(pod: Object) -> list[Object]:
    """Init containers too."""
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def one(objects: list[Object], kind: str, name: str) -> Object:
    """The object of that kind and name."""
    found = [item for item in objects if item["kind"] == kind and item["metadata"]["name"] == name]
    assert len(found) == 1, f"{len(found)} of {kind}/{name}"
    return found[0]
