"""Rebuild: every rollup, or some, anew from raw events, while consumers, aggregator and dashboards go on.

A shadow is filled beside the real rollups, pass by pass; only the last of it, and the swap, keep other passes waiting.
The swap is one transaction that writes what differs: a dashboard sees all of it or nothing, and waits for neither.
Rows whose raw events are past their retention stay as they are.
"""

from collections.abc import Callable, Collection
from typing import LiteralString

from services.aggregator.horizon import raw_events_since
from services.aggregator.settings import AggregatorSettings
from services.aggregator.shadow import Shadow
from services.aggregator.tail import Tail
from services.common.errors import UserError
from services.common.postgres import (
    AGGREGATE_LOCK,
    REBUILD_LOCK,
    Connection,
    connect_or_fail,
    snapshot,
    try_lock,
)

Progress = Callable[[int, int], None]
_FILLED: LiteralString = "INSERT INTO rollup_filled (rollup) VALUES (%s) ON CONFLICT DO NOTHING"


def rebuild(settings: AggregatorSettings, progress: Progress, only: Collection[str] | None = None) -> dict[str, int]:
    """Returns the rows that had to change, by rollup; `progress` is told events done and events in all.

    With `only`, the other rollups are counted, too, as some build on others, but not written.

    Raises:
        UserError: PostgreSQL can't be reached, or another rebuild is running.
    """
    with connect_or_fail(settings, "rebuild", autocommit=True) as connection:
        if not try_lock(connection, REBUILD_LOCK):
            raise UserError("another rebuild is running: wait for it")
        shadow = Shadow(connection, settings.aggregator_work_mem_mb, raw_events_since(connection))
        _fill(connection, shadow, settings.aggregator_pass_events, progress)
        connection.execute("SELECT pg_advisory_lock(%s)", [AGGREGATE_LOCK])  # no pass from here to the swap
        _empty_tail(settings)
        return _swap(connection, shadow, settings.aggregator_pass_events, only)


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


def _empty_tail(settings: AggregatorSettings) -> None:
    """Roll up what is pending: its share of rows too old to be rebuilt must not be passed over."""
    with connect_or_fail(settings, "rebuild tail", autocommit=True) as connection:
        tail = Tail(connection, settings.aggregator_work_mem_mb)
        tail.bind()
        batches = 1
        while batches:
            with snapshot(connection):
                batches = tail.roll_up(settings.aggregator_pass_events).batches


def _swap(connection: Connection, shadow: Shadow, max_events: int, only: Collection[str] | None) -> dict[str, int]:
    with snapshot(connection):
        shadow.follow(pending=False)
        for _ in shadow.passes(max_events):
            pass
        changed = {
            rollup.name: shadow.apply(rollup) for rollup in shadow.rollups if only is None or rollup.name in only
        }
        for name in changed:
            connection.execute(_FILLED, [name])
    return changed
