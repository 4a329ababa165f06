"""Behind PgBouncer: consumers need no session, and who needs one says so at its start."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from os import kill
from pathlib import Path

import psycopg
import pytest

from services.common.errors import UserError
from services.common.pooler import is_between, shares_sessions
from services.common.postgres import connect, connect_pooled
from tests.conftest import Database
from tests.integration.pgbouncer import needs_pgbouncer, pgbouncer
from tests.integration.pipeline import Pipeline, scalar, settings_of, wait_until
from tests.integration.readings import assert_exactly_once
from tests.integration.sending import send, send_events

pytestmark = needs_pgbouncer

# Each transaction in a session that was never used before.
NEVER_TWICE = {"pool_mode": "transaction", "server_lifetime": 0}
_ROLE = "clickstream_ingest"
_SIMULATE = ("producer", "simulate", "--events", "12000", "--duplicates", "0.05")
_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND wait_event_type = 'Lock'"
_END = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = %s"
_AWAY = "PostgreSQL can't take the batch now"
_SMALL = {"CONSUMER_BATCH_SIZE": "500"}


@contextmanager
def behind(pooled: Database, pipeline: Pipeline) -> Iterator[Pipeline]:
    """The same pipeline, whose services connect to the pooler."""
    through = Pipeline(pooled, pipeline.bootstrap, pipeline.topic, pipeline.logs)
    try:
        yield through
    finally:
        through.kill_all()


def test_consumers_whose_every_transaction_is_in_another_session_store_each_event_once(pipeline: Pipeline) -> None:
    note_sessions(pipeline.database)
    with pgbouncer(pipeline.database, **NEVER_TWICE) as pooled, behind(pooled, pipeline) as through:
        consumers = [through.consumer(name, **_SMALL) for name in ("one", "two")]
        producer = pipeline.start("simulate", *_SIMULATE)
        pipeline.succeed(producer)
        through.succeed(through.start("check", "check", role="grafana_reader"))
        pipeline.wait_until_stored()
    assert_exactly_once(pipeline)
    batches, sessions = noted_sessions(pipeline.database)
    assert (batches, sessions > 20) == (sessions, True)
    for consumer in consumers:
        assert _AWAY not in consumer.log.read_text()
    pipeline.succeed(pipeline.aggregator("run", "--once"))
    pipeline.succeed(pipeline.aggregator("verify"))


def test_sessions_that_end_under_a_pooler_in_the_middle_of_a_batch_cost_nothing(pipeline: Pipeline) -> None:
    with pgbouncer(pipeline.database, pool_mode="transaction") as pooled, behind(pooled, pipeline) as through:
        consumer = through.consumer("one")
        producer = pipeline.start("producer", "producer", "simulate", "--events", "-1", "--rate", "1000")
        for number in range(5):
            with in_the_middle_of_a_batch(pipeline.database, "one") as session:
                assert scalar(session, _END, "consumer one") == 1
            wait_until(lambda n=number: consumer.log.read_text().count(_AWAY) > n, "the consumer to notice")  # type: ignore[misc]
        producer.ask_to_stop()
        pipeline.succeed(producer)
        pipeline.wait_until_stored()
    assert_exactly_once(pipeline)


def test_two_consumers_share_the_one_session_of_a_pool(pipeline: Pipeline) -> None:
    one_session = {"pool_mode": "transaction", "default_pool_size": 1}
    with pgbouncer(pipeline.database, **one_session) as pooled, behind(pooled, pipeline) as through:
        consumers = [through.consumer(name, **_SMALL) for name in ("one", "two")]
        pipeline.succeed(pipeline.start("simulate", *_SIMULATE))
        pipeline.wait_until_stored()
    assert_exactly_once(pipeline)
    for consumer in consumers:
        assert _AWAY not in consumer.log.read_text()


def test_a_consumer_frozen_within_its_transaction_behind_a_pooler_holds_nobody_up(pipeline: Pipeline) -> None:
    quick = {"CONSUMER_SESSION_TIMEOUT_SECONDS": "6"}
    with pgbouncer(pipeline.database, pool_mode="transaction") as pooled, behind(pooled, pipeline) as through:
        zombie = through.consumer("zombie", **quick)
        send_events(pipeline.bootstrap, pipeline.topic, 1000, seed=1)
        with in_the_middle_of_a_batch(pipeline.database, "zombie"):
            kill(zombie.pid, signal.SIGSTOP)
        through.consumer("heir", **quick)
        pipeline.wait_until_stored(20)
        kill(zombie.pid, signal.SIGCONT)
        send_events(pipeline.bootstrap, pipeline.topic, 500, seed=3)
        pipeline.wait_until_stored(20)
    assert_exactly_once(pipeline)


def test_what_looks_after_dead_letters_works_behind_a_pooler(pipeline: Pipeline) -> None:
    broken = [b"not JSON", b"{}"]
    send(pipeline.bootstrap, pipeline.topic, [(b"key", value) for value in broken])
    with pgbouncer(pipeline.database, **NEVER_TWICE) as pooled, behind(pooled, pipeline) as through:
        through.succeed(through.start("wait", "migrate", "--wait", role=_ROLE))
        through.consumer()
        pipeline.wait_until_stored()
        assert "invalid_json: 1, missing_field: 1" in letters(through, "list")
        assert "value  not JSON" in letters(through, "show", "1") + letters(through, "show", "2")
        assert "2 dead letters replayed" in letters(through, "replay")
        pipeline.wait_until_stored()
    assert_exactly_once(pipeline, frozenset(broken))


@pytest.mark.parametrize(
    ("command", "called"),
    [
        ("aggregator run", "aggregator"),
        ("aggregator verify", "verify"),
        ("aggregator rebuild", "rebuild"),
        ("aggregator housekeep", "housekeep"),
        ("aggregator restore-ledger", "restore-ledger"),
        ("migrate", "clickstream-migrate"),
    ],
)
def test_who_needs_a_session_says_that_a_pooler_is_in_the_way(
    migrated: Database, tmp_path: Path, command: str, called: str
) -> None:
    with pgbouncer(migrated, pool_mode="transaction") as pooled:
        through = Pipeline(pooled, "127.0.0.1:1", "unused", tmp_path)
        said = through.fail(through.start("service", *command.split()))
    assert said == (
        f"error: PostgreSQL at 127.0.0.1:{pooled.port}/{pooled.dbname} is behind a pooler in transaction mode, and "
        f"{called} needs a session of its own: set POSTGRES_HOST and POSTGRES_PORT to the server itself"
    )


def test_behind_a_pooler_in_session_mode_all_services_work(
    database: Database, broker: str, topic: str, tmp_path: Path
) -> None:
    with pgbouncer(database, pool_mode="session") as pooled:
        through = Pipeline(pooled, broker, topic, tmp_path)
        through.succeed(through.start("migrate", "migrate"))
        send_events(broker, topic, 500)
        consumer = through.consumer()
        through.wait_until_stored()
        consumer.stop()
        through.succeed(through.aggregator("run", "--once"))
        through.succeed(through.aggregator("rebuild", name="rebuild"))
        through.succeed(through.aggregator("verify", name="verify"))
        assert_exactly_once(through)


@pytest.mark.parametrize(
    ("settings", "shared"),
    [
        ({"pool_mode": "session"}, False),
        ({"pool_mode": "transaction"}, True),
        ({"pool_mode": "transaction", "server_round_robin": 1}, True),
        ({"pool_mode": "transaction", "server_round_robin": 1, "min_pool_size": 2}, True),
        ({"pool_mode": "transaction", "default_pool_size": 1}, True),
        ({"pool_mode": "transaction", "server_lifetime": 0}, True),
        ({"pool_mode": "statement"}, True),
    ],
)
def test_whether_sessions_are_shared_is_told_from_the_processes_that_answer(
    migrated: Database, settings: dict[str, object], *, shared: bool
) -> None:
    with (
        pgbouncer(migrated, **settings) as pooled,
        connect_pooled(settings_of(pooled), "tests", autocommit=True) as one,
        connect_pooled(settings_of(pooled), "tests", autocommit=True) as other,
    ):
        assert is_between(one)
        assert shares_sessions(one, other) is shared


def test_no_pooler_is_seen_where_there_is_none(migrated: Database) -> None:
    with connect(settings_of(migrated), "tests", autocommit=True) as session:
        assert not is_between(session)


def test_what_a_refused_session_sets_does_not_stay_in_the_pool(migrated: Database) -> None:
    with pgbouncer(migrated, pool_mode="transaction", default_pool_size=1) as pooled:
        with pytest.raises(UserError):
            connect(settings_of(pooled), "tests")
        with connect_pooled(settings_of(pooled), "tests", autocommit=True) as session:
            assert session.execute("SHOW search_path").fetchone() == ('"$user", public',)


@contextmanager
def in_the_middle_of_a_batch(database: Database, consumer: str) -> Iterator[psycopg.Connection]:
    """The consumer has written its rows and waits for the ledger; gives a session to act in."""
    with database.connect(autocommit=False) as holder, database.connect() as session:
        holder.execute("LOCK TABLE clickstream.ingest_batch")
        waiting = f"consumer {consumer}"
        wait_until(lambda: scalar(session, _WAITING, waiting) == 1, "the consumer to be in the middle of a batch")
        yield session


def letters(pipeline: Pipeline, *command: str) -> str:
    """What `dead-letters COMMAND` says."""
    name = f"letters-{len(pipeline.processes)}"
    return pipeline.succeed(pipeline.start(name, "consumer", "dead-letters", *command, role=_ROLE))


def note_sessions(database: Database) -> None:
    """From now on each batch leaves the number of the process that stored it."""
    with database.connect() as session:
        session.execute("CREATE TABLE clickstream.stored_by (pid integer)")
        session.execute(
            "CREATE FUNCTION clickstream.note_session() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS "
            "'BEGIN INSERT INTO clickstream.stored_by VALUES (pg_backend_pid()); RETURN NULL; END'"
        )
        session.execute(
            "CREATE TRIGGER note AFTER INSERT ON clickstream.ingest_batch "
            "FOR EACH ROW EXECUTE FUNCTION clickstream.note_session()"
        )


def noted_sessions(database: Database) -> tuple[int, int]:
    """How many batches were stored since, and by how many processes."""
    with database.connect() as session:
        row = session.execute("SELECT count(*), count(DISTINCT pid) FROM clickstream.stored_by").fetchone()
    assert row is not None
    return int(row[0]), int(row[1])
