"""Schema, roles and topic: made once, safe to repeat, and never altered in silence."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from confluent_kafka.admin import AdminClient

from local.process import Process
from services.common import uuid7
from services.common.errors import UserError
from services.common.postgres import connect
from services.migrate import roles, schema
from services.migrate.repeatable import Repeatable
from services.migrate.schema import Schema
from services.migrate.settings import MigrateSettings
from services.migrate.versioned import Migration
from tests.conftest import Database, create_topic
from tests.events import first_id
from tests.integration.pipeline import PASSWORDS, Pipeline, scalar, settings_of, wait_until
from tests.unit.consumer.samples import event


@pytest.fixture
def empty(database: Database, broker: str, tmp_path: Path) -> Iterator[Pipeline]:
    """An empty database and a topic that is not there yet."""
    running = Pipeline(database, broker, f"test.{uuid4().hex[:12]}", tmp_path)
    yield running
    running.kill_all()
    admin = AdminClient({"bootstrap.servers": broker})
    if running.topic in admin.list_topics(timeout=10).topics:
        admin.delete_topics([running.topic])[running.topic].result(30)


def _migrate(pipeline: Pipeline, *arguments: str, **environment: str) -> Process:
    return pipeline.start(f"migrate-{len(pipeline.processes)}", "migrate", *arguments, **environment)


def _records(log: str) -> dict[str, dict[str, Any]]:
    """The log's lines by what they say."""
    lines = [json.loads(line) for line in log.splitlines()]
    return {str(line["event"]): line for line in lines}


def _refused(pipeline: Pipeline, process: Process) -> str:
    """The one line on which it ended; log lines before it aside."""
    line = pipeline.fail(process)
    assert "Traceback" not in process.log.read_text()
    assert line.startswith("error: ")
    return line


def _catalogue(database: Database) -> list[tuple[Any, ...]]:
    with database.connect() as session:
        return session.execute(
            "SELECT n.nspname, c.relname, c.relkind, c.relacl::text, md5(coalesce(pg_get_viewdef(c.oid), '')) "
            "FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
            "WHERE n.nspname IN ('clickstream', 'reporting') ORDER BY 1, 2"
        ).fetchall()


def test_a_fresh_database_and_topic_are_made_and_a_second_run_changes_nothing(empty: Pipeline) -> None:
    first = _records(empty.succeed(_migrate(empty)))
    assert first["schema is up to date"]["applied"] == [migration.name for migration in schema.read().migrations]
    assert first["topic created"]["partitions"] == 12
    made = AdminClient({"bootstrap.servers": empty.bootstrap}).list_topics(empty.topic, timeout=10)
    assert len(made.topics[empty.topic].partitions) == 12
    before = _catalogue(empty.database)

    second = _records(empty.succeed(_migrate(empty)))
    assert second["schema is up to date"]["applied"] == []
    assert second["topic is there"]["partitions"] == 12
    assert _catalogue(empty.database) == before


def test_several_at_once_all_succeed_and_each_migration_is_applied_once(empty: Pipeline) -> None:
    together = [_migrate(empty) for _ in range(4)]
    logs = [_records(empty.succeed(process)) for process in together]
    applied = [name for log in logs for name in log["schema is up to date"]["applied"]]
    assert sorted(applied) == [migration.name for migration in schema.read().migrations]


def test_an_existing_topic_with_fewer_partitions_is_reported_and_left_alone(empty: Pipeline) -> None:
    create_topic(empty.bootstrap, empty.topic, 3)
    log = empty.succeed(_migrate(empty))
    (warning,) = [line for line in map(json.loads, log.splitlines()) if line["level"] == "warning"]
    assert "fewer partitions than asked for: left as it is" in warning["event"]
    assert (warning["topic"], warning["partitions"], warning["kafka_topic_partitions"]) == (empty.topic, 3, 12)
    found = AdminClient({"bootstrap.servers": empty.bootstrap}).list_topics(empty.topic, timeout=10)
    assert len(found.topics[empty.topic].partitions) == 3


def test_a_topic_that_the_broker_can_not_make_is_one_line(empty: Pipeline) -> None:
    line = _refused(empty, _migrate(empty, KAFKA_TOPIC_REPLICATION_FACTOR="3"))
    assert f"topic {empty.topic}: " in line
    assert "eplication factor" in line


@pytest.mark.parametrize("command", [[], ["--wait"]])
def test_a_changed_or_unknown_migration_is_refused_in_one_line(pipeline: Pipeline, command: list[str]) -> None:
    with pipeline.database.connect() as session:
        session.execute("UPDATE clickstream.schema_migration SET checksum = 'other' WHERE name LIKE '0002%'")
    line = _refused(pipeline, _migrate(pipeline, *command))
    assert line.startswith("error: migration 0002_create_ledger.sql was changed after it was applied: restore the file")
    with pipeline.database.connect() as session:
        session.execute("UPDATE clickstream.schema_migration SET works_with = '99.0' WHERE name LIKE '0002%'")
        session.execute(
            "UPDATE clickstream.schema_migration SET name = '9999_from_the_future.sql' WHERE name LIKE '0002%'"
        )
    line = _refused(pipeline, _migrate(pipeline, *command))
    assert "migration 9999_from_the_future.sql, which works with version 99.0 and later, and this is " in line


