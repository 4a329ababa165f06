"""Each role can do its work and no more, and no password ever crosses the wire or reaches a log."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql

from services.common.errors import UserError
from services.common.postgres import Connection, connect
from services.migrate import roles, schema
from services.migrate.settings import MigrateSettings
from tests.conftest import Database
from tests.integration.pipeline import PASSWORDS, Pipeline, scalar, settings_of

_ROLLUPS = ("traffic_minute", "page_hour", "session", "visitor_day")


@contextmanager
def _as(role: str, database: Database) -> Iterator[Connection]:
    with connect(settings_of(database, role), "tests", autocommit=True) as connection:
        yield connection


def _refused(connection: Connection, statement: str) -> None:
    with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)):
        connection.execute(statement.encode())


@pytest.fixture
def partitioned(migrated: Database) -> Database:
    """A database with a day's partition that was there when the grants were last given."""
    with connect(settings_of(migrated), "tests", autocommit=True) as owner:
        owner.execute("SELECT create_event_partition('2026-09-01')")
        schema.apply(owner, schema.read())
        owner.execute("SELECT create_event_partition('2026-09-02')")
    return migrated


@pytest.mark.parametrize("role", ["clickstream_ingest", "clickstream_aggregate"])
@pytest.mark.parametrize("table", ["event", "event_20260901", "event_20260902"])
@pytest.mark.parametrize("statement", ["DELETE FROM {}", "UPDATE {} SET city = 'x'", "TRUNCATE {}", "DROP TABLE {}"])
def test_no_service_changes_an_event_that_is_stored(
    partitioned: Database, role: str, table: str, statement: str
) -> None:
    with _as(role, partitioned) as session:
        _refused(session, statement.format(table))


@pytest.mark.parametrize("table", ["event", "event_20260901", "event_20260902"])
def test_the_aggregator_adds_no_event(partitioned: Database, table: str) -> None:
    with _as("clickstream_aggregate", partitioned) as session:
        _refused(session, f"INSERT INTO {table} SELECT * FROM event")
        session.execute("SELECT count(*) FROM event")


def test_the_consumer_has_no_way_to_the_rollups_but_their_views(migrated: Database) -> None:
    with _as("clickstream_ingest", migrated) as session:
        for table in (*_ROLLUPS, "aggregator_run", "verification", "rollup_horizon"):
            _refused(session, f"SELECT * FROM {table}")
            _refused(session, f"DELETE FROM {table}")
        for table in _ROLLUPS:
            session.execute(f"SELECT * FROM reporting.{table}".encode())


def test_the_consumer_writes_its_books_and_takes_nothing_out_of_them(migrated: Database) -> None:
    with _as("clickstream_ingest", migrated) as session:
        for table in ("ingest_batch", "partition_offset", "dead_letter", "schema_migration", "expired_day"):
            _refused(session, f"DELETE FROM {table}")
        _refused(session, "UPDATE ingest_batch SET rolled_up = true")
        _refused(session, "INSERT INTO schema_migration (name, checksum) VALUES ('x', 'y')")
        _refused(session, "SELECT drop_event_partition('2026-09-01')")
        _refused(session, "CREATE TABLE clickstream.mine (n integer)")


@pytest.mark.parametrize("role", ["clickstream_ingest", "clickstream_aggregate"])
def test_no_service_touches_the_record_of_migrations(migrated: Database, role: str) -> None:
    with _as(role, migrated) as session:
        assert scalar(session, "SELECT count(*) FROM schema_migration") == len(schema.read())
        _refused(session, "UPDATE schema_migration SET checksum = 'x'")


def test_nobody_else_may_make_or_drop_a_day_of_events(migrated: Database) -> None:
    for function in ("create_event_partition('2026-09-01')", "drop_event_partition('2026-09-01')"):
        with _as("grafana_reader", migrated) as session:
            _refused(session, f"SELECT clickstream.{function}")


def test_grafana_reads_every_view_of_reporting(migrated: Database) -> None:
    with _as("grafana_reader", migrated) as session:
        views = session.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'reporting'::regnamespace"
        ).fetchall()
        assert {"traffic_minute", "partition_offset", "dead_letter"} <= {name for (name,) in views}
        for (view,) in views:
            session.execute(f"SELECT * FROM reporting.{view}".encode())


