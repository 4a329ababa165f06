"""A run: passes until its time is up, housekeeping once, and a row that says what it did."""

import threading
import time
from typing import Any, LiteralString

import psycopg

from services.aggregator import housekeeping
from services.aggregator.settings import AggregatorSettings
from services.common import backoff, locks
from services.common.errors import UserError
from services.common.log import Logger
from services.common.postgres import AWAY, Connection, connect, describe, is_misconfigured, primary, snapshot
from services.rollups.tail import Pass, Tail

_BEGIN: LiteralString = "INSERT INTO aggregator_run DEFAULT VALUES RETURNING run_id"
_RECORD: LiteralString = """
UPDATE aggregator_run
SET finished_at = CASE WHEN %(finished)s THEN clock_timestamp() END, passes = %(passes)s, batches = %(batches)s,
    events = %(events)s, rollup_rows = %(rollup_rows)s, seconds = %(seconds)s,
    partitions_created = %(partitions_created)s, partitions_dropped = %(partitions_dropped)s,
    rows_expired = %(rows_expired)s, error = %(error)s
WHERE run_id = %(run_id)s
"""
# How long a signal to end may find us waiting for another's pass.
_LOCK_SECONDS = 2.0
# Faults of the database's contents or of ours: they are recorded, and trying again at once would not help.
_FAULTS = (psycopg.ProgrammingError, psycopg.DataError, psycopg.IntegrityError, psycopg.NotSupportedError)


class Run:
    """One run; `tally` counts what it has done so far, in the columns of table `aggregator_run`."""

    def __init__(self, settings: AggregatorSettings, log: Logger, stop: threading.Event, *, once: bool) -> None:
        self._settings = settings
        self._log = log
        self._stop = stop
        self._once = once
        self._run_id: int | None = None
        self._taken = ""
        self._deadline = time.monotonic() + settings.aggregator_run_seconds
        self.tally: dict[str, Any] = dict.fromkeys(("passes", "batches", "events", "rollup_rows", "seconds"), 0)
        self.tally |= vars(housekeeping.Chores())

    def run(self) -> None:
        """Passes until AGGREGATOR_RUN_SECONDS are up, or, with `once`, until nothing is pending.

        PostgreSQL may go away meanwhile: the run connects again until its time is up. Another run's passes, or a
        rebuild's end, are waited for as long.

        Raises:
            UserError: PostgreSQL stayed away or refuses us, a pass failed for good, or none could begin.
        """
        for delay in backoff.delays():
            try:
                with connect(self._settings, "aggregator", autocommit=True) as connection:
                    self._recorded(connection)
                break
            except AWAY as error:
                problem = describe(error, self._settings)
                if is_misconfigured(error) or time.monotonic() + delay > self._deadline or self._stop.wait(delay):
                    raise UserError(problem) from None
                self._log.warning("waiting for PostgreSQL", reason=problem)
        self._log.info("run finished", **self.tally)

    def _recorded(self, connection: Connection) -> None:
        """Whatever becomes of it, the run has a row."""
        self._begin(connection)
        error: str | None = None
        try:
            self._passes(connection)
        except UserError as fault:
            error = str(fault)
            raise
        except _FAULTS as fault:
            error = primary(fault)
            raise UserError(f"the run failed: {error}") from fault
        finally:
            if not connection.broken:
                self._record(connection, finished=True, error=error)

    def _begin(self, connection: Connection) -> None:
        try:
            begun = connection.execute(_BEGIN).fetchone()
        except psycopg.errors.UniqueViolation:  # restored or promoted, its sequence went back
            connection.execute("SELECT skip_used_ids()")
            begun = connection.execute(_BEGIN).fetchone()
        self._run_id = begun[0] if begun else None

    def _record(self, connection: Connection, *, finished: bool = False, error: str | None = None) -> None:
        """Bring the run's row up to date: a run that is killed has told what it did."""
        connection.execute(_RECORD, self.tally | {"run_id": self._run_id, "finished": finished, "error": error})

    def _passes(self, connection: Connection) -> None:
        tail = Tail(connection, self._settings.aggregator_work_mem_mb)
        tail.bind()
        done = self._one_pass(connection, tail)
        chores = housekeeping.keep(connection, self._settings, self._log)
        self.tally |= vars(chores)
        self._record(connection)
        while self._wait(done):
            done = self._one_pass(connection, tail)
            self._record(connection)
        if not self.tally["passes"]:
            raise UserError(f"no pass could begin: {self._taken}; wait for it, or end that session")

    def _wait(self, last: Pass | None) -> bool:
        """Until the next pass is due; at once after a full one or a wait for another's. False when the run is over."""
        if last is None:
            return time.monotonic() < self._deadline and not self._stop.is_set()
        if self._once:
            return last.batches > 0 and not self._stop.is_set()
        full = last.events >= self._settings.aggregator_pass_events
        wait_seconds = 0 if full else self._settings.aggregator_pass_seconds
        if time.monotonic() + wait_seconds > self._deadline:
            return False
        return not self._stop.wait(wait_seconds)

    def _one_pass(self, connection: Connection, tail: Tail) -> Pass | None:
        """None while another session makes its own. A dead one's lock is free as soon as its connection is."""
        try:
            with snapshot(connection):
                locks.take(connection, locks.PASSES, _LOCK_SECONDS)
                started_at = time.monotonic()
                done = tail.roll_up(self._settings.aggregator_pass_events)
        except locks.TakenError as taken:
            if str(taken) != self._taken:
                self._taken = str(taken)
                self._log.warning("waiting", reason=self._taken)
            return None
        seconds = time.monotonic() - started_at
        self.tally["passes"] += 1
        self.tally["seconds"] += seconds
        for name, count in vars(done).items():
            self.tally[name] += count
        if done.batches:
            self._log.info("pass", seconds=round(seconds, 3), **vars(done))
        return done
