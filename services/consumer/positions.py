"""Where each partition stands: PostgreSQL says, the broker may have lost what lies there.

A position before the broker's first offset, behind its end, on a log that was cut, or on a topic that was made anew is
a gap: it is written into the ledger and counted, and consumption goes on from what exists. Nothing is skipped in
silence, and nothing loops.

The order is what makes it true beside other consumers: first the positions are read, then the topic's identity, then
its extents; a gap is written only where the position is still as it was read.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import LiteralString, NamedTuple

from confluent_kafka import IsolationLevel, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from services.common.postgres import Connection, transaction

_REQUEST_SECONDS = 3

_READ: LiteralString = """
SELECT partition, next_offset, high_watermark, topic_id, leader_epoch
FROM partition_offset
WHERE topic = %s
"""
_ADD: LiteralString = """
INSERT INTO partition_offset (topic, partition, next_offset, high_watermark, topic_id)
VALUES (%s, %s, %s, %s, %s)
ON CONFLICT DO NOTHING
"""
_MOVE: LiteralString = """
UPDATE partition_offset
SET next_offset = %(next_offset)s, high_watermark = %(high_watermark)s, topic_id = %(topic_id)s, leader_epoch = NULL,
    lost = lost + %(lost)s, updated_at = clock_timestamp()
WHERE topic = %(topic)s AND partition = %(partition)s AND next_offset = %(from_offset)s
    AND topic_id IS NOT DISTINCT FROM %(known_id)s AND leader_epoch IS NOT DISTINCT FROM %(known_epoch)s
"""
_RECORD_GAP: LiteralString = """
INSERT INTO ingest_batch (topic, partitions, first_offsets, next_offsets, lag_messages, received, stored, duplicate,
    dead, lost, bytes, seconds, consumer, note, rolled_up)
VALUES (%(topic)s, ARRAY[%(partition)s::integer], ARRAY[%(from_offset)s::bigint], ARRAY[%(next_offset)s::bigint],
    ARRAY[0::bigint], 0, 0, 0, 0, %(lost)s, 0, 0, %(consumer)s, %(note)s, true)
"""
# A row that somebody holds is left for the next time: to wait would make the group wait.
_UPDATE: LiteralString = """
WITH here AS (
    SELECT o.topic, o.partition, n.to_offset, n.high_watermark, n.leader_epoch, n.topic_id
    FROM unnest(%(partitions)s::integer[], %(from_offsets)s::bigint[], %(to_offsets)s::bigint[],
        %(high_watermarks)s::bigint[], %(leader_epochs)s::integer[], %(topic_ids)s::text[])
        AS n (partition, from_offset, to_offset, high_watermark, leader_epoch, topic_id)
    JOIN partition_offset AS o ON o.topic = %(topic)s AND o.partition = n.partition
        AND o.next_offset = n.from_offset AND coalesce(o.topic_id = n.topic_id, true)
    FOR UPDATE OF o SKIP LOCKED
)
UPDATE partition_offset AS o
SET next_offset = h.to_offset, high_watermark = h.high_watermark, topic_id = coalesce(h.topic_id, o.topic_id),
    leader_epoch = CASE WHEN h.to_offset > o.next_offset THEN h.leader_epoch ELSE o.leader_epoch END,
    updated_at = CASE WHEN h.to_offset > o.next_offset THEN clock_timestamp() ELSE o.updated_at END
FROM here AS h
WHERE o.topic = h.topic AND o.partition = h.partition
RETURNING o.partition
"""

_ANEW = "the topic was made anew"
_FEWER = "the topic was made anew without this partition"
_CUT = "the topic lost its end and was written on: what we had read is not there any more"
_SHORT = "the topic ends before our position: it lost its end"
_RETENTION = "the topic's retention removed messages before they were read"


class Position(NamedTuple):
    """A partition's row: the next offset to read, the end when it was last seen, and what these were read from.

    `leader_epoch` is that of the last message read: with it the client notices that a log was cut (KIP-320).
    """

    next_offset: int
    high_watermark: int
    topic_id: str | None
    leader_epoch: int | None


class Update(NamedTuple):
    """A position moved on past what is no record, or only its end and topic told (`to_offset` = `from_offset`)."""

    partition: int
    from_offset: int
    to_offset: int
    high_watermark: int
    leader_epoch: int | None
    topic_id: str | None


@dataclass(frozen=True)
class Extent:
    """What the broker has of a partition: first offset, the one after the last, and the epoch its log ends with."""

    low: int
    high: int
    leader_epoch: int | None


@dataclass(frozen=True)
class Topic:
    """A topic as the broker has it now; `extents` of all its partitions that were asked for."""

    identity: str | None
    partitions: frozenset[int]
    extents: dict[int, Extent]


@dataclass(frozen=True)
class Gap:
    """Offsets that were there and can't be read any more."""

    partition: int
    from_offset: int
    next_offset: int
    lost: int
    note: str


@dataclass(frozen=True)
class Hints:
    """What a consumer knows besides: ends it saw, and where the client found a log cut off."""

    ends: Mapping[int, int]
    cuts: Mapping[int, int]


def measure(admin: AdminClient, topic: str, partitions: Iterable[int]) -> Topic:
    """The topic now. Its identity first: extents of a newer topic are told from it later, those of an older never.

    Raises:
        KafkaException: the broker can't tell now.
    """
    identity, exist = describe(admin, topic)
    wanted = [TopicPartition(topic, partition) for partition in partitions if partition in exist]
    if not wanted:
        return Topic(identity, exist, {})
    earliest = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
    lows = admin.list_offsets(dict.fromkeys(wanted, earliest), request_timeout=_REQUEST_SECONDS)
    highs = _latest(admin, wanted)
    extents = {tp: Extent(lows[tp].result().offset, *highs[tp.partition]) for tp in wanted}
    return Topic(identity, exist, {tp.partition: extent for tp, extent in extents.items()})


