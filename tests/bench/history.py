"""A month of simulated visitors in a database, stored by the consumer's code and rolled up by the aggregator's."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

from services.common.postgres import connect
from services.common.settings import PostgresSettings, load
from services.consumer.run import calm_garbage_collection
from services.producer.settings import SimulateSettings
from services.producer.simulate.source import Simulation
from tests.bench.books import PASS_EVENTS, Books, Sent

TAIL_EVENTS = 10_000
# The consumer stored all within minutes; a month of its ledger has a row for every minute.
_SPREAD_LEDGER = (
    "UPDATE ingest_batch SET committed_at = max_event_time + interval '1 second' WHERE max_event_time < now()"
)
_EVERY_MINUTE = """
INSERT INTO ingest_minute
SELECT minute, 240, 9000, 8950, 30, 20, 0, 4000000, 12, 150, 0.2, 0.4, 0.6
FROM generate_series(
    date_trunc('minute', now() - interval '30 days'), now() - interval '20 minutes', interval '1 minute'
) AS g (minute)
ON CONFLICT DO NOTHING
"""


def fill(settings: PostgresSettings, events: int, days: int, progress: Callable[[int], None]) -> None:
    """Store about `events` of the last `days` days; the youngest TAIL_EVENTS stay pending, as in life."""
    calm_garbage_collection()
    with (
        connect(settings, "bench", autocommit=True) as connection,
        connect(settings, "bench", autocommit=True) as aggregator,
    ):
        connection.execute("SET synchronous_commit = off")
        books = Books(connection, aggregator)
        passes = events // PASS_EVENTS
        sent = simulated(passes * PASS_EVENTS + TAIL_EVENTS, days)
        for number in range(1, passes + 1):
            books.store(islice(sent, PASS_EVENTS))
            books.roll_up()
            progress(number * PASS_EVENTS)
        books.store(sent)
        connection.execute(_SPREAD_LEDGER.encode())
        connection.execute("SELECT sum_up_ledger()")
        connection.execute(_EVERY_MINUTE.encode())
        connection.execute("VACUUM ANALYZE")


def simulated(events: int, days: int) -> Iterator[Sent]:
    """What visitors of the last `days` days send, in order; a few messages come twice, a few are broken."""
    start = datetime.now(UTC) - timedelta(days=days, seconds=2)
    settings: SimulateSettings = load(
        SimulateSettings,
        kafka_bootstrap_servers="unused:9092",
        producer_events=events,
        producer_seed=1,
        producer_start=start,
        producer_span_hours=24.0 * days,
        producer_duplicate_share=0.002,
        producer_invalid_share=0.002,
    )
    for message in Simulation(settings):
        yield message.key, message.value
