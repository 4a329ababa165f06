"""Each role can do its work and no more, and no password ever crosses the wire or reaches a log."""

import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace
from typing import cast

import psycopg
import pytest
from psycopg import sql

from services.aggregator import readers
from services.common.log import Logger
from services.common.postgres import Connection, connect
from services.migrate import roles, schema
from services.migrate.settings import MigrateSettings
from tests.conftest import Database, migrated_database
from tests.integration.pipeline import PASSWORDS, Pipeline, scalar, settings_of, wait_until

_ROLLUPS = ("traffic_minute", "page_hour", "session", "visitor_day")


@contextmanager
def _as(role: str, database: Database) -> Iterator[Connection]:
    with connect(settings_of(database, role), "tests", autocommit=True) as connection:
        yield connection


def _refused(connection: Connection, statement: str) -> None:
    with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)):
        connection.execute(statement.encode())


@pytest.fixture(scope="module")
def partitioned(postgres: Database, template: Database) -> Iterator[Database]:
    """A database with a day's partition that was there when the grants were last given; shared: change nothing."""
    with migrated_database(postgres, template) as database:
        with connect(settings_of(database), "tests", autocommit=True) as owner:
            owner.execute("SELECT create_event_partition('2026-09-01')")
            schema.apply(owner, schema.read())
            owner.execute("SELECT create_event_partition('2026-09-02')")
        yield database


@pytest.mark.parametrize("role", ["clickstream_ingest", "clickstream_aggregate"])
@pytest.mark.parametrize("table", ["event", "event_20260901", "event_20260902"])
@pytest.mark.parametrize("statement", ["DELETE FROM {}", "UPDATE {} SET city = 'x'", "TRUNCATE {}", "DROP TABLE {}"])
def test_no_service_changes_an_event_that_is_stored(
    partitioned: Database, role: str, table: str, statement: str
) -> None:
    with _as(role, partitioned) as session, session.transaction(force_rollback=True):
        _refused(session, statement.format(table))


@pytest.mark.parametrize("table", ["event", "event_20260901", "event_20260902"])
def test_the_aggregator_adds_no_event(partitioned: Database, table: str) -> None:
    with _as("clickstream_aggregate", partitioned) as session:
        _refused(session, f"INSERT INTO {table} SELECT * FROM event")
        session.execute("SELECT count(*) FROM event")


def test_the_aggregator_writes_rollups_and_its_own_records_and_no_books(migrated: Database) -> None:
    with _as("clickstream_aggregate", migrated) as session:
        for table in ("event", "schema_migration", "partition_offset", "dead_letter", "ingest_batch", "expired_day"):
            session.execute(f"SELECT * FROM {table} LIMIT 1".encode())
            _refused(session, f"INSERT INTO {table} DEFAULT VALUES")
            _refused(session, f"TRUNCATE {table}")
        for table in (
            "event",
            "schema_migration",
            "partition_offset",
            "expired_day",
            "rollup_horizon",
            "rollup_filled",
        ):
            _refused(session, f"DELETE FROM {table}")
        for change in (
            "partition_offset SET next_offset = 0",
            "partition_offset SET stored = 0",
            "dead_letter SET replayed_at = now()",
            "ingest_batch SET stored = 0",
            "ingest_batch SET committed_at = now() - interval '9 years'",
            "event SET city = 'x'",
            "schema_migration SET checksum = 'x'",
        ):
            _refused(session, f"UPDATE {change}")
        _refused(session, "CREATE TABLE clickstream.mine (n integer)")
        _refused(session, "CREATE TABLE public.mine (n integer)")
        session.execute("UPDATE ingest_batch SET rolled_up = true WHERE false")
        session.execute("CREATE TEMP TABLE mine (n integer)")


@pytest.mark.parametrize("role", ["clickstream_ingest", "clickstream_aggregate"])
def test_no_service_makes_a_day_that_no_event_can_have_or_drops_one_that_still_fills(
    migrated: Database, role: str
) -> None:
    days = "SELECT count(*) FROM reporting.event_partition"
    with _as(role, migrated) as session, connect(settings_of(migrated), "tests", autocommit=True) as owner:
        for day in ("0001-01-01", "1999-12-31", "9999-12-31", "10000-01-01", "infinity", None):
            with pytest.raises(psycopg.errors.InvalidParameterValue, match="no events are stored of"):
                session.execute("SELECT create_event_partition(%s)", [day])
        with pytest.raises(psycopg.errors.InvalidParameterValue, match="no events are stored of"):
            session.execute("SELECT create_event_partition((now() + interval '402 days')::date)")
        assert scalar(owner, days) == 0
        for ahead in ("-2", "-1", "0", "1", "366"):
            session.execute("SELECT create_event_partition((now() AT TIME ZONE 'UTC')::date + %s::integer)", [ahead])
        if role == "clickstream_aggregate":
            drop = "SELECT drop_event_partition((now() AT TIME ZONE 'UTC')::date + %s::integer)"
            for ahead in ("-1", "0", "1", "366"):
                with pytest.raises(psycopg.errors.InvalidParameterValue, match="too young to be dropped"):
                    session.execute(drop, [ahead])
            session.execute(drop, ["-2"])
            assert scalar(owner, days) == 4


