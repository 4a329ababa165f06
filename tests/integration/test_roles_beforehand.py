"""An owner that may not manage roles, as managed databases give one: an administrator has made the roles beforehand."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.embedded import Platform
from tests.conftest import Database
from tests.integration.pipeline import PASSWORDS, Pipeline, scalar

_OWNER_PASSWORD = "owner-of-tests"


@pytest.fixture
def managed(own_platform: Platform, tmp_path: Path) -> Iterator[Pipeline]:
    """A server without our roles, a database, and a login that owns it and may do nothing else."""
    server = own_platform.postgres
    with server.connect() as administrator:
        administrator.execute(f"CREATE ROLE managed LOGIN PASSWORD '{_OWNER_PASSWORD}'".encode())
        administrator.execute("CREATE DATABASE events OWNER managed")
    database = Database(server.host, server.port, "managed", _OWNER_PASSWORD, "events")
    running = Pipeline(database, own_platform.kafka.bootstrap, "clickstream.events.v1", tmp_path)
    yield running
    running.kill_all()


def _refused(pipeline: Pipeline) -> str:
    process = pipeline.start(f"migrate-{len(pipeline.processes)}", "migrate")
    line = pipeline.fail(process)
    assert process.log.read_text().strip() == line, "more than one line"
    return line


def _advice(pipeline: Pipeline) -> dict[str, str]:
    """What the migration could not do: the SQL for an administrator by what it is about."""
    log = pipeline.succeed(pipeline.start(f"migrate-{len(pipeline.processes)}", "migrate"))
    lines = [line["event"] for line in map(json.loads, log.splitlines()) if line["level"] == "warning"]
    return {line.partition(", and ")[0]: line.partition("run as an administrator: ")[2] for line in lines}


def test_roles_made_beforehand_are_used_and_what_lacks_is_told(own_platform: Platform, managed: Pipeline) -> None:
    assert _refused(managed) == (
        "error: roles clickstream_ingest, clickstream_aggregate, grafana_reader are missing, and managed may not "
        "create roles: give it CREATEROLE, or run as an administrator: "
        "CREATE ROLE clickstream_ingest LOGIN PASSWORD '…'; "
        "CREATE ROLE clickstream_aggregate LOGIN PASSWORD '…'; CREATE ROLE grafana_reader LOGIN PASSWORD '…'"
    )
    with own_platform.postgres.connect("events") as administrator:
        for role, password in PASSWORDS.items():
            administrator.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{password}'".encode())
        administrator.execute("ALTER ROLE clickstream_aggregate PASSWORD 'other'")
        assert "ALTER ROLE clickstream_aggregate LOGIN PASSWORD '…', with that of AGGREGATE_PASSWORD" in _refused(
            managed
        )
        administrator.execute(
            f"ALTER ROLE clickstream_aggregate PASSWORD '{PASSWORDS['clickstream_aggregate']}'".encode()
        )

        advice = _advice(managed)
        assert set(advice) == {
            "grafana_reader lacks settings",
            "grafana_reader may make large objects",
            "the aggregator may not end sessions of grafana_reader that take too long",
        }
        assert (
            'ALTER ROLE "grafana_reader" SET "statement_timeout" = \'15s\'' in advice["grafana_reader lacks settings"]
        )
        for statements in advice.values():
            administrator.execute(statements.encode())
        assert _advice(managed) == {}
        assert scalar(administrator, "SELECT rolconnlimit FROM pg_roles WHERE rolname = 'grafana_reader'") == 50

    managed.consumer()
    managed.succeed(managed.start("producer", "producer", "simulate", "--events", "500"))
    managed.wait_until_stored()
    managed.succeed(managed.aggregator("run", "--once"))
    managed.succeed(managed.aggregator("verify", "--all", name="verify"))
