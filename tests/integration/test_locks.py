"""Locks are not anybody's to take, whoever holds one is named, and a run that could do nothing says so."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress

import psycopg
import pytest
import structlog

from services.aggregator.run import Run
from services.aggregator.settings import AggregatorSettings
from services.common import locks
from services.common.errors import UserError
from services.common.postgres import connect
from services.migrate import history, schema
from services.rollups.rebuild import rebuild
from tests.conftest import Database
from tests.integration.exactly import assert_exact
from tests.integration.pipeline import Pipeline, migrate, scalar, settings_of
from tests.integration.test_exactness import session, stored_history
from tests.integration.test_history import TYPE_DAY, TYPE_DAY_TABLE

# What any of our versions ever locked by number.
ADVISORY = [*range(0x636C_0000, 0x636C_0010), "hashtext('clickstream.event partitions')"]
OURS = ("event_partition_lock", "pass_lock", "rebuild_lock", "schema_migration")


@contextmanager
def _held(database: Database, table: str) -> Iterator[int]:
    """Somebody's lock on a table, for as long as the block lasts; gives the process."""
    with database.connect(autocommit=False) as human:
        human.execute("SET application_name = 'psql of somebody'")
        human.execute(f"LOCK TABLE clickstream.{table}".encode())
        yield human.info.backend_pid


def _run(settings: AggregatorSettings, seconds: float) -> None:
    hasty = settings.model_copy(update={"aggregator_run_seconds": seconds})
    Run(hasty, structlog.get_logger(), threading.Event(), once=True).run()


def test_whoever_reads_dashboards_can_hold_up_nothing_of_ours(pipeline: Pipeline) -> None:
    database = pipeline.database
    stored_history(database, seed=41)
    with session(database, "grafana_reader") as reader, session(database) as owner:
        for number in ADVISORY:
            reader.execute(f"SELECT pg_advisory_lock({number})".encode())
        for table in OURS:
            for mode in ("ACCESS SHARE", "ROW SHARE", "EXCLUSIVE", "ACCESS EXCLUSIVE"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege), reader.transaction():
                    reader.execute(f"LOCK TABLE clickstream.{table} IN {mode} MODE".encode())
        pipeline.succeed(pipeline.aggregator("run", "--once"))
        assert scalar(owner, "SELECT count(*) FROM aggregator_run WHERE error IS NULL AND batches > 0") == 1
        assert_exact(owner)
        owner.execute("SET lock_timeout = '5s'")
        assert scalar(owner, "SELECT create_event_partition('2020-01-01')") is True
        assert scalar(owner, "SELECT drop_event_partition('2020-01-01')") is True
        owner.execute("SET statement_timeout = '20s'")
        assert schema.apply(owner, schema.read()) == []
        pipeline.succeed(pipeline.aggregator("rebuild", name="rebuild"))


@pytest.mark.parametrize("table", OURS)
def test_a_consumer_takes_no_lock_that_others_wait_for(migrated: Database, table: str) -> None:
    with session(migrated, "clickstream_ingest") as consumer:
        for mode in ("ROW EXCLUSIVE", "EXCLUSIVE"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege), consumer.transaction():
                consumer.execute(f"LOCK TABLE clickstream.{table} IN {mode} MODE".encode())


def test_a_run_that_could_do_nothing_fails_and_names_who_holds_the_lock(pipeline: Pipeline) -> None:
    database = pipeline.database
    stored_history(database, seed=42)
    with database.connect() as owner:
        with _held(database, "pass_lock") as process:
            line = pipeline.fail(pipeline.aggregator("run", AGGREGATOR_RUN_SECONDS="1"))
            named = f'pass_lock is locked by process {process} of {database.user}, application "psql of somebody"'
            assert line.startswith(f"error: no pass could begin: clickstream.{named}")
        errors = "SELECT array_agg(error IS NOT NULL ORDER BY run_id) FROM clickstream.aggregator_run"
        assert scalar(owner, errors) == [True]
        assert named in str(scalar(owner, "SELECT error FROM clickstream.aggregator_run"))
        assert scalar(owner, "SELECT count(*) > 3 FROM clickstream.event_partition"), "housekeeping went on"
        pipeline.succeed(pipeline.aggregator("run", "--once", name="afterwards"))
        assert scalar(owner, errors) == [True, False]


