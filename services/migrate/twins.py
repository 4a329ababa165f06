"""Coarser twins of a rollup, generated: `page_day` of `page_hour`, for long time ranges.

A rollup names them in the comment of its table (`twins: day, week`). A twin has the same columns but for its time,
and sums; its rows stay when the finer ones are past their retention.
"""

from collections.abc import Iterator
from typing import LiteralString, NamedTuple

from services.common import locks
from services.common.errors import UserError
from services.common.postgres import Connection
from services.rollups.catalogue import GRAINS, Rollup, declaration, rollups

_DECLARED: LiteralString = """
SELECT c.relname, obj_description(c.oid, 'pg_class')
FROM pg_class AS c
WHERE c.relnamespace = 'clickstream'::regnamespace AND c.relkind = 'r'
    AND obj_description(c.oid, 'pg_class') ~ 'twins:'
ORDER BY 1
"""
_COLUMNS: LiteralString = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod),
    CASE WHEN a.attcollation <> t.typcollation THEN ' COLLATE ' || a.attcollation::regcollation ELSE '' END,
    a.attnum = ANY (i.indkey)
FROM pg_attribute AS a
JOIN pg_type AS t ON t.oid = a.atttypid
JOIN pg_index AS i ON i.indrelid = a.attrelid AND i.indisprimary
WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""
_LOCK_SECONDS = 5.0


class _Column(NamedTuple):
    name: str
    type: str
    collation: str
    is_key: bool


def create_tables(connection: Connection) -> None:
    """Make the tables of twins that lack, with the sums of what is there; in the caller's transaction.

    Raises:
        UserError: a twin has not the columns of what it is a twin of, or can't be.
        TakenError: a pass, which would change what is summed, takes longer than five seconds.
    """
    for fine, comment in connection.execute(_DECLARED).fetchall():
        for by in declaration(fine, comment).twins:
            _create_table(connection, fine, by)


def _create_table(connection: Connection, fine: str, by: str) -> None:
    base, _, fine_by = fine.rpartition("_")
    columns = _columns(connection, fine)
    if fine_by not in GRAINS or by not in GRAINS[GRAINS.index(fine_by) + 1 :] or columns[0].name != fine_by:
        raise UserError(f"rollup {fine} can't have a twin by the {by}: {', '.join(GRAINS)} get coarser in this order")
    twin = f"{base}_{by}"
    wanted = [_Column(by, _time_type(by), "", is_key=True), *columns[1:]]
    if there := _columns(connection, twin):
        if sorted(there) != sorted(wanted):
            off = ", ".join(sorted({column.name for column in set(there) ^ set(wanted)}))
            raise UserError(f"{twin} is a twin of {fine}, and they differ in {off}: a migration must change both alike")
        return
    typed = ", ".join(f"{column.name} {column.type}{column.collation} NOT NULL" for column in wanted)
    keys = ", ".join(column.name for column in wanted if column.is_key)
    _execute(connection, f"CREATE TABLE {twin} ({typed}, PRIMARY KEY ({keys}))")
    if connection.execute(f"SELECT EXISTS (SELECT FROM {fine})".encode()).fetchone() == (True,):
        locks.take(connection, locks.PASSES, _LOCK_SECONDS)
        names = ", ".join(column.name for column in wanted)
        _execute(connection, f"INSERT INTO {twin} ({names}) {_sums(fine, fine_by, by, columns)}")


def create_views(connection: Connection, fine: Rollup) -> Iterator[Rollup]:
    """Make the view of what is pending for each of a rollup's twins, which are returned.

    Raises:
        UserError: not all of the rollup's values sum.
    """
    if fine.twins and not fine.additive:
        raise UserError(f"rollup {fine.name} can't have twins: all its values would have to sum")
    base, _, by = fine.name.rpartition("_")
    source, columns = fine.name, _columns(connection, fine.name)
    for coarser in fine.twins:
        twin = f"{base}_{coarser}"
        _execute(
            connection, f"CREATE OR REPLACE VIEW {twin}_pending AS {_sums(f'{source}_pending', by, coarser, columns)}"
        )
        yield next(rollup for rollup in rollups(connection) if rollup.name == twin)
        source, by, columns = twin, coarser, [_Column(coarser, "", "", is_key=True), *columns[1:]]


def _sums(relation: str, by: str, coarser: str, columns: list[_Column]) -> str:
    shown = [
        column.name if column.is_key else f"sum({column.name})::{column.type} AS {column.name}"
        for column in columns[1:]
    ]
    groups = ", ".join(str(number) for number, column in enumerate(columns, 1) if column.is_key)
    return f"SELECT {_coarser_time(by, coarser)} AS {coarser}, {', '.join(shown)} FROM {relation} GROUP BY {groups}"


def _time_type(by: str) -> str:
    return "date" if by in ("day", "week") else "timestamp with time zone"


def _coarser_time(by: str, coarser: str) -> str:
    """In UTC; a week begins on Monday."""
    if coarser == "hour":
        return f"date_bin('1 hour', {by}, 'epoch'::timestamptz)"
    day = f"{by}::timestamp" if by == "day" else f"{by} AT TIME ZONE 'UTC'"
    return f"date_trunc('week', {day})::date" if coarser == "week" else f"({day})::date"


def _columns(connection: Connection, table: str) -> list[_Column]:
    return [_Column(*row) for row in connection.execute(_COLUMNS, [f"clickstream.{table}"])]


def _execute(connection: Connection, statement: str) -> None:
    connection.execute(statement.encode())  # generated from the catalogue's names alone
