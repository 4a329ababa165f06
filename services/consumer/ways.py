"""Ways to write a batch's rows, from the quickest to the most patient. Each returns the duplicates of each partition.

Direct COPY is safe by itself: the primary key refuses whatever is stored already. The others are for when it did.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, LiteralString

import psycopg
from confluent_kafka import Message
from psycopg import errors

from services.common.event import COLUMNS
from services.common.postgres import concerns_content, primary
from services.consumer.batch import Batch, per_partition
from services.consumer.faults import Invalid
from services.consumer.validation import Row

Cursor = psycopg.Cursor[tuple[Any, ...]]
Way = Callable[[Cursor, Batch, Iterable[Row]], Counter[int]]

_LOOKUP_IDS = 1_000
# After so many refused rows in a row, halves would only be refused, too.
_HARDLY_ANY = 16
_COLUMN_LIST = ", ".join([*COLUMNS, "batch_id"])
_COPY = f"COPY event ({_COLUMN_LIST}) FROM STDIN".encode()
_COPY_STAGING = f"COPY event_staging ({_COLUMN_LIST}) FROM STDIN".encode()
# Only our columns, without what somebody may have added to the table.
_CREATE_STAGING = (
    f"CREATE TEMP TABLE event_staging ON COMMIT DROP AS SELECT {_COLUMN_LIST} FROM event "  # noqa: S608 (names of ours)
    "WITH NO DATA"
).encode()
_MOVE_STAGED = (
    f"INSERT INTO event ({_COLUMN_LIST}) SELECT {_COLUMN_LIST} FROM event_staging "  # noqa: S608 (names of ours)
    "ON CONFLICT (event_id) DO NOTHING RETURNING event_id::text"
).encode()
# OFFSET 0 keeps the planner from another join: each id leads to its own day and is one look into that index. The range
# leaves the other days out: with hundreds of them, planning takes longer than looking, and is done each time where
# nothing is prepared.
_SELECT_STORED: LiteralString = """
SELECT i::text
FROM unnest(%(ids)s::text::uuid[]) AS i
CROSS JOIN LATERAL (
    SELECT FROM event AS e WHERE e.event_id = i AND e.event_id BETWEEN %(first)s::uuid AND %(last)s::uuid OFFSET 0
) AS e
"""


class LeftOutError(Exception):
    """PostgreSQL took fewer rows than it was given, without a word: a trigger that returns NULL."""


def direct(cursor: Cursor, batch: Batch, rows: Iterable[Row]) -> Counter[int]:
    """COPY while validation goes on.

    Raises:
        psycopg.errors.UniqueViolation: an event is stored already, or comes twice.
        LeftOutError: a trigger took a row away.
    """
    with cursor.copy(_COPY) as copy:
        for row in rows:
            copy.write_row(row)
    _see_all_in(cursor, len(batch.rows))
    return Counter()


def filtered(cursor: Cursor, batch: Batch, rows: Iterable[Row]) -> Counter[int]:
    """Ask which ids are stored, then COPY the others.

    Raises:
        psycopg.errors.UniqueViolation: another transaction stored one in between.
        LeftOutError: a trigger took a row away.
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
    _see_all_in(cursor, len(batch.rows) - len(duplicates))
    return per_partition(duplicates)


def _see_all_in(cursor: Cursor, rows: int) -> None:
    if cursor.rowcount != rows:
        raise LeftOutError("a trigger on table event left it out")


def _stored_ids(cursor: Cursor, rows: Iterable[Row]) -> set[Any]:
    """The database looks some ids up while the next rows are validated."""
    connection = cursor.connection
    coming = iter(rows)
    lookups = []
    with connection.pipeline():
        while ids := [str(row[0]) for row in islice(coming, _LOOKUP_IDS)]:
            given = {"ids": f"{{{','.join(ids)}}}", "first": min(ids), "last": max(ids)}
            lookups.append(connection.execute(_SELECT_STORED, given))
    return {event_id for lookup in lookups for (event_id,) in lookup}


def staged(cursor: Cursor, batch: Batch, rows: Iterable[Row]) -> Counter[int]:
    """By way of a temporary table, from which the database itself takes only what is new.

    Raises:
        LeftOutError: a trigger took a row away.
    """
    cursor.execute(_CREATE_STAGING)
    with cursor.copy(_COPY_STAGING) as copy:
        for row in rows:
            copy.write_row(row)
    new = {stored for (stored,) in cursor.execute(_MOVE_STAGED)}
    old = [(row, message) for row, message in zip(batch.rows, batch.row_messages, strict=True) if not _take(new, row)]
    if not {row[0] for row, _ in old} <= _stored_ids(cursor, [row for row, _ in old]):
        raise LeftOutError("a trigger on table event left it out")
    return per_partition(message for _, message in old)


def _take(new: set[Any], row: Row) -> bool:
    """Whether it is the first row of a new event."""
    if row[0] not in new:
        return False
    new.remove(row[0])
    return True


def one_by_one(cursor: Cursor, batch: Batch, rows: Iterable[Row]) -> Counter[int]:
    """Find the rows that passed validation and that the table refuses, so that they can't hold up all others.

    By halving, into the table itself, with whatever triggers and constraints it has: of n rows, one that is refused
    costs 2 log2(n) savepoints, and writing the rows once more; if nearly all are, it is a savepoint a row.
    """
    cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    known = _stored_ids(cursor, rows)
    duplicates = [index for index, row in enumerate(batch.rows) if row[0] in known]
    occurrences: dict[Any, deque[int]] = {}
    for index, row in enumerate(batch.rows):
        if row[0] not in known:
            occurrences.setdefault(row[0], deque()).append(index)
    refused: dict[int, str] = {}
    in_a_row = 0
    waiting = [[indexes.popleft() for indexes in occurrences.values()]]
    while waiting:
        part = waiting.pop()
        problem = _refusal(cursor, [batch.rows[index] for index in part])
        if problem is None:
            in_a_row = 0
            continue
        if len(part) > 1:
            size = len(part) // 2 if in_a_row < _HARDLY_ANY else 1
            waiting += [part[start : start + size] for start in reversed(range(0, len(part), size))]
            continue
        in_a_row += 1
        row = batch.rows[part[0]]
        if isinstance(problem, errors.UniqueViolation) and _stored_ids(cursor, [row]):  # by another one, meanwhile
            duplicates += part
        else:
            refused[part[0]] = primary(problem) if isinstance(problem, psycopg.Error) else str(problem)
            if later := occurrences[row[0]]:  # sent again, perhaps with other content
                waiting.append([later.popleft()])
    duplicates += [index for left in occurrences.values() for index in left]
    counts = per_partition(batch.row_messages[index] for index in duplicates)
    for index in sorted(refused, reverse=True):
        batch.reject(index, Invalid("rejected_by_postgres", refused[index]))
    return counts


def _refusal(cursor: Cursor, rows: list[Row]) -> psycopg.Error | LeftOutError | None:
    """Why PostgreSQL does not take these rows; None if it has. Raises what isn't about their content."""
    try:
        with cursor.connection.transaction():
            with cursor.copy(_COPY) as copy:
                for row in rows:
                    copy.write_row(row)
            _see_all_in(cursor, len(rows))
    except LeftOutError as error:
        return error
    except psycopg.Error as error:
        if lacks_partition(error) or not concerns_content(error):
            raise
        return error
    return None


def lacks_partition(error: psycopg.Error) -> bool:
    """Whether the day of a row has no partition; a CHECK that somebody made has a name."""
    diag = error.diag
    return isinstance(error, errors.CheckViolation) and (diag.table_name, diag.constraint_name) == ("event", None)
