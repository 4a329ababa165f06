"""Grafana beside the demo: found in the PATH, else by Docker, else one is told how to get it."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from local import grafana
from local.grafana import Grafana


def running(folder: Path) -> Any:
    (folder / "logs").mkdir()
    return SimpleNamespace(
        directory=SimpleNamespace(path=folder, logs=folder / "logs"),
        postgres=SimpleNamespace(host="127.0.0.1", port=15432),
        state=SimpleNamespace(grafana_reader_password="secret-of-tests"),
    )


def program(folder: Path, name: str, text: str = "") -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return file


def test_a_program_in_the_path_is_run_with_its_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = program(tmp_path, "opt/bin/grafana")
    defaults = tmp_path / "opt" / "share" / "grafana" / "conf" / "defaults.ini"
    defaults.parent.mkdir(parents=True)
    defaults.touch()
    monkeypatch.setenv("PATH", str(found.parent))
    process = Grafana(running(tmp_path)).process
    assert process is not None
    assert process.command == [str(found), "server", "--homepath", str(tmp_path / "opt" / "share" / "grafana")]


def test_without_it_docker_runs_the_pinned_image_and_no_secret_is_on_its_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(program(tmp_path, "bin/docker").parent))
    process = Grafana(running(tmp_path)).process
    assert process is not None
    assert process.command[:2] == ["docker", "run"]
    assert process.command[-1] == grafana.IMAGE
    assert "secret-of-tests" not in " ".join(process.command)
    assert (process.environment or {})["READER_PASSWORD"] == "secret-of-tests"


@pytest.mark.parametrize("docker", [None, "exit 1"])
def test_without_either_there_is_nothing_to_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, docker: str | None
) -> None:
    if docker:
        program(tmp_path, "bin/docker", docker)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert Grafana(running(tmp_path)).process is None


def test_what_is_provisioned_holds_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    Grafana(running(tmp_path))
    files = [file for file in (tmp_path / "grafana").rglob("*") if file.is_file()]
    assert {file.parent.name for file in files} == {"datasources", "dashboards", "alerting"}
    assert not [file for file in files if "secret-of-tests" in file.read_text()]
    [source] = json.loads((tmp_path / "grafana/provisioning/datasources/clickstream.yaml").read_text())["datasources"]
    assert source["url"] == "127.0.0.1:15432"
