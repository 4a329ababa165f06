"""A rollup that is new in a version has its history once the migration is done; nothing else is touched meanwhile."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from services.aggregator.settings import AggregatorSettings
from services.aggregator.tail import Tail
from services.aggregator.verification import verify
from services.common.errors import UserError
from services.common.postgres import Connection, connect, snapshot
from services.common.rollups import rollups
from services.migrate import history, schema
from services.migrate.schema import Migration
from tests.conftest import Database
from tests.integration.exactly import assert_exact
from tests.integration.pipeline import migrate, settings_of
from tests.integration.test_exactness import stored_history

BY_TYPE = Migration(
    "9000_create_type_day.sql",
    """
    CREATE TABLE type_day (day date, event_type text, n bigint NOT NULL, PRIMARY KEY (day, event_type));
    CREATE VIEW type_day_pending AS
    SELECT (event_time AT TIME ZONE 'UTC')::date AS day, event_type, count(*) AS n FROM pending_event GROUP BY 1, 2;
    """,
)
LIVE = "SELECT day, event_type, sum(n) FROM reporting.type_day GROUP BY 1, 2 ORDER BY 1, 2"
RAW = "SELECT (event_time AT TIME ZONE 'UTC')::date, event_type, count(*) FROM event GROUP BY 1, 2 ORDER BY 1, 2"
LOG = structlog.get_logger()
# Rollups that got another key column once they had history, and what it says of what can't be told apart any more.
WIDENED = {
    "conversion_path_hour": "",
    **{f"{name}_{by}": "other" for name in ("element", "page", "page_time", "page_visit") for by in ("hour", "day")},
}


@pytest.fixture
def owner(migrated: Database) -> Iterator[Connection]:
    with connect(settings_of(migrated), "tests", autocommit=True) as connection:
        yield connection


@pytest.fixture
def settings(migrated: Database) -> AggregatorSettings:
    """A database with history, the last of it pending; the owner's login."""
    stored_history(migrated, seed=11)
    return AggregatorSettings(**settings_of(migrated).model_dump(), aggregator_pass_events=100)


def _upgrade(owner: Connection) -> None:
    schema.apply(owner, [*schema.read(), BY_TYPE])


def test_a_new_rollup_is_filled_with_what_was_rolled_up_before_it(
    owner: Connection, settings: AggregatorSettings
) -> None:
    _upgrade(owner)
    assert owner.execute(LIVE.encode()).fetchall() != owner.execute(RAW.encode()).fetchall()
    assert history.unfilled(owner) == ["type_day"]
    left_out = {drift.rollup: drift.note for drift in verify(settings, days=None) if drift.note}
    assert left_out == {"type_day": "left out: it lacks its history; run python -m services.migrate"}
    history.fill(settings, LOG, threading.Event())
    assert owner.execute(LIVE.encode()).fetchall() == owner.execute(RAW.encode()).fetchall()
    assert history.unfilled(owner) == []
    found = {drift.rollup: drift.drift_rows for drift in verify(settings, days=None)}
    assert found["type_day"] == 0
    assert not any(found.values())


def test_what_a_run_of_the_old_version_rolls_up_meanwhile_is_not_missed(
    migrated: Database, owner: Connection, settings: AggregatorSettings
) -> None:
    with connect(settings_of(migrated, "clickstream_aggregate"), "tests", autocommit=True) as old_run:
        tail = Tail(old_run, work_mem_mb=4)
        tail.bind()
        _upgrade(owner)
        with snapshot(old_run):
            assert tail.roll_up(10_000).events
    history.fill(settings, LOG, threading.Event())
    assert owner.execute(LIVE.encode()).fetchall() == owner.execute(RAW.encode()).fetchall()


