"""Rebuild: every rollup, or some, anew from raw events, while consumers, aggregator and dashboards go on.

A shadow is filled beside the real rollups, pass by pass; only the last of it, and the swap, keep other passes waiting.
The swap is one transaction that writes what differs: a dashboard sees all of it or nothing, and waits for neither.
Rows whose raw events are past their retention stay as they are. No day is dropped meanwhile, and raw events that are
not all there, or that the ledger does not know, make it refuse: it must never take numbers away.
"""

from collections.abc import Callable, Collection
from datetime import date, datetime
from typing import LiteralString, NamedTuple

from services.common import day_ranges, locks
from services.common.errors import UserError
from services.common.postgres import Connection, connect_or_fail, snapshot
from services.rollups.horizon import keep_days, raw_events_since
from services.rollups.settings import RollupSettings
from services.rollups.shadow import Shadow
from services.rollups.tail import Tail

Progress = Callable[[int, int], None]
_LOCK_SECONDS = 5.0
_FILLED: LiteralString = "INSERT INTO rollup_filled (rollup) VALUES (%s) ON CONFLICT DO NOTHING"
_DAYS: LiteralString = """
SELECT min(first_day), max(last_day) FROM event_partition
"""
_UNKNOWN_TO_LEDGER = """
SELECT count(*), array_agg(DISTINCT event_day(e.event_id)::text)
FROM event AS e
WHERE {event_ids} AND NOT EXISTS (SELECT FROM ingest_batch AS b WHERE b.batch_id = e.batch_id)
"""
_STORED: LiteralString = """
SELECT (SELECT coalesce(sum(stored), 0) FROM partition_offset),
    (SELECT coalesce(sum(stored), 0) FROM ingest_batch WHERE cardinality(partitions) > 0)
    + (SELECT coalesce(sum(stored), 0) FROM ledger_carried)
"""


class _Raw(NamedTuple):
    """What raw events there are: their days, and from when on they are whole."""

    days: frozenset[date]
    since: datetime | None


def rebuild(settings: RollupSettings, progress: Progress, only: Collection[str] | None = None) -> dict[str, int]:
    """Returns the rows that had to change, by rollup; `progress` is told events done and events in all.

    With `only`, the other rollups are counted, too, as some build on others, but not written.

    Raises:
        UserError: PostgreSQL can't be reached, another rebuild is running, or raw events lack.
    """
    with locks.guard(settings, "rebuild") as guard:
        try:
            locks.take(guard, locks.REBUILD, _LOCK_SECONDS)
        except locks.TakenError as taken:
            raise UserError(f"another rebuild, or a migration, is running: wait for it ({taken})") from None
        return rebuild_under(guard, settings, progress, only)


def rebuild_under(
    guard: Connection, settings: RollupSettings, progress: Progress, only: Collection[str] | None = None
) -> dict[str, int]:
    """As `rebuild`, under the rebuild's lock that the caller's transaction holds."""
    with connect_or_fail(settings, "rebuild", autocommit=True) as connection:
        _refuse_unknown_events(connection)
        raw = _raw(connection)
        shadow = Shadow(connection, settings.aggregator_work_mem_mb, raw.since)
        _fill(connection, shadow, settings.aggregator_pass_events, progress)
        _keep_passes_away(guard)
        _empty_tail(settings)
        return _swap(connection, shadow, settings.aggregator_pass_events, only, raw)


def _refuse_unknown_events(connection: Connection) -> None:
    """A batch that the ledger has forgotten would be left out of every number."""
    remedy = "nothing was changed; run python -m services.aggregator restore-ledger"
    unknown, unknown_days = 0, set[str]()
    first, last = connection.execute(_DAYS).fetchone() or (None, None)
    for event_ids in day_ranges.all_ids("e.event_id", first, last):  # all at once would be many locks
        events, days = connection.execute(_UNKNOWN_TO_LEDGER.format(event_ids=event_ids).encode()).fetchone() or (0, [])
        unknown += events
        unknown_days |= set(days or [])
    if unknown:
        raise UserError(
            f"{unknown:,} events have no row in the ledger, days {', '.join(sorted(unknown_days))}: {remedy}"
        )
    stored, booked = connection.execute(_STORED).fetchone() or (0, 0)
    if stored > booked:
        raise UserError(
            f"the ledger accounts for {booked:,} of the {stored:,} events that partition_offset says were stored, and "
            f"the others are not there: {remedy} if that is as it should be"
        )


def _raw(connection: Connection) -> _Raw:
    days = connection.execute(
        "SELECT p.first_day + n FROM event_partition AS p "
        "CROSS JOIN LATERAL generate_series(0, p.last_day - p.first_day) AS n"
    )
    return _Raw(frozenset(day for (day,) in days), raw_events_since(connection))


def _fill(connection: Connection, shadow: Shadow, max_events: int, progress: Progress) -> None:
    """Passes of their own transactions, so that none is long, until the shadow has caught up."""
    events = 0
    while True:
        with snapshot(connection):
            shadow.follow(pending=False)
            done = shadow.roll_up(max_events)
            total = shadow.events()
        if not done.batches:
            return
        events += done.events
        progress(events, total)


def _keep_passes_away(guard: Connection) -> None:
    """From here to the swap. However long it takes: the fill took longer, and a run tells who keeps it waiting."""
    while True:
        try:
            return locks.take(guard, locks.PASSES, _LOCK_SECONDS)
        except locks.TakenError:
            continue


def _empty_tail(settings: RollupSettings) -> None:
    """Roll up what is pending: its share of rows too old to be rebuilt must not be passed over."""
    with connect_or_fail(settings, "rebuild tail", autocommit=True) as connection:
        tail = Tail(connection, settings.aggregator_work_mem_mb)
        tail.bind()
        batches = 1
        while batches:
            with snapshot(connection):
                batches = tail.roll_up(settings.aggregator_pass_events).batches


def _swap(
    connection: Connection, shadow: Shadow, max_events: int, only: Collection[str] | None, raw: _Raw
) -> dict[str, int]:
    with snapshot(connection):
        keep_days(connection)
        _refuse_if_dropped(raw, _raw(connection))
        shadow.follow(pending=False)
        for _ in shadow.passes(max_events):
            pass
        changed = {
            rollup.name: shadow.apply(rollup) for rollup in shadow.rollups if only is None or rollup.name in only
        }
        for name in changed:
            connection.execute(_FILLED, [name])
    return changed


def _refuse_if_dropped(before: _Raw, now: _Raw) -> None:
    """Our own retention waits; somebody's hands do not, and the shadow may have read a day in part."""
    gone = sorted(before.days - now.days)
    if gone or now.since != before.since:
        what = ", ".join(map(str, gone)) or f"all before {now.since:%Y-%m-%d}"
        raise UserError(
            f"raw events were dropped while the rebuild read them ({what}): nothing was changed; run it again"
        )
