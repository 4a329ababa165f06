"""Ways to write a batch's rows, from the quickest to the most patient. Each returns the duplicates of each partition.

Direct COPY is safe by itself: the primary key refuses whatever is stored already. The others are for when it did.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, LiteralString

import psycopg
from confluent_kafka import Message

from services.common.event import COLUMNS
from services.consumer.batch import Batch, per_partition
from services.consumer.faults import Invalid
from services.consumer.validation import Row

Cursor = psycopg.Cursor[tuple[Any, ...]]
Way = Callable[[Cursor, Batch, Iterable[Row]], Counter[int]]

_LOOKUP_IDS = 1_000
_COLUMN_LIST = ", ".join([*COLUMNS, "batch_id"])
_COPY = f"COPY event ({_COLUMN_LIST}) FROM STDIN".encode()
_COPY_STAGING = f"COPY event_staging ({_COLUMN_LIST}) FROM STDIN".encode()
_CREATE_STAGING: LiteralString = "CREATE TEMP TABLE event_staging (LIKE event) ON COMMIT DROP"
_MOVE_STAGED = (
    f"INSERT INTO event ({_COLUMN_LIST}) SELECT {_COLUMN_LIST} FROM event_staging "  # noqa: S608 (names of ours)
    "ON CONFLICT (event_id) DO NOTHING RETURNING event_id::text"
).encode()
# OFFSET 0 keeps the planner from another join: each id leads to its own day and is one look into that index.
_SELECT_STORED: LiteralString = """
SELECT i::text
FROM unnest(%s::text::uuid[]) AS i
CROSS JOIN LATERAL (SELECT FROM event AS e WHERE e.event_id = i OFFSET 0) AS e
"""


def direct(cursor: Cursor, _batch: Batch, rows: Iterable[Row]) -> Counter[int]:
    """COPY while validation goes on.

    Raises:
        psycopg.errors.UniqueViolation: an event is stored already, or comes twice.
    """
    with cursor.copy(_COPY) as copy:
        for row in rows:
            copy.write_row(row)
    return Counter()


def filtered(cursor: Cursor, batch: Batch, rows: Iterable[Row]) -> Counter[int]:
    """Ask which ids are stored, then COPY the others.

    Raises:
        psycopg.errors.UniqueViolation: another transaction stored one in between.
    """
    known = _stored_ids(cursor, rows)
    duplicates: list[Message] = []
    with cursor.copy(_COPY) as copy:
        for row, message in zip(batch.rows, batch.row_messages, strict=True):
            if row[0] in known:
                duplicates.append(message)
            else:
                known.add(row[0])
                copy.write_row(row)
    return per_partition(duplicates)


def _stored_ids(cursor: Cursor, rows: Iterable[Row]) -> set[Any]:
    """The database looks some ids up while the next rows are validated."""
    connection = cursor.connection
    coming = iter(rows)
    lookups = []
    with connection.pipeline():
        while ids := [str(row[0]) for row in islice(coming, _LOOKUP_IDS)]:
            lookups.append(connection.execute(_SELECT_STORED, [f"{{{','.join(ids)}}}"]))
    return {event_id for lookup in lookups for (event_id,) in lookup}


def staged(cursor: Cursor, batch: Batch, rows: Iterable[Row]) -> Counter[int]:
    """By way of a temporary table, from which the database itself takes only what is new."""
    cursor.execute(_CREATE_STAGING)
    with cursor.copy(_COPY_STAGING) as copy:
        for row in rows:
            copy.write_row(row)
    return _move_staged(cursor, batch)


def one_by_one(cursor: Cursor, batch: Batch, rows: Iterable[Row]) -> Counter[int]:
    """Find the row that passed validation and that the database refuses, so that it can't hold up all others."""
    cursor.execute(_CREATE_STAGING)
    refused: list[tuple[int, Invalid]] = []
    for index, row in enumerate(rows):
        try:
            with cursor.connection.transaction(), cursor.copy(_COPY_STAGING) as copy:
                copy.write_row(row)
        except psycopg.DataError as error:
            refused.append((index, Invalid("rejected_by_postgres", str(error).splitlines()[0])))
    for index, invalid in reversed(refused):
        batch.reject(index, invalid)
    return _move_staged(cursor, batch)


def _move_staged(cursor: Cursor, batch: Batch) -> Counter[int]:
    new = {stored for (stored,) in cursor.execute(_MOVE_STAGED)}
    duplicates: list[Message] = []
    for row, message in zip(batch.rows, batch.row_messages, strict=True):
        if row[0] in new:
            new.remove(row[0])
        else:
            duplicates.append(message)
    return per_partition(duplicates)