def test_only_what_lacks_its_history_is_written(owner: Connection, settings: AggregatorSettings) -> None:
    owner.execute("DELETE FROM rollup_filled WHERE rollup IN ('session_hour', 'path_day')")
    owner.execute("DELETE FROM session_hour")
    owner.execute("UPDATE path_day SET moves = moves + 1")  # wrong and lacking: both are put right
    tampering = (
        "UPDATE page_hour SET views = views + %s WHERE (hour, page_path) = (SELECT min(hour), '/' FROM page_hour)"
    )
    owner.execute(tampering, [1])
    history.fill(settings, LOG, threading.Event())
    assert {drift.rollup for drift in verify(settings, days=None) if drift.drift_rows} == {"page_hour"}
    owner.execute(tampering, [-1])
    assert_exact(owner)


def test_it_can_be_stopped_and_is_begun_anew_by_the_next_migration(
    owner: Connection, settings: AggregatorSettings
) -> None:
    _upgrade(owner)
    stop = threading.Event()
    stop.set()
    with pytest.raises(UserError, match="the next migration begins it anew"):
        history.fill(settings, LOG, stop)
    assert history.unfilled(owner) == ["type_day"]
    history.fill(settings, LOG, threading.Event())
    assert owner.execute(LIVE.encode()).fetchall() == owner.execute(RAW.encode()).fetchall()


def test_a_database_without_events_needs_no_filling(owner: Connection) -> None:
    _upgrade(owner)
    assert history.unfilled(owner) == []


def _narrow(database: Database, rounds_pending: int) -> AggregatorSettings:
    """A database with history, migrated no further than the last version without these key columns."""
    migrate(database, [migration for migration in schema.read() if migration.name < "0055"])
    stored_history(database, seed=12, rounds_pending=rounds_pending)
    return AggregatorSettings(**settings_of(database).model_dump(), aggregator_pass_events=100)


def _rows(owner: Connection, until: str) -> dict[str, list[tuple[Any, ...]]]:
    """What the rollups that get another key column hold of the time before: keys first, then values, sorted."""
    found = {}
    for rollup in rollups(owner):
        if rollup.name in WIDENED:
            statement = f"SELECT {', '.join(rollup.columns)} FROM {rollup.name} WHERE {rollup.time} < %s"
            found[rollup.name] = sorted(owner.execute(statement.encode(), [until]).fetchall())
    return found


def test_rollups_that_get_another_key_column_are_filled_by_it_and_lose_nothing_meanwhile(database: Database) -> None:
    settings = _narrow(database, rounds_pending=1)
    views = b"SELECT hour, page_path, sum(views) FROM reporting.page_hour GROUP BY 1, 2 ORDER BY 1, 2"
    with connect(settings_of(database), "tests", autocommit=True) as owner:
        before = owner.execute(views).fetchall()
        migrate(database)
        assert owner.execute(views).fetchall() == before
        assert history.unfilled(owner) == sorted(WIDENED)
        history.fill(settings, LOG, threading.Event())
        assert history.unfilled(owner) == []
        assert_exact(owner)


def test_a_key_column_that_comes_after_raw_events_are_gone_says_that_it_can_not_be_told(database: Database) -> None:
    settings = _narrow(database, rounds_pending=0)
    with connect(settings_of(database), "tests", autocommit=True) as owner:
        before = _rows(owner, "2026-08-31")
        owner.execute("SELECT drop_event_partition('2026-08-29')")
        migrate(database)
        history.fill(settings, LOG, threading.Event())
        keys = {rollup.name: len(rollup.keys) - 1 for rollup in rollups(owner)}
        assert all(before.values())
        assert _rows(owner, "2026-08-31") == {
            name: [(*row[: keys[name]], WIDENED[name], *row[keys[name] :]) for row in rows]
            for name, rows in before.items()
        }
        assert {drift.rollup: drift.drift_rows for drift in verify(settings, days=None) if drift.drift_rows} == {}
        told = "SELECT DISTINCT device_type FROM page_hour WHERE hour >= '2026-08-31' ORDER BY 1"
        assert owner.execute(told.encode()).fetchall() == [("desktop",), ("mobile",)]