@pytest.mark.parametrize(
    "failing",
    [
        "SELECT 1 / 0",
        "SELECT FROM nothing",
        "no SQL",
        "ALTER TABLE made ADD CHECK (n > 5)",
        "INSERT INTO made VALUES (1)",
    ],
)
def test_a_failing_migration_leaves_nothing_applied_not_even_those_before_it(database: Database, failing: str) -> None:
    good = Migration("0001_create_made.sql", "CREATE TABLE made (n integer PRIMARY KEY); INSERT INTO made VALUES (1)")
    bad = Migration("0002_fail.sql", f"CREATE TABLE half (n integer); {failing}")
    never = Migration("0003_create_never.sql", "CREATE TABLE never (n integer)")
    with connect(settings_of(database), "tests", autocommit=True) as connection:
        failing_schema = Schema([good, bad, never], [])
        with pytest.raises(UserError, match=r"^migration 0002_fail\.sql: "):
            schema.apply(connection, failing_schema)
        tables = connection.execute(
            "SELECT relname FROM pg_class WHERE relname IN ('made', 'half', 'never')"
        ).fetchall()
        assert tables == []
        assert schema.missing(connection, failing_schema) == [good.name, bad.name, never.name]
        assert scalar(connection, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0


def test_a_rollup_without_a_time_is_refused_before_it_is_there(database: Database) -> None:
    odd = Schema(
        [Migration("0001_create_odd.sql", "CREATE TABLE odd (n int PRIMARY KEY)")],
        [Repeatable("odd.sql", "CREATE OR REPLACE VIEW odd_pending AS SELECT 1 AS n;")],
    )
    with connect(settings_of(database), "tests", autocommit=True) as connection:
        with pytest.raises(UserError, match="rollup odd has no column of type timestamptz or date"):
            schema.apply(connection, odd)
        assert scalar(connection, "SELECT to_regclass('clickstream.odd')") is None


def test_a_database_of_a_checkout_from_before_the_first_release_is_refused_in_one_line(empty: Pipeline) -> None:
    with empty.database.connect() as session:
        session.execute("CREATE SCHEMA clickstream")
        session.execute("CREATE TABLE clickstream.schema_migration (name text PRIMARY KEY, checksum text NOT NULL)")
    assert "before the first release: make it anew" in _refused(empty, _migrate(empty))


def test_waiting_ends_once_the_schema_is_there(empty: Pipeline) -> None:
    waiting = _migrate(empty, "--wait")
    wait_until(lambda: "the schema lacks" in waiting.log.read_text(), "it to wait")
    assert waiting.running
    empty.succeed(_migrate(empty))
    empty.succeed(waiting, 20)
    assert "applied" not in waiting.log.read_text(), "who waits changes nothing"


def test_who_waits_without_rights_yet_gets_them_from_the_migration(empty: Pipeline) -> None:
    with connect(settings_of(empty.database), "tests", autocommit=True) as owner:
        password = PASSWORDS["clickstream_aggregate"]
        login = settings_of(empty.database).model_dump() | {"kafka_bootstrap_servers": empty.bootstrap}
        roles.create(owner, MigrateSettings(**login, aggregate_password=password))
        owner.execute("CREATE SCHEMA clickstream")
    waiting = empty.start("waiting", "migrate", "--wait", role="clickstream_aggregate")
    wait_until(lambda: "permission denied for schema clickstream" in waiting.log.read_text(), "it to wait")
    empty.succeed(_migrate(empty))
    empty.succeed(waiting, 20)


def test_who_waits_may_be_there_before_their_role(empty: Pipeline) -> None:
    waiting = empty.start("waiting", "migrate", "--wait", POSTGRES_USER="nobody_yet")
    wait_until(lambda: "nobody_yet" in waiting.log.read_text(), "it to wait")
    with empty.database.connect() as session:
        session.execute(f"CREATE ROLE nobody_yet LOGIN SUPERUSER PASSWORD '{empty.database.password}'")
    try:
        empty.succeed(_migrate(empty))
        empty.succeed(waiting, 20)
    finally:
        with empty.database.connect() as session:
            session.execute("DROP ROLE nobody_yet")


def test_waiting_fails_at_its_deadline_and_names_what_is_lacking(empty: Pipeline) -> None:
    line = _refused(empty, _migrate(empty, "--wait", MIGRATE_WAIT_SECONDS="0.5"))
    assert line.endswith("migrations, the first is 0001_create_event.sql")


def test_a_database_or_broker_that_is_away_is_waited_for_until_the_deadline(empty: Pipeline) -> None:
    line = _refused(empty, _migrate(empty, POSTGRES_PORT="1", MIGRATE_WAIT_SECONDS="0.5"))
    assert "PostgreSQL at 127.0.0.1:1/" in line
    line = _refused(empty, _migrate(empty, KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1", MIGRATE_WAIT_SECONDS="0.5"))
    assert "KAFKA_BOOTSTRAP_SERVERS" in line


def test_sql_and_python_agree_on_the_range_of_a_day(migrated: Database) -> None:
    days = [date(1970, 1, 1), date(2000, 2, 29), date(2024, 12, 31), date(2026, 3, 29), date(2200, 1, 1)]
    with migrated.connect() as session:
        for zone in ("UTC", "America/New_York", "Pacific/Kiritimati"):
            session.execute("SELECT set_config('timezone', %s, false)", [zone])
            for day in days:
                bound = scalar(session, "SELECT clickstream.event_partition_bound(%s)", day)
                assert str(bound) == first_id(day)


def _insert(session: psycopg.Connection, event_id: str) -> str:
    """The partition into which an event of this id goes."""
    return str(
        scalar(
            session,
            "INSERT INTO clickstream.event (event_id, session_id, event_time, batch_id, event_type, visitor_id, "
            "page_path, device_type, site) VALUES (%s, %s, now(), 1, 'click', 'v', '/', 'other', 's') "
            "RETURNING (SELECT relname FROM pg_class WHERE oid = event.tableoid)",
            event_id,
            event_id,
        )
    )


def test_a_day_s_partition_holds_exactly_the_ids_of_that_day(migrated: Database) -> None:
    first_ms = int(datetime(2026, 3, 29, tzinfo=UTC).timestamp() * 1000)
    with migrated.connect() as session:
        create = "SELECT clickstream.create_event_partition('2026-03-29')"
        assert (scalar(session, create), scalar(session, create)) == (True, False)
        for ms, free in ((first_ms, 0), (first_ms + 86_399_999, (1 << 74) - 1)):
            assert _insert(session, uuid7.compose(ms, free)) == "event_20260329"
        for ms, free in ((first_ms - 1, (1 << 74) - 1), (first_ms + 86_400_000, 0)):
            with pytest.raises(psycopg.errors.CheckViolation, match="no partition of relation"):
                _insert(session, uuid7.compose(ms, free))


def test_a_new_partition_waits_for_no_transaction_that_stores_events(migrated: Database) -> None:
    with migrated.connect() as session, migrated.connect(autocommit=False) as storing:
        session.execute("SELECT clickstream.create_event_partition('2026-09-01')")
        with storing.cursor().copy(
            "COPY clickstream.event (event_id, session_id, event_time, batch_id, event_type, visitor_id, page_path, "
            "device_type, site) FROM STDIN"
        ) as copy:
            at_ms = int(datetime(2026, 9, 1, tzinfo=UTC).timestamp() * 1000)
            event_id = uuid7.compose(at_ms, 1)
            copy.write_row((event_id, event_id, "now", 1, "click", "v", "/", "other", "s"))
            session.execute("SET lock_timeout = '2s'")
            assert scalar(session, "SELECT clickstream.create_event_partition('2026-09-02')") is True
        storing.commit()
        assert scalar(session, "SELECT count(*) FROM clickstream.event") == 1


def test_a_dropped_day_is_remembered_and_waits_for_no_long_reader(migrated: Database) -> None:
    with migrated.connect() as session, migrated.connect(autocommit=False) as reading:
        for day in ("2026-09-01", "2026-09-02"):
            session.execute("SELECT clickstream.create_event_partition(%s)", [day])
        session.execute("SELECT clickstream.drop_event_partition('2026-09-01')")
        assert scalar(session, "SELECT array_agg(day) FROM clickstream.expired_day") == [date(2026, 9, 1)]
        assert scalar(session, "SELECT array_agg(first_day) FROM clickstream.event_partition") == [date(2026, 9, 2)]
        reading.execute("SELECT count(*) FROM clickstream.event")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            session.execute("SELECT clickstream.drop_event_partition('2026-09-02')")
        assert scalar(session, "SELECT count(*) FROM clickstream.event_partition") == 1


def test_an_event_of_a_dropped_day_finds_a_partition_again(migrated: Database) -> None:
    with migrated.connect() as session:
        for statement in ("create_event_partition", "drop_event_partition", "create_event_partition"):
            session.execute(f"SELECT clickstream.{statement}('2026-09-01')".encode())
        event_id = json.loads(event())["event_id"]
        assert _insert(session, event_id) == "event_20260901"


def test_no_text_depends_on_the_collation_of_the_database_which_an_update_of_its_system_may_change(
    migrated: Database,
) -> None:
    """Keys and merges compare bytes: an index sorted by another version of a C library would be damaged."""
    with migrated.connect() as session:
        others = session.execute(
            "SELECT c.relname, a.attname FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid "
            "WHERE c.relnamespace = 'clickstream'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped "
            "AND (c.relkind IN ('r', 'p', 'i', 'I') OR c.relname LIKE '%\\_pending') "
            "AND a.attcollation NOT IN (0, 'pg_catalog.\"C\"'::regcollation) ORDER BY 1, 2"
        ).fetchall()
    assert others == []
