"""A rollup that is new in a version has its history once the migration is done; nothing else is touched meanwhile."""

import threading
from collections.abc import Iterator

import pytest
import structlog

from services.aggregator.settings import AggregatorSettings
from services.aggregator.verification import verify
from services.common.errors import UserError
from services.common.postgres import Connection, connect, snapshot
from services.migrate import history, schema
from services.migrate.repeatable import Repeatable
from services.migrate.versioned import Migration
from services.rollups.tail import Tail
from tests.conftest import Database
from tests.integration.exactly import assert_exact
from tests.integration.pipeline import scalar, settings_of
from tests.integration.test_exactness import stored_history

TYPE_DAY_TABLE = Migration(
    "9000_create_type_day.sql",
    "CREATE TABLE type_day (day date, event_type text, n bigint NOT NULL, PRIMARY KEY (day, event_type));",
)
TYPE_DAY_VIEW = Repeatable(
    "rollups/type_day.sql",
    """
CREATE OR REPLACE VIEW type_day_pending AS
SELECT (event_time AT TIME ZONE 'UTC')::date AS day, event_type, count(*) AS n FROM pending_event GROUP BY 1, 2;
""",
)
TYPE_DAY = (TYPE_DAY_TABLE, TYPE_DAY_VIEW)
LIVE = "SELECT day, event_type, sum(n) FROM reporting.type_day GROUP BY 1, 2 ORDER BY 1, 2"
RAW = "SELECT (event_time AT TIME ZONE 'UTC')::date, event_type, count(*) FROM event GROUP BY 1, 2 ORDER BY 1, 2"
LOG = structlog.get_logger()
# Clicks by the session's country too; of what can't be told apart any more, the country is empty.
BY_COUNTRY = (
    Migration(
        "9001_add_country_to_element.sql",
        "".join(
            f"ALTER TABLE element_{by} ADD COLUMN country text COLLATE \"C\" NOT NULL DEFAULT '', "
            f"DROP CONSTRAINT element_{by}_pkey, "
            f"ADD PRIMARY KEY ({by}, site, page_path, element, device_type, country);"
            for by in ("hour", "day")
        ),
    ),
    Repeatable(
        "rollups/element_hour.sql",
        """
CREATE OR REPLACE VIEW element_hour_pending AS
SELECT date_bin('1 hour', event_time, 'epoch'::timestamptz) AS hour, site, page_path,
    coalesce(element, '') AS element, device_type, coalesce(country, '') AS country, count(*) AS clicks
FROM pending_event WHERE event_type = 'click' GROUP BY 1, 2, 3, 4, 5, 6;
""",
    ),
)
CLICKS = """
SELECT hour, page_path, element, device_type, sum(clicks) FROM reporting.element_hour GROUP BY 1, 2, 3, 4
ORDER BY 1, 2, 3, 4
"""
CLICKS_BY_COUNTRY = """
SELECT day, page_path, element, country, sum(clicks) FROM reporting.element_day GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
"""
RAW_CLICKS_BY_COUNTRY = """
SELECT (event_time AT TIME ZONE 'UTC')::date, page_path, coalesce(element, ''), coalesce(country, ''), count(*)
FROM event WHERE event_type = 'click' GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
"""


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
    schema.apply(owner, schema.read().extended(*TYPE_DAY))


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


def test_a_rollup_that_gets_another_key_column_is_filled_by_it_and_loses_nothing_meanwhile(
    owner: Connection, settings: AggregatorSettings
) -> None:
    before = owner.execute(CLICKS.encode()).fetchall()
    assert before
    schema.apply(owner, schema.read().extended(*BY_COUNTRY))
    assert owner.execute(CLICKS.encode()).fetchall() == before
    assert history.unfilled(owner) == ["element_day", "element_hour"]
    history.fill(settings, LOG, threading.Event())
    assert history.unfilled(owner) == []
    assert owner.execute(CLICKS.encode()).fetchall() == before
    told = owner.execute(CLICKS_BY_COUNTRY.encode()).fetchall()
    assert told == owner.execute(RAW_CLICKS_BY_COUNTRY.encode()).fetchall()
    assert len({country for _, _, _, country, _ in told}) > 1


def test_a_key_column_that_comes_after_raw_events_are_gone_says_that_it_can_not_be_told(
    migrated: Database, owner: Connection
) -> None:
    stored_history(migrated, seed=12, rounds_pending=0)
    settings = AggregatorSettings(**settings_of(migrated).model_dump(), aggregator_pass_events=100)
    before = [row for row in owner.execute(CLICKS.encode()).fetchall() if f"{row[0]:%F}" < "2026-08-31"]
    owner.execute("SELECT drop_event_partition('2026-08-29')")
    schema.apply(owner, schema.read().extended(*BY_COUNTRY))
    history.fill(settings, LOG, threading.Event())
    assert before
    assert [row for row in owner.execute(CLICKS.encode()).fetchall() if f"{row[0]:%F}" < "2026-08-31"] == before
    told = owner.execute(CLICKS_BY_COUNTRY.encode()).fetchall()
    assert {country for day, _, _, country, _ in told if f"{day:%F}" < "2026-08-31"} == {""}
    assert len({country for day, _, _, country, _ in told if f"{day:%F}" >= "2026-08-31"}) > 1
    assert {drift.rollup: drift.drift_rows for drift in verify(settings, days=None) if drift.drift_rows} == {}


def test_a_rollup_that_counts_something_else_is_filled_anew_and_so_is_what_stands_on_it(
    owner: Connection, settings: AggregatorSettings
) -> None:
    (page,) = [file for file in schema.read().repeatables if file.name == "rollups/page_hour.sql"]
    without_clicks = Repeatable(page.name, page.sql.replace("event_type = 'click'", "event_type = 'never'"))
    schema.apply(owner, schema.read().extended(without_clicks))
    assert history.unfilled(owner) == ["page_day", "page_hour"]
    history.fill(settings, LOG, threading.Event())
    assert scalar(owner, "SELECT sum(clicks) FROM reporting.page_day") == 0
    schema.apply(owner, schema.read())
    assert history.unfilled(owner) == ["page_day", "page_hour"]
    history.fill(settings, LOG, threading.Event())
    assert_exact(owner)


def test_a_function_that_says_something_else_fills_the_rollups_that_use_it(
    owner: Connection, settings: AggregatorSettings
) -> None:
    (session,) = [file for file in schema.read().repeatables if file.name == "rollups/session.sql"]
    schema.apply(owner, schema.read().extended(Repeatable(session.name, session.sql.replace("'direct'", "'none'"))))
    lacking = history.unfilled(owner)
    assert {"session", "source_hour", "source_day", "conversion_path_hour", "session_hour"} <= set(lacking)
    assert not {"page_hour", "traffic_minute", "visitor_day"} & set(lacking)
    history.fill(settings, LOG, threading.Event())
    sources = {source for (source,) in owner.execute("SELECT DISTINCT source FROM reporting.source_day")}
    assert "none" in sources
    assert "direct" not in sources


@pytest.mark.usefixtures("settings")
def test_another_comment_fills_nothing(owner: Connection) -> None:
    (page,) = [file for file in schema.read().repeatables if file.name == "rollups/page_hour.sql"]
    schema.apply(owner, schema.read().extended(Repeatable(page.name, f"-- Said better.\n{page.sql}")))
    assert history.unfilled(owner) == []
