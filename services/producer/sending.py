"""Sends a source's messages: back-pressure while the broker is slow, delivery counted, nothing dropped in silence."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from services.common.errors import UserError
from services.common.monitoring import Health
from services.producer.broker import Broker
from services.producer.pacing import Pace
from services.producer.progress import Meter, Progress, log_progress
from services.producer.settings import SendingSettings
from services.producer.source import Message, Source

log = structlog.stdlib.get_logger("producer")


@dataclass(frozen=True, slots=True)
class Sent:
    """The outcome: acknowledged by the broker, failed for good, and not delivered when the time to flush ran out."""

    delivered: int
    failed: int
    undelivered: int

    def require_all(self) -> None:
        """Raises UserError: a message was not delivered."""
        if self.failed or self.undelivered:
            raise UserError(
                f"not every message was delivered: {self.delivered} delivered, {self.failed} failed, "
                f"{self.undelivered} left when the time to flush (PRODUCER_FLUSH_SECONDS) ran out"
            )


class _Patience:
    """Endless until `stop` is set, then so many seconds."""

    def __init__(self, stop: threading.Event, seconds: float) -> None:
        self._stop = stop
        self._seconds = seconds
        self._ends_at: float | None = None

    def ended(self) -> bool:
        if not self._stop.is_set():
            return False
        if self._ends_at is None:
            self._ends_at = time.monotonic() + self._seconds
        return time.monotonic() >= self._ends_at


def send(
    source: Source,
    settings: SendingSettings,
    stop: threading.Event,
    pace: Pace,
    progress: Callable[[Progress], None] | None = None,
    *,
    health: Health | None = None,
) -> Sent:
    """Send all of a source's messages, or as many as there are until `stop` is set; what is queued is delivered then.

    Waits for the broker and the topic as long as it takes. `progress` is called every `producer_progress_seconds`;
    without one a line is logged. A message the broker refuses is counted as failed and the rest goes on.

    Raises:
        UserError: the broker refuses us (authentication, authorization), or the client can't go on.
    """
    broker = Broker(settings, health or Health())
    meter = Meter(broker, settings.producer_progress_seconds, progress or log_progress)
    patience = _Patience(stop, settings.producer_flush_seconds)
    unqueued = 0
    found = broker.wait_for_topic(stop)
    started_at = time.monotonic()
    if found:
        for burst in pace.bursts(iter(source), stop):
            unqueued += _queue(burst, broker, meter, patience)
            broker.poll()
            meter.look()
        _drain(broker, meter, patience)
    sent = Sent(meter.delivered, meter.failed, broker.give_up() + unqueued)
    _log_totals(sent, meter.bytes_made, time.monotonic() - started_at)
    return sent


def _queue(burst: list[Message], broker: Broker, meter: Meter, patience: _Patience) -> int:
    """Hand a burst to the client, waiting while its queue is full; returns how many it had no time for."""
    for number, (_, key, value) in enumerate(burst):
        while not broker.offer(key, value):
            if patience.ended():
                return len(burst) - number
            broker.poll(0.1)
            meter.look()
        meter.made += 1
        meter.bytes_made += len(value)
    return 0


def _drain(broker: Broker, meter: Meter, patience: _Patience) -> None:
    while len(broker.client) and not patience.ended():
        broker.poll(0.1)
        meter.look()
    meter.look()


def _log_totals(sent: Sent, bytes_made: int, seconds: float) -> None:
    log.info(
        "sent",
        delivered=sent.delivered,
        failed=sent.failed,
        undelivered=sent.undelivered,
        bytes=bytes_made,
        seconds=round(seconds, 3),
        rate_per_second=round(sent.delivered / seconds),
    )
