"""Conversion is what a site says it is, also of what was rolled up before it said so."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from services.aggregator.settings import AggregatorSettings
from services.aggregator.verification import verify
from services.common.postgres import Connection, connect
from services.migrate import history, schema
from services.migrate.goals import Goal, Goals
from tests.conftest import Database
from tests.integration.exactly import assert_exact
from tests.integration.pipeline import Pipeline, settings_of
from tests.integration.test_exactness import stored_history

LOG = structlog.get_logger()
GOALS: Goals = {
    "blog.example": [Goal(event_type="custom", event_name="signup"), Goal(event_type="page_view", page="/product/*")],
    "app": [],
}
# Of each session, whether an event of it is a goal of the event's site: in plain SQL, without our functions.
CONVERTED = """
SELECT session_id, bool_or(CASE site
    WHEN 'blog.example' THEN (event_type = 'custom' AND event_name = 'signup')
        OR (event_type = 'page_view' AND starts_with(page_path, '/product/'))
    WHEN 'app' THEN false
    ELSE event_type = 'purchase'
END)
FROM event GROUP BY 1
"""


@pytest.fixture
def settings(migrated: Database) -> AggregatorSettings:
    """A database with history of three sites, the last of it pending."""
    stored_history(migrated, seed=21)
    return AggregatorSettings(**settings_of(migrated).model_dump(), aggregator_pass_events=100)


@pytest.fixture
def owner(migrated: Database) -> Iterator[Connection]:
    with connect(settings_of(migrated), "tests", autocommit=True) as connection:
        yield connection


def _query(owner: Connection, statement: str) -> list[tuple[Any, ...]]:
    return owner.execute(statement.encode()).fetchall()


def _fill(owner: Connection, settings: AggregatorSettings, goals: Goals) -> list[str]:
    schema.apply(owner, schema.read(), goals)
    lacking = history.unfilled(owner)
    history.fill(settings, LOG, threading.Event())
    return lacking


def test_another_definition_fills_the_history_of_what_follows_it_and_nothing_else(
    owner: Connection, settings: AggregatorSettings
) -> None:
    lacking = set(_fill(owner, settings, GOALS))
    assert {"session", "session_hour", "session_day", "source_hour", "source_day", "conversion_path_hour"} <= lacking
    assert not {"traffic_minute", "page_hour", "product_day", "visitor_day", "revenue_hour"} & lacking
    assert not any(drift.drift_rows for drift in verify(settings, days=None))
    converted = dict(_query(owner, CONVERTED))
    assert dict(_query(owner, "SELECT session_id, converted FROM reporting.session")) == converted
    assert 0 < sum(converted.values()) < len(converted)
    (conversions,) = _query(owner, "SELECT sum(conversions) FROM reporting.session_day")
    assert conversions == (sum(converted.values()),)
    assert _query(owner, "SELECT sum(conversions) FROM reporting.conversion_path_hour") == [conversions]
    assert _query(owner, "SELECT count(*) FROM reporting.session WHERE converted <> (furthest_step = 4)") == [(0,)]
    assert _query(owner, "SELECT count(*) FROM reporting.session WHERE converted = (converted_at IS NULL)") == [(0,)]


def test_the_same_definition_again_fills_nothing_and_the_first_one_brings_back_what_was(
    owner: Connection, settings: AggregatorSettings
) -> None:
    assert _fill(owner, settings, {}) == []
    assert _fill(owner, settings, GOALS) != []
    assert _fill(owner, settings, GOALS) == []
    assert schema.apply(owner, schema.read()) == [], "who says nothing of goals leaves them"
    assert history.unfilled(owner) == []
    assert _fill(owner, settings, {}) != []
    assert_exact(owner)


def test_the_way_to_a_page_that_is_a_goal_ends_there(owner: Connection, settings: AggregatorSettings) -> None:
    _fill(owner, settings, {"*": [Goal(event_type="page_view", page="/checkout")]})
    ways = {steps for (steps,) in _query(owner, "SELECT DISTINCT steps FROM reporting.conversion_path_hour")}
    assert ways
    assert all(steps.endswith("/checkout") for steps in ways)
    assert not any("/checkout" in steps.removesuffix("/checkout") for steps in ways)


@pytest.mark.parametrize(
    ("goals", "says"),
    [
        ('{"shop.example": [{"event_type": "purchse"}]}', "GOALS: Input should be 'page_view', 'click'"),
        ("purchase", "GOALS: it is no JSON"),
        ('{"shop.example": [{"type": "purchase"}]}', "GOALS: "),
        ('{"Shop Example!": []}', "GOALS: String should match pattern"),
    ],
)
def test_goals_that_can_not_be_are_one_line(pipeline: Pipeline, goals: str, says: str) -> None:
    process = pipeline.start("migrate-goals", "migrate", GOALS=goals)
    line = pipeline.fail(process)
    assert "Traceback" not in process.log.read_text()
    assert says in line


def test_the_migration_takes_goals_from_its_setting(pipeline: Pipeline) -> None:
    goals = '{"Blog.example": [{"event_type": "custom", "event_name": "signup"}], "app": []}'
    pipeline.succeed(pipeline.start("migrate-goals", "migrate", GOALS=goals))
    with pipeline.database.connect() as session:
        found = session.execute("SELECT site, event_type, event_name FROM clickstream.goal ORDER BY 1").fetchall()
    assert found == [("*", "purchase", ""), ("app", "", ""), ("blog.example", "custom", "signup")]
