"""Messages from the broker: assignment, positions and the collecting of batches.

A newly assigned partition stays paused until its position is taken from PostgreSQL: Kafka's committed offsets are a
mirror for lag tools, nothing here reads them. What is kept in memory is looked at again, for the world changes without
a word: a database that failed over has older positions, a topic made anew or cut off has other messages.
"""

import re
import time
from collections.abc import Iterable

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from services.common.kafka import client_config
from services.common.log import Logger
from services.common.postgres import Connection
from services.consumer import metrics, positions
from services.consumer.batch import Batch
from services.consumer.broker import BrokerWatch, will_pass
from services.consumer.patience import Patience
from services.consumer.positions import Hints, Position, Update, known_epoch
from services.consumer.reading import read
from services.consumer.settings import ConsumerSettings

_CHUNK_MESSAGES = 1000
_STATISTICS_MS = 2000
_LOOK_SECONDS = 3.0
_SETTLE_SECONDS = 1.0
_CUT = re.compile(r"truncation detected at offset \d+ \(leader epoch (\d+)\): broker end offset is (\d+)")


class Intake:
    """One member of the consumer group.

    A partition of ours has a position (where the next batch begins), or is unpositioned: paused until it takes one.
    """

    def __init__(self, settings: ConsumerSettings, log: Logger, patience: Patience) -> None:
        self._settings = settings
        self._patience = patience
        self._log = log
        self._topic = settings.kafka_topic
        self._positions: dict[int, Position] = {}
        self._unpositioned: set[int] = set()
        self._gone: set[int] = set()  # assigned, but not on the topic: until the group notices
        self._past: dict[int, Update] = {}  # read on to an end that is behind the last message
        self._ends: dict[int, Position] = {}  # as last seen, of those that have none now
        self._cuts: dict[int, int] = {}
        self._looked_at = self._compared_at = 0.0
        self._compared_with: Connection | None = None
        self._told_of_no_identity = False
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
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "fetch.wait.max.ms": 100,
            "message.max.bytes": 100_000_000,
            "receive.message.max.bytes": 200_000_000,
            "statistics.interval.ms": _STATISTICS_MS,
            "stats_cb": self.broker.on_statistics,
            "error_cb": self.broker.on_error,
        }

    @property
    def problem(self) -> str | None:
        """Why partitions of ours are not read now, if so."""
        if self.broker.problem is not None:
            return f"broker: {self.broker.problem}"
        return f"no position yet: partitions {sorted(self._unpositioned)}" if self._unpositioned else None

    def owns(self, batch: Batch) -> bool:
        """Whether every partition of the batch is still ours and stands where the batch begins."""
        ours = self._positions
        return all(p in ours and ours[p].next_offset == offset for p, offset in batch.first_offsets.items())

    def take_positions(self, connection: Connection) -> None:
        """Hold partitions that PostgreSQL has elsewhere, give those without a position one and let them run.

        Raises:
            psycopg.Error: the database can't tell now; they stay paused.
        """
        with self._patience.call(connection):
            self._move_past(connection)
            if connection is not self._compared_with or time.monotonic() > self._compared_at + _LOOK_SECONDS:
                self._compare(connection)
        if self._unpositioned:
            self._take(connection)

    def _move_past(self, connection: Connection) -> None:
        """Ends that no message marks: behind a transaction's markers, aborted or compacted messages."""
        moved = positions.update(connection, self._topic, self._past.values())
        for partition in moved:
            end = self._past.pop(partition)
            self._positions[partition] = Position(end.to_offset, end.high_watermark, end.topic_id, end.leader_epoch)
            metrics.lag(partition, 0)
        self._mirror(moved)

    def _compare(self, connection: Connection) -> None:
        """A database that failed over to a lagging copy, or was restored, has positions from before ours."""
        rows = positions.read(connection, self._topic)
        here = {p: row for p, row in rows.items() if p in self._positions and _agree(row, self._positions[p])}
        changed = [
            Update(p, row.next_offset, row.next_offset, ours.high_watermark, None, ours.topic_id)
            for p, row in here.items()
            if (ours := self._positions[p])._replace(leader_epoch=None) != row._replace(leader_epoch=None)
        ]
        positions.update(connection, self._topic, changed)
        moved = self._positions.keys() - here.keys()
        if moved:
            self._log.warning("positions in PostgreSQL are not where we left them", partitions=sorted(moved))
        self._hold(moved)
        self._unpositioned |= self._gone
        self._gone = set()
        self._compared_at, self._compared_with = time.monotonic(), connection

    def _take(self, connection: Connection) -> None:
        with self._patience.call(connection):
            known = positions.read(connection, self._topic)
        try:
            found = positions.measure(self._admin, self._topic, self._unpositioned)
        except KafkaException as error:
            self.broker.is_away(error.args[0].str())
            return
        self.broker.answers()
        self._tell_of_no_identity(found.identity)
        same = {p: end for p, end in self._ends.items() if p in known and known[p].topic_id == end.topic_id}
        hints = Hints({p: end.high_watermark for p, end in same.items()}, self._cuts)
        with self._patience.call(connection):
            taken, gaps = positions.take(connection, self._topic, known, found, hints, self._settings.consumer_name)
        for gap in gaps:
            metrics.LOST.inc(gap.lost)
            self._log.error("gap in the topic", **vars(gap))
        self._gone |= self._unpositioned - found.partitions
        self._unpositioned &= found.partitions
        self._start_at(taken)

    def _tell_of_no_identity(self, identity: str | None) -> None:
        if identity is None and not self._told_of_no_identity:
            self._log.warning("the broker gives no topic id: a topic made anew is noticed only where it is shorter")
            self._told_of_no_identity = True

    def _start_at(self, taken: dict[int, Position]) -> None:
        """Assigning anew, unlike seeking, also discards whatever was fetched from elsewhere."""
        self._consumer.incremental_unassign([TopicPartition(self._topic, p) for p in taken])
        started = {p: TopicPartition(self._topic, p, position.next_offset) for p, position in taken.items()}
        self._consumer.incremental_assign([*started.values()])
        self._consumer.pause([*started.values()])
        for partition, position in taken.items():
            if position.leader_epoch is None or self._validate(partition, position.next_offset, position.leader_epoch):
                self._consumer.resume([started[partition]])
                self._positions[partition] = position
                self._cuts.pop(partition, None)
                self._ends.pop(partition, None)
                self._unpositioned.discard(partition)

    def _validate(self, partition: int, offset: int, leader_epoch: int) -> bool:
        """Let the client ask whether the log was cut since: only a seek does, and not while an assignment settles."""
        until = time.monotonic() + _SETTLE_SECONDS
        while time.monotonic() < until:
            try:
                self._consumer.seek(TopicPartition(self._topic, partition, offset, leader_epoch=leader_epoch))
                return True
            except KafkaException as error:
                why = error.args[0]
                if why.code() not in (KafkaError._STATE, KafkaError._PREV_IN_PROGRESS) and not will_pass(why):
                    raise
                time.sleep(0.01)
        return False

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
        due = self._look_at_ends()
        if batch is not None or due:
            self._notice_new_topic(batch)
        return batch

    def _look_at_ends(self) -> bool:
        """Now and then, so that what is lost unread is known when it is lost; whether it was time."""
        if time.monotonic() < self._looked_at + _LOOK_SECONDS or self.broker.problem is not None:
            return False
        self._looked_at = time.monotonic()
        try:
            ends = positions.ends(self._admin, self._topic, self._positions)
            identity, _ = positions.describe(self._admin, self._topic)
        except KafkaException:
            metrics.retry("broker")
            return True  # looked at again soon
        for partition, (end, epoch) in ends.items():
            ours = self._positions.get(partition)
            # Asked in this order, an end is that of the topic we read; with a newer epoch, perhaps of a log cut since.
            if ours is not None and identity == ours.topic_id and not _is_newer(epoch, ours.leader_epoch):
                self._positions[partition] = ours._replace(high_watermark=max(end, ours.next_offset))
                metrics.lag(partition, end - ours.next_offset)
        return True

    def _notice_new_topic(self, batch: Batch | None) -> None:
        """Of a topic made anew the client reads on at the old offsets, without a word: so ask, after reading.

        The batch is stored all the same: its events may be the old topic's last. The new topic is then read from its
        beginning, where what is stored already counts as a duplicate.
        """
        try:
            identity, _ = positions.describe(self._admin, self._topic)
        except KafkaException:
            metrics.retry("broker")
            return  # asked again with the next batch
        stale = {p for p, ours in self._positions.items() if ours.topic_id not in (None, identity)}
        if batch is not None:  # the client's ends are of the new topic
            batch.high_watermarks |= {
                p: max(next_offset, self._positions[p].high_watermark)
                for p, next_offset in batch.next_offsets.items()
                if p in stale
            }
        self._hold(stale)

    def _batch(self, messages: list[Message]) -> Batch | None:
        reading = read(messages, self._positions)
        epochs = {p: known_epoch(message.leader_epoch()) for p, message in reading.last.items()}
        watermarks = self._high_watermarks(reading.next_offsets)
        for partition, end in reading.ends.items():
            if partition not in reading.next_offsets:
                self._note_end(partition, end)
            elif end >= reading.next_offsets[partition]:
                reading.next_offsets[partition] = watermarks[partition] = end
                epochs[partition] = self._epoch_at(partition, end)
        topic_ids = {p: self._positions[p].topic_id for p in reading.next_offsets}
        for message in reading.errors:
            self._on_message_error(message)
        if not reading.messages:
            return None
        return Batch(
            self._topic,
            reading.messages,
            reading.first_offsets,
            reading.next_offsets,
            watermarks,
            {p: topic_id for p, topic_id in topic_ids.items() if topic_id is not None},
            {p: epoch for p, epoch in epochs.items() if epoch is not None},
        )

    def _note_end(self, partition: int, end: int) -> None:
        """Nothing more can be read before `end`: where no message leads there, the position is moved on by itself."""
        ours = self._positions.get(partition)
        if ours is not None and end > ours.next_offset:
            epoch = self._epoch_at(partition, end)
            self._past[partition] = Update(partition, ours.next_offset, end, end, epoch, ours.topic_id)

    def _epoch_at(self, partition: int, end: int) -> int | None:
        """That of what lies before the end, if the client stands there; no request is made."""
        (at,) = self._consumer.position([TopicPartition(self._topic, partition)])
        return known_epoch(at.leader_epoch) if at.offset == end else None

    def _high_watermarks(self, next_offsets: dict[int, int]) -> dict[int, int]:
        """The ends as of the last fetch: no request is made."""
        ends = {}
        for partition, next_offset in next_offsets.items():
            known = self._consumer.get_watermark_offsets(TopicPartition(self._topic, partition), cached=True)
            ends[partition] = max(known[1] if known else 0, next_offset)
        return ends

    def stored(self, batch: Batch) -> None:
        """The batch is committed: go on behind it, and mirror the offsets to Kafka."""
        ours = batch.next_offsets.keys() & self._positions.keys()
        for partition in ours:
            now = Position(
                batch.next_offsets[partition],
                batch.high_watermarks[partition],
                self._positions[partition].topic_id,
                batch.leader_epochs.get(partition),
            )
            self._positions[partition] = now
            if (end := self._past.pop(partition, None)) is not None and end.to_offset > now.next_offset:
                self._past[partition] = end._replace(from_offset=now.next_offset)
        self._mirror(ours)

    def _mirror(self, partitions: Iterable[int]) -> None:
        offsets = [TopicPartition(self._topic, p, self._positions[p].next_offset) for p in partitions]
        if offsets:
            self._consumer.commit(offsets=offsets, asynchronous=True)

    def abandon(self, batch: Batch) -> None:
        """The batch was dropped: its partitions, where they are still ours, take their positions again."""
        self._hold(set(batch.next_offsets) & self._positions.keys())

    def pause(self) -> None:
        """Fetch nothing, but stay in the group: back-pressure while the database is away."""
        if not self._paused:
            self._consumer.pause(self._consumer.assignment())
            self._paused = True

    def resume(self) -> None:
        """Fetch again, of the same topic: meanwhile it may have been made anew."""
        if self._paused:
            self._notice_new_topic(None)
            self._paused = False
            self._consumer.resume([TopicPartition(self._topic, p) for p in self._positions])

    def keep_alive(self, seconds: float) -> None:
        """Serve the group's protocol for a while, without taking messages."""
        self._look_at_ends()
        message = self._consumer.poll(seconds)
        if message is None:
            return
        reading = read([message], self._positions)
        self._hold(set(reading.next_offsets))  # fetched anew once we can store
        for partition, end in reading.ends.items():
            self._note_end(partition, end)
        for failed in reading.errors:
            self._on_message_error(failed)

    def close(self) -> None:
        """Leave the group, so that the others take over at once."""
        self._consumer.close()

    def _hold(self, partitions: set[int]) -> None:
        """Stop these until they take their positions again."""
        self._consumer.pause([TopicPartition(self._topic, p) for p in partitions])
        for partition in partitions:
            self._ends[partition] = self._positions.pop(partition)
            self._past.pop(partition, None)
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
            if (last := self._positions.pop(tp.partition, None)) is not None:
                self._ends[tp.partition] = last
            self._past.pop(tp.partition, None)
            self._cuts.pop(tp.partition, None)
            self._unpositioned.discard(tp.partition)
            self._gone.discard(tp.partition)
            metrics.forget(tp.partition)

    def _on_message_error(self, message: Message) -> None:
        error = message.error()
        if error is None:
            return
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            partition = message.partition()
            if partition in self._positions:
                self._note_cut(partition, error.str())
                self._hold({partition})
        elif will_pass(error):
            self.broker.is_away(error.str())
        else:
            raise KafkaException(error)

    def _note_cut(self, partition: int, text: str) -> None:
        """Where the client found that the log ends for the epoch we read; it may say so twice, the second time late."""
        cut, epoch = _CUT.search(text), self._positions[partition].leader_epoch
        if cut is not None and epoch is not None and epoch <= int(cut[1]):
            self._cuts[partition] = int(cut[2])


def _agree(row: Position, ours: Position) -> bool:
    """Whether both mean the same place, as far as they know their topics."""
    same_topic = row.topic_id is None or ours.topic_id in (None, row.topic_id)
    return same_topic and row.next_offset == ours.next_offset


def _is_newer(epoch: int | None, read: int | None) -> bool:
    return epoch is not None and read is not None and epoch > read
