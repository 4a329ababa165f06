"""The database or the broker is away, full, locked or wrong: nothing is lost, and one line says what is the matter."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from os import urandom
from pathlib import Path

import pytest

from local.embedded import Platform
from tests.integration.pipeline import Pipeline, scalar, wait_until
from tests.integration.proxy import proxy
from tests.integration.readings import ask, assert_exactly_once, free_port, metric, stored_ids
from tests.integration.sending import send, send_events

MOVED = "positions in PostgreSQL are not where we left them"
MIB = 1024 * 1024
SESSION_TIMEOUT_SECONDS = 3
IN_TIME_SECONDS = 8.0
_QUICK = {"CONSUMER_SESSION_TIMEOUT_SECONDS": str(SESSION_TIMEOUT_SECONDS)}
_AWAY = "PostgreSQL can't take the batch now: it is kept and tried again"


def test_a_consumer_that_starts_before_the_database_waits_and_then_stores_everything(
    stoppable: Pipeline, servers: Platform
) -> None:
    sent = send_events(stoppable.bootstrap, stoppable.topic, 500)
    servers.postgres.stop()
    port = free_port()
    consumer = stoppable.consumer(MONITORING_PORT=str(port))
    wait_until(lambda: "waiting for PostgreSQL" in consumer.log.read_text(), "the consumer to say that it waits")
    status, reason = ask(port, "/readyz")
    assert status == 503
    assert reason.startswith(f"PostgreSQL at {servers.postgres.host}:{servers.postgres.port}/")
    assert ask(port, "/healthz") == (200, "ok\n")

    servers.postgres.start()
    servers.postgres.wait_ready()
    stoppable.wait_until_stored(20)
    assert ask(port, "/readyz") == (200, "ok\n")
    with stoppable.database.connect() as session:
        assert set(stored_ids(session)) == sent


def test_a_database_away_under_load_for_longer_than_the_session_timeout_costs_nothing(
    stoppable: Pipeline, servers: Platform
) -> None:
    port = free_port()
    consumer = stoppable.consumer(MONITORING_PORT=str(port), **_QUICK)
    producer = stoppable.start("producer", "producer", "simulate", "--rate", "4000", "--events", "36000")
    wait_until(lambda: metric(port, "clickstream_consumer_events_total") > 4000, "some to be stored")
    servers.postgres.stop()
    wait_until(lambda: _AWAY in consumer.log.read_text(), "the consumer to notice")
    before_bytes, until = memory_bytes(consumer.pid), time.monotonic() + SESSION_TIMEOUT_SECONDS + 2
    while time.monotonic() < until:
        assert ask(port, "/readyz")[0] == 503
        assert ask(port, "/healthz")[0] == 200
        time.sleep(0.1)
    assert memory_bytes(consumer.pid) - before_bytes < 100 * MIB

    servers.postgres.start()
    servers.postgres.wait_ready()
    stoppable.succeed(producer)
    stoppable.wait_until_stored(30)
    assert "partitions revoked" not in consumer.log.read_text()
    assert_exactly_once(stoppable)


def test_a_broker_away_at_the_start_and_in_the_middle_costs_nothing(stoppable: Pipeline, servers: Platform) -> None:
    servers.kafka.stop()
    port = free_port()
    consumer = stoppable.consumer(MONITORING_PORT=str(port), **_QUICK)
    producer = stoppable.start("producer", "producer", "simulate", "--rate", "1000", "--events", "6000")
    for process in (consumer, producer):
        wait_until(lambda p=process: "waiting for the broker" in p.log.read_text(), f"{process.name} to say so")  # type: ignore[misc]
    assert ask(port, "/readyz")[0] == 503
    assert ask(port, "/healthz")[0] == 200

    servers.kafka.start()
    wait_until(lambda: metric(port, "clickstream_consumer_events_total") > 1000, "some to be stored", 60)
    assert ask(port, "/readyz") == (200, "ok\n")
    servers.kafka.kill()
    wait_until(lambda: ask(port, "/readyz")[0] == 503, "the consumer to notice")
    assert ask(port, "/healthz")[0] == 200
    servers.kafka.start()
    stoppable.succeed(producer)
    servers.kafka.wait_ready()
    stoppable.wait_until_stored(40)
    assert_exactly_once(stoppable)


def test_sigterm_ends_a_consumer_in_time_while_the_database_is_away(stoppable: Pipeline, servers: Platform) -> None:
    consumer = stoppable.consumer()
    send_events(stoppable.bootstrap, stoppable.topic, 200, seed=1)
    stoppable.wait_until_stored()
    servers.postgres.stop()
    send_events(stoppable.bootstrap, stoppable.topic, 200, seed=2)
    wait_until(lambda: _AWAY in consumer.log.read_text(), "the consumer to notice")
    consumer.ask_to_stop()
    stoppable.succeed(consumer, IN_TIME_SECONDS)

    servers.postgres.start()
    servers.postgres.wait_ready()
    stoppable.consumer("next")
    stoppable.wait_until_stored(20)
    assert_exactly_once(stoppable)


@pytest.mark.parametrize("started", ["before", "after"])
def test_sigterm_ends_a_consumer_in_time_while_the_broker_is_away(
    stoppable: Pipeline, servers: Platform, started: str
) -> None:
    if started == "before":
        consumer = stoppable.consumer()
        wait_until(lambda: "partitions assigned" in consumer.log.read_text(), "the consumer to be at work")
    servers.kafka.kill()
    if started == "after":
        consumer = stoppable.consumer()
    wait_until(lambda: "waiting for the broker" in consumer.log.read_text(), "the consumer to notice")
    consumer.ask_to_stop()
    stoppable.succeed(consumer, IN_TIME_SECONDS)


def test_a_full_disk_is_said_and_waited_for_and_nothing_is_lost(pipeline: Pipeline) -> None:
    port = free_port()
    consumer = pipeline.consumer(MONITORING_PORT=str(port))
    send_events(pipeline.bootstrap, pipeline.topic, 200, seed=1)
    pipeline.wait_until_stored()
    limit_file_size(backend_of_the_consumer(pipeline), f"{16 * MIB}")
    broken = frozenset(urandom(MIB * 3 // 4) for _ in range(40))
    send(pipeline.bootstrap, pipeline.topic, [(b"key", value) for value in broken])
    send_events(pipeline.bootstrap, pipeline.topic, 200, seed=2)
    wait_until(lambda: "could not extend file" in consumer.log.read_text(), "the consumer to say that it is full")
    status, reason = ask(port, "/readyz")
    assert (status, "could not extend file" in reason) == (503, True)
    assert ask(port, "/healthz")[0] == 200

    limit_file_size(backend_of_the_consumer(pipeline), "unlimited")
    pipeline.wait_until_stored(20)
    assert_exactly_once(pipeline, broken)
    assert ask(port, "/readyz") == (200, "ok\n")


def test_a_position_locked_for_a_while_is_only_waited_for(pipeline: Pipeline) -> None:
    port = free_port()
    pipeline.consumer(MONITORING_PORT=str(port))
    send_events(pipeline.bootstrap, pipeline.topic, 200, seed=1)
    pipeline.wait_until_stored()
    with pipeline.database.connect(autocommit=False) as session:
        session.execute("SELECT FROM clickstream.partition_offset FOR UPDATE")
        send_events(pipeline.bootstrap, pipeline.topic, 200, seed=2)
        retries = 'clickstream_consumer_retries_total{reason="database"}'
        wait_until(lambda: metric(port, retries) > 0, "the consumer to come back later")
        assert ask(port, "/healthz")[0] == 200
        assert scalar(session, "SELECT count(*) FROM clickstream.event") == 200  # and our session lives
    pipeline.wait_until_stored(10)
    assert_exactly_once(pipeline)


COMMANDS = {"consumer": ("consumer", "run"), "aggregator": ("aggregator", "run"), "migrate": ("migrate",)}
IMPATIENT = {"AGGREGATOR_RUN_SECONDS": "1", "MIGRATE_WAIT_SECONDS": "1", "POSTGRES_CONNECT_TIMEOUT_SECONDS": "2"}


@pytest.mark.parametrize("service", COMMANDS)
@pytest.mark.parametrize(
    ("variable", "wrong", "said"),
    [
        ("POSTGRES_PASSWORD", "wrong-one", "password authentication failed"),
        ("POSTGRES_DATABASE", "missing", 'database "missing" does not exist'),
        ("POSTGRES_PORT", "many", "POSTGRES_PORT: Input should be a valid integer"),
    ],
)
def test_a_wrong_setting_ends_a_service_with_one_line_that_names_the_variable(
    pipeline: Pipeline, service: str, variable: str, wrong: str, said: str
) -> None:
    process = pipeline.start(service, *COMMANDS[service], **IMPATIENT, **{variable: wrong})
    line = pipeline.fail(process, 15)
    assert line.startswith("error: ")
    assert said in line
    assert variable in line
    assert "wrong-one" not in process.log.read_text()
    assert "Traceback" not in process.log.read_text()


def test_an_aggregator_waits_for_a_server_that_only_reads_for_now(pipeline: Pipeline) -> None:
    with pipeline.database.connect() as owner:
        reading = f"ALTER ROLE clickstream_aggregate IN DATABASE {pipeline.database.dbname} SET {{}}"
        owner.execute(reading.format("default_transaction_read_only = on").encode())
        run = pipeline.aggregator("run", "--once")
        wait_until(lambda: "waiting for PostgreSQL" in run.log.read_text(), "the aggregator to say that it waits")
        owner.execute(reading.format("default_transaction_read_only = off").encode())
    pipeline.succeed(run, 30)


@pytest.mark.parametrize("service", ["aggregator", "migrate"])
def test_a_command_gives_up_on_an_unreachable_host_at_its_deadline(pipeline: Pipeline, service: str) -> None:
    process = pipeline.start(service, *COMMANDS[service], **IMPATIENT, POSTGRES_HOST="no-such-host.invalid")
    line = pipeline.fail(process, 15)
    assert "no-such-host.invalid" in line
    assert "check POSTGRES_HOST" in line


def test_a_consumer_waits_for_an_unreachable_host_not_ready_but_alive(pipeline: Pipeline) -> None:
    port = free_port()
    consumer = pipeline.consumer(POSTGRES_HOST="no-such-host.invalid", MONITORING_PORT=str(port))
    wait_until(lambda: "check POSTGRES_HOST" in ask(port, "/readyz")[1], "the reason")
    assert ask(port, "/readyz")[0] == 503
    assert ask(port, "/healthz")[0] == 200
    consumer.ask_to_stop()
    pipeline.succeed(consumer, IN_TIME_SECONDS)


def memory_bytes(pid: int) -> int:
    """A process's resident memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096


