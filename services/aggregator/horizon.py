"""From when on the numbers can be recounted: raw events past their retention are gone, their rollups stay."""

from datetime import UTC, datetime, time, timedelta
from typing import LiteralString

from services.common.postgres import Connection

# What the ledger has forgotten has no raw events either, whatever became of the record of dropped days.
_LAST_DAY_GONE: LiteralString = """
SELECT greatest((SELECT max(day) FROM expired_day), (SELECT max(last_day) FROM ledger_carried))
"""
# A LOCK takes no snapshot: what a transaction sees is of after it.
_KEEP_DAYS: LiteralString = "LOCK TABLE clickstream.event IN ACCESS SHARE MODE"


def keep_days(connection: Connection) -> None:
    """Nobody drops a day until the caller's transaction ends; as its first statement."""
    connection.execute(_KEEP_DAYS)


def raw_events_since(connection: Connection) -> datetime | None:
    """The first midnight after which every session has all its raw events; None if none were ever dropped.

    An event's time is at most a day after its id's, so the day after the last dropped one is left out, too.
    """
    row = connection.execute(_LAST_DAY_GONE).fetchone()
    if row is None or row[0] is None:
        return None
    return datetime.combine(row[0] + timedelta(days=2), time.min, UTC)


def rollup_since(connection: Connection, rollup: str, since: datetime | None) -> datetime | None:
    """The later of `since` and the time before which this rollup's rows were dropped."""
    row = connection.execute("SELECT since FROM rollup_horizon WHERE rollup = %s", [rollup]).fetchone()
    return max(row[0], since) if row and since else (row[0] if row else since)
