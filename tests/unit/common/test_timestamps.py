"""Times as text are what datetime says they are."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from services.common.timestamps import rfc3339_ms, to_unix_ms

_moments = st.datetimes(timezones=st.just(UTC))
_zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(_moments)
def test_text_and_milliseconds_lead_back_to_the_moment(moment: datetime) -> None:
    whole = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    text = rfc3339_ms(to_unix_ms(moment))
    assert len(text) == 24
    assert datetime.fromisoformat(text) == whole


@given(st.lists(st.integers(-62_135_596_800_000, 253_402_300_799_999), min_size=2))
def test_texts_sort_as_times_do(moments_ms: list[int]) -> None:
    assert sorted(map(rfc3339_ms, moments_ms)) == list(map(rfc3339_ms, sorted(moments_ms)))


@given(st.datetimes(datetime(1000, 1, 1), datetime(9000, 1, 1), timezones=_zones))
def test_a_time_of_any_zone_is_the_same_moment_in_utc(moment: datetime) -> None:
    assert to_unix_ms(moment) == to_unix_ms(moment.astimezone(UTC))


def test_the_edges_of_years_are_written_in_full() -> None:
    assert rfc3339_ms(-1) == "1969-12-31T23:59:59.999Z"
    assert rfc3339_ms(0) == "1970-01-01T00:00:00.000Z"
    assert rfc3339_ms(1_709_164_800_000) == "2024-02-29T00:00:00.000Z"
    assert rfc3339_ms(to_unix_ms(datetime(7, 1, 1, tzinfo=UTC))) == "0007-01-01T00:00:00.000Z"