def backend_of_the_consumer(pipeline: Pipeline) -> int:
    """The server process that serves it."""
    query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name ^@ 'consumer'"
    with pipeline.database.connect() as session:
        return int(str(scalar(session, query)))


def limit_file_size(pid: int, size: str) -> None:
    """Let a process extend no file beyond so many bytes, which is what a full disk does to it."""
    owner = Path(f"/proc/{pid}").stat()
    command = ["prlimit", f"--pid={pid}", f"--fsize={size}:"]
    subprocess.run(command, check=True, user=owner.st_uid, group=owner.st_gid)


def test_a_failover_to_a_copy_that_lags_is_noticed_by_a_consumer_at_rest(
    stoppable: Pipeline, servers: Platform
) -> None:
    postgres, port = servers.postgres, free_port()
    consumer = stoppable.consumer(MONITORING_PORT=str(port))
    sent = send_events(stoppable.bootstrap, stoppable.topic, 500, seed=1)
    stoppable.wait_until_stored()
    older = postgres.data.with_name("older")
    postgres.stop()
    subprocess.run(["cp", "-a", postgres.data, older], check=True)
    postgres.start()
    postgres.wait_ready()
    sent |= send_events(stoppable.bootstrap, stoppable.topic, 2000, seed=2)
    stoppable.wait_until_stored()
    postgres.stop()
    wait_until(lambda: ask(port, "/readyz")[0] == 503, "the consumer at rest to notice that the database is away")
    shutil.rmtree(postgres.data)
    older.rename(postgres.data)
    assert MOVED not in consumer.log.read_text()
    postgres.start()

    def stored_again() -> bool:
        if ask(port, "/readyz")[0] == 200:
            assert MOVED in consumer.log.read_text(), "ready with the positions of another database"
        return postgres.answers() and stoppable.stored_up_to_the_end()

    wait_until(stored_again, "what the copy lacks to be stored again")
    assert_exactly_once(stoppable)


