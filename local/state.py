"""The data directory: who uses it, and what must be the same at the next start (ports, passwords, cluster id)."""

import fcntl
import json
import os
import random
import secrets
import socket
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

from local import reach
from services.common.errors import UserError

HOST = "127.0.0.1"
# Below every system's ephemeral range: there, a client that reconnects to a killed server's port can be given that
# very port as its own, connect to itself and keep the server from coming back.
PORTS = range(15_000, 32_000)
_RELEASE_SECONDS = 15.0
# What carries it was made here; in nothing else do we remove anything.
MARK = ".clickstream"


@dataclass(frozen=True)
class State:
    """What a run leaves for the next one in the same directory."""

    cluster_id: str
    kafka_port: int
    controller_port: int
    postgres_port: int
    postgres_password: str = field(repr=False)
    ingest_password: str = field(repr=False)
    aggregate_password: str = field(repr=False)
    grafana_reader_password: str = field(repr=False)


class DataDirectory:
    """A directory that one run at a time may use."""

    def __init__(self, path: Path, lock_fd: int) -> None:
        self.path, self.lock_fd = path, lock_fd
        self.logs = path / "logs"

    def state(self) -> State:
        """The state of the last run, with other ports where its own are taken; of a new one if there was none."""
        file = self.path / "state.json"
        last = _read(file)
        kafka, controller, postgres = free_ports(last.kafka_port, last.controller_port, last.postgres_port)
        state = replace(last, kafka_port=kafka, controller_port=controller, postgres_port=postgres)
        file.touch(0o600)
        file.write_text(json.dumps(asdict(state), indent=1))
        return state

    def clear(self) -> None:
        """Remove the data of earlier runs."""
        for name in ("grafana", "kafka", "logs", "postgres"):
            reach.forget(self.path / name)
        self.logs.mkdir()


@contextmanager
def claim(path: Path) -> Iterator[DataDirectory]:
    """Hold the directory until the end of the block.

    The servers inherit the lock: while one that outlived a killed run still shuts down, the directory is not free.

    Raises:
        UserError: another run uses it, we did not make it and it is not empty, or it cannot be written.
    """
    path = path.expanduser().resolve()
    try:
        _mark(path)
        (path / "logs").mkdir(exist_ok=True)
        lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise UserError(f"data directory {path}: {error.strerror}; choose another with --data") from None
    try:
        _lock(lock, path)
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        yield DataDirectory(path, lock)
    finally:
        os.close(lock)


def _mark(path: Path) -> None:
    """Make the directory ours if it is new or empty."""
    path.mkdir(parents=True, exist_ok=True)
    mark = path / MARK
    if not mark.exists():
        if any(path.iterdir()) and not mark.exists():  # another run may have made it at this moment
            raise UserError(f"data directory {path} holds something else: choose a new or empty one with --data")
        mark.write_text("Data of `python -m local demo`, which removes it at the next run without --keep.\n")


def _lock(lock: int, path: Path) -> None:
    deadline = time.monotonic() + _RELEASE_SECONDS
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(lock, 20, 0).decode()
            if _alive(owner) or time.monotonic() > deadline:
                raise UserError(
                    f"{path} is in use by another run (process {owner or 'unknown'}): "
                    "stop it, or choose another directory with --data"
                ) from None
            time.sleep(0.1)


def _alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True


def _read(file: Path) -> State:
    try:
        known = json.loads(file.read_text())
        return State(**{one.name: known[one.name] for one in fields(State)})
    except (FileNotFoundError, json.JSONDecodeError, KeyError):
        return State(
            urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("="),
            0,
            0,
            0,
            *(secrets.token_urlsafe(16) for _ in range(4)),
        )


def free_ports(*preferred: int) -> list[int]:
    """As many different ports that nobody listens on; each the preferred one if that is free."""
    taken: list[socket.socket] = []
    try:
        for port in preferred:
            probe = _bind(port) if port else None
            while probe is None:
                probe = _bind(random.choice(PORTS))
            taken.append(probe)
        return [int(probe.getsockname()[1]) for probe in taken]
    finally:
        for probe in taken:
            probe.close()


def _bind(port: int) -> socket.socket | None:
    probe = socket.socket()
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        probe.bind((HOST, port))
    except OSError:
        probe.close()
        return None
    return probe
