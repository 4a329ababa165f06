"""What is there, read independently of the services: the topic by a plain consumer, the tables by plain queries."""

import json
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.request import urlopen

import psycopg
from confluent_kafka import Consumer, TopicPartition

from local.state import free_ports
from tests.integration.pipeline import Pipeline, topic_ends

_READ_SECONDS = 30.0


class Record(NamedTuple):
    """A message as it lies on the topic."""

    partition: int
    offset: int
    value: bytes


class Books(NamedTuple):
    """A partition's line in `partition_offset`."""

    next_offset: int
    received: int
    stored: int
    duplicate: int
    dead: int
    lost: int


def read_topic(bootstrap: str, topic: str, beginnings: dict[int, int] | None = None) -> list[Record]:
    """Everything on the topic up to its present end; `beginnings` where it does not start at 0."""
    ends = topic_ends(bootstrap, topic)
    starts = {partition: (beginnings or {}).get(partition, 0) for partition in ends}
    missing = sum(ends[partition] - starts[partition] for partition in ends)
    client = Consumer({"bootstrap.servers": bootstrap, "group.id": "readings", "enable.auto.commit": False})
    try:
        client.assign([TopicPartition(topic, partition, start) for partition, start in starts.items()])
        found: list[Record] = []
        while len(found) < missing:
            messages = client.consume(min(missing - len(found), 10_000), _READ_SECONDS)
            assert messages, f"{missing - len(found)} of {missing} messages could not be read"
            for message in messages:
                assert message.error() is None
                found.append(Record(message.partition() or 0, message.offset() or 0, bytes(message.value() or b"")))
        return found
    finally:
        client.close()


def ids_of(values: Iterable[bytes]) -> list[str]:
    """The event ids of valid events."""
    return [json.loads(value)["event_id"] for value in values]


def stored_ids(session: psycopg.Connection) -> Counter[str]:
    """How often each event id is in the table."""
    return Counter(event_id for (event_id,) in session.execute("SELECT event_id::text FROM clickstream.event"))


def dead_letters(session: psycopg.Connection) -> dict[tuple[int, int], bytes]:
    """What was dead-lettered: the bytes by partition and offset."""
    rows = session.execute("SELECT partition, message_offset, value FROM clickstream.dead_letter").fetchall()
    found = {(partition, offset): value for partition, offset, value in rows}
    assert len(found) == len(rows), "a message was dead-lettered twice"
    return found


def books(session: psycopg.Connection, topic: str) -> dict[int, Books]:
    """The balance of every partition."""
    rows = session.execute(
        "SELECT partition, next_offset, received, stored, duplicate, dead, lost "
        "FROM clickstream.partition_offset WHERE topic = %s",
        [topic],
    )
    return {partition: Books(*numbers) for partition, *numbers in rows}


def assert_exactly_once(pipeline: Pipeline, broken: frozenset[bytes] = frozenset()) -> list[Record]:
    """Every message on the topic came to its one right end: stored, duplicate or, if it is broken, dead letter.

    Returns what is on the topic.
    """
    records = read_topic(pipeline.bootstrap, pipeline.topic)
    with pipeline.database.connect() as session:
        stored, dead, balance = stored_ids(session), dead_letters(session), books(session, pipeline.topic)
    valid = Counter(ids_of(record.value for record in records if record.value not in broken))
    assert stored.keys() - valid.keys() == set(), "events were stored that are not on the topic"
    assert valid.keys() - stored.keys() == set(), "events were lost"
    assert stored.total() == len(stored), "events were stored twice"
    assert dead == {(p, offset): value for p, offset, value in records if value in broken}
    messages = Counter(record.partition for record in records)
    for partition, line in balance.items():
        assert line.received == line.stored + line.duplicate + line.dead
        assert (line.received, line.lost) == (messages[partition], 0)
    totals = [sum(line[column] for line in balance.values()) for column in range(1, 5)]
    assert totals == [len(records), len(valid), valid.total() - len(valid), len(dead)]
    return records


def free_port() -> int:
    """A port that nobody listens on."""
    return free_ports(0)[0]


def ask(port: int, path: str) -> tuple[int, str]:
    """A service's answer over HTTP; 0 while nobody listens."""
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def metric(port: int, name: str) -> float:
    """The sum over all labels of a metric."""
    _, text = ask(port, "/metrics")
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if line.startswith((f"{name} ", f"{name}{{"))]
    return sum(float(value) for _, value in lines)
