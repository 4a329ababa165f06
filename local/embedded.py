"""The broker and the database as local processes: alone or together, answering until the end of a `with` block."""

import signal
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local.jars import Say
from local.kafka import Kafka
from local.postgres import DATABASE, Postgres
from local.server import Server
from local.state import DataDirectory, State, claim


@dataclass(frozen=True)
class Platform:
    """Both servers of a data directory."""

    directory: DataDirectory
    state: State
    kafka: Kafka
    postgres: Postgres

    def kafka_env(self) -> dict[str, str]:
        """The services' variables that say where the broker is."""
        return {"KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap}

    def postgres_env(self, user: str | None = None, password: str | None = None) -> dict[str, str]:
        """The services' variables that say where the database is and who we are there; the owner unless said."""
        return {
            "POSTGRES_HOST": self.postgres.host,
            "POSTGRES_PORT": str(self.postgres.port),
            "POSTGRES_DATABASE": DATABASE,
            "POSTGRES_USER": user or self.postgres.user,
            "POSTGRES_PASSWORD": password or self.postgres.password,
        }


@contextmanager
def platform(
    data: Path, *, fresh: bool = False, say: Say = lambda _: None, postgres_settings: Mapping[str, str] | None = None
) -> Iterator[Platform]:
    """Both servers; `fresh` removes what earlier runs left.

    Raises:
        UserError: the directory is in use, a download fails or a server does not start.
    """
    with claim(data) as directory:
        if fresh:
            directory.clear()
        state = directory.state()
        kafka = Kafka(directory, state, say)
        postgres = Postgres(directory, state, postgres_settings)
        with _running(postgres, kafka):
            postgres.create_database()
            yield Platform(directory, state, kafka, postgres)


@contextmanager
def kafka_alone(data: Path, say: Say = lambda _: None) -> Iterator[Kafka]:
    """Only the broker; raises like `platform`."""
    with claim(data) as directory:
        kafka = Kafka(directory, directory.state(), say)
        with _running(kafka):
            yield kafka


@contextmanager
def postgres_alone(data: Path, settings: Mapping[str, str] | None = None) -> Iterator[Postgres]:
    """Only the database server; raises like `platform`."""
    with claim(data) as directory:
        postgres = Postgres(directory, directory.state(), settings)
        with _running(postgres):
            yield postgres


@contextmanager
def _running(*servers: Server) -> Iterator[None]:
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda server: server.prepare(), servers))
    try:
        for server in servers:
            server.start()
        for server in servers:
            server.wait_ready()
        yield
    finally:
        with undisturbed():
            for server in servers:
                server.process.ask_to_stop()
            for server in servers:
                server.stop()


@contextmanager
def undisturbed() -> Iterator[None]:
    """A second Ctrl-C does not interrupt the clean end."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
