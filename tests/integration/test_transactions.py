"""Messages of transactional producers: their markers and what they took back are neither lag nor loss."""

from collections.abc import Iterator

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, Producer
from confluent_kafka.admin import AdminClient

from tests.integration.pipeline import Pipeline, scalar, topic_ends, wait_until
from tests.integration.readings import books, free_port, metric, stored_ids
from tests.integration.sending import remove_all, send_events, simulated

LAG = "clickstream_consumer_lag_messages"
pytestmark = pytest.mark.parametrize("topic", [3], indirect=True)


@pytest.fixture
def producer(pipeline: Pipeline) -> Iterator[Producer]:
    """A transactional one."""
    client = Producer({"bootstrap.servers": pipeline.bootstrap, "transactional.id": pipeline.topic})
    client.init_transactions(30)
    yield client
    client.purge()


def test_markers_and_aborted_messages_are_neither_lag_nor_loss(pipeline: Pipeline, producer: Producer) -> None:
    port = free_port()
    consumer = pipeline.consumer(MONITORING_PORT=str(port))
    sent = _send(producer, pipeline.topic, 300, seed=1)
    producer.commit_transaction(30)
    wait_until(pipeline.stored_up_to_the_end, "the positions to be at the end, behind the markers")
    _send(producer, pipeline.topic, 200, seed=2)
    producer.abort_transaction(30)
    wait_until(pipeline.stored_up_to_the_end, "the positions to be behind what was aborted")
    assert _lag(pipeline) == metric(port, LAG) == 0
    wait_until(lambda: _mirrored(pipeline) == topic_ends(pipeline.bootstrap, pipeline.topic), "Kafka's mirror")
    with pipeline.database.connect() as session:
        assert set(stored_ids(session)) == sent
        assert scalar(session, "SELECT count(*) FROM clickstream.ingest_batch WHERE received = 0") == 0

    consumer.ask_to_stop()
    pipeline.succeed(consumer)
    remove_all(pipeline.bootstrap, pipeline.topic)
    last = send_events(pipeline.bootstrap, pipeline.topic, 30, seed=3)
    pipeline.consumer("second")
    pipeline.wait_until_stored()
    with pipeline.database.connect() as session:
        assert set(stored_ids(session)) == sent | last
        assert {line.lost for line in books(session, pipeline.topic).values()} == {0}


def test_what_an_open_transaction_holds_back_is_no_lag_until_it_is_committed(
    pipeline: Pipeline, producer: Producer
) -> None:
    first = send_events(pipeline.bootstrap, pipeline.topic, 300, seed=1)
    held = _send(producer, pipeline.topic, 300, seed=2)
    behind = send_events(pipeline.bootstrap, pipeline.topic, 300, seed=3)
    port = free_port()
    pipeline.consumer(MONITORING_PORT=str(port))
    wait_until(lambda: metric(port, "clickstream_consumer_events_total") >= 300, "what lies before to be stored")
    wait_until(lambda: _lag(pipeline) == metric(port, LAG) == 0, "what can't be read to count no more")
    producer.commit_transaction(30)
    pipeline.wait_until_stored()
    with pipeline.database.connect() as session:
        assert set(stored_ids(session)) == first | held | behind


def _send(producer: Producer, topic: str, count: int, seed: int) -> set[str]:
    """Events in a transaction that is left open; returns their ids once all are on the topic."""
    producer.begin_transaction()
    events, ids = simulated(count, seed)
    for key, value in events:
        producer.produce(topic, value, key)
    assert producer.flush(30) == 0
    return ids


def _lag(pipeline: Pipeline) -> int:
    with pipeline.database.connect() as session:
        return int(str(scalar(session, "SELECT sum(lag_messages) FROM reporting.partition_offset")))


def _mirrored(pipeline: Pipeline) -> dict[int, int]:
    """What lag tools read."""
    admin = AdminClient({"bootstrap.servers": pipeline.bootstrap})
    group = ConsumerGroupTopicPartitions(f"group-{pipeline.topic}")
    (answer,) = admin.list_consumer_group_offsets([group]).values()
    return {tp.partition: tp.offset for tp in answer.result(10).topic_partitions}
