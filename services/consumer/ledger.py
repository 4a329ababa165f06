"""The books of a batch: where each partition stands, what became of every message, and the dead letters."""

import time
from base64 import b64encode
from collections import Counter
from dataclasses import dataclass
from datetime import date
from operator import methodcaller
from typing import LiteralString, cast

from confluent_kafka import Message
from msgspec import json

from services.common import uuid7
from services.common.event import COLUMNS
from services.common.postgres import Connection, transaction
from services.common.timestamps import rfc3339_ms
from services.consumer.batch import YEAR_10000_MS, Batch, DeadLetter, per_partition, produced_ms
from services.consumer.ways import Cursor

REPLAY_HEADER = "clickstream-dead-letter-id"
# Not `message.headers()`: a call that Python has optimised does not look whether the library failed.
_read_headers = methodcaller("headers")
_UNREADABLE = "\0"
_HEADERS_LEFT_OUT = " (headers whose names are not text are left out)"
_HEADERS_TOO_LARGE = " (headers are left out: too large)"
_CUT = " (key and value are cut: too large)"
# What a broker can have taken as it is. A compressed batch can become far more, which no row of COPY can hold.
_KEPT_BYTES = 100_000_000
_EVENT_TIME = COLUMNS.index("event_time")

_CLAIM: LiteralString = """
SELECT partition, next_offset, topic_id, (SELECT nextval('ingest_batch_batch_id_seq'))
FROM partition_offset
WHERE topic = %s AND partition = ANY (%s)
ORDER BY partition
FOR UPDATE
"""
# A row's xmax is the transaction that locks it. One whose server process waits for its client is not at work.
_EVICT_ZOMBIES: LiteralString = """
SELECT pg_terminate_backend(a.pid)
FROM partition_offset AS o
JOIN pg_locks AS l ON l.transactionid = o.xmax AND l.mode = 'ExclusiveLock' AND l.granted
JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE o.topic = %s AND o.partition = ANY (%s)
    AND a.usename = current_user AND a.application_name LIKE 'consumer %%' AND a.wait_event = 'ClientRead'
"""
_ADVANCE: LiteralString = """
UPDATE partition_offset AS o
SET next_offset = n.next_offset, high_watermark = n.high_watermark, leader_epoch = n.leader_epoch,
    received = o.received + n.received,
    stored = o.stored + n.received - n.duplicate - n.dead, duplicate = o.duplicate + n.duplicate,
    dead = o.dead + n.dead, updated_at = clock_timestamp()
FROM unnest(%(partitions)s::integer[], %(next_offsets)s::bigint[], %(high_watermarks)s::bigint[],
    %(leader_epochs)s::integer[], %(received)s::bigint[], %(duplicate)s::bigint[], %(dead)s::bigint[])
    AS n (partition, next_offset, high_watermark, leader_epoch, received, duplicate, dead)
WHERE o.topic = %(topic)s AND o.partition = n.partition
"""
_RECORD: LiteralString = """
INSERT INTO ingest_batch (batch_id, topic, partitions, first_offsets, next_offsets, lag_messages, received, stored,
    duplicate, dead, bytes, min_event_time, max_event_time, event_days, freshness_p50_seconds, freshness_p95_seconds,
    freshness_p99_seconds, seconds, consumer, rolled_up)
VALUES (%(batch_id)s, %(topic)s, %(partitions)s, %(first_offsets)s, %(next_offsets)s, %(lag_messages)s, %(received)s,
    %(stored)s, %(duplicate)s, %(dead)s, %(bytes)s, %(min_event_time)s, %(max_event_time)s,
    %(event_days)s::date[], %(p50)s, %(p95)s, %(p99)s, %(seconds)s, %(consumer)s, %(stored)s = 0)
"""
_COPY_DEAD_LETTER: LiteralString = """
COPY dead_letter (batch_id, topic, partition, message_offset, produced_at, reason, message, key, value, headers,
    replay_of)
FROM STDIN
"""


class FencedError(Exception):
    """A partition stands elsewhere than we left it: another consumer owns it now."""


@dataclass(frozen=True)
class Outcome:
    """What became of a batch's messages; freshness is from produced to stored, in seconds."""

    received: int
    stored: int
    duplicate: int
    dead: int
    freshness_p95_seconds: float | None

    @classmethod
    def of(cls, portions: list["Outcome"]) -> "Outcome":
        """Of a batch that was stored in portions; of their freshness the worst."""
        freshness = [o.freshness_p95_seconds for o in portions if o.freshness_p95_seconds is not None]
        return cls(
            sum(o.received for o in portions),
            sum(o.stored for o in portions),
            sum(o.duplicate for o in portions),
            sum(o.dead for o in portions),
            max(freshness, default=None),
        )


def claim(cursor: Cursor, batch: Batch) -> None:
    """Lock the batch's positions, each of which must be where the batch begins; gives the batch its id.

    The same offset of a topic made anew is another place: there the position counts as gone (-1).

    Raises:
        FencedError: one is not.
    """
    positions = {}
    for partition, next_offset, topic_id, batch_id in cursor.execute(_CLAIM, [batch.topic, batch.partitions]):
        same_topic = topic_id is None or batch.topic_ids.get(partition, topic_id) == topic_id
        positions[partition] = next_offset if same_topic else -1
        batch.batch_id = batch.batch_id or batch_id
    if positions != batch.first_offsets:
        moved = {p: (batch.first_offsets[p], positions.get(p)) for p in batch.partitions}
        raise FencedError(", ".join(f"{p}: from {ours} to {now}" for p, (ours, now) in moved.items() if ours != now))


