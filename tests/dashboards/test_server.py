"""Dashboards and alerts in a server. TEST_GRAFANA names the program, with its arguments; without it, nothing runs here.

Written for the lab's stand-in for Grafana: `TEST_GRAFANA="…/grafana-standin serve"`.
"""

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Database
from tests.dashboards.conftest import Filled
from tests.dashboards.files import Query, queries
from tests.dashboards.macros import Span, expand
from tests.dashboards.server import COMMAND, Receiver, Server, grafana
from tests.dashboards.test_alerts import CASES, RULES, Platform, platform, run
from tests.dashboards.test_panels import same

pytestmark = pytest.mark.skipif(not COMMAND, reason="TEST_GRAFANA names no Grafana server")
__all__ = ["platform"]
_LOG = logging.getLogger("alerts")  # shown by -o log_cli=true -o log_cli_level=INFO
_NEW_BOOKS = run("TRUNCATE session, dead_letter, ingest_batch, ingest_minute")


@pytest.fixture(scope="module")
def server(filled: Filled, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with grafana(filled.database, tmp_path_factory.mktemp("grafana"), "http://127.0.0.1:1/") as running:
        yield running


@pytest.mark.parametrize("query", list(queries()), ids=lambda query: query.key)
def test_a_panels_query_returns_through_grafana_what_the_database_says(
    filled: Filled, server: Server, query: Query
) -> None:
    until = filled.until.replace(microsecond=0)  # a request knows milliseconds
    span = Span(until - timedelta(hours=36), until, 300)
    plain_sql = query.sql
    for name, text in query.variables.items():
        plain_sql = plain_sql.replace(f"${{{name}:sqlstring}}", text)
    form = "time_series" if query.kind == "timeseries" else "table"
    source = {"type": "grafana-postgresql-datasource", "uid": "clickstream-postgres"}
    target = {"refId": "A", "datasource": source, "rawSql": plain_sql, "format": form, "intervalMs": 300_000}
    body = {"from": _ms(span.since), "to": _ms(span.until), "queries": [target]}
    [frame] = server.call("/api/ds/query", body)["results"]["A"]["frames"]
    with filled.reader() as reader:
        rows = reader.execute(expand(query.sql, span, query.variables).encode()).fetchall()
    columns = frame["data"]["values"]
    if form == "table":
        found = [*zip(*columns, strict=True)] if columns else []
        expected = [tuple(map(_as_json, row)) for row in rows]
        assert len(found) == len(expected)
        assert all(map(same, found, expected))
    else:  # made wide, its gaps filled
        found_sum = sum(value for column in columns[1:] for value in column if value is not None)
        expected_sum = sum(float(v) for row in rows for v in row[1:] if isinstance(v, int | float | Decimal))
        assert found_sum == pytest.approx(expected_sum)


@pytest.mark.parametrize("name", CASES)
def test_an_alert_reaches_the_webhook_and_is_taken_back(
    platform: Platform,
    migrated: Database,
    tmp_path: Path,
    name: str,
) -> None:
    assert name in RULES
    provoke, cure = CASES[name]
    receiver = Receiver()
    try:
        with grafana(migrated, tmp_path, receiver.url) as server:
            _expect(server, name, "inactive")
            provoke(platform)
            _reconnect(platform, server)
            _expect(server, name, "firing")
            assert (name, "firing") in receiver.told
            (cure or _healed)(platform)
            _reconnect(platform, server)
            _expect(server, name, "inactive")
            assert (name, "resolved") in receiver.told
            _LOG.info("%s: webhook told %s", name, [status for told, status in receiver.told if told == name])
    finally:
        receiver.close()


def _expect(server: Server, name: str, state: str) -> None:
    found = server.states()[name]
    _LOG.info("%s: %s", name, found)
    assert found == state


def _healed(platform: Platform) -> None:
    """Where only time would heal: the books anew."""
    _NEW_BOOKS(platform)
    platform.batch()


def _reconnect(platform: Platform, server: Server) -> None:
    """A database's settings hold for new sessions; the evaluation that finds the old one ended is an error."""
    platform.owner.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND usename = 'grafana_reader'"
    )
    server.states()


def _ms(time: datetime) -> str:
    return str(int(time.timestamp() * 1000))


def _as_json(value: Any) -> Any:
    return time_ms(value) if isinstance(value, datetime) else value


def time_ms(value: datetime) -> float:
    """As in a data frame."""
    return value.timestamp() * 1000