def ends(admin: AdminClient, topic: str, partitions: Iterable[int]) -> dict[int, tuple[int, int | None]]:
    """The offset after the last message that can be read, and the log's epoch: before an open transaction, if any.

    Raises:
        KafkaException: the broker can't tell now.
    """
    wanted = [TopicPartition(topic, partition) for partition in partitions]
    return _latest(admin, wanted, isolation_level=IsolationLevel.READ_COMMITTED) if wanted else {}


def _latest(
    admin: AdminClient, wanted: list[TopicPartition], **options: IsolationLevel
) -> dict[int, tuple[int, int | None]]:
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    found = admin.list_offsets(dict.fromkeys(wanted, latest), request_timeout=_REQUEST_SECONDS, **options)
    results = {tp.partition: future.result() for tp, future in found.items()}
    return {partition: (result.offset, known_epoch(result.leader_epoch)) for partition, result in results.items()}


def known_epoch(epoch: int | None) -> int | None:
    """Clients say None or a negative number where a broker or an old message has none."""
    return epoch if epoch is not None and epoch >= 0 else None


def describe(admin: AdminClient, topic: str) -> tuple[str | None, frozenset[int]]:
    """What tells a topic from a later one of the same name, and its partitions.

    The identity is None where the broker does not say (before KIP-516).

    Raises:
        KafkaException: the broker can't tell now.
    """
    described = admin.describe_topics(TopicCollection([topic]), request_timeout=_REQUEST_SECONDS)[topic].result()
    identity = described.topic_id
    known = str(identity) if identity is not None and str(identity).strip("A") else None
    return known, frozenset(partition.id for partition in described.partitions)


def read(connection: Connection, topic: str) -> dict[int, Position]:
    """The rows of all partitions that the topic has, or had before it was made anew."""
    with transaction(connection):
        return {partition: Position(*row) for partition, *row in connection.execute(_READ, [topic])}


def take(
    connection: Connection, topic: str, known: dict[int, Position], found: Topic, hints: Hints, consumer: str
) -> tuple[dict[int, Position], list[Gap]]:
    """Where the partitions asked for go on, new ones from their beginning, and the gaps that had to be recorded.

    One that another consumer has moved since it was read is in neither: to be read again.
    """
    positions: dict[int, Position] = {}
    gaps: list[Gap] = []
    with transaction(connection), connection.cursor() as cursor:
        for partition in sorted(found.extents.keys() - known.keys()):
            low = found.extents[partition].low
            if cursor.execute(_ADD, [topic, partition, low, low, found.identity]).rowcount:
                positions[partition] = Position(low, low, found.identity, None)
        for partition, row in sorted(known.items()):
            gap = _gap(partition, row, found, hints)
            if gap is None:
                if partition in found.extents:
                    positions[partition] = row._replace(topic_id=found.identity or row.topic_id)
                continue
            moved = Position(gap.next_offset, gap.next_offset, found.identity or row.topic_id, None)
            books = vars(gap) | {"topic": topic, "consumer": consumer, "known_id": row.topic_id}
            if cursor.execute(_MOVE, books | moved._asdict() | {"known_epoch": row.leader_epoch}).rowcount:
                cursor.execute(_RECORD_GAP, books)
                gaps.append(gap)
                if partition in found.extents:
                    positions[partition] = moved
    return positions, gaps


def _gap(partition: int, row: Position, found: Topic, hints: Hints) -> Gap | None:
    remade = None not in (found.identity, row.topic_id) and found.identity != row.topic_id
    unread = max(0, row.high_watermark - row.next_offset, hints.ends.get(partition, 0) - row.next_offset)
    if partition not in found.partitions:
        gone = remade or (found.identity is None and row.next_offset > 0)
        return Gap(partition, row.next_offset, 0, unread, _FEWER) if gone else None
    extent = found.extents.get(partition)
    if extent is None:
        return None  # another consumer's
    if remade:
        return Gap(partition, row.next_offset, extent.low, unread, _ANEW)
    if row.next_offset > extent.high:
        return Gap(partition, row.next_offset, extent.low, unread, _SHORT)
    cut = hints.cuts.get(partition, 0 if _is_older(extent.leader_epoch, row.leader_epoch) else row.next_offset)
    if cut < row.next_offset:
        return Gap(partition, row.next_offset, max(extent.low, cut), unread, _CUT)
    if row.next_offset < extent.low:
        return Gap(partition, row.next_offset, extent.low, extent.low - row.next_offset, _RETENTION)
    return None


def _is_older(ends_with: int | None, read: int | None) -> bool:
    """A log whose last epoch is before that of a message we read is an older copy: epochs only grow."""
    return ends_with is not None and read is not None and ends_with < read


def update(connection: Connection, topic: str, updates: Iterable[Update]) -> set[int]:
    """Write what is known anew; returns the partitions that stood where they were thought to stand."""
    columns = list(zip(*updates, strict=True))
    if not columns:
        return set()
    names = ("partitions", "from_offsets", "to_offsets", "high_watermarks", "leader_epochs", "topic_ids")
    books = {name: list(column) for name, column in zip(names, columns, strict=True)}
    with transaction(connection):
        return {partition for (partition,) in connection.execute(_UPDATE, books | {"topic": topic})}
