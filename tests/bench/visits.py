"""Visits of a simulated shop as they would come in life: at random, by hour and weekday, on good days and bad ones.

The visits are those of the producer's simulation. It spreads a number of events evenly over five minutes, and every day
is like the one before: right for load, far too tame for an alert. Here visits arrive as a Poisson process whose rate
moves.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from math import exp
from random import Random
from typing import NamedTuple

from services.common.timestamps import rfc3339_ms
from services.common.uuid7 import RANDOM_BITS, compose
from services.producer.simulate.crowd import LAG_DOUBLINGS, SHORTEST_LAG_MS
from services.producer.simulate.journey import Journey
from services.producer.simulate.shop import Shop
from services.producer.simulate.sources import ORIGINS
from services.producer.simulate.visitors import HOUR_MS, Visitors, busyness

DAY_MS = 24 * HOUR_MS
# From Monday on; a shop is busiest on Sundays.
WEEKDAYS = (0.95, 0.92, 0.94, 0.97, 0.93, 1.12, 1.25)
GROWTH_A_DAY = 0.004
# Standard deviations of the logarithm: how a day differs from others of its weekday, an hour from others of its day.
DAY_NOISE = 0.10
HOUR_NOISE = 0.08
LATE_SHARE = 0.02
EVENTS_A_VISIT = 6.0
_SLOT_MS = 5 * 60_000
_VISITORS = 100_000


class Sent(NamedTuple):
    """An event on its way: when it is sent, by whom, and its JSON."""

    at_ms: int
    visitor_id: bytes
    value: bytes


Rate = Callable[[int], float]
"""Visits a millisecond at an instant, in milliseconds since 1970."""


def site_rate(events_a_day: int, since_ms: int, seed: int) -> Rate:
    """The course of a site with so many events a day on the mean, at first; the same one for a seed."""
    mean_busyness = sum(busyness(since_ms + hour * HOUR_MS) for hour in range(24)) / 24
    base = events_a_day / EVENTS_A_VISIT / DAY_MS / mean_busyness

    def noise(kind: str, number: int, deviation: float) -> float:
        return Random(f"{seed} {kind} {number}").gauss(0, deviation)

    def rate(at_ms: int) -> float:
        day, hour = at_ms // DAY_MS, at_ms // HOUR_MS
        into = at_ms % HOUR_MS / HOUR_MS  # from one hour's noise to the next's there is no step
        hourly = exp((1 - into) * noise("hour", hour, HOUR_NOISE) + into * noise("hour", hour + 1, HOUR_NOISE))
        weekday = WEEKDAYS[(day + 3) % 7]  # 1970 began with a Thursday
        growth = exp(GROWTH_A_DAY * (at_ms - since_ms) / DAY_MS)
        return base * busyness(at_ms) * weekday * growth * exp(noise("day", day, DAY_NOISE)) * hourly

    return rate


@dataclass(frozen=True, slots=True)
class _Visit:
    visitor_id: bytes
    tail: bytes
    lag_ms: int
    left: list[tuple[int, bytes]]


class Visits:
    """Makes visits; the shop and its people are the same in every run."""

    def __init__(self) -> None:
        self._shop = Shop()
        self._visitors = Visitors(_VISITORS)

    def between(self, since_ms: int, until_ms: int, rate: Rate, seed: int) -> Iterator[Sent]:
        """The events of the visits that begin in between, in order of sending, as long as they go on before its end."""
        draw = Random(seed)
        waiting: list[tuple[int, int, _Visit]] = []
        for number, arrival_ms in enumerate(arrivals(since_ms, until_ms, rate, draw)):
            while waiting and waiting[0][0] <= arrival_ms:
                yield _act(waiting, draw)
            visit = self._visit(arrival_ms, draw)
            heappush(waiting, (arrival_ms, number, visit))
        while waiting and waiting[0][0] < until_ms:
            yield _act(waiting, draw)

    def _visit(self, now_ms: int, draw: Random) -> _Visit:
        visitor = self._visitors.arrive(now_ms, draw.random)
        origin = ORIGINS.pick(draw.random())
        steps = Journey(self._shop, origin, visitor.appetite * origin.appetite, draw.random).steps
        late = draw.random() < LATE_SHARE
        lag_ms = int(SHORTEST_LAG_MS * 2 ** (draw.random() * LAG_DOUBLINGS)) if late else 0
        session_id = compose(now_ms - lag_ms, draw.getrandbits(RANDOM_BITS))
        tail = f',"session_id":"{session_id}"'.encode() + visitor.about + origin.campaign + b"}"
        return _Visit(visitor.visitor_id, tail, lag_ms, steps[::-1])


def arrivals(since_ms: int, until_ms: int, rate: Rate, draw: Random) -> Iterator[int]:
    """A Poisson process, its rate constant over five minutes: the instants, in milliseconds since 1970."""
    for slot_ms in range(since_ms, until_ms, _SLOT_MS):
        here, at_ms, end_ms = rate(slot_ms), float(slot_ms), min(slot_ms + _SLOT_MS, until_ms)
        while here > 0 and (at_ms := at_ms + draw.expovariate(here)) < end_ms:
            yield int(at_ms)


def event(at_ms: int, members: bytes, draw: Random) -> bytes:
    """An event as JSON; `members` are those after the time, up to the brace."""
    head = f'{{"event_id":"{compose(at_ms, draw.getrandbits(RANDOM_BITS))}","event_time":"{rfc3339_ms(at_ms)}",'
    return head.encode() + members


def _act(waiting: list[tuple[int, int, _Visit]], draw: Random) -> Sent:
    """The next event of all visits under way."""
    at_ms, number, visit = heappop(waiting)
    _, step = visit.left.pop()
    if visit.left:
        heappush(waiting, (at_ms + visit.left[-1][0], number, visit))
    return Sent(at_ms, visit.visitor_id, event(at_ms - visit.lag_ms, step + visit.tail, draw))
