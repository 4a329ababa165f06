"""Drawing from a pool by weight, quickly; and one shape of JSON text for all prepared pieces of events."""

from bisect import bisect
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Generic, TypeVar

from msgspec import json

Item = TypeVar("Item")
Random01 = Callable[[], float]


class Weighted(Generic[Item]):
    """A pool from which a number in [0, 1) picks by weight."""

    def __init__(self, items: Sequence[Item], weights: Sequence[float]) -> None:
        total = sum(weights)
        self.items = tuple(items)
        # One bound less than items: whatever rounding does, the last item is the last.
        self._bounds = tuple(bound / total for bound in accumulate(weights))[:-1]

    def pick(self, number: float) -> Item:
        """The item at this place of the cumulated weights."""
        return self.items[bisect(self._bounds, number)]


def by_rank(items: Sequence[Item], exponent: float = 1.0) -> Weighted[Item]:
    """Zipf's law: the second is drawn half as often as the first, the tenth a tenth as often."""
    return Weighted(items, [rank**-exponent for rank in range(1, len(items) + 1)])


def members(**fields: object) -> bytes:
    """JSON members without the braces, with a comma in front of each; fields that are None are left out."""
    given = {name: value for name, value in fields.items() if value is not None}
    return b"," + json.encode(given)[1:-1] if given else b""
