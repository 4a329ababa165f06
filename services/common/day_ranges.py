"""Days as ranges of event ids, in SQL text: with constants the planner leaves out, and never locks, other partitions.

The same as SQL function `event_id_condition` makes of days that the database knows.
"""

from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from itertools import pairwise

from services.common import uuid7

_EPOCH = date(1970, 1, 1)
_DAY = timedelta(days=1)
_MONTH = timedelta(days=31)
_MILLISECOND = timedelta(milliseconds=1)
# Longer conditions would take longer than they save.
_MAX_RANGES = 50


def condition(column: str, days: Iterable[date]) -> str:
    """An SQL condition that a UUIDv7 is of one of these UTC days; of very many days apart, that it is between them."""
    ranges: list[list[date]] = []
    for day in sorted(set(days)):
        if ranges and ranges[-1][1] == day - _DAY:
            ranges[-1][1] = day
        else:
            ranges.append([day, day])
    if len(ranges) > _MAX_RANGES:
        ranges = [[ranges[0][0], ranges[-1][1]]]
    return " OR ".join(_between(column, first, last) for first, last in ranges) or "false"


def all_ids(column: str, first: date | None, last: date | None) -> Iterator[str]:
    """SQL conditions that together hold for every id: what is before these UTC days, each month of them, the rest."""
    if first is None or last is None:
        yield "true"
        return
    edges = [first + _MONTH * number for number in range(1 + (last - first) // _MONTH)] + [last + _DAY]
    yield f"{column} < '{_first_id(edges[0])}'"
    for low, high in pairwise(edges):
        yield _between(column, low, high - _DAY)
    yield f"{column} >= '{_first_id(edges[-1])}'"


def _between(column: str, first: date, last: date) -> str:
    return f"({column} >= '{_first_id(first)}' AND {column} < '{_first_id(last + _DAY)}')"


def _first_id(day: date) -> str:
    return uuid7.lower_bound((day - _EPOCH) // _MILLISECOND)
