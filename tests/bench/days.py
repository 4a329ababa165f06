"""What it costs to keep many days: locks and milliseconds beside 14, 400 and 4,000 day partitions.

    python -m tests.bench.days [DAYS …] [--write]

One embedded PostgreSQL, to which days are added. It has the same events all along: 20,000 of the last day rolled up,
and 1,000 pending, most of which go on with sessions that are there. Each step runs in a transaction that is rolled
back, and whose locks are counted; the median of 21 runs counts.
"""

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path

from msgspec import json

from services.common.postgres import Connection, connect, snapshot
from services.common.settings import PostgresSettings
from services.common.timestamps import rfc3339_ms, to_unix_ms
from services.common.uuid7 import compose
from services.consumer import ways
from services.rollups.tail import Tail
from tests.bench.books import Books
from tests.bench.database import as_reader, empty_database
from tests.bench.history import simulated
from tests.dashboards.files import queries
from tests.dashboards.macros import expand, last

ROLLED_UP, PENDING, RUNS = 20_000, 1_000, 21
REPLAYED = 13_000
PANELS = (
    "Live: Events per minute",
    "Live: Active visitors",
    "Sessions: Latest sessions",
    "Pages: Page-to-page paths",
)
PAGE = Path(__file__).parents[2] / "docs" / "benchmarks" / "days.md"
_LOCKS = "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation'"
Step = Callable[[Connection], object]


class _RollbackError(Exception):
    """Ends a measured transaction."""


def main(stages: list[int], *, write: bool) -> None:
    """Add days, measure, print."""
    found: dict[str, list[tuple[int, float]]] = {}
    with empty_database() as owner, connect(owner, "bench", autocommit=True) as connection:
        connection.execute("SET clickstream.day_partition_days = 20000")
        ids = _fill(owner)
        there = 0
        for days in stages:
            _add_days(connection, there, days)
            there = days
            for name, measured in _measure(owner, ids).items():
                found.setdefault(name, []).append(measured)
                print(f"{days:>6} days {measured[0]:>6} locks {measured[1]:>8.1f} ms  {name}", flush=True)
    replays = list(_replays())
    for name, took, partitions in replays:
        print(f"{REPLAYED:,} events over {name}: {took:.1f} s, {partitions} partitions", flush=True)
    if write:
        PAGE.write_text(_page(stages, found, replays))


def _fill(owner: PostgresSettings) -> list[tuple[str]]:
    """The ids of the thousand newest events."""
    with connect(owner, "bench", autocommit=True) as consumer, connect(owner, "bench", autocommit=True) as aggregator:
        books, sent = Books(consumer, aggregator), simulated(ROLLED_UP + PENDING, 1)
        books.store(islice(sent, ROLLED_UP))
        books.roll_up()
        books.store(sent)
        consumer.execute("ANALYZE")
        return consumer.execute("SELECT event_id::text FROM event ORDER BY event_id DESC LIMIT 1000").fetchall()


def _add_days(connection: Connection, there: int, days: int) -> None:
    for age in range(there, days):
        connection.execute("SELECT create_event_partition((now() AT TIME ZONE 'UTC')::date - %s::integer)", [age])


def _measure(owner: PostgresSettings, ids: list[tuple[str]]) -> dict[str, tuple[int, float]]:
    """Locks and milliseconds by step."""
    until = datetime.now(UTC)
    panels = {
        query.key: expand(query.sql, last(timedelta(minutes=30), until, 60), query.variables)
        for query in queries()
        if query.key in PANELS
    }
    reader = as_reader(owner)
    found = {name: _warm(reader, partial(_ask, panels[name])) for name in PANELS}
    found["the first panel of a new session"] = _cold(reader, partial(_ask, panels["Live: Active visitors"]))
    found["consumer: 1,000 ids looked up"] = _warm(owner, partial(_look_up, ids))
    found["aggregator: a pass over 1,000 events"] = _pass(owner)
    return found


def _ask(query: str, connection: Connection) -> object:
    connection.execute("SET LOCAL search_path = reporting")
    return connection.execute(query.encode()).fetchall()


def _look_up(ids: list[tuple[str]], connection: Connection) -> object:
    with connection.cursor() as cursor:
        return ways._stored_ids(cursor, ids)  # the consumer's own statement


def _warm(settings: PostgresSettings, step: Step) -> tuple[int, float]:
    with connect(settings, "bench", autocommit=True) as connection:
        _timed(connection, step)
        return _median([_timed(connection, step) for _ in range(RUNS)])


