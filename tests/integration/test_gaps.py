"""Messages that are gone before they were read: counted, written down, and never a loop or a silent skip."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from psycopg import sql

from tests.conftest import Database, create_topic
from tests.integration.pipeline import Pipeline, topic_ends, wait_until
from tests.integration.readings import Books, ask, books, free_port, metric, stored_ids
from tests.integration.sending import remove_all, send_events

LAG = "clickstream_consumer_lag_messages"
LOST_OFFSETS = "clickstream_consumer_lost_offsets_total"
pytestmark = pytest.mark.parametrize("topic", [3], indirect=True)


def test_messages_that_retention_removed_while_no_consumer_ran_are_counted_as_lost(pipeline: Pipeline) -> None:
    first = _store(pipeline, 600, seed=1)
    read_up_to = topic_ends(pipeline.bootstrap, pipeline.topic)
    send_events(pipeline.bootstrap, pipeline.topic, 600, seed=2)
    kept_from = remove_all(pipeline.bootstrap, pipeline.topic)
    last = send_events(pipeline.bootstrap, pipeline.topic, 600, seed=3)

    port = free_port()
    consumer = pipeline.consumer("second", MONITORING_PORT=str(port))
    pipeline.wait_until_stored()

    lost = {partition: kept_from[partition] - read_up_to[partition] for partition in kept_from}
    assert {partition: line.lost for partition, line in _books(pipeline).items()} == lost
    assert metric(port, LOST_OFFSETS) == sum(lost.values()) == 600
    assert _gaps(pipeline) == {
        (p, read_up_to[p], kept_from[p], lost[p], "the topic's retention removed messages before they were read")
        for p in lost
    }
    assert _stored(pipeline) == first | last
    assert consumer.log.read_text().count("gap in the topic") == 3


def test_messages_removed_while_the_database_was_away_are_counted_as_lost(pipeline: Pipeline) -> None:
    port = free_port()
    consumer = pipeline.consumer(MONITORING_PORT=str(port))
    first = send_events(pipeline.bootstrap, pipeline.topic, 600, seed=1)
    pipeline.wait_until_stored()
    with away(pipeline.database):
        second = send_events(pipeline.bootstrap, pipeline.topic, 600, seed=2)
        wait_until(lambda: "it is kept and tried again" in consumer.log.read_text(), "the consumer to notice")
        third = send_events(pipeline.bootstrap, pipeline.topic, 600, seed=3)
        kept_from = remove_all(pipeline.bootstrap, pipeline.topic)
        last = send_events(pipeline.bootstrap, pipeline.topic, 600, seed=4)
    pipeline.wait_until_stored()

    assert first | last <= _stored(pipeline) <= first | second | third | last
    lines = _books(pipeline)
    for line in lines.values():
        assert line.received == line.stored
        assert line.received + line.lost == line.next_offset
    lost = sum(line.lost for line in lines.values())
    assert 600 <= lost <= 1200  # what it held of the second, it has stored
    assert metric(port, LOST_OFFSETS) == lost == sum(gap[3] for gap in _gaps(pipeline))
    assert {gap[2] for gap in _gaps(pipeline)} == set(kept_from.values())


@pytest.mark.parametrize("events_anew", [90, 3000], ids=["shorter than it was", "longer than it was"])
def test_a_topic_made_anew_while_no_consumer_ran_is_read_from_its_beginning(
    pipeline: Pipeline, events_anew: int
) -> None:
    first = _store(pipeline, 900, seed=1)
    _make_anew(pipeline)
    second = send_events(pipeline.bootstrap, pipeline.topic, events_anew, seed=2)
    pipeline.consumer("second")
    pipeline.wait_until_stored()
    assert _stored(pipeline) == first | second
    _assert_made_anew_is_recorded(pipeline)


@pytest.mark.parametrize("events_anew", [90, 3000], ids=["shorter than it was", "longer than it was"])
@pytest.mark.parametrize("batch_seconds", ["0.25", "1.5"], ids=["between batches", "within a batch"])
def test_a_topic_made_anew_while_the_consumer_runs_is_read_from_its_beginning(
    pipeline: Pipeline, events_anew: int, batch_seconds: str
) -> None:
    consumer = pipeline.consumer(CONSUMER_BATCH_SECONDS=batch_seconds)
    first = send_events(pipeline.bootstrap, pipeline.topic, 900, seed=1)
    pipeline.wait_until_stored()
    unread = send_events(pipeline.bootstrap, pipeline.topic, 30, seed=3) if batch_seconds == "1.5" else set()
    _make_anew(pipeline)
    second = send_events(pipeline.bootstrap, pipeline.topic, events_anew, seed=2)
    wait_until(lambda: first | second <= _stored(pipeline), "all events of the new topic to be stored", 30)
    wait_until(pipeline.stored_up_to_the_end, "all messages to be stored")
    assert _stored(pipeline) <= first | unread | second
    _assert_made_anew_is_recorded(pipeline)
    assert consumer.running


@pytest.mark.parametrize("runs", [True, False], ids=["while the consumer runs", "while none runs"])
def test_a_topic_made_anew_with_fewer_partitions_is_read_and_the_one_that_is_no_more_gets_its_gap(
    pipeline: Pipeline, runs: bool
) -> None:
    port = free_port()
    if runs:
        pipeline.consumer(MONITORING_PORT=str(port))
        first = send_events(pipeline.bootstrap, pipeline.topic, 900, seed=1)
        pipeline.wait_until_stored()
    else:
        first = _store(pipeline, 900, seed=1)
    _make_anew(pipeline, partitions=2)
    second = send_events(pipeline.bootstrap, pipeline.topic, 300, seed=2)
    if not runs:
        pipeline.consumer("second", MONITORING_PORT=str(port))
    wait_until(lambda: first | second <= _stored(pipeline), "all events of the new topic to be stored", 40)
    wait_until(lambda: ask(port, "/readyz")[0] == 200, "the consumer to be ready")
    pipeline.wait_until_stored()
    assert _stored(pipeline) == first | second
    anew = "the topic was made anew"
    assert {(gap[0], *gap[2:]) for gap in _gaps(pipeline)} == {
        (0, 0, 0, anew),
        (1, 0, 0, anew),
        (2, 0, 0, f"{anew} without this partition"),
    }


def test_what_was_unread_when_the_topic_was_made_anew_is_counted_as_lost(pipeline: Pipeline) -> None:
    port = free_port()
    consumer = pipeline.consumer(MONITORING_PORT=str(port))
    first = send_events(pipeline.bootstrap, pipeline.topic, 300, seed=1)
    pipeline.wait_until_stored()
    with away(pipeline.database):
        wait_until(lambda: "it is kept and tried again" in consumer.log.read_text(), "the consumer to notice")
        unread = send_events(pipeline.bootstrap, pipeline.topic, 1000, seed=2)
        wait_until(lambda: metric(port, LAG) == 1000, "the consumer to see what waits")
        _make_anew(pipeline, partitions=2)
        last = send_events(pipeline.bootstrap, pipeline.topic, 300, seed=3)
    wait_until(lambda: first | last <= _stored(pipeline), "all events of the new topic to be stored", 40)
    wait_until(lambda: len(_gaps(pipeline)) == 3, "the gaps")
    lost = sum(line.lost for line in _books(pipeline).values())
    assert lost + len(_stored(pipeline) & unread) == 1000
    assert lost == sum(gap[3] for gap in _gaps(pipeline)) > 0


def _assert_made_anew_is_recorded(pipeline: Pipeline) -> None:
    gaps = _gaps(pipeline)
    assert {(partition, to, lost, note) for partition, _, to, lost, note in gaps} == {
        (partition, 0, 0, "the topic was made anew") for partition in range(3)
    }
    assert len(gaps) == 3


@contextmanager
def away(database: Database) -> Iterator[None]:
    """The server lets nobody into the database, and throws out whoever is in."""
    name = sql.Identifier(database.dbname)
    server = Database(database.host, database.port, database.user, database.password)
    with server.connect() as session:
        session.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(name))
        session.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s", [database.dbname]
        )
        try:
            yield
        finally:
            session.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(name))


def _store(pipeline: Pipeline, count: int, seed: int) -> set[str]:
    """Events that a consumer has stored, which has ended then."""
    sent = send_events(pipeline.bootstrap, pipeline.topic, count, seed)
    consumer = pipeline.consumer("first")
    pipeline.wait_until_stored()
    consumer.ask_to_stop()
    pipeline.succeed(consumer)
    return sent


def _make_anew(pipeline: Pipeline, partitions: int = 3) -> None:
    """Delete the topic and create it again; its deletion takes a moment."""
    admin = AdminClient({"bootstrap.servers": pipeline.bootstrap})
    admin.delete_topics([pipeline.topic])[pipeline.topic].result(30)

    def created() -> bool:
        try:
            create_topic(pipeline.bootstrap, pipeline.topic, partitions)
        except KafkaException as error:
            if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
                return False
            raise
        return True

    wait_until(created, "the topic to be made anew")


def _stored(pipeline: Pipeline) -> set[str]:
    with pipeline.database.connect() as session:
        return set(stored_ids(session))


def _books(pipeline: Pipeline) -> dict[int, Books]:
    with pipeline.database.connect() as session:
        return books(session, pipeline.topic)


def _gaps(pipeline: Pipeline) -> set[tuple[int, int, int, int, str]]:
    """Partition, from, to, lost and note of each gap in the ledger."""
    with pipeline.database.connect() as session:
        rows = session.execute(
            "SELECT partitions[1], first_offsets[1], next_offsets[1], lost, note "
            "FROM clickstream.ingest_batch WHERE note IS NOT NULL"
        ).fetchall()
    assert len(rows) == len(set(rows)), "a gap was recorded twice"
    return set(rows)
