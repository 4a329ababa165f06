"""The transaction: positions, events, dead letters and ledger move together, or none of them does."""

import time
from datetime import UTC, datetime

import psycopg
from psycopg import errors

from services.common import sites, uuid7
from services.common.postgres import Connection, concerns_content, transaction
from services.consumer import ledger, partitions, ways
from services.consumer.batch import Batch
from services.consumer.limits import Limits
from services.consumer.portions import CUT_SHORT, Portions
from services.consumer.validation import Validator

CLEAN_BATCHES = 8
# Where all rows are refused, each takes milliseconds: whatever happens meanwhile, what is found so far is stored.
_ONE_BY_ONE_MESSAGES = 500


class _RefusedError(Exception):
    """A portion holds what the table refuses, and is too large to look at row by row in one transaction."""


class Store:
    """Commits batches on one autocommit connection, in the quickest way that the duplicates of late allow.

    After a duplicate the ids are asked for beforehand, until eight batches in a row had none.
    """

    def __init__(
        self,
        connection: Connection,
        consumer: str,
        retention_days: int,
        event_max_bytes: int,
        portions: Portions | None = None,
        default_site: str = sites.DEFAULT,
    ) -> None:
        self._connection = connection
        self._consumer = consumer
        self._retention_days = retention_days
        self._event_max_bytes = event_max_bytes
        self._portions = portions or Portions()
        self._validator = Validator(default_site)
        self._clean_batches = CLEAN_BATCHES

    def commit(self, batch: Batch) -> ledger.Outcome:
        """Store a batch, in one transaction if the server gives it the time; it is durable when this returns.

        Raises:
            ledger.FencedError: another consumer has moved a partition on; the batch is not ours to store.
            psycopg.Error: the database can't now; the same batch may be tried again.
        """
        for portion in self._portions.of(batch):
            try:
                self._portions.stored(self._commit(portion))
            except CUT_SHORT as error:
                if not self._portions.cut_short(error) or self._connection.closed:
                    raise
                ledger.evict_zombies(self._connection, batch)  # it may have waited for their locks
            except _RefusedError:
                self._portions.halve()
        return self._portions.finish()

    def _commit(self, batch: Batch) -> ledger.Outcome:
        try:
            outcome = self._commit_patiently(batch)
        except errors.CheckViolation as error:
            if not ways.lacks_partition(error):
                raise
            self._create_partitions(batch)
            outcome = self._commit_patiently(batch)
        except errors.LockNotAvailable:
            ledger.evict_zombies(self._connection, batch)
            raise
        self._clean_batches = 0 if outcome.duplicate else self._clean_batches + 1
        return outcome

    def _commit_patiently(self, batch: Batch) -> ledger.Outcome:
        refusal: Exception
        try:
            return self._commit_together(batch)
        except psycopg.Error as error:
            if not concerns_content(error) or ways.lacks_partition(error) or _concerns_books(error):
                raise
            refusal = error
        except ways.LeftOutError as error:
            refusal = error
        if len(batch.messages) > _ONE_BY_ONE_MESSAGES:
            raise _RefusedError from refusal
        return self._transaction(batch, ways.one_by_one)

    def _commit_together(self, batch: Batch) -> ledger.Outcome:
        if self._clean_batches >= CLEAN_BATCHES:
            try:
                return self._transaction(batch, ways.direct)
            except errors.UniqueViolation as error:
                if _concerns_books(error):
                    raise
                self._clean_batches = 0
        try:
            return self._transaction(batch, ways.filtered)
        except errors.UniqueViolation as error:  # somebody stored one of them between our question and our COPY
            if _concerns_books(error):
                raise
            return self._transaction(batch, ways.staged)

    def _transaction(self, batch: Batch, way: ways.Way) -> ledger.Outcome:
        try:
            return self._try(batch, way)
        except errors.UniqueViolation as error:
            if not _concerns_books(error):
                raise
        # An id that is taken: drawn before a failover to a copy that lagged, or from a sequence that was set back.
        with transaction(self._connection):
            self._connection.execute("SELECT skip_used_ids()")
        batch.begin_anew()
        return self._try(batch, way)

    def _try(self, batch: Batch, way: ways.Way) -> ledger.Outcome:
        started_at = time.monotonic()
        with transaction(self._connection), self._connection.cursor() as cursor:
            ledger.claim(cursor, batch)
            duplicates = way(cursor, batch, batch.validate(self._validator, self._limits()))
            return ledger.record(cursor, batch, duplicates, started_at, self._consumer)

    def _limits(self) -> Limits:
        return Limits.at(datetime.now(UTC), self._retention_days, self._event_max_bytes)

    def _create_partitions(self, batch: Batch) -> None:
        rows = list(batch.validate(self._validator, self._limits()))
        partitions.create(self._connection, {uuid7.day_of(str(row[0])) for row in rows})


def _concerns_books(error: psycopg.Error) -> bool:
    return error.diag.table_name in ("ingest_batch", "dead_letter", "partition_offset")
