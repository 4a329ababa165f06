"""Messages from the broker: assignment, positions and the collecting of batches.

A newly assigned partition stays paused until its position is taken from PostgreSQL: Kafka's committed offsets are a
mirror for lag tools, nothing here reads them.
"""

import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from services.common.kafka import client_config
from services.common.log import Logger
from services.common.postgres import Connection
from services.consumer import metrics, positions
from services.consumer.batch import Batch
from services.consumer.broker import BrokerWatch, will_pass
from services.consumer.settings import ConsumerSettings

_CHUNK_MESSAGES = 1000
_STATISTICS_MS = 2000
_IDENTITY_SECONDS = 10.0


class Intake:
    """One member of the consumer group.

    A partition of ours has a position (where the next batch begins), or is unpositioned: paused until it takes one.
    """

    def __init__(self, settings: ConsumerSettings, log: Logger) -> None:
        self._settings = settings
        self._log = log
        self._topic = settings.kafka_topic
        self._positions: dict[int, int] = {}
        self._unpositioned: set[int] = set()
        self._topic_ids: dict[int, str | None] = {}
        self._identified_at = 0.0
        self._paused = False
        self.broker = BrokerWatch(log)
        client = client_config(settings, settings.consumer_name)
        # Its own lines about a broker that is away come twenty a second; ours comes once.
        client["log_level"] = 7 if settings.log_level == "debug" else 2
        self._admin = AdminClient(client)
        self._consumer = Consumer(client | self._group_config())
        self._consumer.subscribe(
            [self._topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke
        )

    def _group_config(self) -> dict[str, object]:
        timeout_ms = self._settings.consumer_session_timeout_seconds * 1000
        return {
            "group.id": self._settings.consumer_group_id,
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": timeout_ms,
            "heartbeat.interval.ms": min(timeout_ms // 4, 2000),  # a member hears of a rebalance with its heartbeat
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "fetch.wait.max.ms": 100,
            "message.max.bytes": 100_000_000,
            "receive.message.max.bytes": 200_000_000,
            "statistics.interval.ms": _STATISTICS_MS,
            "stats_cb": self.broker.on_statistics,
            "error_cb": self.broker.on_error,
        }

    def owns(self, batch: Batch) -> bool:
        """Whether every partition of the batch is still ours and stands where the batch begins."""
        return all(self._positions.get(p) == offset for p, offset in batch.first_offsets.items())

    def take_positions(self, connection: Connection) -> None:
        """Give newly assigned partitions their positions and let them run.

        Raises:
            psycopg.Error: the database can't tell now; they stay paused.
        """
        if not self._unpositioned:
            return
        partitions = sorted(self._unpositioned)
        try:
            found = positions.extents(self._admin, self._topic, partitions)
            identity = positions.topic_id(self._admin, self._topic)
        except KafkaException as error:
            self.broker.is_away(error.args[0].str())
            return
        self.broker.answers()
        offsets, gaps = positions.take(connection, self._topic, found, identity, self._settings.consumer_name)
        for gap in gaps:
            metrics.LOST.inc(gap.lost)
            self._log.error("gap in the topic", **vars(gap))
        self._topic_ids.update(dict.fromkeys(offsets, identity))
        self._start_at(offsets)

    def _start_at(self, offsets: dict[int, int]) -> None:
        """Assigning anew, unlike seeking, also discards whatever was fetched from elsewhere."""
        self._consumer.incremental_unassign([TopicPartition(self._topic, p) for p in offsets])
        started = [TopicPartition(self._topic, p, offset) for p, offset in offsets.items()]
        self._consumer.incremental_assign(started)
        self._consumer.resume(started)
        self._positions.update(offsets)
        self._unpositioned -= offsets.keys()

    def collect(self) -> Batch | None:
        """A batch, once it is full or its first message has waited long enough; None if nothing came."""
        settings = self._settings
        messages: list[Message] = []
        size = 0
        deadline = time.monotonic() + settings.consumer_batch_seconds
        while len(messages) < settings.consumer_batch_size and size < settings.consumer_batch_bytes:
            room = settings.consumer_batch_size - len(messages)
            left = deadline - time.monotonic()
            if left <= 0:
                break
            chunk = self._consumer.consume(min(_CHUNK_MESSAGES, room), timeout=min(left, 0.05))
            messages += chunk
            size += sum(map(len, chunk))
        batch = self._batch(messages)
        if batch is not None or time.monotonic() > self._identified_at + _IDENTITY_SECONDS:
            self._notice_new_topic(batch)
        return batch

    def _notice_new_topic(self, batch: Batch | None) -> None:
        """Of a topic made anew the client reads on at the old offsets, without a word: so ask, after reading.

        The batch is stored all the same: its events may be the old topic's last. The new topic is then read from its
        beginning, where what is stored already counts as a duplicate.
        """
        self._identified_at = time.monotonic()
        try:
            identity = positions.topic_id(self._admin, self._topic)
        except KafkaException:
            return  # asked again with the next batch
        stale = {p for p in self._positions if self._topic_ids[p] not in (None, identity)}
        if stale and batch is not None:
            batch.high_watermarks = batch.next_offsets  # the old topic's end is not known any more
        self._hold(stale)

    def _batch(self, messages: list[Message]) -> Batch | None:
        """What of the messages is ours and new; a redelivery from before our position is stored already."""
        ours: list[Message] = []
        first_offsets: dict[int, int] = {}
        next_offsets: dict[int, int] = {}
        for message in messages:
            if message.error() is not None:
                self._on_message_error(message)
                continue
            partition, offset = message.partition(), message.offset()
            position = next_offsets.get(partition, self._positions.get(partition))  # type: ignore[arg-type]
            if position is not None and offset >= position:  # type: ignore[operator]
                ours.append(message)
                first_offsets.setdefault(partition, position)  # type: ignore[arg-type]
                next_offsets[partition] = offset + 1  # type: ignore[index, operator]
        if not ours:
            return None
        return Batch(self._topic, ours, first_offsets, next_offsets, self._high_watermarks(next_offsets))

    def _high_watermarks(self, next_offsets: dict[int, int]) -> dict[int, int]:
        """The ends as of the last fetch: no request is made."""
        ends = {}
        for partition, next_offset in next_offsets.items():
            known = self._consumer.get_watermark_offsets(TopicPartition(self._topic, partition), cached=True)
            ends[partition] = max(known[1] if known else 0, next_offset)
        return ends

    def stored(self, batch: Batch) -> None:
        """The batch is committed: go on behind it, and mirror the offsets to Kafka."""
        self._positions.update({p: o for p, o in batch.next_offsets.items() if p in self._positions})
        mirror = [TopicPartition(self._topic, p, o) for p, o in batch.next_offsets.items() if p in self._positions]
        if mirror:
            self._consumer.commit(offsets=mirror, asynchronous=True)

    def abandon(self, batch: Batch) -> None:
        """The batch was dropped: its partitions, where they are still ours, take their positions again."""
        self._hold(set(batch.next_offsets) & self._positions.keys())

    def pause(self) -> None:
        """Fetch nothing, but stay in the group: back-pressure while the database is away."""
        if not self._paused:
            self._consumer.pause(self._consumer.assignment())
            self._paused = True

    def resume(self) -> None:
        """Fetch again."""
        if self._paused:
            self._paused = False
            self._consumer.resume([TopicPartition(self._topic, p) for p in self._positions])

    def keep_alive(self, seconds: float) -> None:
        """Serve the group's protocol for a while, without taking messages."""
        message = self._consumer.poll(seconds)
        if message is None:
            return
        if message.error() is not None:
            self._on_message_error(message)
        elif message.partition() in self._positions:
            self._hold({message.partition()})  # type: ignore[arg-type]  # fetched anew once we can store

    def close(self) -> None:
        """Leave the group, so that the others take over at once."""
        self._consumer.close()

    def _hold(self, partitions: set[int]) -> None:
        """Stop these until they take their positions again."""
        self._consumer.pause([TopicPartition(self._topic, p) for p in partitions])
        for partition in partitions:
            del self._positions[partition]
        self._unpositioned |= partitions

    def _on_assign(self, consumer: Consumer, assigned: list[TopicPartition]) -> None:
        self._log.info("partitions assigned", partitions=sorted(tp.partition for tp in assigned))
        consumer.incremental_assign(assigned)
        consumer.pause(assigned)
        self._unpositioned |= {tp.partition for tp in assigned}

    def _on_revoke(self, consumer: Consumer, revoked: list[TopicPartition]) -> None:
        self._log.info("partitions revoked", partitions=sorted(tp.partition for tp in revoked))
        consumer.incremental_unassign(revoked)
        for tp in revoked:
            self._positions.pop(tp.partition, None)
            self._unpositioned.discard(tp.partition)
            metrics.forget(tp.partition)

    def _on_message_error(self, message: Message) -> None:
        error = message.error()
        if error is None:
            return
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            partition = message.partition()
            if partition in self._positions:
                self._hold({partition})
        elif will_pass(error):
            self.broker.is_away(error.str())
        else:
            raise KafkaException(error)
