"""Valid events sent straight to a topic, without the producer service."""

from collections.abc import Iterable
from functools import cache

from confluent_kafka import KafkaError, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from services.common.settings import load
from services.producer.settings import SimulateSettings
from services.producer.simulate.source import Simulation
from tests.integration.pipeline import topic_ends
from tests.integration.readings import ids_of


def send_events(bootstrap: str, topic: str, count: int, seed: int = 1) -> set[str]:
    """Send so many different events, spread over the partitions by visitor; returns their ids once all are there."""
    events, ids = simulated(count, seed)
    send(bootstrap, topic, events)
    return ids


def send(bootstrap: str, topic: str, messages: Iterable[tuple[bytes, bytes]]) -> None:
    """Send keys and values, and see them delivered."""
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "linger.ms": 5})
    failures: list[KafkaError] = []

    def on_delivery(error: KafkaError | None, _message: Message) -> None:
        failures.extend([error] if error else [])

    for key, value in messages:
        producer.produce(topic, value, key, on_delivery=on_delivery)
        producer.poll(0)
    assert (producer.flush(30), failures) == (0, [])


def remove_all(bootstrap: str, topic: str) -> dict[int, int]:
    """Retention takes whatever is there; returns where each partition begins now."""
    ends = topic_ends(bootstrap, topic)
    admin = AdminClient({"bootstrap.servers": bootstrap})
    removed = admin.delete_records([TopicPartition(topic, p, end) for p, end in ends.items()])
    for future in removed.values():
        future.result(30)
    return ends


def simulated(count: int, seed: int) -> tuple[list[tuple[bytes, bytes]], set[str]]:
    """So many different events as keys and values, and their ids."""
    events = _simulated(count, seed)
    return events, set(ids_of(value for _, value in events))


@cache
def _simulated(count: int, seed: int) -> list[tuple[bytes, bytes]]:
    settings = load(
        SimulateSettings,
        kafka_bootstrap_servers="unused:9092",
        producer_events=count,
        producer_seed=seed,
        producer_duplicate_share=0,
        producer_span_hours=2,
    )
    return [(message.key, message.value) for message in Simulation(settings)]
