"""Real surroundings for tests: a Kafka broker and a PostgreSQL server, embedded unless the environment names others.

TEST_KAFKA_BOOTSTRAP_SERVERS=host:port
TEST_POSTGRES_URL=postgresql://superuser:password@host:port/postgres
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import hypothesis
import psycopg
import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from local import state
from local.embedded import Platform, kafka_alone, platform, postgres_alone

PARTITIONS = 12
# Tests have fixed dates, which get older: how they are stored must not depend on that.
_EVERY_DAY_BY_ITSELF = sql.SQL("ALTER DATABASE {} SET clickstream.day_partition_days = 20000")
# A killed process loses nothing without fsync, only a machine that loses power does.
_QUICK = {"fsync": "off", "max_connections": "200"}


# The same examples each time, on however busy a machine: a test that fails now and then tells nothing.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None)
hypothesis.settings.load_profile("repeatable")


# A port is found free and taken a moment later: none is chosen from by two processes of the tests.
if _process := os.environ.get("PYTEST_XDIST_WORKER", ""):
    state.PORTS = state.PORTS[int(_process.removeprefix("gw")) :: int(os.environ["PYTEST_XDIST_WORKER_COUNT"])]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """As many processes as there are cores, each with its own servers; one alone on servers that the environment names.

    There they would meet: roles and their passwords belong to a server as a whole.
    """
    return 0 if {"TEST_KAFKA_BOOTSTRAP_SERVERS", "TEST_POSTGRES_URL"} & os.environ.keys() else None


@dataclass(frozen=True)
class Database:
    """A database and a superuser's way into it."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    dbname: str = "postgres"

    def env(self, user: str | None = None, password: str | None = None) -> dict[str, str]:
        """The services' POSTGRES_* variables; another login if given."""
        return {
            "POSTGRES_HOST": self.host,
            "POSTGRES_PORT": str(self.port),
            "POSTGRES_DATABASE": self.dbname,
            "POSTGRES_USER": user or self.user,
            "POSTGRES_PASSWORD": password or self.password,
        }

    def connect(self, *, autocommit: bool = True) -> psycopg.Connection:
        """A superuser's session."""
        return psycopg.connect(
            host=self.host,
            port=self.port,
            user=self.user,
            password=self.password,
            dbname=self.dbname,
            autocommit=autocommit,
        )


@pytest.fixture(scope="session")
def broker() -> Iterator[str]:
    """The bootstrap servers of a broker that the whole session shares."""
    if given := os.environ.get("TEST_KAFKA_BOOTSTRAP_SERVERS"):
        yield given
        return
    with folder_for_everyone() as data, kafka_alone(data) as kafka:
        yield kafka.bootstrap


@pytest.fixture(scope="session")
def postgres() -> Iterator[Database]:
    """A server that the whole session shares; its maintenance database."""
    if given := os.environ.get("TEST_POSTGRES_URL"):
        parts = conninfo_to_dict(given)
        yield Database(
            host=str(parts["host"]),
            port=int(parts.get("port") or 5432),
            user=str(parts["user"]),
            password=str(parts.get("password") or ""),
            dbname=str(parts.get("dbname") or "postgres"),
        )
        return
    with folder_for_everyone() as data, postgres_alone(data, _QUICK) as server:
        yield Database(server.host, server.port, server.user, server.password, "postgres")


@pytest.fixture
def database(postgres: Database) -> Iterator[Database]:
    """A fresh, empty database, dropped afterwards."""
    with fresh_database(postgres) as made:
        yield made


@pytest.fixture(scope="session")
def template(postgres: Database) -> Iterator[Database]:
    """A database with all migrations applied, to be copied: that takes a fraction of the time."""
    from tests.integration.pipeline import migrate  # it needs this module

    with fresh_database(postgres) as database:
        migrate(database)
        yield database


@pytest.fixture
def migrated(postgres: Database, template: Database) -> Iterator[Database]:
    """A fresh database with all migrations applied and the roles' passwords set."""
    with migrated_database(postgres, template) as database:
        yield database


@contextmanager
def migrated_database(postgres: Database, template: Database) -> Iterator[Database]:
    """The same, for as long as the block lasts."""
    from tests.integration.pipeline import give_roles

    with fresh_database(postgres, template) as database:
        give_roles(database)
        yield database


@contextmanager
def fresh_database(postgres: Database, template: Database | None = None) -> Iterator[Database]:
    """An empty database, or a copy of one that nobody is connected to; dropped at the end."""
    name = f"test_{uuid4().hex[:12]}"
    copied = sql.SQL(" TEMPLATE {}").format(sql.Identifier(template.dbname)) if template else sql.SQL("")
    with postgres.connect() as session:
        session.execute(sql.SQL("CREATE DATABASE {}{}").format(sql.Identifier(name), copied))
        session.execute(_EVERY_DAY_BY_ITSELF.format(sql.Identifier(name)))
    try:
        yield Database(postgres.host, postgres.port, postgres.user, postgres.password, name)
    finally:
        with postgres.connect() as session:
            session.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def topic(broker: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A fresh topic, deleted afterwards; `parametrize("topic", [3], indirect=True)` gives it 3 partitions."""
    name = f"test.{uuid4().hex[:12]}"
    partitions = getattr(request, "param", PARTITIONS)
    create_topic(broker, name, partitions)
    yield name
    admin = AdminClient({"bootstrap.servers": broker})
    admin.delete_topics([name])[name].result(30)


def create_topic(bootstrap: str, name: str, partitions: int = PARTITIONS) -> None:
    """Make a topic with one replica."""
    admin = AdminClient({"bootstrap.servers": bootstrap})  # in a variable: dropped, it would cancel the request
    admin.create_topics([NewTopic(name, partitions, 1)])[name].result(30)


@pytest.fixture
def own_platform() -> Iterator[Platform]:
    """A broker and a database server of the test's own, to kill and restart.

    `own_platform.kafka` and `.postgres` have kill(), start(), wait_ready() and stop(); the database `clickstream` is
    there, empty.
    """
    with folder_for_everyone() as data, platform(data, postgres_settings={"max_connections": "200"}) as running:
        yield running


@contextmanager
def folder_for_everyone() -> Iterator[Path]:
    """A temporary directory that PostgreSQL's own account may enter when the tests run as root."""
    with tempfile.TemporaryDirectory(prefix="clickstream-test-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder
