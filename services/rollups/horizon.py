"""From when on the numbers can be recounted: raw events past their retention are gone, their rollups stay."""

from datetime import UTC, datetime, time, timedelta
from typing import LiteralString

from services.common.errors import UserError
from services.common.postgres import Connection

# What the ledger has forgotten has no raw events either, whatever became of the record of dropped days.
_LAST_DAY_GONE: LiteralString = """
SELECT greatest((SELECT max(day) FROM expired_day), (SELECT max(last_day) FROM ledger_carried))
"""
# A LOCK takes no snapshot: what a transaction sees is of after it.
_KEEP_DAYS: LiteralString = "LOCK TABLE ONLY clickstream.event IN ACCESS SHARE MODE"


# A partition is locked with its indexes. A tenth of the room is left to others.
_LOCKS: LiteralString = """
SELECT p.partitions, p.partitions * (1 + i.indexes),
    current_setting('max_locks_per_transaction')::bigint * 9 / 10
    * (current_setting('max_connections')::bigint + current_setting('max_prepared_transactions')::bigint)
FROM
    (SELECT count(*) AS partitions FROM clickstream.event_partition) AS p,
    (SELECT count(*) AS indexes FROM pg_catalog.pg_index WHERE indrelid = 'clickstream.event'::regclass) AS i
"""


def keep_days(connection: Connection) -> None:
    """Nobody drops a day until the caller's transaction ends; as its first statement."""
    connection.execute(_KEEP_DAYS)


def require_room_for_all_days(connection: Connection) -> None:
    """Refuse to read all partitions in one transaction where the server has no room for so many locks.

    Raises:
        UserError: it has not.
    """
    partitions, locks, room = connection.execute(_LOCKS).fetchone() or (0, 0, 0)
    if locks > room:
        raise UserError(
            f"to read all {partitions:,} partitions of raw events in one snapshot takes {locks:,} locks, and the "
            f"server has room for {room:,}: recount the last days (--days), or set max_locks_per_transaction higher"
        )


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