def test_positions_that_went_back_behind_a_pooler_are_noticed_by_a_consumer_at_rest(pipeline: Pipeline) -> None:
    consumer = pipeline.consumer()
    send_events(pipeline.bootstrap, pipeline.topic, 500, seed=1)
    pipeline.wait_until_stored()
    with pipeline.database.connect(autocommit=False) as session:
        before = session.execute("SELECT * FROM clickstream.partition_offset").fetchall()
        last = scalar(session, "SELECT max(batch_id) FROM clickstream.ingest_batch")
    send_events(pipeline.bootstrap, pipeline.topic, 2000, seed=2)
    pipeline.wait_until_stored()
    with pipeline.database.connect(autocommit=False) as session, session.cursor() as cursor:
        cursor.execute("DELETE FROM clickstream.event WHERE batch_id > %s", [last])
        cursor.execute("DELETE FROM clickstream.ingest_batch WHERE batch_id > %s", [last])
        cursor.execute("DELETE FROM clickstream.partition_offset")
        with cursor.copy("COPY clickstream.partition_offset FROM STDIN") as copy:
            for row in before:
                copy.write_row(row)
    wait_until(lambda: MOVED in consumer.log.read_text(), "the consumer to notice", 10)
    pipeline.wait_until_stored(20)
    assert_exactly_once(pipeline)


