"""What rolling up costs beside storing, and each rollup's part of it.

    python -m tests.bench.rollups [EVENTS]

An embedded PostgreSQL takes simulated events by the consumer's code; the aggregator's rolls them up in small passes,
then, in an empty database, in large ones. Figures are time on a core: the consumer's client and server, the
aggregator's server; its client does next to nothing.
"""

import sys
from collections import Counter
from dataclasses import dataclass
from itertools import islice

from rich.console import Console
from rich.table import Table

from services.common.postgres import connect
from services.consumer.run import calm_garbage_collection
from services.rollups.tail import Tail
from tests.bench.books import PASS_EVENTS, Books
from tests.bench.busy import server_ns
from tests.bench.database import empty_database
from tests.bench.history import simulated

SMALL_PASS_EVENTS = 20_000
DAYS = 1


class MeasuredTail(Tail):
    """Takes the time of each statement, by the table that it fills or analyses."""

    spent_ns: Counter[str] = Counter()

    def _execute(self, statement: str) -> int:
        before = server_ns(self._connection)
        rows = super()._execute(statement)
        table = statement.removeprefix("INSERT INTO ").removeprefix("ANALYZE ").split(maxsplit=1)[0]
        self.spent_ns[table.removesuffix("_pending")] += server_ns(self._connection) - before
        return rows


@dataclass(frozen=True)
class Cost:
    """Of so many events, in nanoseconds."""

    events: int
    client: int
    consumer: int
    aggregator: int
    by_table: Counter[str]

    def microseconds(self, ns: int) -> str:
        """For each event."""
        return f"{ns / self.events / 1000:.2f}"


def measure(events: int, pass_events: int) -> Cost:
    """Store and roll up, in turns."""
    with (
        empty_database() as owner,
        connect(owner, "bench", autocommit=True) as consumer,
        connect(owner, "bench", autocommit=True) as aggregator,
    ):
        books = Books(consumer, aggregator, MeasuredTail)
        sent = simulated(events, DAYS)
        MeasuredTail.spent_ns.clear()
        stored_ns, rolled_up_ns = server_ns(consumer), server_ns(aggregator)
        for _ in range(events // pass_events):
            books.store(islice(sent, pass_events))
            books.roll_up()
        return Cost(
            events // pass_events * pass_events,
            books.consumer_ns,
            server_ns(consumer) - stored_ns,
            server_ns(aggregator) - rolled_up_ns,
            MeasuredTail.spent_ns.copy(),
        )


def main(events: int = 600_000) -> None:
    """Measure and print both tables."""
    if events < PASS_EVENTS:
        sys.exit(f"error: a large pass takes {PASS_EVENTS:,} events: give at least so many")
    calm_garbage_collection()
    costs = {size: measure(events, size) for size in (SMALL_PASS_EVENTS, PASS_EVENTS)}
    table = Table("", *(f"passes of {size:,}" for size in costs), title=f"{events:,} events, µs an event")
    table.add_row("consumer, client", *(cost.microseconds(cost.client) for cost in costs.values()))
    table.add_row("consumer, server", *(cost.microseconds(cost.consumer) for cost in costs.values()))
    table.add_row("aggregator, server", *(cost.microseconds(cost.aggregator) for cost in costs.values()))
    shares = (cost.aggregator / (cost.client + cost.consumer) for cost in costs.values())
    table.add_row("aggregator of consumer", *(f"{share:.2f}" for share in shares), end_section=True)
    for name, _ in costs[SMALL_PASS_EVENTS].by_table.most_common():
        table.add_row(name, *(cost.microseconds(cost.by_table[name]) for cost in costs.values()))
    Console().print(table)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
