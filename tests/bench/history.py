"""A month of simulated visitors in a database, stored by the consumer's code and rolled up by the aggregator's."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from zlib import crc32

from confluent_kafka import Message

from services.aggregator.tail import Tail
from services.common.postgres import Connection, connect, snapshot
from services.common.settings import PostgresSettings, load
from services.consumer.batch import Batch, per_partition
from services.consumer.run import calm_garbage_collection
from services.consumer.store import Store
from services.producer.settings import SimulateSettings
from services.producer.simulate.source import Simulation

TOPIC = "clickstream.events.v1"
PARTITIONS = 12
_BATCH_EVENTS = 4_000
_PASS_EVENTS = 200_000
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
    with connect(settings, "bench", autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        for partition in range(PARTITIONS):
            connection.execute(
                "INSERT INTO partition_offset (topic, partition, next_offset, high_watermark) VALUES (%s, %s, 0, 0)",
                [TOPIC, partition],
            )
        store = Store(connection, "bench", retention_days=0, event_max_bytes=100_000)
        with connect(settings, "bench", autocommit=True) as aggregator:
            _store(store, _messages(events // _PASS_EVENTS * _PASS_EVENTS + TAIL_EVENTS, days), aggregator, progress)
        connection.execute(_SPREAD_LEDGER.encode())
        connection.execute("SELECT sum_up_ledger()")
        connection.execute(_EVERY_MINUTE.encode())
        connection.execute("VACUUM ANALYZE")


def _store(store: Store, messages: Iterator[Message], aggregator: Connection, progress: Callable[[int], None]) -> None:
    tail = Tail(aggregator, work_mem_mb=64)
    tail.bind()
    positions = dict.fromkeys(range(PARTITIONS), 0)
    done = pending = 0
    while taken := list(islice(messages, _BATCH_EVENTS)):
        counts = per_partition(taken)
        first = {p: positions[p] for p in counts}
        positions |= {p: positions[p] + counts[p] for p in counts}
        nexts = {p: positions[p] for p in counts}
        store.commit(Batch(TOPIC, taken, first, nexts, nexts))
        done, pending = done + len(taken), pending + len(taken)
        if pending >= _PASS_EVENTS:
            with snapshot(aggregator):
                tail.roll_up(_PASS_EVENTS)
            pending -= _PASS_EVENTS
            progress(done)


def _messages(events: int, days: int) -> Iterator[Message]:
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
    offsets = [0] * PARTITIONS
    for event in Simulation(settings):
        partition = crc32(event.key) % PARTITIONS
        yield Message(
            topic=TOPIC,
            partition=partition,
            offset=offsets[partition],
            key=event.key,
            value=event.value,
            timestamp=(1, int(datetime.now(UTC).timestamp() * 1000)),
        )
        offsets[partition] += 1
