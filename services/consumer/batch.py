"""Messages taken together: what is committed in one transaction, or not at all."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

from confluent_kafka import Message

from services.consumer.faults import Invalid
from services.consumer.limits import Limits
from services.consumer.positions import known_epoch
from services.consumer.validation import Row, Validator

BLOCK_ROWS = 500
# From then on a timestamp is not a time: RFC 3339 has no such year.
YEAR_10000_MS = 253_402_300_800_000


@dataclass(frozen=True)
class DeadLetter:
    """A message that can't become an event, and why."""

    message: Message
    invalid: Invalid


@dataclass
class Batch:
    """Messages of one topic in the order they were consumed, and what validation made of them.

    `first_offsets` is where each partition stood before the batch, `next_offsets` where it stands after it;
    `high_watermarks` is the end of each partition as far as the broker has told. `topic_ids` is what the topic was
    when the positions were taken, `leader_epochs` that of the last message: missing where the broker does not tell.
    `on_block` hears of each block that is validated. `rows[i]` came from `row_messages[i]`. The ledger gives `batch_id`
    before the first row is made.
    """

    topic: str
    messages: list[Message]
    first_offsets: dict[int, int]
    next_offsets: dict[int, int]
    high_watermarks: dict[int, int]
    topic_ids: dict[int, str] = field(default_factory=dict)
    leader_epochs: dict[int, int] = field(default_factory=dict)
    on_block: Callable[[], None] = lambda: None
    batch_id: int = 0
    rows: list[Row] = field(default_factory=list)
    row_messages: list[Message] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    _validated: int = 0

    @property
    def partitions(self) -> list[int]:
        """The partitions it moves on, in order."""
        return sorted(self.next_offsets)

    def validate(self, validator: Validator, limits: Limits) -> Iterator[Row]:
        """Rows as they pass, block by block: writing them while the next block is checked keeps both sides busy.

        A second call begins with what the first has kept, so a retry does not check again.
        """
        yield from self.rows
        while self._validated < len(self.messages):
            first = len(self.rows)
            self._validate_block(validator, limits)
            yield from islice(self.rows, first, None)

    def _validate_block(self, validator: Validator, limits: Limits) -> None:
        block = self.messages[self._validated : self._validated + BLOCK_ROWS]
        checked = validator.check([message.value() for message in block], limits, self.batch_id)
        if Invalid not in set(map(type, checked)):  # as nearly always
            self.rows += checked
            self.row_messages += block
        else:
            self._sort_out(block, checked)
        self._validated += len(block)
        self.on_block()

    def _sort_out(self, block: list[Message], checked: list[Row | Invalid]) -> None:
        for message, result in zip(block, checked, strict=True):
            if isinstance(result, Invalid):
                self.dead_letters.append(DeadLetter(message, result))
            else:
                self.rows.append(result)
                self.row_messages.append(message)

    def begin_anew(self) -> None:
        """Forget the id, and the rows that carry it."""
        self.batch_id = self._validated = 0
        self.rows, self.row_messages, self.dead_letters = [], [], []

    def portions(self, most: int | None) -> list["Batch"]:
        """The same messages as batches of at most so many, each beginning where the one before it ends."""
        if most is None or len(self.messages) <= most:
            return [self]
        stands, portions = dict(self.first_offsets), []
        for start in range(0, len(self.messages), most):
            messages = self.messages[start : start + most]
            ends: dict[int, int] = {m.partition(): m.offset() + 1 for m in messages}  # type: ignore[misc, operator]
            epochs = {m.partition(): known_epoch(m.leader_epoch()) for m in messages}
            if start + most >= len(self.messages):
                ends = {p: end for p, end in self.next_offsets.items() if p in ends or stands[p] != end}
                epochs = {p: self.leader_epochs.get(p) for p in ends}
            first = {p: stands[p] for p in ends}
            portion = replace(self, messages=messages, first_offsets=first, next_offsets=ends)
            portion.leader_epochs = {p: epoch for p, epoch in epochs.items() if p is not None and epoch is not None}
            portion.begin_anew()
            portions.append(portion)
            stands |= ends
        return portions

    def reject(self, index: int, invalid: Invalid) -> None:
        """Make a dead letter of a row that the database would not take."""
        self.dead_letters.append(DeadLetter(self.row_messages.pop(index), invalid))
        del self.rows[index]


def per_partition(messages: Iterable[Message]) -> Counter[int]:
    """How many messages of each partition."""
    return Counter(message.partition() for message in messages)  # type: ignore[misc]  # consumed: it has one


def produced_ms(message: Message) -> int | None:
    """When it was produced, in milliseconds since 1970, if it says so: a producer may write there whatever it likes."""
    _, ms = message.timestamp()
    return ms if 0 < ms < YEAR_10000_MS else None


def age_seconds(message: Message) -> float | None:
    """How long ago it was produced; not negative."""
    ms = produced_ms(message)
    return None if ms is None else max(0.0, time.time() - ms / 1000)
