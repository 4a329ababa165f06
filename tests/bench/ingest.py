r"""How near one consumer comes to `psql \copy` of the same rows into the same table.

    python -m tests.bench.ingest [EVENTS] [ROUNDS]

An embedded PostgreSQL with fsync on shares the machine with the client. Within a round all ways take turns, each into
an empty table; figures are medians over rounds, ratios are taken round by round. Messages are in memory: the broker is
not measured.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from confluent_kafka import Message
from rich.console import Console
from rich.table import Table

from local.embedded import postgres_alone
from local.postgres import Postgres
from services.common.event import COLUMNS
from services.common.postgres import Connection, connect
from services.common.settings import PostgresSettings, load
from services.consumer.batch import Batch
from services.consumer.faults import Invalid
from services.consumer.limits import Limits
from services.consumer.run import calm_garbage_collection
from services.consumer.store import Store
from services.consumer.validation import Row, Validator
from services.migrate import roles, schema
from services.migrate.settings import MigrateSettings
from services.producer.settings import SimulateSettings
from services.producer.simulate.source import Simulation
from tests.events import message

TOPIC = "bench"
_COLUMNS = ", ".join([*COLUMNS, "batch_id"])
_INSERT = f"INSERT INTO event ({_COLUMNS}) VALUES ({', '.join(['%s'] * (len(COLUMNS) + 1))}) ON CONFLICT DO NOTHING"
_EXPORT = f"COPY (SELECT {_COLUMNS} FROM event) TO STDOUT"
_SLOW_EVENTS = 5_000
_EXECUTEMANY_EVENTS = 20_000


def main(events: int = 100_000, rounds: int = 5) -> None:
    """Run and print the table."""
    calm_garbage_collection()
    values = _values(events)
    with tempfile.TemporaryDirectory() as data:
        Path(data).chmod(0o711)
        with postgres_alone(Path(data)) as server:
            settings = _settings(server)
            with connect(settings, "bench", autocommit=True) as connection:
                _prepare(connection, settings)
                _measure(connection, server, values, rounds)


def _values(events: int) -> list[bytes]:
    """Events of the simulation, all valid and different."""
    settings: SimulateSettings = load(
        SimulateSettings,
        kafka_bootstrap_servers="unused:9092",
        producer_events=events,
        producer_seed=1,
        producer_late_share=0.0,
        producer_duplicate_share=0.0,
        producer_span_hours=12.0,
    )
    return [message.value for message in Simulation(settings)]


def _settings(server: Postgres) -> PostgresSettings:
    return PostgresSettings(
        postgres_host=server.host,
        postgres_port=server.port,
        postgres_database="postgres",
        postgres_user=server.user,
        postgres_password=server.password,
    )


def _prepare(connection: Connection, settings: PostgresSettings) -> None:
    roles.create(connection, MigrateSettings(**settings.model_dump(), kafka_bootstrap_servers="unused:9092"))
    schema.apply(connection, schema.read())
    for offset in (-1, 0, 1):
        connection.execute("SELECT create_event_partition(current_date + %s)", [offset])


def _measure(connection: Connection, server: Postgres, values: list[bytes], rounds: int) -> None:
    messages = [message(value, offset, 0, TOPIC) for offset, value in enumerate(values)]
    with tempfile.NamedTemporaryFile(suffix=".copy") as file:
        _export(connection, messages, file.name)
        psql = f"\\copy event ({_COLUMNS}) from '{file.name}'"
        ways: dict[str, tuple[int, Callable[[], None]]] = {
            "psql \\copy": (len(values), lambda: _psql(server, psql)),
            "consumer, batches of 20,000": (len(values), lambda: _consume(connection, messages, 20_000)),
            "consumer, batches of 10,000": (len(values), lambda: _consume(connection, messages, 10_000)),
            "consumer, batches of 1,000": (len(values), lambda: _consume(connection, messages, 1_000)),
            "consumer, 5 % duplicates": (len(values), lambda: _consume(connection, _repeat(messages, 0.05), 10_000)),
            "consumer, redelivered whole": (len(values), lambda: _consume(connection, messages, 10_000)),
            "executemany ON CONFLICT": (_EXECUTEMANY_EVENTS, lambda: _executemany(connection, messages)),
            "insert and commit each": (_SLOW_EVENTS, lambda: _insert_each(connection, messages)),
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, (_, way) in ways.items():
                _empty(connection, full=name == "consumer, redelivered whole", psql=lambda: _psql(server, psql))
                started_at = time.monotonic()
                way()
                seconds[name].append(time.monotonic() - started_at)
    _print({name: count for name, (count, _) in ways.items()}, seconds, rounds)


def _export(connection: Connection, messages: list[Message], path: str) -> None:
    """The rows as psql wants them."""
    _empty(connection)
    _consume(connection, messages, 20_000)
    with Path(path).open("wb") as file, connection.cursor().copy(_EXPORT.encode()) as copy:
        for block in copy:
            file.write(block)


def _empty(connection: Connection, *, full: bool = False, psql: Callable[[], None] = lambda: None) -> None:
    connection.execute("TRUNCATE event, ingest_batch, dead_letter, partition_offset")
    connection.execute(
        "INSERT INTO partition_offset (topic, partition, next_offset, high_watermark) VALUES (%s, 0, 0, 0)", [TOPIC]
    )
    if full:
        psql()
    connection.execute("CHECKPOINT")


def _psql(server: Postgres, command: str) -> None:
    environment = {"PGPASSWORD": server.password, "PGOPTIONS": "-c search_path=clickstream"}
    login = ["-h", server.host, "-p", str(server.port), "-U", server.user, "-d", "postgres"]
    subprocess.run([str(server.programs / "psql"), *login, "-qc", command], env=environment, check=True)


def _consume(connection: Connection, messages: list[Message], size: int) -> None:
    store = Store(connection, "bench", retention_days=0, event_max_bytes=1_000_000)
    for first in range(0, len(messages), size):
        taken = messages[first : first + size]
        end = {0: first + len(taken)}
        store.commit(Batch(TOPIC, taken, {0: first}, end, end))


def _repeat(messages: list[Message], share: float) -> list[Message]:
    """The same number of messages, some of which come again a little later."""
    every = int(1 / share)
    return [messages[i - 7] if i % every == 7 else m for i, m in enumerate(messages)]


def _rows(messages: list[Message]) -> list[Row]:
    limits = Limits.at(datetime.now(UTC), retention_days=0, max_bytes=1_000_000)
    checked = Validator().check([m.value() for m in messages], limits, batch_id=1)
    return [row for row in checked if not isinstance(row, Invalid)]


def _executemany(connection: Connection, messages: list[Message]) -> None:
    """What many pipelines do: batches of 1,000 by executemany; not validated in the time measured."""
    rows = _rows(messages[:_EXECUTEMANY_EVENTS])
    for first in range(0, len(rows), 1_000):
        with connection.transaction(), connection.cursor() as cursor:
            cursor.executemany(_INSERT.encode(), rows[first : first + 1_000])


def _insert_each(connection: Connection, messages: list[Message]) -> None:
    for row in _rows(messages[:_SLOW_EVENTS]):
        connection.execute(_INSERT.encode(), row)


def _print(counts: dict[str, int], seconds: dict[str, list[float]], rounds: int) -> None:
    base = [counts["psql \\copy"] / s for s in seconds["psql \\copy"]]
    table = Table("way", "events/s", "of psql \\copy", "(min-max)", title=f"Ingest, medians of {rounds} rounds")
    for name, times in seconds.items():
        rates = [counts[name] / s for s in times]
        ratios = [rate / reference for rate, reference in zip(rates, base, strict=True)]
        spread = f"{min(ratios):.2f}-{max(ratios):.2f}"
        table.add_row(name, f"{statistics.median(rates):,.0f}", f"{statistics.median(ratios):.2f}", spread)
    Console().print(table)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