def test_grafana_sees_nothing_beside_reporting_and_no_raw_bytes(migrated: Database) -> None:
    with _as("grafana_reader", migrated) as session, migrated.connect() as owner:
        tables = owner.execute(
            "SELECT relname FROM pg_class "
            "WHERE relnamespace = 'clickstream'::regnamespace AND relkind IN ('r', 'p', 'v')"
        ).fetchall()
        assert len(tables) > 20
        for (table,) in tables:
            _refused(session, f"SELECT * FROM clickstream.{table}")
        with pytest.raises(psycopg.errors.UndefinedColumn):
            session.execute("SELECT value FROM reporting.dead_letter")


def test_grafana_can_not_write_even_after_it_asks_for_a_writing_transaction(migrated: Database) -> None:
    with _as("grafana_reader", migrated) as session:
        assert scalar(session, "SHOW default_transaction_read_only") == "on"
        _refused(session, "CREATE TEMP TABLE mine (n integer)")
        session.execute("SET default_transaction_read_only = off")
        for statement in (
            "DELETE FROM reporting.dead_letter",
            "UPDATE reporting.partition_offset SET next_offset = 0",
            "INSERT INTO reporting.traffic_minute VALUES (now(), 'click', 'other', 1)",
            "CREATE TABLE public.mine (n integer)",
            "CREATE VIEW reporting.mine AS SELECT 1",
            "CREATE SCHEMA mine",
        ):
            with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.ObjectNotInPrerequisiteState)):
                session.execute(statement.encode())


def test_grafana_can_not_hold_the_database_for_long(migrated: Database) -> None:
    with migrated.connect() as owner:
        database = owner.info.dbname
        kept = scalar(owner, "SELECT rolconfig FROM pg_roles WHERE rolname = 'grafana_reader'")
        assert {"statement_timeout=15s", "idle_in_transaction_session_timeout=30s"} <= set(kept)  # type: ignore[call-overload]
        assert scalar(owner, "SELECT rolconnlimit FROM pg_roles WHERE rolname = 'grafana_reader'") == 50
        quicker = sql.SQL("ALTER ROLE grafana_reader IN DATABASE {} SET statement_timeout = '50ms'")
        owner.execute(quicker.format(sql.Identifier(database)))
    with _as("grafana_reader", migrated) as session, pytest.raises(psycopg.errors.QueryCanceled):
        session.execute("SELECT pg_sleep(20)")


def test_passwords_reach_the_server_as_scram_verifiers_alone(migrated: Database) -> None:
    owner = settings_of(migrated)
    wanted = MigrateSettings(
        **owner.model_dump(),
        kafka_bootstrap_servers="unused:9092",
        ingest_password=PASSWORDS["clickstream_ingest"],
        grafana_reader_password=PASSWORDS["grafana_reader"],
    )
    with connect(owner, "tests", autocommit=True) as connection, tempfile.TemporaryFile() as wire:
        connection.pgconn.trace(wire.fileno())
        roles.create(connection, wanted)
        connection.pgconn.untrace()
        wire.seek(0)
        sent = wire.read()
    assert sent.count(b"SCRAM-SHA-256$") == 2
    for password in PASSWORDS.values():
        assert password.encode() not in sent


def test_a_role_whose_password_is_not_given_keeps_its_own(migrated: Database) -> None:
    owner = settings_of(migrated)
    with connect(owner, "tests", autocommit=True) as connection:
        roles.create(connection, MigrateSettings(**owner.model_dump(), kafka_bootstrap_servers="unused:9092"))
    with _as("clickstream_ingest", migrated) as session:
        assert scalar(session, "SELECT current_user") == "clickstream_ingest"


def test_an_owner_that_may_not_manage_roles_is_told_so_in_one_line(migrated: Database) -> None:
    with _as("clickstream_ingest", migrated) as session:
        settings = settings_of(migrated, "clickstream_ingest")
        wanted = MigrateSettings(**settings.model_dump(), kafka_bootstrap_servers="x:1", ingest_password="other")
        with pytest.raises(UserError, match="let POSTGRES_USER create roles, or create clickstream_ingest"):
            roles.create(session, wanted)


def test_no_password_is_in_any_log_of_the_services(pipeline: Pipeline) -> None:
    pipeline.succeed(pipeline.start("migrate", "migrate", LOG_LEVEL="debug"))
    pipeline.consumer(LOG_LEVEL="debug")
    pipeline.succeed(pipeline.start("producer", "producer", "simulate", "--events", "50", LOG_LEVEL="debug"))
    pipeline.wait_until_stored()
    logs = "".join(process.log.read_text() for process in pipeline.processes)
    for password in filter(None, (*PASSWORDS.values(), pipeline.database.password)):
        assert password not in logs
