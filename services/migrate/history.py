"""The history of rollups that are new, or that count something else now: filled from raw events, beside all that runs.

Until that is done such a rollup says too little; `verify` leaves it out.
"""

import threading
import time
from typing import LiteralString

from services.aggregator.rebuild import rebuild
from services.aggregator.settings import AggregatorSettings
from services.common.errors import UserError
from services.common.log import Logger
from services.common.postgres import MIGRATE_LOCK, REBUILD_LOCK, Connection, connect_or_fail
from services.common.rollups import rollups

_LOG_SECONDS = 5.0
# One that runs is waited for, also the one of a migration that was stopped a moment ago: it may do the work.
_AFTER_A_REBUILD: LiteralString = "SELECT pg_advisory_lock(%s), pg_advisory_unlock(%s)"


def fill(settings: AggregatorSettings, log: Logger, stop: threading.Event) -> None:
    """Fill what lacks its history; a second migration that does the same waits, and finds it done.

    Raises:
        UserError: PostgreSQL can't be reached, or `stop` was set.
    """
    with connect_or_fail(settings, "clickstream-migrate", autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [MIGRATE_LOCK])
        connection.execute(_AFTER_A_REBUILD, [REBUILD_LOCK, REBUILD_LOCK])
        lacking = unfilled(connection)
        if not lacking:
            return
        log.info("filling rollups from raw events", rollups=lacking)
        changed = rebuild(settings, _Progress(log, stop), only=lacking)
        log.info("rollups are filled", rows=sum(changed.values()), rollups=lacking)


def unfilled(connection: Connection) -> list[str]:
    """Names of the rollups that lack their history."""
    filled = {name for (name,) in connection.execute("SELECT rollup FROM rollup_filled")}
    return [rollup.name for rollup in rollups(connection) if rollup.name not in filled]


class _Progress:
    """Tells how far it is, now and then; the place where it can be stopped."""

    def __init__(self, log: Logger, stop: threading.Event) -> None:
        self._log, self._stop = log, stop
        self._next_at = time.monotonic() + _LOG_SECONDS

    def __call__(self, done: int, total: int) -> None:
        if self._stop.is_set():
            raise UserError("stopped while filling rollups from raw events: the next migration begins it anew")
        if time.monotonic() >= self._next_at:
            self._next_at = time.monotonic() + _LOG_SECONDS
            self._log.info("filling rollups from raw events", events=done, events_total=total)
