"""The history of rollups that are new, or that count something else now: filled from raw events, beside all that runs.

Until that is done such a rollup says too little; `verify` leaves it out.
"""

import threading
import time

from services.common import locks
from services.common.errors import UserError
from services.common.log import Logger
from services.common.postgres import Connection, connect_or_fail
from services.rollups.catalogue import rollups
from services.rollups.rebuild import rebuild_under
from services.rollups.settings import RollupSettings

_LOG_SECONDS = 5.0


def fill(settings: RollupSettings, log: Logger, stop: threading.Event) -> None:
    """Fill what lacks its history; a second migration that does the same waits, and finds it done.

    Raises:
        UserError: PostgreSQL can't be reached, `stop` was set, or raw events lack (see `rebuild`).
    """
    with locks.guard(settings, "clickstream-migrate") as guard:
        _wait_for_rebuild(guard, log, stop)
        with connect_or_fail(settings, "clickstream-migrate", autocommit=True) as connection:
            lacking = unfilled(connection)
        if not lacking:
            return
        log.info("filling rollups from raw events", rollups=lacking)
        changed = rebuild_under(guard, settings, _Progress(log, stop), only=lacking)
        log.info("rollups are filled", rows=sum(changed.values()), rollups=lacking)


def _wait_for_rebuild(guard: Connection, log: Logger, stop: threading.Event) -> None:
    """One that runs is waited for, also the one of a migration that was stopped a moment ago: it may do the work."""
    while True:
        try:
            return locks.take(guard, locks.REBUILD, _LOG_SECONDS)
        except locks.TakenError as taken:
            log.warning("waiting", reason=str(taken))
            if stop.is_set():
                raise UserError(f"stopped while waiting: {taken}") from None


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
