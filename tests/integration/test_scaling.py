"""Consumers come, go, freeze and contradict each other: what is stored stays exact."""

import signal
from itertools import count
from os import kill

from tests.integration.pipeline import Pipeline, scalar, wait_until
from tests.integration.readings import assert_exactly_once, free_port, metric, read_topic, stored_ids
from tests.integration.sending import send_events

SESSION_TIMEOUT_SECONDS = 6
FENCES = "clickstream_consumer_fences_total"
_QUICK = {"CONSUMER_SESSION_TIMEOUT_SECONDS": str(SESSION_TIMEOUT_SECONDS)}


def test_one_consumer_becomes_four_and_one_again_under_load(pipeline: Pipeline) -> None:
    pipeline.consumer("one", **_QUICK)
    producer = pipeline.start(
        "producer", "producer", "simulate", "--events", "-1", "--rate", "1500", "--duplicates", "0.05"
    )
    wait_until(lambda: batches_of(pipeline, "one") > 1, "the first to store")
    others = [pipeline.consumer(name, **_QUICK) for name in ("two", "three", "four")]
    for other in others:
        wait_until(lambda other=other: batches_of(pipeline, other.name) > 1, f"{other.name} to store")  # type: ignore[misc]
    assert producer.running
    for other in others:
        other.ask_to_stop()
    for other in others:
        pipeline.succeed(other, 10)
    assert producer.running
    producer.ask_to_stop()
    pipeline.succeed(producer)
    pipeline.wait_until_stored(30)
    assert_exactly_once(pipeline)


def test_a_consumer_frozen_with_a_batch_in_hand_drops_it_and_works_on(pipeline: Pipeline) -> None:
    port = free_port()
    zombie = pipeline.consumer("zombie", **_QUICK, CONSUMER_BATCH_SECONDS="3", MONITORING_PORT=str(port))
    first = send_events(pipeline.bootstrap, pipeline.topic, 500, seed=1)
    wait_until(lambda: "partitions assigned" in zombie.log.read_text(), "the first to own the partitions")
    wait_until(lambda: metric(port, "clickstream_consumer_batch_events_count") > 0, "its first batch")
    second = send_events(pipeline.bootstrap, pipeline.topic, 500, seed=2)
    assert len(read_topic(pipeline.bootstrap, pipeline.topic)) == 1000  # by now the zombie has read them, too
    kill(zombie.pid, signal.SIGSTOP)
    pipeline.consumer("heir", **_QUICK)
    wait_until(lambda: first | second == stored(pipeline), "the heir to store what the zombie holds")

    kill(zombie.pid, signal.SIGCONT)
    # It hears that it was given up from the group, or, if it is quick to store, from the positions.
    wait_until(
        lambda: "partitions revoked" in zombie.log.read_text() or metric(port, FENCES) > 0, "the zombie to find out"
    )
    before = batches_of(pipeline, "zombie")
    seeds = count(3)
    wait_until(lambda: works_on(pipeline, "zombie", before, next(seeds)), "the zombie to store again")
    pipeline.wait_until_stored()
    assert_exactly_once(pipeline)


def test_a_consumer_frozen_within_its_transaction_holds_nobody_up(pipeline: Pipeline) -> None:
    zombie = pipeline.consumer("zombie", **_QUICK)
    send_events(pipeline.bootstrap, pipeline.topic, 500, seed=1)
    pipeline.wait_until_stored()
    with pipeline.database.connect(autocommit=False) as session:
        session.execute("LOCK TABLE clickstream.ingest_batch")
        send_events(pipeline.bootstrap, pipeline.topic, 500, seed=2)
        waiting = (
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE application_name = 'consumer zombie' AND wait_event_type = 'Lock'"
        )
        wait_until(lambda: scalar(session, waiting) == 1, "the first to be in the middle of its transaction")
        kill(zombie.pid, signal.SIGSTOP)
    pipeline.consumer("heir", **_QUICK)
    pipeline.wait_until_stored(SESSION_TIMEOUT_SECONDS + 10)
    kill(zombie.pid, signal.SIGCONT)
    before = batches_of(pipeline, "zombie")
    seeds = count(3)
    wait_until(lambda: works_on(pipeline, "zombie", before, next(seeds)), "the zombie to store again")
    pipeline.wait_until_stored()
    assert_exactly_once(pipeline)


def test_consumers_of_different_groups_that_share_topic_and_database_stay_exact(pipeline: Pipeline) -> None:
    ports = [free_port(), free_port()]
    for number, port in enumerate(ports):
        name = f"group-{number}"
        pipeline.consumer(name, CONSUMER_GROUP_ID=f"{pipeline.topic}-{name}", MONITORING_PORT=str(port))
    producer = pipeline.start(
        "producer", "producer", "simulate", "--events", "6000", "--rate", "1500", "--duplicates", "0.05"
    )
    pipeline.succeed(producer)
    pipeline.wait_until_stored()
    assert sum(metric(port, FENCES) for port in ports) > 0
    assert_exactly_once(pipeline)


def test_a_consumer_that_is_asked_to_stop_hands_over_at_once(pipeline: Pipeline) -> None:
    first = pipeline.consumer("first", CONSUMER_SESSION_TIMEOUT_SECONDS="60")
    pipeline.consumer("second", CONSUMER_SESSION_TIMEOUT_SECONDS="60")
    seeds = count(1)
    for name in ("first", "second"):
        wait_until(lambda name=name: works_on(pipeline, name, 0, next(seeds)), f"{name} to store")  # type: ignore[misc]
    first.ask_to_stop()
    pipeline.succeed(first, 5)
    send_events(pipeline.bootstrap, pipeline.topic, 300, next(seeds))
    pipeline.wait_until_stored(5)
    assert_exactly_once(pipeline)


def works_on(pipeline: Pipeline, name: str, before: int, seed: int) -> bool:
    """Send a few events to every partition and see whether this consumer has stored some of those sent so far."""
    send_events(pipeline.bootstrap, pipeline.topic, 100, seed)
    return batches_of(pipeline, name) > before


def batches_of(pipeline: Pipeline, name: str) -> int:
    """How many batches a consumer has committed."""
    with pipeline.database.connect() as session:
        number = scalar(session, "SELECT count(*) FROM clickstream.ingest_batch WHERE consumer = %s", name)
    return int(str(number))


def stored(pipeline: Pipeline) -> set[str]:
    """The ids in the table."""
    with pipeline.database.connect() as session:
        return set(stored_ids(session))