def test_what_runs_with_the_owners_rights_is_not_for_everybody(migrated: Database) -> None:
    definers = "FROM pg_proc WHERE pronamespace = 'clickstream'::regnamespace AND prosecdef AND has_function_privilege"
    with migrated.connect() as owner:
        for role, allowed in (
            ("grafana_reader", {"ingest_minute_horizon"}),
            ("clickstream_ingest", {"ingest_minute_horizon", "create_event_partition", "skip_used_ids"}),
        ):
            names = owner.execute(f"SELECT proname {definers} (%s, oid, 'EXECUTE')".encode(), [role])
            assert {name for (name,) in names} == allowed


def test_the_aggregator_takes_nothing_out_of_the_books_but_by_functions_that_look_first(migrated: Database) -> None:
    with _as("clickstream_aggregate", migrated) as session:
        for table in ("ingest_batch", "dead_letter", "partition_offset", "ledger_carried", "expired_day"):
            _refused(session, f"DELETE FROM {table}")
        for function in ("expire_ledger", "expire_dead_letters"):
            assert scalar(session, f"SELECT {function}(now())") == 0


def test_what_an_earlier_version_granted_is_taken_back(migrated: Database) -> None:
    with connect(settings_of(migrated), "tests", autocommit=True) as owner:
        owner.execute("GRANT ALL ON ALL TABLES IN SCHEMA clickstream TO clickstream_aggregate, clickstream_ingest")
        schema.apply(owner, schema.read())
    for role in ("clickstream_aggregate", "clickstream_ingest"):
        with _as(role, migrated) as session:
            _refused(session, "TRUNCATE partition_offset")
            _refused(session, "DELETE FROM event")


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
        _refused(session, "UPDATE dead_letter SET value = 'x'")
        _refused(session, "INSERT INTO schema_migration (name, checksum, works_with) VALUES ('x', 'y', '0')")
        _refused(session, "SELECT drop_event_partition('2026-09-01')")
        _refused(session, "CREATE TABLE clickstream.mine (n integer)")


@pytest.mark.parametrize("role", ["clickstream_ingest", "clickstream_aggregate"])
def test_no_service_touches_the_record_of_migrations(migrated: Database, role: str) -> None:
    with _as(role, migrated) as session:
        assert scalar(session, "SELECT count(*) FROM schema_migration") == len(schema.read().migrations)
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


def test_grafana_that_lifts_its_own_limits_still_makes_nothing(migrated: Database) -> None:
    with _as("grafana_reader", migrated) as session:
        session.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE")
        session.execute("SET statement_timeout = 0")  # a setting is a default, no wall
        for statement in (
            "CREATE TEMP TABLE mine (n integer)",
            "SELECT 1 AS n INTO TEMP mine",
            "CREATE TABLE public.mine (n integer)",
            "SELECT lo_creat(-1)",
            "SELECT lo_create(0)",
            "SELECT lo_from_bytea(0, 'x')",
            "SELECT lo_import('/etc/hostname')",
            "COPY (SELECT 1) TO PROGRAM 'true'",
        ):
            _refused(session, statement)


def test_grafana_that_lifts_its_time_limit_is_ended_by_the_aggregator(migrated: Database) -> None:
    told: list[int] = []
    log = SimpleNamespace(warning=lambda _text, sessions: told.append(sessions))
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = %s"
    with (
        migrated.connect() as owner,
        _as("clickstream_aggregate", migrated) as aggregator,
        _as("grafana_reader", migrated) as long,
        _as("grafana_reader", migrated) as idle,
        _as("grafana_reader", migrated) as innocent,
        _as("clickstream_ingest", migrated) as consumer,
        ThreadPoolExecutor(1) as pool,
    ):
        for session in (long, idle):
            session.execute("SET statement_timeout = 0")
            session.execute("SET idle_in_transaction_session_timeout = 0")
        consumer.execute("BEGIN")
        idle.execute("BEGIN")
        asleep = pool.submit(long.execute, "SELECT pg_sleep(600)")
        wait_until(lambda: scalar(owner, waiting, "PgSleep") == 1, "the long statement to be under way")
        readers.end_long(aggregator, cast("Logger", log), seconds=3600)
        assert told == []
        readers.end_long(aggregator, cast("Logger", log), seconds=0)
        assert told == [2]
        with pytest.raises(psycopg.errors.AdminShutdown):
            asleep.result(30)
        with pytest.raises(psycopg.OperationalError):
            idle.execute("SELECT 1")
        innocent.execute("SELECT 1")
        consumer.execute("SELECT 1")


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


def test_no_password_is_in_any_log_of_the_services(pipeline: Pipeline) -> None:
    pipeline.succeed(pipeline.start("migrate", "migrate", LOG_LEVEL="debug"))
    pipeline.consumer(LOG_LEVEL="debug")
    pipeline.succeed(pipeline.start("producer", "producer", "simulate", "--events", "50", LOG_LEVEL="debug"))
    pipeline.wait_until_stored()
    logs = "".join(process.log.read_text() for process in pipeline.processes)
    for password in filter(None, (*PASSWORDS.values(), pipeline.database.password)):
        assert password not in logs
