"""Times as data writes them, as milliseconds since 1970: epoch numbers, ISO 8601, and the clock of web servers.

A time is right or refused: nothing is cut off, and a zone is an offset, `Z`, `UTC` or `GMT`; other names of zones
(`CST`, `IST`) mean several.
"""

import re
import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from services.common.timestamps import to_unix_ms
from services.producer.replay.report import DAY_MS, BadLineError

EARLIEST_MS = 946_684_800_000
"""2000-01-01: nothing older is ever stored."""

_MONTHS = {
    name: number
    for number, name in enumerate(
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), start=1
    )
}
# Numbers above these are milliseconds, microseconds, nanoseconds: as seconds they would lie beyond the year 5000.
_UNITS = ((1e17, 1e-6), (1e14, 1e-3), (1e11, 1.0))
_CLOCK = r"(?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,9}))?)?"
_ZONE = r"(?P<zone>[A-Za-z]+|[+-]\d\d(?::?\d\d)?)"
_iso = re.compile(rf"(?P<year>\d{{4}})-(?P<month>\d\d)-(?P<day>\d\d)(?:[Tt ]{_CLOCK} ?{_ZONE}?)?", re.ASCII).fullmatch
_web = re.compile(rf"(?P<day>\d\d)/(?P<month>\w{{3}})/(?P<year>\d{{4}}):{_CLOCK}(?: {_ZONE})?", re.ASCII).fullmatch


def parse(text: str) -> int:
    """An epoch number (seconds, ms, µs or ns by its size) or an ISO 8601 time; without a zone it is UTC.

    Raises:
        BadLineError: it is neither, or outside 2000-01-01 … tomorrow.
    """
    if _is_number(text):
        return in_range(_epoch(text))
    parts = _iso(text)
    if parts is None:
        raise BadLineError("event_time is neither an epoch number nor an ISO 8601 time")
    return in_range(_moment(parts, "event_time is neither an epoch number nor an ISO 8601 time"))


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


@lru_cache(maxsize=4096)
def parse_log_time(text: bytes) -> int:
    """`17/May/2015:10:05:03 +0200`, the time of Apache and nginx logs; or ISO 8601 or an epoch number, as some set it.

    Raises:
        BadLineError: there is no such time, or it has no zone.
    """
    written = text.decode("utf-8", "replace")
    if _is_number(written):
        return in_range(_epoch(written))
    parts = _web(written) or _iso(written)
    if parts is None or parts["hour"] is None:
        raise BadLineError("no such time in the log line")
    if parts["zone"] is None:
        raise BadLineError("the log line's time has no zone")
    return in_range(_moment(parts, "no such time in the log line"))


def _moment(parts: re.Match[str], wrong: str) -> int:
    month = parts["month"]
    second = int(parts["second"] or 0)
    leap = second == 60
    try:
        moment = datetime(
            int(parts["year"]),
            int(month) if month.isdigit() else _MONTHS[month],
            int(parts["day"]),
            int(parts["hour"] or 0),
            int(parts["minute"] or 0),
            second - leap,
            tzinfo=UTC,
        )
        moment -= _offset(parts["zone"] or "Z")
    except (KeyError, ValueError, OverflowError):
        raise BadLineError(wrong) from None
    if leap:  # the second after 23:59:59 UTC at the end of a month: POSIX clocks call it the next one
        moment += timedelta(seconds=1)
        if (moment.day, moment.hour, moment.minute) != (1, 0, 0):
            raise BadLineError(wrong)
    return to_unix_ms(moment) + int((parts["fraction"] or "0").ljust(3, "0")[:3])


def _offset(zone: str) -> timedelta:
    if zone.upper() in ("Z", "UTC", "GMT"):
        return timedelta(0)
    if zone[0] not in "+-":
        raise BadLineError("the zone of a time must be an offset such as +0100, Z, UTC or GMT")
    hours, minutes = int(zone[1:3]), int(zone[3:].lstrip(":") or 0)
    if hours > 15 or minutes > 59:
        raise ValueError
    return timedelta(hours=hours, minutes=minutes) * (-1 if zone[0] == "-" else 1)


def _is_number(text: str) -> bool:
    return len(text) <= 20 and text.isascii() and text.replace(".", "", 1).isdigit()


def _epoch(text: str) -> int:
    number = float(text)
    for least, factor in _UNITS:
        if number >= least:
            return round(number * factor)
    return round(number * 1000)
