"""A database that holds ten days of known events: most rolled up, the youngest pending, some twice, some broken."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zlib import crc32

import pytest
import structlog
from confluent_kafka import Message
from psycopg import sql
from psycopg.rows import dict_row

from services.aggregator.run import Run
from services.aggregator.settings import AggregatorSettings
from services.aggregator.verification import verify
from services.common.postgres import Connection, connect
from services.common.settings import load
from services.common.timestamps import rfc3339_ms, to_unix_ms
from services.common.uuid7 import compose
from services.consumer.batch import Batch, per_partition
from services.consumer.store import Store
from services.producer.settings import SimulateSettings
from services.producer.simulate.source import Simulation
from tests.conftest import Database, migrated_database
from tests.dashboards.facts import Facts
from tests.dashboards.macros import Choice, Span
from tests.events import World, encode
from tests.integration.exactly import stored_events
from tests.integration.pipeline import settings_of

TOPIC = "clickstream.events.v1"
PARTITIONS = 3
CAPACITY_BYTES = 1_000_000_000
_TABLES = ("ingest_batch", "dead_letter", "verification", "aggregator_run", "event_partition", "database_size_hour")


@dataclass(frozen=True)
class Filled:
    """The database, what was sent to each partition, and the instant that panels look from."""

    database: Database
    sent: list[dict[str, Any]]
    until: datetime

    def reader(self) -> Connection:
        """A session as Grafana's."""
        return connect(settings_of(self.database, "grafana_reader"), "grafana", autocommit=True)

    def owner(self) -> Connection:
        """A session that may do anything."""
        return connect(settings_of(self.database), "tests", autocommit=True)

    def facts(self, span: Span, choice: Choice | None = None) -> Facts:
        """What answers are computed from: raw rows only."""
        with self.owner() as connection:
            events = stored_events(connection)
            cursor = connection.cursor(row_factory=dict_row)
            tables = {name: cursor.execute(f"SELECT * FROM {name}".encode()).fetchall() for name in _TABLES}
            size = cursor.execute("SELECT pg_database_size(current_database()) AS size_bytes").fetchall()
            positions = cursor.execute("SELECT partition, updated_at FROM partition_offset").fetchall()
        moved = {row["partition"]: row["updated_at"] for row in positions}
        sent = [row | {"updated_at": moved[row["partition"]]} for row in self.sent]
        return Facts(events, tables | {"database": size, "sent": sent}, span, choice or Choice())


def limit_capacity(database: Database) -> None:
    """The database knows how large it may get."""
    with connect(settings_of(database), "tests", autocommit=True) as connection:
        capacity = sql.SQL("ALTER DATABASE {} SET clickstream.capacity_bytes = {}")
        connection.execute(capacity.format(sql.Identifier(database.dbname), str(CAPACITY_BYTES)))


@contextmanager
def limited_database(postgres: Database, template: Database) -> Iterator[Database]:
    """Our schema, in a database that knows how large it may get."""
    with migrated_database(postgres, template) as database:
        limit_capacity(database)
        yield database


@pytest.fixture(scope="session")
def filled(postgres: Database, template: Database) -> Iterator[Filled]:
    """Shared by all tests: look, don't touch."""
    with limited_database(postgres, template) as database:
        sent = _fill(database)
        yield Filled(database, sent, datetime.now(UTC) + timedelta(seconds=1))


def _values() -> Iterator[tuple[str, bytes]]:
    """Visitor and message: an hour of a shop's visitors now and then, and a world of odd events."""
    now = datetime.now(UTC)
    for days, seed in ((9, 1), (8, 2), (5, 3), (2, 4), (1, 5), (0, 6)):
        settings: SimulateSettings = load(
            SimulateSettings,
            kafka_bootstrap_servers="unused:9092",
            producer_events=2_000,
            producer_seed=seed,
            producer_start=now - timedelta(days=days, seconds=2_005),
            producer_visitors=400,
            producer_duplicate_share=0.02,
            producer_invalid_share=0.02,
            producer_site="shop.example,blog.example",
        )
        for message in Simulation(settings):
            yield message.key.decode(), message.value
    odd = World(7, now - timedelta(days=4, minutes=1))
    for event in [odd.event() for _ in range(1_500)]:
        yield event["visitor_id"], encode([event])[0]
    for event in _robot(now):
        yield event["visitor_id"], encode([event])[0]


