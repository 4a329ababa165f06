"""The transaction: positions, events, dead letters and ledger move together, or none of them does."""

import time
from datetime import UTC, datetime
from typing import LiteralString

import psycopg
from psycopg import errors

from services.common import uuid7
from services.common.postgres import Connection
from services.consumer import ledger, ways
from services.consumer.batch import Batch
from services.consumer.limits import Limits
from services.consumer.validation import Validator

CLEAN_BATCHES = 8
# Long waits would keep us from the group, from health and from an end in time: better to come back.
_LOCK_TIMEOUT: LiteralString = "SET lock_timeout = '3s'"


class Store:
    """Commits batches on one autocommit connection, in the quickest way that the duplicates of late allow.

    After a duplicate the ids are asked for beforehand, until eight batches in a row had none.
    """

    def __init__(self, connection: Connection, consumer: str, retention_days: int, event_max_bytes: int) -> None:
        connection.execute(_LOCK_TIMEOUT)
        self._connection = connection
        self._consumer = consumer
        self._retention_days = retention_days
        self._event_max_bytes = event_max_bytes
        self._validator = Validator()
        self._clean_batches = CLEAN_BATCHES

    def commit(self, batch: Batch) -> ledger.Outcome:
        """Store a batch; it is durable when this returns.

        Raises:
            ledger.FencedError: another consumer has moved a partition on; the batch is not ours to store.
            psycopg.Error: the database can't now; the same batch may be tried again.
        """
        try:
            outcome = self._commit(batch)
        except errors.CheckViolation:  # no partition of relation "event" found for row
            self._create_partitions(batch)
            outcome = self._commit(batch)
        except errors.LockNotAvailable:
            ledger.evict_zombies(self._connection, batch)
            raise
        self._clean_batches = 0 if outcome.duplicate else self._clean_batches + 1
        return outcome

    def _commit(self, batch: Batch) -> ledger.Outcome:
        try:
            return self._commit_together(batch)
        except psycopg.DataError:
            return self._transaction(batch, ways.one_by_one)

    def _commit_together(self, batch: Batch) -> ledger.Outcome:
        if self._clean_batches >= CLEAN_BATCHES:
            try:
                return self._transaction(batch, ways.direct)
            except errors.UniqueViolation:
                self._clean_batches = 0
        try:
            return self._transaction(batch, ways.filtered)
        except errors.UniqueViolation:  # somebody stored one of them between our question and our COPY
            return self._transaction(batch, ways.staged)

    def _transaction(self, batch: Batch, way: ways.Way) -> ledger.Outcome:
        started_at = time.monotonic()
        with self._connection.transaction(), self._connection.cursor() as cursor:
            ledger.claim(cursor, batch)
            duplicates = way(cursor, batch, batch.validate(self._validator, self._limits()))
            return ledger.record(cursor, batch, duplicates, started_at, self._consumer)

    def _limits(self) -> Limits:
        return Limits.at(datetime.now(UTC), self._retention_days, self._event_max_bytes)

    def _create_partitions(self, batch: Batch) -> None:
        rows = list(batch.validate(self._validator, self._limits()))
        for day in sorted({uuid7.day_of(str(row[0])) for row in rows}):
            self._connection.execute("SELECT create_event_partition(%s)", [day])
