"""What PostgreSQL would do for each panel: no raw events but the pending tail's, no large table read whole."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.common.postgres import Connection, connect
from services.rollups.catalogue import rollups
from tests.conftest import Database
from tests.dashboards.conftest import Filled, limited_database
from tests.dashboards.files import DASHBOARDS, Query, load, queries, variables
from tests.dashboards.macros import expand, last
from tests.integration.pipeline import settings_of
from tests.integration.tails import tail_statement

ALL = list(queries())


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All nodes of a plan."""
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


def assert_nothing_is_read_whole(connection: Connection, sql: str) -> None:
    """As it would be for tables too large to read: small ones are read whole whatever the indexes."""
    connection.execute("SET enable_seqscan = off")
    [(explained,)] = connection.execute(f"EXPLAIN (FORMAT JSON) {sql}".encode()).fetchall()
    for node in nodes(explained[0]["Plan"]):
        relation = node.get("Relation Name", "")
        if relation.startswith("event_2") or relation in ("session", "visitor_day"):
            assert node["Node Type"] != "Seq Scan", f"{relation} is read whole"
        if relation.startswith("event_2"):
            conditions = " ".join(node.get(key, "") for key in ("Index Cond", "Recheck Cond", "Filter"))
            looked_up = ("batch_id = ANY", "session_id = ", "ROW(session_id, event_time, event_id) > ")
            assert any(sign in conditions for sign in looked_up), f"{relation} is read whole"


@pytest.mark.parametrize("query", ALL, ids=lambda query: query.key)
def test_no_panel_scans_events_sessions_or_visitors(filled: Filled, query: Query) -> None:
    sql = expand(query.sql, last(timedelta(days=30), filled.until, 3600), query.variables)
    with filled.reader() as reader:
        assert_nothing_is_read_whole(reader, sql)


def test_no_tail_scans_events_sessions_or_visitors(filled: Filled) -> None:
    """A panel's plan does not show it: it is within `reporting.<rollup>_tail()`."""
    with filled.owner() as owner:
        for rollup in rollups(owner):
            assert_nothing_is_read_whole(owner, tail_statement(owner, rollup))


@pytest.mark.parametrize("query", ALL, ids=lambda query: query.key)
def test_a_panel_works_on_an_empty_database(empty: Database, query: Query) -> None:
    span = last(timedelta(days=30), _now(), 3600)
    with connect(settings_of(empty, "grafana_reader"), "grafana", autocommit=True) as reader:
        rows = reader.execute(expand(query.sql, span, query.variables).encode()).fetchall()
    if query.kind not in ("stat",) and query.dashboard != "Pipeline":
        assert rows == []


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.name)
def test_the_choices_at_the_top_can_be_filled(filled: Filled, file: Any) -> None:
    dashboard = load(file)
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            span = last(timedelta(days=12), filled.until, 3600)
            with filled.reader() as reader:
                rows = reader.execute(expand(variable["query"], span, variables(dashboard)).encode()).fetchall()
            assert rows, variable["name"]


@pytest.fixture(scope="module")
def empty(postgres: Database, template: Database) -> Iterator[Database]:
    """All migrations, no rows."""
    with limited_database(postgres, template) as database:
        yield database


def _now() -> datetime:
    return datetime.now(UTC)
