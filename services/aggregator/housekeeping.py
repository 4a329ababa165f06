"""What rides along with every run: day partitions ahead, the pipeline's books, the end of what is past its time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import LiteralString

from psycopg import errors, sql

from services.aggregator import readers
from services.aggregator.settings import AggregatorSettings
from services.common.errors import UserError
from services.common.log import Logger
from services.common.postgres import Connection
from services.rollups.catalogue import Rollup, require_droppable, rollups

# By one of its days, the partitions all of whose days are past their time.
_EXPIRED_DAYS: LiteralString = """
SELECT DISTINCT p.last_day
FROM event_partition AS p
WHERE p.last_day < %s
    AND NOT EXISTS (
        SELECT
        FROM ingest_batch AS b
        CROSS JOIN LATERAL unnest(b.event_days) AS d (day)
        WHERE NOT b.rolled_up AND d.day BETWEEN p.first_day AND p.last_day
    )
ORDER BY 1
"""
_COMPLETE_SINCE: LiteralString = """
INSERT INTO rollup_horizon (rollup, since) VALUES (%s, %s)
ON CONFLICT (rollup) DO UPDATE SET since = greatest(rollup_horizon.since, excluded.since)
"""
# Statistics that autovacuum has not made yet, or never makes: it does not look at a partitioned parent.
_UNANALYZED: LiteralString = """
SELECT relid::regclass::text
FROM pg_stat_user_tables
WHERE schemaname = 'clickstream'
    AND (
        (
            relname = 'event' AND coalesce(last_analyze, 'epoch') < now() - interval '1 day'
            AND (SELECT count(*) FROM event_partition) <= 1000  -- it locks them all
        )
        OR (n_live_tup > 1000 AND last_analyze IS NULL AND last_autoanalyze IS NULL)
    )
"""


@dataclass
class Chores:
    """What housekeeping did, in the columns of table `aggregator_run`."""

    partitions_created: int = 0
    partitions_dropped: int = 0
    rows_expired: int = 0


def keep(connection: Connection, settings: AggregatorSettings, log: Logger) -> Chores:
    """Do all chores on an autocommit connection."""
    now = datetime.now(UTC)
    readers.end_long(connection, log)
    created = _create_partitions(connection, now.date(), settings.event_partitions_ahead_days)
    dropped = _drop_partitions(connection, now.date(), settings.event_retention_days, log)
    connection.execute("SELECT sum_up_ledger(), note_database_size()")
    expired = _expire(connection, settings, now)
    for (relation,) in connection.execute(_UNANALYZED).fetchall():
        connection.execute("SELECT analyze_relation(%s::regclass)", [relation])
    return Chores(created, dropped, expired)


def _create_partitions(connection: Connection, today: date, ahead_days: int) -> int:
    """From yesterday, for late events, to a few days ahead; returns how many were lacking."""
    created = 0
    for offset in range(-1, ahead_days + 1):
        row = connection.execute("SELECT create_event_partition(%s)", [today + timedelta(days=offset)]).fetchone()
        created += row == (True,)
    return created


def _drop_partitions(connection: Connection, today: date, retention_days: int, log: Logger) -> int:
    """Drop the days past retention whose events are all rolled up; returns how many."""
    if not retention_days:
        return 0
    first_kept = today - timedelta(days=retention_days)
    dropped = 0
    for (day,) in connection.execute(_EXPIRED_DAYS, [first_kept]).fetchall():
        try:
            done = connection.execute("SELECT drop_event_partition(%s)", [day]).fetchone()
        except (errors.LockNotAvailable, errors.DeadlockDetected) as error:
            reason = error.diag.message_primary
            log.warning("raw events past their retention are dropped in a later run", day=f"{day}", reason=reason)
            break
        if done != (True,):
            continue
        log.info("raw events dropped", day=f"{day}", event_retention_days=retention_days)
        dropped += 1
    return dropped


def _retentions(known: list[Rollup], given: Mapping[str, int]) -> Iterator[tuple[Rollup, int]]:
    """The rollups whose rows are kept for some days only, and for how many."""
    if unknown := sorted(given.keys() - {rollup.name for rollup in known}):
        raise UserError(
            f"ROLLUP_RETENTION_DAYS names {', '.join(unknown)}, and the rollups are: "
            f"{', '.join(rollup.name for rollup in known)}"
        )
    for rollup in known:
        if days := given.get(rollup.name, rollup.retention_days):
            require_droppable(rollup)
            yield rollup, days


def _expire_rollup(connection: Connection, rollup: Rollup, first_kept: date) -> int:
    """Drop the rows of the days (or weeks) before; returns how many."""
    since = datetime.combine(first_kept, time.min, UTC)
    with connection.transaction():
        connection.execute(_COMPLETE_SINCE, [rollup.name, since])
        statement = sql.SQL("DELETE FROM {} WHERE {} < %s").format(
            sql.Identifier(rollup.name), sql.Identifier(rollup.time)
        )
        return connection.execute(statement, [since]).rowcount


def _expire(connection: Connection, settings: AggregatorSettings, now: datetime) -> int:
    """Delete rows past their time; returns how many. A ledger row outlives the raw events of its batch."""
    rows = 0

    def delete(statement: LiteralString, age_days: int) -> None:
        nonlocal rows
        if age_days:
            rows += connection.execute(statement, [now - timedelta(days=age_days)]).rowcount

    def expire(statement: LiteralString, age_days: int) -> None:
        nonlocal rows
        if age_days:
            deleted = connection.execute(statement, [now - timedelta(days=age_days)]).fetchone()
            rows += deleted[0] if deleted else 0

    for rollup, days in _retentions(rollups(connection), settings.rollup_retention_days):
        rows += _expire_rollup(connection, rollup, now.date() - timedelta(days=days))
    ledger_days = settings.event_retention_days + 2 if settings.event_retention_days else 0
    expire("SELECT expire_dead_letters(%s)", settings.dead_letter_retention_days)
    expire("SELECT expire_ledger(%s)", ledger_days)
    delete("DELETE FROM ingest_minute WHERE minute < %s", ledger_days)
    delete("DELETE FROM database_size_hour WHERE hour < %s", ledger_days)
    delete("DELETE FROM aggregator_run WHERE started_at < %s", settings.aggregator_run_retention_days)
    delete("DELETE FROM verification WHERE verified_at < %s", settings.aggregator_run_retention_days)
    return rows
