"""A topic in memory: what the consumer's store is handed, and handed again after a failure, as the broker would."""

import random
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Message

from services.common.postgres import Connection
from services.consumer.batch import Batch
from tests.events import encode, message

TOPIC = "events"


@dataclass
class Topic:
    """Messages by partition, and where the store says each partition stands."""

    partitions: int = 3
    messages: list[list[Message]] = field(init=False)

    def __post_init__(self) -> None:
        self.messages = [[] for _ in range(self.partitions)]

    def append(self, value: bytes | None, partition: int) -> None:
        """As a producer."""
        log = self.messages[partition]
        log.append(message(value, len(log), partition, TOPIC))

    def append_events(self, events: list[dict[str, Any]]) -> None:
        """As a producer, by visitor."""
        for event, value in zip(events, encode(events), strict=True):
            self.append(value, int(event["visitor_id"][1:]) % self.partitions)

    def register(self, connection: Connection) -> None:
        """As the consumer on its first assignment."""
        for partition in range(self.partitions):
            connection.execute(
                "INSERT INTO partition_offset (topic, partition, next_offset, high_watermark) VALUES (%s, %s, 0, 0)",
                [TOPIC, partition],
            )

    def positions(self, connection: Connection) -> dict[int, int]:
        """Where each partition stands."""
        return dict(connection.execute("SELECT partition, next_offset FROM partition_offset").fetchall())

    def batch(self, connection: Connection, random: random.Random, most: int = 200) -> Batch | None:
        """Some of what comes next, of some partitions."""
        first, chosen = {}, []
        for partition, position in self.positions(connection).items():
            taken = self.messages[partition][position : position + random.randint(0, most)]
            if taken:
                first[partition] = position
                chosen += taken
        if not chosen:
            return None
        nexts = {p: offset + sum(m.partition() == p for m in chosen) for p, offset in first.items()}
        ends = {p: len(self.messages[p]) for p in first}
        return Batch(TOPIC, chosen, first, nexts, ends)