def test_runs_that_overlap_take_turns_and_each_has_its_row(migrated: Database) -> None:
    settings = stored_history(migrated, seed=43, rounds_pending=4)
    runs = [threading.Thread(target=_run, args=(settings, 30)) for _ in range(3)]
    with ExitStack() as waiting:
        waiting.enter_context(_held(migrated, "pass_lock"))
        for run in runs:
            run.start()
    for run in runs:
        run.join(60)
    with session(migrated) as owner:
        assert scalar(owner, "SELECT count(*) FROM aggregator_run WHERE finished_at IS NOT NULL AND error IS NULL") == 3
        assert_exact(owner)


def test_a_lock_that_is_held_for_long_holds_neither_vacuum_nor_readers_back(migrated: Database) -> None:
    settings = settings_of(migrated, "clickstream_aggregate")
    with locks.guard(settings, "tests") as guard, migrated.connect() as owner:
        locks.take(guard, locks.REBUILD, 1)
        locks.take(guard, locks.PASSES, 1)
        holds_back = "SELECT coalesce(backend_xid, backend_xmin)::text FROM pg_stat_activity WHERE pid = %s"
        assert scalar(owner, holds_back, guard.info.backend_pid) is None
        owner.execute("SET lock_timeout = '1s'")
        assert scalar(owner, "SELECT count(*) FROM clickstream.rebuild_lock") == 0
    with migrated.connect() as owner, owner.transaction():
        owner.execute("LOCK TABLE clickstream.rebuild_lock NOWAIT")


def test_a_second_rebuild_is_refused_and_told_who_is_at_it(migrated: Database) -> None:
    settings = stored_history(migrated, seed=44)

    def again(_done: int, _total: int) -> None:
        if _done == _total:
            with pytest.raises(UserError, match=r'rebuild_lock is locked by process \d+ .*application "rebuild"'):
                rebuild(settings, lambda _done, _total: None)

    rebuild(settings, again)


def test_a_migration_waits_for_a_rebuild_that_it_would_change(migrated: Database) -> None:
    with session(migrated) as owner, _held(migrated, "rebuild_lock"):
        assert schema.apply(owner, schema.read()) == []
        with pytest.raises(locks.TakenError, match=r"clickstream\.rebuild_lock is locked by process"):
            schema.apply(owner, schema.read().extended(*TYPE_DAY))
        assert schema.missing(owner, schema.read().extended(*TYPE_DAY)) == [TYPE_DAY_TABLE.name]


def test_a_fill_that_waits_for_a_rebuild_can_be_stopped(migrated: Database) -> None:
    settings = AggregatorSettings(**settings_of(migrated).model_dump())
    stop = threading.Event()
    stop.set()
    with _held(migrated, "rebuild_lock"), pytest.raises(UserError, match=r"stopped while waiting: .*rebuild_lock is"):
        history.fill(settings, structlog.get_logger(), stop)


def test_several_first_migrations_at_once_apply_each_file_once(database: Database) -> None:
    """They find no table to lock."""
    migrate(database)  # the roles
    with database.connect() as owner:
        owner.execute("DROP SCHEMA clickstream, reporting CASCADE")

    def first(_number: int) -> list[str]:
        with connect(settings_of(database), "tests", autocommit=True) as connection:
            while True:
                with suppress(locks.TakenError):  # as the command does: another's takes the time it takes
                    return schema.apply(connection, schema.read())

    with ThreadPoolExecutor(4) as pool:
        applied = [name for names in pool.map(first, range(4)) for name in names]
    assert sorted(applied) == [migration.name for migration in schema.read().migrations]
