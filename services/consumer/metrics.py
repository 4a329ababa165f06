"""What the consumer tells Prometheus."""

import contextlib
import time
from typing import Literal

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
LAG_SECONDS = Gauge("clickstream_consumer_lag_seconds", "How long messages have waited to be stored; 0 if none waits")
LAST_COMMIT = Gauge(
    "clickstream_consumer_last_commit_timestamp_seconds", "When something was last committed; before that, the start"
)
RETRIES = Counter("clickstream_consumer_retries", "Tries that failed and are repeated, by what failed", ["reason"])
FENCES = Counter("clickstream_consumer_fences", "Batches dropped because another consumer owned a partition")

# Since when each partition with lag has waited, in seconds since 1970.
_waiting_since: dict[int, float] = {}

# Asked for at each scrape, because nothing is set while nothing is stored.
LAG_SECONDS.set_function(lambda: max(0.0, time.time() - min([*_waiting_since.values()], default=time.time())))
# A consumer that has never committed is noticed as well.
LAST_COMMIT.set_to_current_time()
# What is not there before it is 1 has not increased for Prometheus.
for _outcome in ("stored", "duplicate", "dead"):
    EVENTS.labels(_outcome)
for _reason in ("database", "broker"):
    RETRIES.labels(_reason)


def committed() -> None:
    """Something was stored for good: a batch, or a part of one."""
    LAST_COMMIT.set_to_current_time()


def retry(reason: Literal["database", "broker"]) -> None:
    """A try failed, and is repeated."""
    RETRIES.labels(reason).inc()


def stored(batch: Batch, outcome: Outcome, seconds: float, age_seconds: float) -> None:
    """A batch was committed; its newest message was so old then."""
    committed()
    EVENTS.labels("stored").inc(outcome.stored)
    EVENTS.labels("duplicate").inc(outcome.duplicate)
    EVENTS.labels("dead").inc(outcome.dead)
    BATCH_EVENTS.observe(outcome.received)
    BATCH_SECONDS.observe(seconds)
    if outcome.freshness_p95_seconds is not None:
        FRESHNESS_SECONDS.set(outcome.freshness_p95_seconds)
    newest = time.time() - age_seconds
    for partition in batch.partitions:
        _waiting_since.pop(partition, None)
        lag(partition, batch.high_watermarks[partition] - batch.next_offsets[partition], since=newest)


def lag(partition: int, messages: int, since: float | None = None) -> None:
    """So much waits; since when, is kept from when it was first said. What waits is newer than what was stored."""
    LAG_MESSAGES.labels(str(partition)).set(max(0, messages))
    if messages > 0:
        _waiting_since.setdefault(partition, time.time() if since is None else since)
    else:
        _waiting_since.pop(partition, None)


def forget(partition: int) -> None:
    """The partition is another consumer's now."""
    _waiting_since.pop(partition, None)
    with contextlib.suppress(KeyError):
        LAG_MESSAGES.remove(str(partition))