def _robot(now: datetime) -> Iterator[dict[str, Any]]:
    """Somebody who clicks ten times a second."""
    start_ms = to_unix_ms(now) - 60_000
    for n in range(60):
        yield {
            "event_id": compose(start_ms + 100 * n, n),
            "event_time": rfc3339_ms(start_ms + 100 * n),
            "event_type": "click",
            "session_id": compose(start_ms, 4711),
            "visitor_id": "robot",
            "page_path": "/",
            "device_type": "desktop",
        }


def _fill(database: Database) -> list[dict[str, Any]]:
    logs: list[list[Message]] = [[] for _ in range(PARTITIONS)]
    with (
        connect(settings_of(database, "clickstream_ingest"), "tests", autocommit=True) as consumer,
        connect(settings_of(database), "tests", autocommit=True) as owner,
    ):
        for partition in range(PARTITIONS):
            owner.execute(
                "INSERT INTO partition_offset (topic, partition, next_offset, high_watermark) VALUES (%s, %s, 0, 0)",
                [TOPIC, partition],
            )
        store = Store(consumer, "tests", retention_days=0, event_max_bytes=100_000)
        waiting: list[Message] = []
        for visitor, value in _values():
            partition = crc32(visitor.encode()) % PARTITIONS
            waiting.append(_message(value, len(logs[partition]), partition))
            logs[partition].append(waiting[-1])
            if len(waiting) == 700:
                _commit(store, waiting, logs)
                waiting = []
                if len(store_batches(owner)) == 17:  # the rest stays pending
                    _aggregate(database)
        _commit(store, waiting, logs, ahead=5)
        owner.execute("VACUUM ANALYZE")  # else PostgreSQL does it at some point, and sizes and estimates jump
        return _sent(owner, logs)


def _message(value: bytes, offset: int, partition: int) -> Message:
    now_ms = int(datetime.now(UTC).timestamp() * 1000)
    return Message(topic=TOPIC, partition=partition, offset=offset, key=b"k", value=value, timestamp=(1, now_ms - 1500))


def store_batches(connection: Connection) -> list[tuple[Any, ...]]:
    """What is in the ledger."""
    return connection.execute("SELECT batch_id FROM ingest_batch").fetchall()


def _commit(store: Store, messages: list[Message], logs: list[list[Message]], ahead: int = 0) -> None:
    counts = per_partition(messages)
    nexts = {p: len(logs[p]) for p in counts}
    first = {p: nexts[p] - counts[p] for p in counts}
    store.commit(Batch(TOPIC, messages, first, nexts, {p: end + ahead for p, end in nexts.items()}))


def _aggregate(database: Database) -> None:
    login = settings_of(database, "clickstream_aggregate").model_dump()
    settings = AggregatorSettings(**login)
    Run(settings, structlog.get_logger(), threading.Event(), once=True).run()
    verify(settings, days=None)


def _sent(owner: Connection, logs: list[list[Message]]) -> list[dict[str, Any]]:
    """The balance sheet from the messages themselves: an event is stored once, and each is on one partition."""
    stored = Counter(
        crc32(str(visitor).encode()) % PARTITIONS for (visitor,) in owner.execute("SELECT visitor_id FROM event")
    )
    dead = Counter(partition for (partition,) in owner.execute("SELECT partition FROM dead_letter"))
    return [
        {
            "partition": p,
            "received": len(messages),
            "stored": stored[p],
            "duplicate": len(messages) - stored[p] - dead[p],
            "dead": dead[p],
            "lost": 0,
            "next_offset": len(messages),
            "high_watermark": len(messages) + 5,
        }
        for p, messages in enumerate(logs)
    ]
