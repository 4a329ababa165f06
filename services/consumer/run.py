"""The consumer's loop: collect a batch, store it, again; wait where a dependency is away, lose nothing."""

import gc
import threading
import time

import psycopg

from services.common import backoff
from services.common.errors import UserError
from services.common.log import Logger
from services.common.monitoring import Health
from services.common.postgres import Connection, connect_pooled, describe, is_misconfigured, keep_session
from services.consumer import metrics
from services.consumer.batch import Batch, age_seconds
from services.consumer.intake import Intake
from services.consumer.ledger import FencedError
from services.consumer.patience import Patience
from services.consumer.portions import Portions, StoppedError
from services.consumer.settings import ConsumerSettings
from services.consumer.store import Store


def calm_garbage_collection() -> None:
    """A batch is many small tuples in no cycle: looking through them over and over costs a tenth of the time."""
    gc.freeze()
    gc.set_threshold(200_000, 20, 100)


class Runner:
    """Moves batches from the intake to the store until it is told to stop."""

    def __init__(self, settings: ConsumerSettings, log: Logger, health: Health, stop: threading.Event) -> None:
        self._settings = settings
        self._log = log
        self._health = health
        self._stop = stop
        self._patience = Patience(settings, health, log, stop)
        self._connection: Connection | None = None
        self._store: Store | None = None
        self._portions = Portions(log, self._between_portions)

    def run(self) -> None:
        """Consume until stopped.

        Raises:
            UserError: PostgreSQL refuses our configuration at the start.
        """
        calm_garbage_collection()
        self._connect_first()
        intake = Intake(self._settings, self._log, self._patience)
        try:
            while not self._stop.is_set():
                self._health.tick()
                if self._positioned(intake):
                    self._report(intake)
                    if (batch := intake.collect()) is not None:
                        self._commit(intake, batch)
        finally:
            intake.close()
            if self._connection is not None:
                self._connection.close()

    def _connect_first(self) -> None:
        """Until PostgreSQL answers; a wrong password or name ends the process, for waiting would not help."""
        for delay in backoff.delays():
            try:
                self._connect()
                return
            except psycopg.OperationalError as error:
                problem = describe(error, self._settings)
                if is_misconfigured(error):
                    raise UserError(problem) from None
                metrics.retry("database")
                self._health.tick()
                self._health.not_ready(problem)
                self._log.warning("waiting for PostgreSQL", reason=problem)
                if self._stop.wait(delay):
                    return

    def _connect(self) -> tuple[Connection, Store]:
        if self._connection is None or self._connection.closed or self._store is None:
            settings = self._settings
            self._store = None
            self._connection = connect_pooled(settings, f"consumer {settings.consumer_name}", autocommit=True)
            with self._patience.call(self._connection):
                keep_session(self._connection)
                self._store = Store(
                    self._connection,
                    settings.consumer_name,
                    settings.event_retention_days,
                    settings.consumer_event_max_bytes,
                    self._portions,
                    settings.default_site,
                )
        return self._connection, self._store

    def _positioned(self, intake: Intake) -> bool:
        """Whether new partitions, if there are any, know where they stand."""
        try:
            intake.take_positions(self._connect()[0])
        except psycopg.Error as error:
            self._away(intake, error, seconds=0.5)
            return False
        intake.resume()
        return True

    def _commit(self, intake: Intake, batch: Batch) -> None:
        """Store a batch, however long the database is away; drop it if it is not ours any more, or on a stop."""
        started_at = time.monotonic()
        batch.on_block = self._patience.goes_on
        for delay in backoff.delays():
            try:
                connection, store = self._connect()
                with self._patience.call(connection):
                    outcome = store.commit(batch)
            except FencedError as error:
                metrics.FENCES.inc()
                self._log.warning("another consumer owns a partition: batch dropped", moved=str(error))
                intake.abandon(batch)
                return
            except StoppedError:
                intake.abandon(batch)
                return
            except psycopg.Error as error:
                self._away(intake, error, delay)
            else:
                age = age_seconds(batch.messages[-1]) or 0.0
                metrics.stored(batch, outcome, time.monotonic() - started_at, age)
                intake.stored(batch)
                intake.resume()
                return
            if self._stop.is_set() or not intake.owns(batch):
                intake.abandon(batch)
                return

    def _between_portions(self) -> None:
        """A batch in many portions takes long: it is alive meanwhile, and ends when it is asked to."""
        metrics.committed()
        self._health.tick()
        if self._stop.is_set():
            raise StoppedError

    def _away(self, intake: Intake, error: psycopg.Error, seconds: float) -> None:
        """Stay in the group and alive, not ready, until the next try."""
        problem = describe(error, self._settings)
        metrics.retry("database")
        self._log.warning("PostgreSQL can't take the batch now: it is kept and tried again", reason=problem)
        self._health.not_ready(problem)
        intake.pause()
        until = time.monotonic() + seconds
        while not self._stop.is_set() and (left := until - time.monotonic()) > 0:
            self._health.tick()
            intake.keep_alive(min(left, 0.2))

    def _report(self, intake: Intake) -> None:
        if intake.problem is None:
            self._health.ready()
        else:
            self._health.not_ready(intake.problem)
