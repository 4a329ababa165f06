"""Events into the books and the rollups without a broker: by the consumer's code and the aggregator's."""

import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import islice
from zlib import crc32

from confluent_kafka import Message

from services.common.postgres import Connection, snapshot
from services.consumer.batch import Batch, per_partition
from services.consumer.store import Store
from services.rollups.tail import Tail

TOPIC = "clickstream.events.v1"
PARTITIONS = 12
PASS_EVENTS = 200_000
_BATCH_EVENTS = 4_000

Sent = tuple[bytes, bytes]
"""A message: its key and its value."""


class Books:
    """A database as one consumer and one aggregator would leave it; both connections are autocommit."""

    consumer_ns: int
    """Processor time that the consumer's code took on the client's side, in nanoseconds."""

    def __init__(self, consumer: Connection, aggregator: Connection, tail: type[Tail] = Tail) -> None:
        for partition in range(PARTITIONS):
            consumer.execute(
                "INSERT INTO partition_offset (topic, partition, next_offset, high_watermark) VALUES (%s, %s, 0, 0)",
                [TOPIC, partition],
            )
        self.consumer_ns = 0
        self._positions = dict.fromkeys(range(PARTITIONS), 0)
        self._store = Store(consumer, "bench", retention_days=0, event_max_bytes=100_000)
        self._aggregator = aggregator
        self._tail = tail(aggregator, work_mem_mb=64)
        self._tail.bind()

    def store(self, sent: Iterable[Sent]) -> None:
        """Store messages, in batches; they are pending afterwards."""
        left = iter(sent)
        while taken := list(islice(left, _BATCH_EVENTS)):
            batch = self._batch(taken)
            before = time.process_time_ns()
            self._store.commit(batch)
            self.consumer_ns += time.process_time_ns() - before

    def roll_up(self) -> None:
        """One pass of the aggregator."""
        with snapshot(self._aggregator):
            self._tail.roll_up(PASS_EVENTS)

    def _batch(self, sent: Sequence[Sent]) -> Batch:
        now_ms = int(datetime.now(UTC).timestamp() * 1000)
        offsets = dict(self._positions)
        messages = []
        for key, value in sent:
            partition = crc32(key) % PARTITIONS
            offset = offsets[partition]
            messages.append(
                Message(topic=TOPIC, partition=partition, offset=offset, key=key, value=value, timestamp=(1, now_ms))
            )
            offsets[partition] += 1
        moved = per_partition(messages)
        first = {partition: self._positions[partition] for partition in moved}
        nexts = {partition: offsets[partition] for partition in moved}
        self._positions = offsets
        return Batch(TOPIC, messages, first, nexts, nexts)