def _cold(settings: PostgresSettings, step: Step) -> tuple[int, float]:
    measured = []
    for _ in range(RUNS):
        with connect(settings, "bench", autocommit=True) as connection:
            measured.append(_timed(connection, step))
    return _median(measured)


def _pass(owner: PostgresSettings) -> tuple[int, float]:
    with connect(owner, "bench", autocommit=True) as connection:
        tail = Tail(connection, work_mem_mb=64)
        tail.bind()
        step: Step = lambda _: tail.roll_up(PENDING)  # noqa: E731
        _timed(connection, step, repeatable=True)
        return _median([_timed(connection, step, repeatable=True) for _ in range(RUNS)])


def _timed(connection: Connection, step: Step, *, repeatable: bool = False) -> tuple[int, float]:
    """Locks and milliseconds of one run."""
    locks, began = 0, 0.0
    with snapshot(connection) if repeatable else nullcontext():
        try:
            with connection.transaction():
                began = time.perf_counter()
                step(connection)
                took = (time.perf_counter() - began) * 1000
                row = connection.execute(_LOCKS.encode()).fetchone()
                locks = row[0] if row else 0
                raise _RollbackError
        except _RollbackError:
            pass
    return locks, took


def _median(measured: list[tuple[int, float]]) -> tuple[int, float]:
    return max(locks for locks, _ in measured), statistics.median(took for _, took in measured)


def _replays() -> Iterator[tuple[str, float, int]]:
    """Seconds to store and roll up as many events, and the partitions they need, in an empty database each."""
    for name, days in (("a month, long ago", 30), ("20 years", 20 * 365)):
        with (
            empty_database() as owner,
            connect(owner, "bench", autocommit=True) as consumer,
            connect(owner, "bench", autocommit=True) as aggregator,
        ):
            books = Books(consumer, aggregator)
            sent = list(_spread(REPLAYED, days))
            began = time.perf_counter()
            books.store(sent)
            books.roll_up()
            took = time.perf_counter() - began
            row = consumer.execute("SELECT count(*) FROM event_partition").fetchone()
            yield name, took, row[0] if row else 0


def _spread(events: int, days: int) -> Iterator[tuple[bytes, bytes]]:
    """Page views at equal distances over so many days, up to a month ago; sessions of four."""
    end_ms = to_unix_ms(datetime.now(UTC)) - 30 * 86_400_000
    for number in range(events):
        at_ms = end_ms - (events - number) * days * 86_400_000 // events
        visitor = f"v{number // 4}"
        event = {
            "event_id": compose(at_ms, number),
            "event_time": rfc3339_ms(at_ms),
            "event_type": "page_view",
            "session_id": compose(end_ms, number // 4),
            "visitor_id": visitor,
            "page_path": f"/{number % 50}",
            "device_type": "desktop",
        }
        yield visitor.encode(), json.encode(event)


def _page(stages: list[int], found: dict[str, list[tuple[int, float]]], replays: list[tuple[str, float, int]]) -> str:
    heads = [f"{days:,} days" for days in stages]
    lines = [
        f"| {name} | " + " | ".join(f"{locks} locks, {took:.1f} ms" for locks, took in measured) + " |"
        for name, measured in found.items()
    ]
    return "\n".join(
        [
            "# Many days",
            "",
            "`python -m tests.bench.days --write`. One database, to which day partitions are added. It has the same",
            f"events all along: {ROLLED_UP:,} of the last day rolled up, {PENDING:,} pending. Each step runs in a",
            f"transaction of its own, whose locks on relations are counted; the median of {RUNS} runs counts.",
            "",
            "A query names the days it needs as constants, so PostgreSQL plans, locks and reads no other partition.",
            "Days stand below a partition of their month, so that no parent has many children. Only what lists the",
            "partitions themselves grows with them.",
            "",
            "| step | " + " | ".join(heads) + " |",
            "|---|" + "---:|" * len(stages),
            *lines,
            "",
            f"Stored and rolled up, {REPLAYED:,} events:",
            "",
            "| spread over | seconds | partitions |",
            "|---|---:|---:|",
            *(f"| {name} | {took:.1f} | {partitions} |" for name, took, partitions in replays),
            "",
        ]
    )


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:] if argument.isdigit()]
    main(numbers or [14, 400, 4_000], write="--write" in sys.argv)