def test_a_server_that_hangs_makes_the_consumer_not_ready_within_10_s_and_is_given_up(
    stoppable: Pipeline, servers: Platform
) -> None:
    port = free_port()
    consumer = stoppable.consumer(MONITORING_PORT=str(port))
    send_events(stoppable.bootstrap, stoppable.topic, 200, seed=1)
    stoppable.wait_until_stored()
    wait_until(lambda: ask(port, "/readyz")[0] == 200, "the consumer to be ready")
    with frozen(servers.postgres.process.pid):
        wait_until(lambda: ask(port, "/readyz")[0] == 503, "the consumer to be not ready", 10)
        assert ask(port, "/readyz")[1].startswith(f"PostgreSQL at {servers.postgres.host}:{servers.postgres.port}/")
        send_events(stoppable.bootstrap, stoppable.topic, 200, seed=2)
        wait_until(lambda: "connection cut" in consumer.log.read_text(), "the call to end")
        assert ask(port, "/healthz")[0] == 200
    stoppable.wait_until_stored(20)
    wait_until(lambda: ask(port, "/readyz")[0] == 200, "the consumer to be ready again")
    assert_exactly_once(stoppable)
    with frozen(servers.postgres.process.pid):
        wait_until(lambda: ask(port, "/readyz")[0] == 503, "the consumer to wait for an answer", 10)
        consumer.ask_to_stop()
        stoppable.succeed(consumer, IN_TIME_SECONDS)


def test_a_silent_proxy_is_given_up_and_what_waited_is_stored(pipeline: Pipeline) -> None:
    port = free_port()
    with proxy(pipeline.database.host, pipeline.database.port) as between:
        consumer = pipeline.consumer(MONITORING_PORT=str(port), POSTGRES_PORT=str(between.port))
        send_events(pipeline.bootstrap, pipeline.topic, 200, seed=1)
        pipeline.wait_until_stored()
        between.speaks.clear()
        send_events(pipeline.bootstrap, pipeline.topic, 200, seed=2)
        wait_until(lambda: ask(port, "/readyz")[0] == 503, "the consumer to be not ready", 10)
        wait_until(lambda: "connection cut" in consumer.log.read_text(), "the call to end")
        assert ask(port, "/healthz")[0] == 200
        between.speaks.set()
        pipeline.wait_until_stored(20)
        assert_exactly_once(pipeline)
        consumer.kill()


def test_a_slow_commit_is_waited_for(pipeline: Pipeline) -> None:
    port = free_port()
    with pipeline.database.connect() as session:
        session.execute(
            "CREATE FUNCTION clickstream.be_slow() RETURNS trigger LANGUAGE plpgsql AS "
            "'BEGIN PERFORM pg_sleep(13); RETURN NULL; END'"
        )
        session.execute(
            "CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON clickstream.ingest_batch DEFERRABLE INITIALLY DEFERRED "
            "FOR EACH ROW EXECUTE FUNCTION clickstream.be_slow()"
        )
    send_events(pipeline.bootstrap, pipeline.topic, 200)
    consumer = pipeline.consumer(MONITORING_PORT=str(port), CONSUMER_BATCH_SECONDS="2")
    wait_until(lambda: "no answer" in ask(port, "/readyz")[1], "the consumer to say that it waits", 20)
    pipeline.wait_until_stored(40)
    assert metric(port, 'clickstream_consumer_retries_total{reason="database"}') == 0
    assert "connection cut" not in consumer.log.read_text()
    assert_exactly_once(pipeline)


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """A process and its children neither work nor end."""
    pids = [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
    for one in pids:
        os.kill(one, signal.SIGSTOP)
    try:
        yield
    finally:
        for one in pids:
            with suppress(ProcessLookupError):
                os.kill(one, signal.SIGCONT)
