"""Helm as a person runs it: its last word is the error."""

import json
import os
import shlex
import subprocess
from pathlib import Path

from tests.e2e.cluster import Manifest, Namespace

ROOT = Path(__file__).resolve().parents[2]
CHART = os.environ.get("E2E_CHART", str(ROOT / "charts" / "clickstream"))
VALUES = Path(__file__).with_name("values.yaml")
# For example: --set image.registry=registry.example.com --set-string image.tag=1.2.3
_ARGUMENTS = shlex.split(os.environ.get("E2E_HELM_ARGS", ""))


def install(namespace: Namespace, release: str, *arguments: str, values: Manifest | None = None) -> str:
    """`helm upgrade --install` with the tests' small requests; returns what NOTES.txt says."""
    given = ["-f", str(VALUES), *arguments, "-f", "-", *_ARGUMENTS, *_version_arguments()]
    return helm(namespace, "upgrade", "--install", release, CHART, *given, values=values or {})


def _version_arguments() -> list[str]:
    """Helm 4 leaves fields alone that `kubectl scale` has touched, unless told otherwise."""
    version = subprocess.run(["helm", "version", "--short"], capture_output=True, text=True, check=True).stdout
    return ["--force-conflicts"] if version.startswith("v4") else []


def helm(namespace: Namespace, *arguments: str, values: Manifest | None = None, seconds: float = 300) -> str:
    """Run Helm in a namespace; `values` are its stdin, where JSON is YAML enough.

    Raises:
        AssertionError: it failed; the message is what it said.
    """
    where = ["--namespace", namespace.name, "--kube-context", namespace.context]
    done = subprocess.run(
        ["helm", *arguments, *where],
        input=json.dumps(values or {}),
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, f"helm {' '.join(arguments[:2])}: {done.stderr}{done.stdout}"
    return done.stdout
