"""What the consumer tells Prometheus."""

import contextlib

from prometheus_client import Counter, Gauge, Histogram

from services.consumer.batch import Batch
from services.consumer.ledger import Outcome

EVENTS = Counter("clickstream_consumer_events", "Messages taken from the topic, by what became of them", ["outcome"])
LOST = Counter("clickstream_consumer_lost_offsets", "Offsets that were gone before they could be read")
BATCH_EVENTS = Histogram(
    "clickstream_consumer_batch_events", "Messages a batch", buckets=[1, 10, 100, 500, 1000, 2500, 5000, 10_000, 20_000]
)
BATCH_SECONDS = Histogram("clickstream_consumer_batch_seconds", "Time to store a batch")
FRESHNESS_SECONDS = Gauge(
    "clickstream_consumer_freshness_seconds", "From produced to stored: 95th percentile of the last batch"
)
LAG_MESSAGES = Gauge("clickstream_consumer_lag_messages", "Messages not stored yet, by partition", ["partition"])
LAG_SECONDS = Gauge(
    "clickstream_consumer_lag_seconds", "Age of the newest message of the last batch when it was stored"
)
RETRIES = Counter("clickstream_consumer_retries", "Tries to store a batch that failed, by error", ["error"])
FENCES = Counter("clickstream_consumer_fences", "Batches dropped because another consumer owned a partition")

for _outcome in ("stored", "duplicate", "dead"):
    EVENTS.labels(_outcome)


def stored(batch: Batch, outcome: Outcome, seconds: float, age_seconds: float) -> None:
    """A batch was committed."""
    EVENTS.labels("stored").inc(outcome.stored)
    EVENTS.labels("duplicate").inc(outcome.duplicate)
    EVENTS.labels("dead").inc(outcome.dead)
    BATCH_EVENTS.observe(outcome.received)
    BATCH_SECONDS.observe(seconds)
    LAG_SECONDS.set(age_seconds)
    if outcome.freshness_p95_seconds is not None:
        FRESHNESS_SECONDS.set(outcome.freshness_p95_seconds)
    for partition in batch.partitions:
        lag(partition, batch.high_watermarks[partition] - batch.next_offsets[partition])


def lag(partition: int, messages: int) -> None:
    """So much waits."""
    LAG_MESSAGES.labels(str(partition)).set(max(0, messages))


def forget(partition: int) -> None:
    """The partition is another consumer's now."""
    with contextlib.suppress(KeyError):
        LAG_MESSAGES.remove(str(partition))
