"""Event times as text: RFC 3339 in UTC with `Z` and milliseconds, exactly 24 characters."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=4096)
def _second(unix_seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=unix_seconds)).isoformat()[:19]


def rfc3339_ms(unix_ms: int) -> str:
    """Milliseconds since 1970 as text, `2026-01-31T23:59:59.999Z`."""
    seconds, ms = divmod(unix_ms, 1000)
    return f"{_second(seconds)}.{ms:03d}Z"


def to_unix_ms(moment: datetime) -> int:
    """A time with a zone as whole milliseconds since 1970."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def unix_ms(time: str) -> int:
    """The milliseconds since 1970 of a time as text.

    Raises:
        ValueError: it does not exist.
    """
    return to_unix_ms(datetime.fromisoformat(time))
