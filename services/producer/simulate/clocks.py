"""Simulated clocks: the instants, in milliseconds since 1970, at which one event each happens."""

import time
from collections.abc import Callable, Iterator
from itertools import count

SLOT_MS = 5 * 60_000


def wall_clock() -> Iterator[int]:
    """Now, whenever the next is taken; never backwards, even if the machine's clock is set back."""
    latest = 0
    while True:
        latest = max(latest, time.time_ns() // 1_000_000)
        yield latest


def steady(start_ms: int, per_second: float) -> Iterator[int]:
    """From a start at a fixed rate, for ever."""
    return (start_ms + int(number * 1000 / per_second) for number in count())


def spread(start_ms: int, end_ms: int, events: int, busyness: Callable[[int], float]) -> Iterator[int]:
    """So many instants from start to before end, denser where it is busier."""
    slots = range(start_ms, end_ms, SLOT_MS)
    weights = [busyness(slot) * min(SLOT_MS, end_ms - slot) for slot in slots]
    total, so_far, given = sum(weights), 0.0, 0
    for slot, weight in zip(slots, weights, strict=True):
        so_far += weight
        here = round(events * so_far / total) - given
        given += here
        length = min(SLOT_MS, end_ms - slot)
        yield from (slot + length * number // here for number in range(here))
