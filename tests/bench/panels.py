"""How long each panel's query takes, and what goes into docs/dashboards.md.

    python -m tests.bench.panels [EVENTS] [--write]

An embedded PostgreSQL is filled with a month of simulated visitors by the consumer's and the aggregator's code; the
youngest 10,000 events stay pending. Each query runs as grafana_reader, over the last 7 and 30 days in steps of an hour,
all choices on All; the median of five runs counts, in time on a core.
"""

import statistics
import sys
from datetime import UTC, datetime, timedelta

from services.common.postgres import Connection, connect
from tests.bench.busy import server_ns
from tests.bench.database import as_reader, empty_database
from tests.bench.history import TAIL_EVENTS, fill
from tests.dashboards.document import FILE, RANGES_DAYS, render
from tests.dashboards.files import queries
from tests.dashboards.macros import expand, last


def main(events: int, *, write: bool) -> None:
    """Fill, measure, print."""
    with empty_database() as owner:
        fill(owner, events, max(RANGES_DAYS), lambda done: print(f"\r{done:,} events", end="", file=sys.stderr))
        with connect(as_reader(owner), "bench", autocommit=True) as connection:
            connection.execute("SET search_path = reporting")
            found = measure(connection)
    for key, times in sorted(found.items(), key=lambda item: -max(item[1])):
        print("".join(f"{milliseconds:8.1f} ms" for milliseconds in times), key)
    if write:
        document(found, events)


def measure(connection: Connection) -> dict[str, list[float]]:
    """Milliseconds by panel, for each range."""
    until = datetime.now(UTC)
    connection.execute("SET max_parallel_workers_per_gather = 0")
    found: dict[str, list[float]] = {}
    for query in queries():
        for days in RANGES_DAYS:
            sql = expand(query.sql, last(timedelta(days=days), until, 3600), query.variables).encode()
            found.setdefault(query.key, []).append(statistics.median(_milliseconds(connection, sql) for _ in range(5)))
    return found


def document(found: dict[str, list[float]], events: int) -> None:
    """Write the times into the page."""
    measured = (
        f"milliseconds of one core, median of five runs. The {max(RANGES_DAYS)} days hold {events:,} events, of which "
        f"{TAIL_EVENTS:,} are not rolled up yet (`python -m tests.bench.panels --write`)."
    )
    FILE.write_text(render({key: [f"{value:.0f}" for value in values] for key, values in found.items()}, measured))


def _milliseconds(connection: Connection, sql: bytes) -> float:
    before = server_ns(connection)
    connection.execute(sql).fetchall()
    return (server_ns(connection) - before) / 1e6


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:] if argument.isdigit()]
    main(numbers[0] if numbers else 10_000_000, write="--write" in sys.argv)
