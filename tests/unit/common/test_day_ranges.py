"""Days become ranges of ids that hold exactly the ids of these days."""

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.common import uuid7
from services.common.day_ranges import all_ids, condition

DAYS = st.dates(date(2000, 1, 1), date(2100, 1, 1))


def _holds(text: str, event_id: str) -> bool:
    ranges = [part.strip("()").replace("e.event_id ", "").split(" AND ") for part in text.split(" OR ")]
    return any(
        low.removeprefix(">= ").strip("'") <= event_id < high.removeprefix("< ").strip("'") for low, high in ranges
    )


@given(st.sets(DAYS, min_size=1, max_size=40), DAYS, st.integers(0, 86_399_999))
def test_an_id_is_within_exactly_if_its_day_is_one_of_them(days: set[date], other: date, ms: int) -> None:
    text = condition("e.event_id", days)
    for day in (*days, other, min(days) - timedelta(days=1), max(days) + timedelta(days=1)):
        event_id = uuid7.compose((day - date(1970, 1, 1)).days * 86_400_000 + ms, 5)
        assert _holds(text, event_id) is (day in days)


def test_days_in_a_row_are_one_range_and_very_many_apart_are_one_too() -> None:
    in_a_row = [date(2026, 1, 1) + timedelta(days=n) for n in range(300)]
    assert condition("e.event_id", in_a_row).count(" OR ") == 0
    apart = [date(2026, 1, 1) + timedelta(days=2 * n) for n in range(300)]
    assert condition("e.event_id", apart).count(" OR ") == 0
    assert condition("e.event_id", apart[:50]).count(" OR ") == 49


@given(DAYS, st.integers(0, 400), DAYS, st.integers(0, 86_399_999))
def test_months_and_what_is_around_them_hold_each_id_once(first: date, length: int, day: date, ms: int) -> None:
    event_id = uuid7.compose((day - date(1970, 1, 1)).days * 86_400_000 + ms, 5)
    before, *months, after = all_ids("e.event_id", first, first + timedelta(days=length))
    held = [
        event_id < before.split("'")[1],
        event_id >= after.split("'")[1],
        *(_holds(month, event_id) for month in months),
    ]
    assert held.count(True) == 1


def test_no_days_hold_no_ids() -> None:
    assert condition("e.event_id", []) == "false"
