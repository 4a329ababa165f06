"""`reporting.<name>_between` and `reporting.<name>_over_time`, made from the catalogue: sums of a time range.

They stand wherever a rollup `<name>_hour` has a twin by the day:

- `reporting.<name>_between(since, until)` is for sums: whole days come from the daily rollup (with a `<name>_week`,
  whole weeks from that), and only what is left at both ends from the hourly one. Where it is shorter, an end is taken
  off rather than added, so a row's numbers may be negative, and a key may come with nothing but zeros.
- `reporting.<name>_over_time(since, until)` is for drawing: its `time` is the hour; over more than a week, the day.

Both count whole hours: all that the range touches.
"""

from collections.abc import Iterator
from typing import Any

import psycopg

from services.rollups.catalogue import Rollup, rollups
from services.rollups.live_views import column_types, replace

# PostgreSQL inlines both, so a query's own filters reach the tables. The tail is the same by the hour, day or week: it
# is evaluated once.
_OVER_TIME = """
CREATE OR REPLACE FUNCTION reporting.{name}_over_time(since timestamptz, until timestamptz)
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
    AND day > (since AT TIME ZONE 'UTC')::date AND day < (until AT TIME ZONE 'UTC')::date
UNION ALL
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
_BETWEEN = """
CREATE OR REPLACE FUNCTION reporting.{name}_between(since timestamptz, until timestamptz)
RETURNS TABLE ({typed_columns})
LANGUAGE sql STABLE
AS $body$
{settled}
UNION ALL
SELECT {columns}
FROM reporting.{name}_hour_tail()
WHERE hour >= ({since_hour}) AT TIME ZONE 'UTC' AND hour < ({until_hour}) AT TIME ZONE 'UTC'
$body$
"""


def _if_as_long_as(length: str, then: str, otherwise: str) -> str:
    return f"CASE WHEN ({_UNTIL_HOUR}) - {_SINCE_HOUR} >= interval '{length}' THEN {then} ELSE {otherwise} END"


# A range's bounds as `timestamp` in UTC, which the planner can compute: its first hour, and the first one after it.
# Then the same in days and in weeks. The first is rounded to the nearest, so that the least is added or taken off; the
# last is rounded up: most ranges end now, and of what is left of the day and the week nothing is there to be taken off.
# A range shorter than a day (or a week) has none of them.
_SINCE_HOUR = "date_bin('1 hour', since AT TIME ZONE 'UTC', 'epoch')"
_UNTIL_HOUR = f"greatest({_SINCE_HOUR}, date_bin('1 hour', until AT TIME ZONE 'UTC', 'epoch') + interval '1 hour')"
_SINCE_DAY = _if_as_long_as("1 day", f"date_trunc('day', {_SINCE_HOUR} + interval '12 hours')", _UNTIL_HOUR)
_UNTIL_DAY = _if_as_long_as("1 day", f"date_trunc('day', {_UNTIL_HOUR} + interval '23 hours')", _UNTIL_HOUR)
_SINCE_WEEK = _if_as_long_as("7 days", f"date_trunc('week', {_SINCE_DAY} + interval '84 hours')", _UNTIL_DAY)
_UNTIL_WEEK = _if_as_long_as("7 days", f"date_trunc('week', {_UNTIL_DAY} + interval '6 days')", _UNTIL_DAY)
_SETTLED = "CREATE OR REPLACE VIEW reporting.{rollup}_settled AS SELECT {columns} FROM {rollup}"


def create_range_functions(connection: psycopg.Connection[Any]) -> list[tuple[str, str]]:
    """(Re)create both functions of a time range for every rollup by the hour that has a twin by the day.

    In the caller's transaction. Returns the kinds and names of what was made.
    """
    found = {rollup.name: rollup for rollup in rollups(connection)}
    made: list[tuple[str, str]] = []
    for hourly in found.values():
        if hourly.name.endswith("_hour") and "day" in hourly.twins:
            name = hourly.name.removesuffix("_hour")
            grains = [hourly, *(found[f"{name}_{by}"] for by in hourly.twins)]
            made += _create_range_functions(connection, name, grains)
    return made


def _create_range_functions(
    connection: psycopg.Connection[Any], name: str, grains: list[Rollup]
) -> Iterator[tuple[str, str]]:
    hourly = grains[0]
    types = column_types(connection, hourly)
    fields = {
        "name": name,
        "columns": ", ".join(hourly.columns[1:]),
        "typed_columns": ", ".join(f"{column} {types[column]}" for column in hourly.columns[1:]),
        "since_hour": _SINCE_HOUR,
        "until_hour": _UNTIL_HOUR,
        "settled": "\nUNION ALL\n".join(_settled_parts(grains)),
    }
    for rollup in grains:
        settled = _SETTLED.format(rollup=rollup.name, columns=", ".join(rollup.columns))
        yield replace(connection, "VIEW", f"reporting.{rollup.name}_settled", settled)
    yield replace(connection, "FUNCTION", f"reporting.{name}_over_time", _OVER_TIME.format(**fields))
    yield replace(connection, "FUNCTION", f"reporting.{name}_between", _BETWEEN.format(**fields))


def _settled_parts(grains: list[Rollup]) -> Iterator[str]:
    """What adds up to a range: the coarsest grain, and at both ends what a finer one adds or takes off."""
    bounds = [(_SINCE_HOUR, _UNTIL_HOUR), (_SINCE_DAY, _UNTIL_DAY), (_SINCE_WEEK, _UNTIL_WEEK)][: len(grains)]
    for finer, (since, until), (coarse_since, coarse_until) in zip(grains, bounds, bounds[1:], strict=False):
        yield _part(finer, since, coarse_since)
        yield _part(finer, coarse_since, since, sign="-")
        yield _part(finer, until, coarse_until, sign="-")
    yield _part(grains[-1], *bounds[-1])


def _part(rollup: Rollup, since: str, until: str, sign: str = "") -> str:
    columns = ", ".join([*rollup.keys[1:], *(f"{sign}{value}" for value in rollup.merges)])
    since, until = (
        f"({bound}) AT TIME ZONE 'UTC'" if rollup.time == "hour" else f"({bound})::date" for bound in (since, until)
    )
    return (
        f"SELECT {columns}\nFROM reporting.{rollup.name}_settled\n"
        f"WHERE {rollup.time} >= {since} AND {rollup.time} < {until}"
    )
