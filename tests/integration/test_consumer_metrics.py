"""What the consumer tells Prometheus while it can't store anything, and while there is nothing to store."""

import time

from confluent_kafka import Producer

from local.embedded import Platform
from services.consumer.patience import ASK_SECONDS
from tests.integration.pipeline import Pipeline, wait_until
from tests.integration.readings import ask, assert_exactly_once, free_port, metric
from tests.integration.sending import send_events, simulated
from tests.integration.test_outages import frozen

LAST_COMMIT = "clickstream_consumer_last_commit_timestamp_seconds"
LAG_MESSAGES = "clickstream_consumer_lag_messages"
LAG_SECONDS = "clickstream_consumer_lag_seconds"
DATABASE = 'clickstream_consumer_retries_total{reason="database"}'
BROKER = 'clickstream_consumer_retries_total{reason="broker"}'
LOOK_SECONDS = 3.0


def test_a_database_away_for_longer_than_its_answers_are_waited_for_shows_in_every_metric(
    stoppable: Pipeline, servers: Platform
) -> None:
    port = free_port()
    stoppable.consumer(MONITORING_PORT=str(port))
    send_events(stoppable.bootstrap, stoppable.topic, 200, seed=1)
    stoppable.wait_until_stored()
    wait_until(lambda: ask(port, "/readyz")[0] == 200, "the consumer to be ready")
    servers.postgres.stop()
    stopped_at = time.time()
    send_events(stoppable.bootstrap, stoppable.topic, 200, seed=2)
    wait_until(lambda: ask(port, "/readyz")[0] == 503, "the consumer to notice")
    until = time.monotonic() + ASK_SECONDS + 2
    while time.monotonic() < until:
        status, reason = ask(port, "/readyz")
        assert (status, reason.startswith("PostgreSQL at ")) == (503, True), reason
        assert ask(port, "/healthz") == (200, "ok\n")
        time.sleep(0.1)
    wait_until(lambda: metric(port, LAG_MESSAGES) == 200, "what waits on the broker to be counted")
    wait_until(lambda: metric(port, LAG_SECONDS) > ASK_SECONDS, "the lag to grow")
    assert metric(port, LAG_SECONDS) < time.time() - stopped_at
    assert metric(port, LAST_COMMIT) < stopped_at
    assert metric(port, DATABASE) > 3

    servers.postgres.start()
    servers.postgres.wait_ready()
    stoppable.wait_until_stored(20)
    wait_until(lambda: ask(port, "/readyz")[0] == 200, "the consumer to be ready again")
    assert metric(port, LAST_COMMIT) > stopped_at + ASK_SECONDS
    wait_until(lambda: metric(port, LAG_SECONDS) == metric(port, LAG_MESSAGES) == 0, "nothing to wait any more")
    assert_exactly_once(stoppable)


def test_an_idle_consumer_has_committed_nothing_and_yet_nothing_is_wrong(pipeline: Pipeline) -> None:
    port, before = free_port(), time.time()
    pipeline.consumer(MONITORING_PORT=str(port))
    wait_until(lambda: ask(port, "/readyz")[0] == 200, "the consumer to be ready")
    ready_at = time.time()
    assert before < metric(port, LAST_COMMIT) < ready_at
    until = time.monotonic() + 2 * LOOK_SECONDS
    while time.monotonic() < until:
        assert metric(port, LAG_SECONDS) == metric(port, LAG_MESSAGES) == 0
        time.sleep(0.1)
    assert metric(port, LAST_COMMIT) < ready_at
    assert metric(port, DATABASE) == 0
    for counter in (DATABASE, BROKER):
        assert counter in ask(port, "/metrics")[1], "a counter that is not there before it is 1 has not increased"


def test_retries_are_counted_of_a_consumer_that_starts_without_the_database_and_of_one_at_rest(
    stoppable: Pipeline, servers: Platform
) -> None:
    at_rest, starting = free_port(), free_port()
    stoppable.consumer("at-rest", MONITORING_PORT=str(at_rest))
    wait_until(lambda: ask(at_rest, "/readyz")[0] == 200, "the consumer to be ready")
    servers.postgres.stop()
    stopped_at = time.time()
    stoppable.consumer("starting", MONITORING_PORT=str(starting))
    for port in (at_rest, starting):
        wait_until(lambda p=port: metric(p, DATABASE) > 3, "its tries to be counted")  # type: ignore[misc]
        assert metric(port, LAG_SECONDS) == 0
    assert stopped_at < metric(starting, LAST_COMMIT) < time.time()


def test_a_message_that_is_stored_late_is_no_lag_once_it_is_stored(pipeline: Pipeline) -> None:
    port = free_port()
    client = Producer({"bootstrap.servers": pipeline.bootstrap})
    (((key, value),), _) = simulated(1, seed=1)
    client.produce(pipeline.topic, value, key, timestamp=int((time.time() - 3600) * 1000))
    assert client.flush(30) == 0
    pipeline.consumer(MONITORING_PORT=str(port))
    pipeline.wait_until_stored()
    wait_until(lambda: metric(port, "clickstream_consumer_events_total") == 1, "it to be counted")
    assert metric(port, LAG_SECONDS) == 0


def test_retries_of_the_broker_are_counted_whether_it_is_gone_or_hangs(stoppable: Pipeline, servers: Platform) -> None:
    port = free_port()
    consumer = stoppable.consumer(MONITORING_PORT=str(port))
    send_events(stoppable.bootstrap, stoppable.topic, 200)
    stoppable.wait_until_stored()
    with frozen(servers.kafka.process.pid):
        wait_until(lambda: metric(port, BROKER) > 1, "retries while it hangs")
    wait_until(lambda: ask(port, "/readyz")[0] == 200, "the consumer to be ready again")
    servers.kafka.kill()
    wait_until(lambda: "waiting for the broker" in consumer.log.read_text(), "the consumer to notice")
    counted = metric(port, BROKER)
    wait_until(lambda: metric(port, BROKER) > counted + 2, "retries while it is gone")
    assert metric(port, DATABASE) == 0
    assert ask(port, "/healthz")[0] == 200
    consumer.kill()
