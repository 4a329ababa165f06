"""The visits under way at one time: whose turn it is comes next, and somebody new arrives when it is nobody's.

So the number of visitors at a time follows from the rate of events, and the rate is exactly what is asked for.
"""

from heapq import heappop, heappush, heapreplace
from random import Random

from services.common.timestamps import rfc3339_ms
from services.common.uuid7 import RANDOM_BITS, compose
from services.producer.simulate.draw import Weighted
from services.producer.simulate.journey import Journey, Step
from services.producer.simulate.shop import Shop
from services.producer.simulate.sources import ORIGINS
from services.producer.simulate.visitors import Visitors

# Beyond this many visitors at a time they act faster instead of becoming more: it bounds the memory (some 50 MB).
MOST_AT_A_TIME = 10_000
SHORTEST_LAG_MS = 60_000
LAG_DOUBLINGS = 8.5  # from one minute to six hours


class _Visit:
    """A visit under way: what is left to do (last first), what all its events share, how late they arrive."""

    __slots__ = ("lag_ms", "left", "tail", "visitor_id")

    def __init__(self, visitor_id: bytes, tail: bytes, left: list[Step], lag_ms: int) -> None:
        self.visitor_id = visitor_id
        self.tail = tail
        self.left = left
        self.lag_ms = lag_ms


class Crowd:
    """All visits under way, each to the visitor's own shop.

    `late_share` is the share of visits that were made offline and arrive later, entire.
    """

    def __init__(self, visitors: Visitors, shops: Weighted[Shop], draw: Random, late_share: float) -> None:
        self._visitors = visitors
        self._shops = shops
        self._draw = draw
        self._late_share = late_share
        self._waiting: list[tuple[int, int, _Visit]] = []
        self._arrived = 0

    def act(self, now_ms: int) -> tuple[bytes, bytes]:
        """The next event of someone: their visitor id, and the event as JSON."""
        waiting = self._waiting
        if waiting and (waiting[0][0] <= now_ms or len(waiting) >= MOST_AT_A_TIME):
            _, number, visit = waiting[0]
            _, step = visit.left.pop()
            if visit.left:
                heapreplace(waiting, (now_ms + visit.left[-1][0], number, visit))
            else:
                heappop(waiting)
        else:
            visit = self._arrive(now_ms)
            _, step = visit.left.pop()
            if visit.left:
                heappush(waiting, (now_ms + visit.left[-1][0], self._arrived, visit))
        happened_ms = now_ms - visit.lag_ms
        event_id = compose(happened_ms, self._draw.getrandbits(RANDOM_BITS))
        head = f'{{"event_id":"{event_id}","event_time":"{rfc3339_ms(happened_ms)}",'
        return visit.visitor_id, b"".join((head.encode(), step, visit.tail))

    def _arrive(self, now_ms: int) -> _Visit:
        draw = self._draw.random
        self._arrived += 1
        visitor = self._visitors.arrive(now_ms, draw)
        origin = ORIGINS.pick(draw())
        steps = Journey(self._shops.pick(visitor.home), origin, visitor.appetite * origin.appetite, draw).steps
        lag_ms = int(SHORTEST_LAG_MS * 2 ** (draw() * LAG_DOUBLINGS)) if draw() < self._late_share else 0
        session_id = compose(now_ms - lag_ms, self._draw.getrandbits(RANDOM_BITS))
        tail = f',"session_id":"{session_id}"'.encode() + visitor.about + origin.campaign + b"}"
        steps.reverse()
        return _Visit(visitor.visitor_id, tail, steps, lag_ms)