def evict_zombies(connection: Connection, batch: Batch) -> None:
    """End the transactions of consumers that froze or vanished while they held the batch's positions.

    The partitions are ours by the group's word; one that comes back finds itself fenced.
    """
    with transaction(connection):
        connection.execute(_EVICT_ZOMBIES, [batch.topic, batch.partitions])


def record(cursor: Cursor, batch: Batch, duplicates: Counter[int], started_at: float, consumer: str) -> Outcome:
    """Write dead letters, positions and the ledger's row; `started_at` is in time.monotonic() seconds."""
    _write_dead_letters(cursor, batch)
    received = per_partition(batch.messages)
    dead = per_partition(letter.message for letter in batch.dead_letters)
    partitions = batch.partitions
    totals = {"received": received.total(), "duplicate": duplicates.total(), "dead": dead.total()}
    stored = totals["received"] - totals["duplicate"] - totals["dead"]
    p50, p95, p99 = _freshness_seconds(batch)
    times = [row[_EVENT_TIME] for row in batch.rows]
    books = {
        "topic": batch.topic,
        "partitions": partitions,
        "first_offsets": [batch.first_offsets[p] for p in partitions],
        "next_offsets": [batch.next_offsets[p] for p in partitions],
        "high_watermarks": [batch.high_watermarks[p] for p in partitions],
        "leader_epochs": [batch.leader_epochs.get(p) for p in partitions],
    }
    by_partition = {
        "received": [received[p] for p in partitions],
        "duplicate": [duplicates[p] for p in partitions],
        "dead": [dead[p] for p in partitions],
    }
    summary = {
        "batch_id": batch.batch_id,
        "lag_messages": [max(0, batch.high_watermarks[p] - batch.next_offsets[p]) for p in partitions],
        "stored": stored,
        "bytes": sum(map(len, batch.messages)),
        "min_event_time": min(times, default=None),  # type: ignore[type-var]  # of one form: text
        "max_event_time": max(times, default=None),  # type: ignore[type-var]
        "event_days": _event_days(batch),
        "p50": p50,
        "p95": p95,
        "p99": p99,
        "seconds": time.monotonic() - started_at,
        "consumer": consumer,
    }
    cursor.execute(_ADVANCE, books | by_partition)
    cursor.execute(_RECORD, books | totals | summary)
    return Outcome(totals["received"], stored, totals["duplicate"], totals["dead"], p95)


def _event_days(batch: Batch) -> list[date]:
    """The days whose partitions its events are in, found among the few minutes that their ids are of."""
    minutes = {str(row[0])[:8] for row in batch.rows}
    return sorted({uuid7.day_of(f"{minute}-{end}") for minute in minutes for end in ("0000", "ffff")})


def _freshness_seconds(batch: Batch) -> tuple[float | None, ...]:
    """Median, 95th and 99th percentile of the time from produced to now, of the messages that say when that was."""
    now_ms = time.time() * 1000
    times_ms = [message.timestamp()[1] for message in batch.messages]
    ages = sorted(now_ms - ms for ms in times_ms if 0 < ms < YEAR_10000_MS)
    if not ages:
        return None, None, None
    return tuple(max(0.0, ages[int(len(ages) * share)] / 1000) for share in (0.5, 0.95, 0.99))


def _write_dead_letters(cursor: Cursor, batch: Batch) -> None:
    if not batch.dead_letters:
        return
    with cursor.copy(_COPY_DEAD_LETTER) as copy:
        for letter in batch.dead_letters:
            copy.write_row((batch.batch_id, batch.topic, *_dead_letter_fields(letter)))


def _dead_letter_fields(letter: DeadLetter) -> tuple[object, ...]:
    message, invalid = letter.message, letter.invalid
    headers = _headers(message)
    kept = {name: value for name, value in headers if _is_storable(name)}
    encoded = [(name, None if value is None else b64encode(value).decode()) for name, value in headers if name in kept]
    notes = "" if len(encoded) == len(headers) else _HEADERS_LEFT_OUT
    if sum(len(name) + len(value or "") for name, value in encoded) > _KEPT_BYTES:
        encoded, notes = [], _HEADERS_TOO_LARGE
    key, value = message.key(), message.value()
    if max(len(key or b""), len(value or b"")) > _KEPT_BYTES:
        key, value, notes = key and key[:_KEPT_BYTES], value and value[:_KEPT_BYTES], notes + _CUT
    produced_at_ms = produced_ms(message)
    return (
        message.partition(),
        message.offset(),
        None if produced_at_ms is None else rfc3339_ms(produced_at_ms),
        invalid.reason,
        _storable(invalid.message) + notes,
        key,
        value,
        json.encode(encoded).decode() if encoded else None,
        _bigint(kept.get(REPLAY_HEADER) or b""),
    )


def _headers(message: Message) -> list[tuple[str, bytes | None]]:
    """A name that isn't UTF-8 makes the client library fail once, and then hand out a list that crashes its reader.

    So the message gets another list at once, with a name that can't come from the broker and can't be kept.
    """
    try:
        headers = cast("list[tuple[str, str | bytes | None]]", _read_headers(message) or [])
    except SystemError:
        message.set_headers([(_UNREADABLE, b"")])
        return [(_UNREADABLE, None)]
    return [(name, _bytes(value)) for name, value in headers]


def _storable(text: str) -> str:
    """The text without what PostgreSQL can't keep."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "")


def _is_storable(text: str) -> bool:
    return _storable(text) == text


def _bigint(digits: bytes) -> int | None:
    """A header is whatever somebody sent."""
    return int(digits) if digits.isdigit() and len(digits) <= 18 else None


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
