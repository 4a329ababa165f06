"""Holding live views against the oracle, in one snapshot."""

from typing import Any

from services.common.event import COLUMNS
from services.common.postgres import Connection, snapshot
from services.rollups.catalogue import Rollup, rollups
from tests import oracle

_TEXT = ("event_id", "session_id")


def stored_events(connection: Connection) -> list[dict[str, Any]]:
    """The raw events as dicts, as they were on the topic."""
    columns = ", ".join(f"{name}::text" if name in _TEXT else name for name in COLUMNS)
    utc = columns.replace("event_time,", """to_char(event_time, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),""")
    return [dict(zip(COLUMNS, row, strict=True)) for row in connection.execute(f"SELECT {utc} FROM event".encode())]


def assert_exact(connection: Connection, expected_ids: set[str] | None = None) -> None:
    """Every live view equals what the oracle counts from the raw events, at one instant.

    With `expected_ids`, the raw events are exactly these.
    """
    with snapshot(connection):
        events = stored_events(connection)
        live = {rollup.name: _rows(connection, rollup) for rollup in rollups(connection)}
    if expected_ids is not None:
        assert {event["event_id"] for event in events} == expected_ids
        assert len(events) == len(expected_ids)
    unknown, gone = sorted(live.keys() - oracle.ROLLUPS.keys()), sorted(oracle.ROLLUPS.keys() - live.keys())
    assert not unknown, f"tests/oracle.py does not say what {', '.join(unknown)} must hold: add it to ROLLUPS"
    assert not gone, f"tests/oracle.py counts {', '.join(gone)}, and the database has no such rollup"
    for name, count in oracle.ROLLUPS.items():
        _assert_same(name, live[name], count(events))


def _assert_same(name: str, live: oracle.Rows, counted: oracle.Rows) -> None:
    """A few of the keys that differ say more than all rows."""
    off = [key for key in {**live, **counted} if live.get(key) != counted.get(key)]
    shown = "\n".join(f"  {key}: {live.get(key)} instead of {counted.get(key)}" for key in off[:5])
    assert not off, f"reporting.{name} differs from tests/oracle.py at {len(off)} keys:\n{shown}"


def _rows(connection: Connection, rollup: Rollup) -> oracle.Rows:
    """A live view as `{key: values}`; keys that come twice are summed, as every dashboard does."""
    columns = ", ".join(rollup.columns)
    found: oracle.Rows = {}
    for row in connection.execute(f"SELECT {columns} FROM reporting.{rollup.name}".encode()):
        key, values = row[: len(rollup.keys)], row[len(rollup.keys) :]
        if rollup.additive and rollup.merges:
            known = found.get(key, (0,) * len(values))
            found[key] = tuple(a + b for a, b in zip(known, values, strict=True))
        else:
            assert key not in found, f"reporting.{rollup.name} has {key} twice"
            found[key] = values
    if rollup.additive and rollup.merges:
        return {key: values for key, values in found.items() if any(values)}
    return found
