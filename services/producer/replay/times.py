"""Times as data writes them, as milliseconds since 1970: epoch numbers, ISO 8601, and the clock of web servers."""

import time
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache

from services.common.timestamps import to_unix_ms
from services.producer.replay.report import DAY_MS, BadLineError

EARLIEST_MS = 946_684_800_000
"""2000-01-01: nothing older is ever stored."""

_MONTHS = {
    name: number
    for number, name in enumerate(
        (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"), start=1
    )
}
# Numbers above these are milliseconds, microseconds, nanoseconds: as seconds they would lie beyond the year 5000.
_UNITS = ((1e17, 1e-6), (1e14, 1e-3), (1e11, 1.0))


def parse(text: str) -> int:
    """An epoch number (seconds, ms, µs or ns by its size) or an ISO 8601 time; without a zone it is UTC.

    Raises:
        BadLineError: it is neither, or outside 2000-01-01 … tomorrow.
    """
    return in_range(_epoch(text) if _is_number(text) else _iso(text))


def in_range(unix_ms: int) -> int:
    """The time itself, if events may have it."""
    if unix_ms < EARLIEST_MS:
        raise BadLineError("event_time before the year 2000")
    if not is_storable(unix_ms):
        raise BadLineError("event_time in the future")
    return unix_ms


def is_storable(unix_ms: int) -> bool:
    """Whether the consumer would take it if it keeps all: from 2000-01-01 to a day ahead."""
    return EARLIEST_MS <= unix_ms < time.time() * 1000 + DAY_MS


def _is_number(text: str) -> bool:
    return len(text) <= 20 and text.isascii() and text.replace(".", "", 1).isdigit()


def _epoch(text: str) -> int:
    number = float(text)
    for least, factor in _UNITS:
        if number >= least:
            return round(number * factor)
    return round(number * 1000)


def _iso(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
        return to_unix_ms(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        raise BadLineError("event_time is neither an epoch number nor an ISO 8601 time") from None


@lru_cache(maxsize=4096)
def parse_log_time(text: bytes) -> int:
    """`17/May/2015:10:05:03 +0200`, the time of Apache and nginx logs.

    Raises:
        BadLineError: there is no such time.
    """
    try:
        zone = timedelta(hours=int(text[22:24]), minutes=int(text[24:26]))
        moment = datetime(
            int(text[7:11]),
            _MONTHS[text[3:6]],
            int(text[:2]),
            int(text[12:14]),
            int(text[15:17]),
            int(text[18:20]),
            tzinfo=timezone(-zone if text[21:22] == b"-" else zone),
        )
    except (KeyError, ValueError):
        raise BadLineError("no such time in the log line") from None
    return in_range(to_unix_ms(moment))
