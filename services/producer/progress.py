"""How far the sending is: counted from the client's queue, told to Prometheus and the log at intervals."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import structlog

from services.producer import metrics
from services.producer.broker import Broker

# No acknowledgement for so long while messages wait: the broker is away, whatever its sockets say.
SILENCE_SECONDS = 10.0

log = structlog.stdlib.get_logger("producer")


class Progress(NamedTuple):
    """How far it is: messages made, of these acknowledged, failed and waiting; the rate since the last look."""

    made: int
    delivered: int
    failed: int
    queued: int
    rate_per_second: float


@dataclass
class Meter:
    """Counts, told to Prometheus and the log at intervals."""

    broker: Broker
    every_seconds: float
    show: Callable[[Progress], None]
    made: int = 0
    bytes_made: int = 0

    def __post_init__(self) -> None:
        self.delivered = self.failed = self._counted_bytes = self._shown_made = 0
        self._shown_at = self._heard_at = time.monotonic()

    def look(self) -> None:
        """Bring the counters up to date; show progress when it is time."""
        now = time.monotonic()
        queued = len(self.broker.client)
        failed = sum(self.broker.failures.values())
        delivered = max(self.delivered, self.made - queued - failed)
        if delivered > self.delivered:
            self.broker.seen_answering()
            self._heard_at = now
        elif not queued:
            self._heard_at = now
        elif now - self._heard_at > SILENCE_SECONDS:
            self.broker.seen_away(f"no acknowledgement for {SILENCE_SECONDS:.0f} s")
        metrics.EVENTS.labels("delivered").inc(delivered - self.delivered)
        metrics.EVENTS.labels("failed").inc(failed - self.failed)
        metrics.BYTES.inc(self.bytes_made - self._counted_bytes)
        metrics.QUEUE.set(queued)
        self.delivered, self.failed, self._counted_bytes = delivered, failed, self.bytes_made
        if now - self._shown_at >= self.every_seconds:
            rate = (self.made - self._shown_made) / (now - self._shown_at)
            self.show(Progress(self.made, delivered, failed, queued, rate))
            self._shown_at, self._shown_made = now, self.made


def log_progress(progress: Progress) -> None:
    """One line."""
    log.info(
        "progress",
        made=progress.made,
        delivered=progress.delivered,
        failed=progress.failed,
        queued=progress.queued,
        rate_per_second=round(progress.rate_per_second),
    )
