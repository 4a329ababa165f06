"""Ids carry their time, and a range of ids is a range of times."""

from datetime import UTC, date, datetime
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from services.common import uuid7
from services.common.timestamps import to_unix_ms

_ms = st.integers(0, (1 << 48) - 1)
_free = st.integers(0, (1 << uuid7.RANDOM_BITS) - 1)
_days = st.dates(date(1970, 1, 1), date(9998, 12, 31))


def test_the_vector_of_rfc_9562_is_composed_and_read() -> None:
    vector = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"
    at_ms = to_unix_ms(datetime(2022, 2, 22, 19, 22, 22, tzinfo=UTC))
    assert uuid7.compose(at_ms, 0xCC3 << 62 | 0x18C4DC0C0C07398F) == vector
    assert uuid7.unix_ms(vector) == at_ms == 0x017F22E279B0
    assert uuid7.day_of(vector) == date(2022, 2, 22)


@given(_ms, _free)
def test_every_id_is_a_uuid_of_version_7_that_gives_its_parts_back(at_ms: int, free: int) -> None:
    text = uuid7.compose(at_ms, free)
    parsed = UUID(text)
    assert (str(parsed), parsed.version, parsed.variant) == (text, 7, "specified in RFC 4122")
    assert uuid7.unix_ms(text) == at_ms
    assert (parsed.int >> 64 & 0xFFF) << 62 | parsed.int & (1 << 62) - 1 == free


@given(_ms, st.integers(0, 1 << 200))
def test_more_bits_than_are_free_never_reach_the_time(at_ms: int, bits: int) -> None:
    assert uuid7.unix_ms(uuid7.compose(at_ms, bits)) == at_ms


@given(_ms, _ms, _free, _free)
def test_ids_sort_as_their_times_do(one_ms: int, other_ms: int, one: int, other: int) -> None:
    if one_ms != other_ms:
        assert (uuid7.compose(one_ms, one) < uuid7.compose(other_ms, other)) == (one_ms < other_ms)


@given(_ms, st.text(), st.text())
def test_a_foreign_id_is_always_given_the_same_id_at_its_own_time(at_ms: int, source: str, foreign: str) -> None:
    derived = uuid7.derive(at_ms, source, foreign)
    assert derived == uuid7.derive(at_ms, source, foreign)
    assert uuid7.unix_ms(derived) == at_ms


def test_foreign_ids_of_other_sources_or_times_are_other_ids() -> None:
    ids = {uuid7.derive(ms, source, foreign) for ms in (1, 2) for source in ("a", "b") for foreign in ("1", "2")}
    assert len(ids) == 8


@given(_days, _free)
def test_a_day_s_range_holds_its_first_and_last_millisecond_and_no_other(day: date, free: int) -> None:
    start_ms = to_unix_ms(datetime(day.year, day.month, day.day, tzinfo=UTC))
    end_ms = start_ms + 86_400_000
    first, end = uuid7.lower_bound(start_ms), uuid7.lower_bound(end_ms)
    assert first <= uuid7.compose(start_ms, 0) < uuid7.compose(end_ms - 1, free) < end
    assert uuid7.compose(end_ms, 0) >= end
    if start_ms:
        assert uuid7.compose(start_ms - 1, free) < first
    assert uuid7.day_of(uuid7.compose(start_ms, free)) == uuid7.day_of(uuid7.compose(end_ms - 1, free)) == day
