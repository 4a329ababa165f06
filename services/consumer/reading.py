"""What of the messages that the client hands over is ours and new."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from confluent_kafka import KafkaError, Message

from services.consumer.positions import Position


class Reading(NamedTuple):
    """New messages in order, by partition the offsets before and after them and the last of them, and what else came.

    `ends` is where the client found nothing more to read: behind the last message, or behind what is no message (a
    transaction's markers, aborted and compacted messages).
    """

    messages: list[Message]
    first_offsets: dict[int, int]
    next_offsets: dict[int, int]
    last: dict[int, Message]
    ends: dict[int, int]
    errors: list[Message]


def read(messages: Iterable[Message], positions: Mapping[int, Position]) -> Reading:
    """Sort them; a redelivery from before our position is stored already."""
    reading = Reading([], {}, {}, {}, {}, [])
    ours, next_offsets, last = reading.messages, reading.next_offsets, reading.last
    for message in messages:
        partition, offset = message.partition(), message.offset()
        if message.error() is not None:
            _sort_out(reading, message)
            continue
        position = next_offsets.get(partition)  # type: ignore[arg-type]
        if position is None and partition in positions:
            position = positions[partition].next_offset  # type: ignore[index]
            reading.first_offsets[partition] = position  # type: ignore[index]
        if position is not None and offset >= position:  # type: ignore[operator]
            ours.append(message)
            next_offsets[partition] = offset + 1  # type: ignore[index, operator]
            last[partition] = message  # type: ignore[index]
    for partition in reading.first_offsets.keys() - next_offsets.keys():
        del reading.first_offsets[partition]
    return reading


def _sort_out(reading: Reading, message: Message) -> None:
    if message.error().code() == KafkaError._PARTITION_EOF:  # type: ignore[union-attr]
        reading.ends[message.partition()] = message.offset()  # type: ignore[index, assignment]
    else:
        reading.errors.append(message)
