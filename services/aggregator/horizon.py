"""From when on the numbers can be recounted: raw events past their retention are gone, their rollups stay."""

from datetime import UTC, datetime, time, timedelta

from services.common.postgres import Connection


def raw_events_since(connection: Connection) -> datetime | None:
    """The first midnight after which every session has all its raw events; None if none were ever dropped.

    A session may have begun on the last dropped day, so the day after it is left out, too.
    """
    row = connection.execute("SELECT max(day) FROM expired_day").fetchone()
    if row is None or row[0] is None:
        return None
    return datetime.combine(row[0] + timedelta(days=2), time.min, UTC)


def rollup_since(connection: Connection, rollup: str, since: datetime | None) -> datetime | None:
    """The later of `since` and the time before which this rollup's rows were dropped."""
    row = connection.execute("SELECT since FROM rollup_horizon WHERE rollup = %s", [rollup]).fetchone()
    return max(row[0], since) if row and since else (row[0] if row else since)
