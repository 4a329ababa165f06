"""What a source of events is: simulated visitors and replayed logs look the same from here on."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol


class Message(NamedTuple):
    """One message for the topic.

    `due_ms` is when it is sent on the source's own clock, in milliseconds since 1970: pacing keeps the distances.
    `key` is the visitor's id, so that a visitor's events stay in order on one partition; `value` is the event as JSON.
    """

    due_ms: int
    key: bytes
    value: bytes


class Source(Protocol):
    """Messages in the order in which they are sent."""

    def __iter__(self) -> Iterator[Message]:
        """Begin anew; endless for some sources."""
        ...
