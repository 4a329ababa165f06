"""When messages leave: at once, so many a second, or at the distances they had in real life.

A pace cuts a stream of messages into bursts that are due now. An empty burst means "nothing yet": it comes at least
five times a second, so that whoever sends can look after its broker, its metrics and its shutdown in between.
"""

import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Protocol

from services.producer.source import Message

BURST = 500
LONGEST_WAIT_SECONDS = 0.2
# After a stall (a broker that was away) no more than this is made up for: the rate is a rate, not an average.
CATCH_UP_SECONDS = 0.5

Clock = Callable[[], float]


class Pace(Protocol):
    """Cuts messages into bursts that are due."""

    def bursts(self, messages: Iterator[Message], stop: threading.Event) -> Iterator[list[Message]]:
        """Bursts until the messages end or `stop` is set."""
        ...


class Unpaced:
    """As fast as they come."""

    def bursts(self, messages: Iterator[Message], stop: threading.Event) -> Iterator[list[Message]]:
        """Full bursts, one after another."""
        while not stop.is_set():
            burst = list(islice(messages, BURST))
            if not burst:
                return
            yield burst


class Rate:
    """So many messages a second. A message is taken from its source at the moment it may leave, not before."""

    def __init__(self, per_second: float, clock: Clock = time.monotonic) -> None:
        self.per_second = per_second
        self._clock = clock

    def bursts(self, messages: Iterator[Message], stop: threading.Event) -> Iterator[list[Message]]:
        """Bursts of what has become due since the one before; every message as soon as it is due when they are few."""
        most_behind = max(CATCH_UP_SECONDS, 1 / self.per_second)
        next_due = self._clock()
        while not stop.is_set():
            now = self._clock()
            next_due = max(next_due, now - most_behind)
            due = int((now - next_due) * self.per_second) + 1 if now >= next_due else 0
            if not due:
                _wait(stop, max(next_due - now, 0.002))
                yield []
                continue
            burst = list(islice(messages, min(due, BURST)))
            if not burst:
                return
            next_due += len(burst) / self.per_second
            yield burst


class Speed:
    """The distances of `due_ms`, divided by a factor: 1 is real time, 60 sends an hour's messages in a minute."""

    def __init__(self, factor: float, clock: Clock = time.monotonic) -> None:
        self.factor = factor
        self._clock = clock

    def bursts(self, messages: Iterator[Message], stop: threading.Event) -> Iterator[list[Message]]:
        """Bursts of what has become due; a message that is out of order leaves at once."""
        started = self._clock()
        first_ms: int | None = None
        burst: list[Message] = []
        for message in messages:
            first_ms = message.due_ms if first_ms is None else first_ms
            due = started + (message.due_ms - first_ms) / 1000 / self.factor
            while (ahead := due - self._clock()) > 0:
                yield burst
                burst = []
                _wait(stop, ahead)
                if stop.is_set():
                    return
            burst.append(message)
            if len(burst) >= BURST:
                yield burst
                burst = []
                if stop.is_set():
                    return
        yield burst


def _wait(stop: threading.Event, seconds: float) -> None:
    stop.wait(min(seconds, LONGEST_WAIT_SECONDS))
