"""Which times are accepted: not older than what is kept, not more than a day ahead."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from services.common import uuid7
from services.common.timestamps import rfc3339_ms, to_unix_ms

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
FUTURE_TOLERANCE = timedelta(days=1)


@dataclass(frozen=True)
class Limits:
    """What is accepted now: times as RFC 3339 text, ids as the smallest and the first too great."""

    earliest_time: str
    latest_time: str
    earliest_id: str
    latest_id: str
    max_bytes: int

    @classmethod
    def at(cls, now: datetime, retention_days: int, max_bytes: int) -> "Limits":
        """The limits at a moment; `retention_days` 0 keeps all back to 2000-01-01."""
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        earliest = max(midnight - timedelta(days=retention_days), EARLIEST) if retention_days else EARLIEST
        first_ms, last_ms = to_unix_ms(earliest), to_unix_ms(now + FUTURE_TOLERANCE)
        return cls(
            rfc3339_ms(first_ms),
            rfc3339_ms(last_ms),
            uuid7.lower_bound(first_ms),
            uuid7.lower_bound(last_ms),
            max_bytes,
        )
