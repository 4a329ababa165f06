"""Events in the order of their times: a log's lines are written when requests end, seconds to minutes out of order."""

from collections.abc import Iterable, Iterator
from heapq import heappop, heappush
from typing import NamedTuple

from services.common.event import Event
from services.producer.replay.report import Report

WINDOW_MS = 5 * 60_000
HELD_MAX = 50_000


class Found(NamedTuple):
    """An event found in the data, with its time in milliseconds and the data's own session id, if it has one."""

    time_ms: int
    event: Event
    session: str | None = None


def in_order(found: Iterable[Found], report: Report) -> Iterator[Found]:
    """Sort within a window of 5 minutes of log time and 50,000 events.

    An event that comes later than that is passed on at once and counted.
    """
    held: list[tuple[int, int, Found]] = []
    newest_ms = passed_ms = 0
    for number, item in enumerate(found):
        heappush(held, (item.time_ms, number, item))
        newest_ms = max(newest_ms, item.time_ms)
        while held and (held[0][0] < newest_ms - WINDOW_MS or len(held) > HELD_MAX):
            time_ms, _, oldest = heappop(held)
            report.out_of_order += time_ms < passed_ms
            passed_ms = max(passed_ms, time_ms)
            yield oldest
    while held:
        yield heappop(held)[2]
