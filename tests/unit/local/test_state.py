"""The data directory: what stays, what moves, what is refused."""

import socket
import stat
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


def test_a_directory_that_holds_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="holds something else"), claim(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_fresh_data_keeps_ports_and_removes_the_rest(tmp_path: Path) -> None:
    with claim(tmp_path / "data") as directory:
        before = directory.state()
        (directory.path / "kafka").mkdir()
        (directory.path / "kafka" / "segment").write_text("old")
        directory.clear()
        assert not (directory.path / "kafka").exists()
        assert directory.logs.is_dir()
        assert directory.state() == before
