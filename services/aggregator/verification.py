"""Verify: recount from raw events and say where the live views differ. They never should."""

from datetime import UTC, datetime, timedelta
from typing import LiteralString

from services.aggregator.horizon import raw_events_since, rollup_since
from services.aggregator.settings import AggregatorSettings
from services.aggregator.shadow import Drift, Shadow
from services.common.postgres import Connection, connect_or_fail, snapshot

# Two checks beside the rollups: every stored event is in the ledger, and every received message is accounted for.
_LEDGER: LiteralString = """
WITH booked AS (
    SELECT batch_id, stored
    FROM clickstream.ingest_batch
    WHERE stored > 0
        AND (%(since)s::timestamptz IS NULL OR committed_at >= %(since)s)
        AND (%(raw_since)s::timestamptz IS NULL OR min_event_time >= %(raw_since)s)
),
counted AS (
    SELECT batch_id, count(*) AS events
    FROM clickstream.event
    WHERE batch_id IN (SELECT batch_id FROM booked)
    GROUP BY 1
)
SELECT count(*), count(*) FILTER (WHERE c.events IS DISTINCT FROM b.stored)
FROM booked AS b
LEFT JOIN counted AS c USING (batch_id)
"""
_ORPHANS: LiteralString = """
SELECT count(*)
FROM clickstream.event AS e
WHERE (%(since)s::timestamptz IS NULL OR e.event_time >= %(since)s)
    AND NOT EXISTS (SELECT FROM clickstream.ingest_batch AS b WHERE b.batch_id = e.batch_id)
"""
_BALANCE: LiteralString = """
SELECT count(*), count(*) FILTER (WHERE received <> stored + duplicate + dead)
FROM clickstream.partition_offset
"""
_RECORD: LiteralString = """
INSERT INTO verification (verified_at, rollup, since, rows, drift_rows) VALUES (%s, %s, %s, %s, %s)
"""


def verify(settings: AggregatorSettings, days: int | None) -> list[Drift]:
    """Recount the last `days` UTC days, today included, or with None all that raw events cover; record the result.

    All is read in one snapshot, beside running consumers and aggregator.

    Raises:
        UserError: PostgreSQL can't be reached.
    """
    with connect_or_fail(settings, "verify", autocommit=True) as connection:
        with snapshot(connection):
            found = _recount(connection, settings, days)
        verified_at = datetime.now(UTC)
        with connection.transaction(), connection.cursor() as cursor:
            cursor.executemany(_RECORD, [(verified_at, *drift) for drift in found])
    return found


def _recount(connection: Connection, settings: AggregatorSettings, days: int | None) -> list[Drift]:
    raw_since = since = raw_events_since(connection)
    if days is not None:
        window = _midnight() - timedelta(days=days - 1)
        since = max(window, raw_since) if raw_since else window
    shadow = Shadow(connection, settings.aggregator_work_mem_mb, since, window=days is not None)
    shadow.follow(pending=True)
    for _ in shadow.passes(settings.aggregator_pass_events):
        pass
    filled = {name for (name,) in connection.execute("SELECT rollup FROM clickstream.rollup_filled")}
    rollups = [
        shadow.compare(rollup, rollup_since(connection, rollup.name, since))
        for rollup in shadow.rollups
        if rollup.name in filled
    ]
    return [*rollups, *_books(connection, since, raw_since)]


def _books(connection: Connection, since: datetime | None, raw_since: datetime | None) -> list[Drift]:
    batches = connection.execute(_LEDGER, {"since": since, "raw_since": raw_since}).fetchone() or (0, 0)
    orphans = connection.execute(_ORPHANS, {"since": since}).fetchone() or (0,)
    balance = connection.execute(_BALANCE).fetchone() or (0, 0)
    return [
        Drift("ingest_batch", since, batches[0], batches[1] + orphans[0]),
        Drift("partition_offset", None, *balance),
    ]


def _midnight() -> datetime:
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
