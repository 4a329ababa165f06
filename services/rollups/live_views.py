"""`reporting.<rollup>`, made from the catalogue: what dashboards read, rollup and tail together.

The tail comes from a function, `reporting.<rollup>_tail()`, which reads raw events of the days alone that it needs:
those of the pending batches, as the ledger has them, and where neighbours of events are looked up, those of their
sessions. It writes them as constants into the text of the views of the tail, so that the planner leaves all other
partitions out: however many days are kept, a query plans, locks and reads only these.
"""

from collections.abc import Iterator
from typing import Any, LiteralString

import psycopg

from services.rollups.catalogue import Rollup, View, tail_of, tail_views

_COLUMN_TYPES: LiteralString = """
SELECT attname, format_type(atttypid, atttypmod)
FROM pg_attribute
WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped
"""
# With its owner's rights, as a view; so it is not inlined, and the cost keeps the planner from calling it again and
# again. It takes no snapshot of its own.
_TAIL = """
CREATE OR REPLACE FUNCTION reporting.{name}_tail() RETURNS TABLE ({typed_columns})
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL RESTRICTED ROWS 1000 COST 100000
SET search_path = clickstream, pg_temp
AS $body$
DECLARE
    days datemultirange := {days};
BEGIN
    IF days IS NOT NULL THEN
        RETURN QUERY EXECUTE
            'WITH event AS NOT MATERIALIZED (SELECT * FROM clickstream.event WHERE ' || event_id_condition(days) || ')'
            || $tail${text}$tail$;
    END IF;
END
$body$
"""


def create_live_view(connection: psycopg.Connection[Any], rollup: Rollup) -> Iterator[tuple[str, str]]:
    """(Re)create `reporting.<rollup>`, and what it stands on: `<rollup>_merged` if it needs one, and its tail.

    In the caller's transaction. Yields the kinds and names of what was made.
    """
    if rollup.tail.endswith("_merged"):
        yield replace(
            connection, "VIEW", rollup.tail, f"CREATE OR REPLACE VIEW {rollup.tail} AS {rollup.merged_view()}"
        )
    yield replace(connection, "FUNCTION", f"reporting.{rollup.name}_tail", _tail_function(connection, rollup))
    name = f"reporting.{rollup.name}"
    yield replace(connection, "VIEW", name, f"CREATE OR REPLACE VIEW {name} AS {rollup.live_view()}")


def _tail_function(connection: psycopg.Connection[Any], rollup: Rollup) -> str:
    types = column_types(connection, rollup)
    days, text = tail_text(connection, rollup)
    typed_columns = ", ".join(f'"{column}" {types[column]}' for column in rollup.columns)
    return _TAIL.format(name=rollup.name, typed_columns=typed_columns, days=days, text=text)


def tail_text(connection: psycopg.Connection[Any], rollup: Rollup) -> tuple[str, str]:
    """SQL that gives the days which a rollup's tail needs, and the SQL of that tail after `WITH event AS (…)`."""
    types = column_types(connection, rollup)
    views = tail_of(rollup.tail, tail_views(connection))
    looks_up = any(view.reads_event for view in views if view.name != "pending_event")
    columns = ", ".join(f"{column}::{types[column]}" for column in rollup.columns)
    text = "".join(map(_expression, views)) + f"\nSELECT {columns} FROM {rollup.tail}"
    return "touched_days()" if looks_up else "pending_days()", text


def column_types(connection: psycopg.Connection[Any], rollup: Rollup) -> dict[str, str]:
    """The types of a rollup's columns, by name."""
    return dict(connection.execute(_COLUMN_TYPES, [f"clickstream.{rollup.name}"]).fetchall())


def _expression(view: View) -> str:
    """A view as a part of WITH. The first ones are read through: of each event, a query wants a few columns."""
    materialized = "NOT MATERIALIZED " if view.name in ("pending_batch", "pending_event") else ""
    return f",\n{view.name} AS {materialized}({view.text})"


def replace(connection: psycopg.Connection[Any], kind: str, name: str, statement: str) -> tuple[str, str]:
    """Run a statement that (re)creates something, made of the catalogue's names alone; returns its kind and name."""
    try:
        with connection.transaction():
            connection.execute(statement.encode())
    except psycopg.errors.InvalidFunctionDefinition:  # it had other columns; what reads it is made anew after it
        connection.execute(f"DROP FUNCTION {name}".encode())
        connection.execute(statement.encode())
    return kind, name
