"""Where each partition stands: PostgreSQL says, the broker may have lost what lies there.

A position before the broker's first offset, or on a topic that was made anew, is a gap: it is written into the ledger
and counted, and consumption goes on from what exists. Nothing is skipped in silence, and nothing loops.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import LiteralString

from confluent_kafka import TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from services.common.postgres import Connection

_REQUEST_SECONDS = 3

_ADD: LiteralString = """
INSERT INTO partition_offset (topic, partition, next_offset, high_watermark, topic_id)
VALUES (%s, %s, %s, %s, %s)
ON CONFLICT DO NOTHING
"""
_READ: LiteralString = """
SELECT partition, next_offset, high_watermark, topic_id
FROM partition_offset
WHERE topic = %s AND partition = ANY (%s)
"""
_MOVE: LiteralString = """
UPDATE partition_offset
SET next_offset = %(next_offset)s, topic_id = %(topic_id)s, lost = lost + %(lost)s, updated_at = clock_timestamp()
WHERE topic = %(topic)s AND partition = %(partition)s AND next_offset = %(from_offset)s
"""
_RECORD_GAP: LiteralString = """
INSERT INTO ingest_batch (topic, partitions, first_offsets, next_offsets, lag_messages, received, stored, duplicate,
    dead, lost, bytes, seconds, consumer, note, rolled_up)
VALUES (%(topic)s, ARRAY[%(partition)s::integer], ARRAY[%(from_offset)s::bigint], ARRAY[%(next_offset)s::bigint],
    ARRAY[0::bigint], 0, 0, 0, 0, %(lost)s, 0, 0, %(consumer)s, %(note)s, true)
"""


@dataclass(frozen=True)
class Extent:
    """What the broker has of a partition: first offset, and the one after the last."""

    low: int
    high: int


@dataclass(frozen=True)
class Gap:
    """Offsets that were there and can't be read any more."""

    partition: int
    from_offset: int
    next_offset: int
    lost: int
    note: str


def extents(admin: AdminClient, topic: str, partitions: Iterable[int]) -> dict[int, Extent]:
    """The broker's first and next offsets.

    Raises:
        KafkaException: the broker can't tell now.
    """
    wanted = [TopicPartition(topic, partition) for partition in partitions]
    earliest, latest = OffsetSpec.earliest(), OffsetSpec.latest()  # type: ignore[no-untyped-call]
    lows = admin.list_offsets(dict.fromkeys(wanted, earliest), request_timeout=_REQUEST_SECONDS)
    highs = admin.list_offsets(dict.fromkeys(wanted, latest), request_timeout=_REQUEST_SECONDS)
    return {tp.partition: Extent(lows[tp].result().offset, highs[tp].result().offset) for tp in wanted}


def topic_id(admin: AdminClient, topic: str) -> str | None:
    """What tells a topic from a later one of the same name; None where the broker does not say (KIP-516).

    Raises:
        KafkaException: the broker can't tell now.
    """
    described = admin.describe_topics(TopicCollection([topic]), request_timeout=_REQUEST_SECONDS)[topic].result()
    identity = described.topic_id
    return str(identity) if identity is not None and str(identity).strip("A") else None


def take(
    connection: Connection, topic: str, found: dict[int, Extent], identity: str | None, consumer: str
) -> tuple[dict[int, int], list[Gap]]:
    """The next offset of each partition, new ones from their beginning, and the gaps that had to be recorded."""
    with connection.transaction(), connection.cursor() as cursor:
        rows = cursor.execute(_READ, [topic, list(found)]).fetchall()
        if len(rows) < len(found):  # to add what is there would wait for whoever is moving it on
            cursor.executemany(_ADD, [(topic, p, extent.low, extent.low, identity) for p, extent in found.items()])
            rows = cursor.execute(_READ, [topic, list(found)]).fetchall()
        offsets: dict[int, int] = {}
        gaps: list[Gap] = []
        for partition, next_offset, high_watermark, known_id in rows:
            remade = identity is not None and known_id is not None and identity != known_id
            gap = _gap(partition, next_offset, high_watermark, found[partition], remade)
            offsets[partition] = next_offset if gap is None else gap.next_offset
            if gap is not None:
                books = vars(gap) | {"topic": topic, "topic_id": identity, "consumer": consumer}
                if cursor.execute(_MOVE, books).rowcount:
                    cursor.execute(_RECORD_GAP, books)
                    gaps.append(gap)
    return offsets, gaps


def _gap(partition: int, next_offset: int, high_watermark: int, extent: Extent, remade: bool) -> Gap | None:
    if remade or next_offset > extent.high:
        note = "the topic was made anew" if remade else "the topic ends before our position: it lost its end"
        return Gap(partition, next_offset, extent.low, max(0, high_watermark - next_offset), note)
    if next_offset < extent.low:
        note = "the topic's retention removed messages before they were read"
        return Gap(partition, next_offset, extent.low, extent.low - next_offset, note)
    return None
