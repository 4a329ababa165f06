"""Verify: recount from raw events and say where the live views differ. They never should."""

from datetime import UTC, datetime, timedelta
from typing import LiteralString

from services.aggregator import books
from services.aggregator.settings import AggregatorSettings
from services.common import locks
from services.common.postgres import Connection, connect_or_fail, snapshot
from services.rollups.catalogue import Rollup
from services.rollups.horizon import keep_days, raw_events_since, require_room_for_all_days, rollup_since
from services.rollups.shadow import Drift, Shadow

_RECORD: LiteralString = """
INSERT INTO verification (verified_at, rollup, since, rows, drift_rows) VALUES (%s, %s, %s, %s, %s)
"""


def verify(settings: AggregatorSettings, days: int | None) -> list[Drift]:
    """Recount the last `days` UTC days, today included, or with None all that raw events cover; record the result.

    All is read in one snapshot, beside running consumers and aggregator. What is left out comes with a note; only what
    is being filled now is not recorded.

    Raises:
        UserError: PostgreSQL can't be reached.
    """
    with connect_or_fail(settings, "verify", autocommit=True) as connection:
        with snapshot(connection):
            keep_days(connection)
            if days is None:
                require_room_for_all_days(connection)
            found = _recount(connection, settings, days)
        verified_at = datetime.now(UTC)
        with connection.transaction(), connection.cursor() as cursor:
            recorded = [(verified_at, *drift[:4]) for drift in found if drift.drift_rows or not drift.note]
            cursor.executemany(_RECORD, recorded)
    return found


def _recount(connection: Connection, settings: AggregatorSettings, days: int | None) -> list[Drift]:
    raw_since = window = since = raw_events_since(connection)
    if days is not None:
        window = _midnight() - timedelta(days=days - 1)
        since = max(window, raw_since) if raw_since else window
    shadow = Shadow(connection, settings.aggregator_work_mem_mb, since, window=days is not None, counted=False)
    shadow.follow(pending=True)
    for _ in shadow.passes(settings.aggregator_pass_events):
        pass
    filled = {name for (name,) in connection.execute("SELECT rollup FROM clickstream.rollup_filled")}
    rollups = [
        shadow.compare(rollup, rollup_since(connection, rollup.name, since))
        if rollup.name in filled
        else _left_out(connection, rollup)
        for rollup in shadow.rollups
    ]
    booked_since = window if days is not None else None
    return [
        *rollups,
        Drift("ingest_batch", booked_since, *books.ledger(connection, booked_since)),
        Drift("partition_offset", None, *books.positions(connection)),
        Drift("dead_letter", None, *books.dead_letters(connection)),
    ]


def _left_out(connection: Connection, rollup: Rollup) -> Drift:
    """A rollup without its history says too little: as it should while it is filled, and else a fault."""
    if holder := locks.holder(connection, locks.REBUILD):
        return Drift(rollup.name, None, 0, 0, f"left out: it is being filled by {holder}")
    return Drift(rollup.name, None, 0, 1, "left out: it lacks its history; run python -m services.migrate")


def _midnight() -> datetime:
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
