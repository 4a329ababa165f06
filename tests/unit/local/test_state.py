"""The data directory: what stays, what moves, what is refused."""

import socket
import stat
import subprocess
from pathlib import Path

import pytest

from local.state import HOST, claim, free_ports
from services.common.errors import UserError


def test_ports_passwords_and_cluster_stay_the_same(tmp_path: Path) -> None:
    with claim(tmp_path / "data") as directory:
        first = directory.state()
    with claim(tmp_path / "data") as directory:
        assert directory.state() == first
    assert stat.S_IMODE((tmp_path / "data" / "state.json").stat().st_mode) == 0o600
    assert first.postgres_password not in repr(first)


def test_a_port_that_somebody_took_is_replaced(tmp_path: Path) -> None:
    with claim(tmp_path / "data") as directory:
        first = directory.state()
        with socket.socket() as taker:
            taker.bind((HOST, first.kafka_port))
            taker.listen()
            second = directory.state()
    assert second.kafka_port != first.kafka_port
    assert second.postgres_port == first.postgres_port


def test_free_ports_differ_and_lie_below_the_ephemeral_range() -> None:
    ports = free_ports(0, 0, 0, 0)
    assert len(set(ports)) == 4
    assert all(15_000 <= port < 32_000 for port in ports)


@pytest.mark.parametrize("name", ["thesis.txt", "venv", "uv", "lock", "logs", "kafka", "grafana", "postgres"])
def test_a_directory_that_holds_something_else_is_refused_and_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    work = tmp_path / name / "years of work"
    work.touch()
    with pytest.raises(UserError, match="holds something else"), claim(tmp_path) as directory:
        directory.clear()
    assert [*tmp_path.rglob("*")] == [work.parent, work]


def test_a_directory_that_is_empty_becomes_ours_and_stays_it(tmp_path: Path) -> None:
    with claim(tmp_path) as directory:
        (directory.path / "kafka").mkdir()
    with claim(tmp_path) as directory:
        directory.clear()
        assert not (directory.path / "kafka").exists()


def test_cleaning_removes_what_make_made_and_nothing_else(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    for folder in (".local/uv", ".local/bin", ".local/kept", "services", "local", "tests", "mine"):
        (tmp_path / folder).mkdir(parents=True)
    with claim(tmp_path / ".local" / "demo") as directory:
        (directory.path / "postgres").symlink_to(mine)
    (tmp_path / ".local" / "theirs").mkdir()
    makefile = Path(__file__).resolve().parents[3] / "Makefile"
    subprocess.run(["make", "-f", makefile, "clean"], cwd=tmp_path, check=True, capture_output=True)
    assert sorted(path.name for path in (tmp_path / ".local").iterdir()) == ["kept", "theirs"]
    assert mine.exists()


def test_cleaning_leaves_a_demo_that_is_not_ours(tmp_path: Path) -> None:
    for folder in (".local/demo", "services", "local", "tests"):
        (tmp_path / folder).mkdir(parents=True)
    makefile = Path(__file__).resolve().parents[3] / "Makefile"
    subprocess.run(["make", "-f", makefile, "clean"], cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / ".local" / "demo").exists()


def test_fresh_data_keeps_ports_and_removes_the_rest(tmp_path: Path) -> None:
    with claim(tmp_path / "data") as directory:
        before = directory.state()
        (directory.path / "kafka").mkdir()
        (directory.path / "kafka" / "segment").write_text("old")
        directory.clear()
        assert not (directory.path / "kafka").exists()
        assert directory.logs.is_dir()
        assert directory.state() == before
