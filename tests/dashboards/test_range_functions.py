"""Both functions of a time range give what the hourly live view gives, whatever the range."""

from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest

from services.common.postgres import Connection
from services.rollups.catalogue import Rollup, rollups
from tests.dashboards.conftest import Filled

LENGTHS_HOURS = (0, 1, 6, 23, 24, 25, 47, 100, 167, 168, 169, 200, 300)
FUNCTIONS = ("between", "over_time")
_BY_THE_HOUR = "hour >= date_bin('1 hour', %(since)s::timestamptz, 'epoch') AND hour <= %(until)s::timestamptz"


def ranges(until: datetime, seed: int) -> list[dict[str, datetime]]:
    """Of every length, ending now and at some time of the last days."""
    random = Random(seed)
    ends = [(hours, end) for hours in LENGTHS_HOURS for end in (until, until - timedelta(hours=random.uniform(0, 200)))]
    return [{"since": end - timedelta(hours=hours), "until": end} for hours, end in ends]


@pytest.mark.parametrize("seed", range(2))
def test_sums_of_a_range_are_those_of_its_hours(filled: Filled, seed: int) -> None:
    with filled.owner() as connection:
        names = _names(connection)
        assert {"path", "page", "session", "revenue"} <= names.keys()
        for span in ranges(filled.until, seed):
            for name, rollup in names.items():
                by_the_hour = _sums(connection, rollup, f"reporting.{name}_hour WHERE {_BY_THE_HOUR}", span)
                for function in FUNCTIONS:
                    found = _sums(connection, rollup, f"reporting.{name}_{function}(%(since)s, %(until)s)", span)
                    assert found == by_the_hour, (name, function, span)


def test_a_range_that_ends_before_it_begins_holds_nothing(filled: Filled) -> None:
    span = {"since": filled.until, "until": filled.until - timedelta(days=3)}
    with filled.owner() as connection:
        for name, rollup in _names(connection).items():
            for function in FUNCTIONS:
                assert not _sums(connection, rollup, f"reporting.{name}_{function}(%(since)s, %(until)s)", span)


def _names(connection: Connection) -> dict[str, Rollup]:
    """The hourly rollups that have both functions, by their name without `_hour`."""
    found = connection.execute(
        "SELECT left(proname, -8) FROM pg_proc WHERE pronamespace = 'reporting'::regnamespace AND proname LIKE %s",
        ["%\\_between"],
    )
    names = {name for (name,) in found}
    return {
        rollup.name.removesuffix("_hour"): rollup
        for rollup in rollups(connection)
        if rollup.name.removesuffix("_hour") in names
    }


def _sums(connection: Connection, rollup: Rollup, source: str, span: dict[str, datetime]) -> set[Any]:
    """Each key with its sums, unless all are zero."""
    keys = ", ".join(rollup.keys[1:])
    sums = ", ".join(f"sum({value})" for value in rollup.merges)
    rows = connection.execute(f"SELECT {keys}, {sums} FROM {source} GROUP BY {keys}".encode(), span)
    return {row for row in rows if any(row[len(rollup.keys) - 1 :])}
