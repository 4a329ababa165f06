"""What dashboards read, made from the catalogue: `reporting.<rollup>`, and `reporting.<name>_between(since, until)`.

The function stands wherever a rollup `<name>_hour` has a `<name>_day` of the same columns beside it. With a
`<name>_week`, too, its `time` is good for nothing but the choice of rows: such a rollup is not drawn over time.
"""

from typing import Any, LiteralString

import psycopg

from services.common.rollups import Rollup, rollups

_COLUMN_TYPES: LiteralString = """
SELECT attname, format_type(atttypid, atttypmod)
FROM pg_attribute
WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped
"""
# Over more than a week, whole days come from the daily rollup, and only the hours at both ends from the hourly one.
# PostgreSQL inlines it, so a query's own filters reach the tables. The tail is the same by the hour, day or week: it is
# evaluated once.
_BETWEEN = """
CREATE OR REPLACE FUNCTION reporting.{name}_between(since timestamptz, until timestamptz)
RETURNS TABLE ("time" timestamptz, {typed_columns})
LANGUAGE sql STABLE
AS $body$
SELECT hour, {columns}
FROM reporting.{name}_hour_settled
WHERE until - since <= interval '7 days' AND hour >= date_bin('1 hour', since, 'epoch') AND hour <= until
UNION ALL
SELECT day::timestamp AT TIME ZONE 'UTC', {columns}
FROM reporting.{name}_day_settled
WHERE until - since > interval '7 days'
    AND day > (since AT TIME ZONE 'UTC')::date AND day < (until AT TIME ZONE 'UTC')::date{but_whole_weeks}
UNION ALL{whole_weeks}
SELECT date_bin('1 day', hour, 'epoch'), {columns}
FROM reporting.{name}_hour_settled
WHERE until - since > interval '7 days'
    AND (
        (hour >= date_bin('1 hour', since, 'epoch') AND hour < date_bin('1 day', since, 'epoch') + interval '1 day')
        OR (hour >= date_bin('1 day', until, 'epoch') AND hour <= until)
    )
UNION ALL
SELECT CASE WHEN until - since > interval '7 days' THEN date_bin('1 day', hour, 'epoch') ELSE hour END, {columns}
FROM reporting.{name}_hour_tail()
WHERE hour >= date_bin('1 hour', since, 'epoch') AND hour <= until
$body$
"""
# Not inlined, as it runs with its owner's rights: the planner takes the tail for a thousand times what it is, and would
# choose for all the rest what is good for that.
_TAIL = """
CREATE OR REPLACE FUNCTION reporting.{name}_hour_tail()
RETURNS TABLE (hour timestamptz, {typed_columns})
LANGUAGE sql STABLE SECURITY DEFINER ROWS 1000 COST 100000
SET search_path = clickstream, pg_temp
AS $body$
SELECT hour, {columns} FROM {name}_hour_pending
$body$
"""
_SETTLED = "CREATE OR REPLACE VIEW reporting.{rollup}_settled AS SELECT {columns} FROM {rollup}"
# Whole weeks: from the first Monday after the day of `since` to the last one up to the day of `until`.
_BUT_WHOLE_WEEKS = """
    AND NOT (
        day >= date_trunc('week', (since AT TIME ZONE 'UTC')::date + interval '7 days')::date
        AND day < date_trunc('week', until AT TIME ZONE 'UTC')::date
    )"""
_WHOLE_WEEKS = """
SELECT week::timestamp AT TIME ZONE 'UTC', {columns}
FROM reporting.{name}_week_settled
WHERE until - since > interval '7 days'
    AND week >= date_trunc('week', (since AT TIME ZONE 'UTC')::date + interval '7 days')::date
    AND week < date_trunc('week', until AT TIME ZONE 'UTC')::date
UNION ALL"""


def create_live_views(connection: psycopg.Connection[Any]) -> None:
    """(Re)create `<rollup>_merged` and `reporting.<rollup>` for every rollup, in the caller's transaction."""
    for rollup in rollups(connection):
        if rollup.merges and not rollup.additive:
            _execute(connection, f"CREATE OR REPLACE VIEW {rollup.name}_merged AS {rollup.merged_view()}")
        _execute(connection, f"CREATE OR REPLACE VIEW reporting.{rollup.name} AS {rollup.live_view()}")


def create_between_functions(connection: psycopg.Connection[Any]) -> None:
    """(Re)create `reporting.<name>_between` for every pair of rollups, in the caller's transaction."""
    found = {rollup.name: rollup for rollup in rollups(connection)}
    for hourly in found.values():
        name = hourly.name.removesuffix("_hour")
        if f"{name}_day" in found and hourly.columns[1:] == found[f"{name}_day"].columns[1:]:
            grains = [found[f"{name}_{by}"] for by in ("hour", "day", "week") if f"{name}_{by}" in found]
            _create_between(connection, name, grains)


def _create_between(connection: psycopg.Connection[Any], name: str, grains: list[Rollup]) -> None:
    hourly, weeks = grains[0], len(grains) == 3
    types = dict(connection.execute(_COLUMN_TYPES, [hourly.name]).fetchall())
    columns = ", ".join(hourly.columns[1:])
    typed_columns = ", ".join(f"{column} {types[column]}" for column in hourly.columns[1:])
    for rollup in grains:
        settled = _SETTLED.format(rollup=rollup.name, columns=", ".join(rollup.columns))
        _replace(connection, f"VIEW reporting.{rollup.name}_settled", settled)
    tail = _TAIL.format(name=name, columns=columns, typed_columns=typed_columns)
    _replace(connection, f"FUNCTION reporting.{name}_hour_tail", tail)
    between = _BETWEEN.format(
        name=name,
        columns=columns,
        typed_columns=typed_columns,
        but_whole_weeks=_BUT_WHOLE_WEEKS if weeks else "",
        whole_weeks=_WHOLE_WEEKS.format(name=name, columns=columns) if weeks else "",
    )
    _replace(connection, f"FUNCTION reporting.{name}_between", between)


def _replace(connection: psycopg.Connection[Any], thing: str, statement: str) -> None:
    try:
        with connection.transaction():
            _execute(connection, statement)
    except (psycopg.errors.InvalidFunctionDefinition, psycopg.errors.InvalidTableDefinition):  # it had other columns
        _execute(connection, f"DROP {thing}")
        _execute(connection, statement)


def _execute(connection: psycopg.Connection[Any], statement: str) -> None:
    connection.execute(statement.encode())  # generated from the catalogue's names alone
