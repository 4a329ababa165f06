"""The services as real processes against a test's own database and topic, and deadlines to wait by."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from local.process import Process
from services.common.postgres import connect
from services.common.settings import PostgresSettings
from services.migrate import roles, schema
from services.migrate.schema import Schema
from services.migrate.settings import MigrateSettings
from tests.conftest import Database

PASSWORDS = {
    "clickstream_ingest": "ingest-of-tests",
    "clickstream_aggregate": "aggregate-of-tests",
    "grafana_reader": "reader-of-tests",
}
_ROOT = Path(__file__).resolve().parents[2]


class Pipeline:
    """Starts services; whatever still runs is killed at the end of the test."""

    def __init__(self, database: Database, bootstrap: str, topic: str, logs: Path) -> None:
        self.database, self.bootstrap, self.topic, self.logs = database, bootstrap, topic, logs
        self.processes: list[Process] = []

    def start(self, name: str, *command: str, role: str | None = None, **environment: str) -> Process:
        """Run `python -m services.<command>` under a name; `role` logs in as one of the services' roles."""
        process = Process(
            name,
            [sys.executable, "-m", f"services.{command[0]}", *command[1:]],
            self.logs / f"{name}.log",
            environment=self._environment(role) | environment,
            cwd=_ROOT,
        )
        process.start()
        self.processes.append(process)
        return process

    def consumer(self, name: str = "consumer", **environment: str) -> Process:
        """Start a consumer."""
        return self.start(name, "consumer", "run", role="clickstream_ingest", CONSUMER_NAME=name, **environment)

    def aggregator(self, *arguments: str, name: str = "aggregator", **environment: str) -> Process:
        """Start the aggregator's `run`, `verify`, …"""
        return self.start(name, "aggregator", *arguments, role="clickstream_aggregate", **environment)

    def succeed(self, process: Process, seconds: float = 60) -> str:
        """Wait until it has ended with exit code 0; returns its log."""
        wait_until(lambda: not process.running, f"{process.name} to end", seconds)
        assert process.exit_code == 0, process.log_tail(30)
        return process.log.read_text()

    def fail(self, process: Process, seconds: float = 60) -> str:
        """Wait until it has ended with exit code 1; returns the last line of its log."""
        wait_until(lambda: not process.running, f"{process.name} to end", seconds)
        assert process.exit_code == 1, process.log_tail(30)
        return process.log_tail(1)

    def stored_up_to_the_end(self) -> bool:
        """Whether every partition's position is the topic's end; not while the broker can't tell."""
        try:
            ends = topic_ends(self.bootstrap, self.topic)
        except KafkaException:  # a partition without leader yet, or a broker that starts
            return False
        with self.database.connect() as session:
            rows = session.execute(
                "SELECT partition, next_offset FROM clickstream.partition_offset WHERE topic = %s", [self.topic]
            ).fetchall()
        stored: dict[int, int] = dict(rows)
        return all(stored.get(partition, 0) == end for partition, end in ends.items())

    def wait_until_stored(self, seconds: float = 90) -> None:
        """Until every message on the topic is accounted for."""
        wait_until(self.stored_up_to_the_end, "all messages to be stored", seconds)

    def kill_all(self) -> None:
        """Leave nothing behind."""
        for process in self.processes:
            process.kill()

    def _environment(self, role: str | None) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("KAFKA_", "POSTGRES_", "PG"))}
        return {
            **inherited,
            **self.database.env(role, PASSWORDS[role] if role else None),
            "PYTHONUNBUFFERED": "1",
            "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap,
            "KAFKA_TOPIC": self.topic,
            "CONSUMER_GROUP_ID": f"group-{self.topic}",
            "MONITORING_PORT": "0",
            "INGEST_PASSWORD": PASSWORDS["clickstream_ingest"],
            "AGGREGATE_PASSWORD": PASSWORDS["clickstream_aggregate"],
            "GRAFANA_READER_PASSWORD": PASSWORDS["grafana_reader"],
        }


def topic_ends(bootstrap: str, topic: str) -> dict[int, int]:
    """The offset after the last message of each partition."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    partitions = admin.list_topics(topic, timeout=10).topics[topic].partitions
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    ends = admin.list_offsets({TopicPartition(topic, partition): latest for partition in partitions})
    return {tp.partition: future.result().offset for tp, future in ends.items()}


def wait_until(done: Callable[[], bool], what: str, seconds: float = 30) -> None:
    """Ask several times a second; fail, saying what was waited for, at the deadline."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.05)


def settings_of(database: Database, role: str | None = None) -> PostgresSettings:
    """The same login as the services', for calling their code directly."""
    password = PASSWORDS[role] if role else database.password
    return PostgresSettings(
        postgres_host=database.host,
        postgres_port=database.port,
        postgres_database=database.dbname,
        postgres_user=role or database.user,
        postgres_password=password,
    )


def migrate(database: Database, version: Schema | None = None) -> None:
    """Bring a database to this version, or another, and set the roles' passwords."""
    give_roles(database)
    with connect(settings_of(database), "tests", autocommit=True) as connection:
        schema.apply(connection, version or schema.read())


def give_roles(database: Database) -> None:
    """The roles with their passwords, and what they may do on this database: a copy of one lacks it."""
    owner = settings_of(database)
    settings = MigrateSettings(
        **owner.model_dump(),
        kafka_bootstrap_servers="unused:9092",
        ingest_password=PASSWORDS["clickstream_ingest"],
        aggregate_password=PASSWORDS["clickstream_aggregate"],
        grafana_reader_password=PASSWORDS["grafana_reader"],
    )
    with connect(owner, "tests", autocommit=True) as connection:
        roles.create(connection, settings)


def scalar(session: psycopg.Connection, query: str, *parameters: object) -> object:
    """The one value of a query."""
    row = session.execute(query.encode(), parameters).fetchone()
    assert row is not None
    return row[0]
