"""Sends dead letters through the topic again: one that can't be sent stays open and keeps no other from being sent."""

from base64 import b64decode
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, LiteralString, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from services.common.errors import UserError
from services.common.kafka import client_config
from services.common.postgres import Connection
from services.common.settings import KafkaSettings
from services.consumer.ledger import REPLAY_HEADER

_PAGE_LETTERS = 1000
_PAGE_BYTES = 64 * 1024 * 1024
_METADATA_SECONDS = 10.0
_DELIVERY_SECONDS = 60.0
# As large as the consumer can have taken it.
_MESSAGE_MAX_BYTES = 100_000_000
_TOO_LARGE = (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE)
_AWAY = "no answer from the broker: check KAFKA_BOOTSTRAP_SERVERS"

_NEWEST: LiteralString = "SELECT coalesce(max(dead_letter_id), 0) FROM clickstream.dead_letter"
# Some of these are dead letters because they are huge: a page ends when it is heavy.
_NEXT: LiteralString = """
SELECT dead_letter_id, topic, key, value, headers
FROM (
    SELECT *, sum(octet_length(value)) OVER (ORDER BY dead_letter_id ROWS UNBOUNDED PRECEDING EXCLUDE CURRENT ROW)
        AS bytes_before
    FROM (
        SELECT dead_letter_id, topic, key, value, headers
        FROM clickstream.dead_letter
        WHERE dead_letter_id > %(after)s AND dead_letter_id <= %(until)s
            AND (%(id)s::bigint IS NULL OR dead_letter_id = %(id)s)
            AND (replayed_at IS NULL OR %(all)s) AND (%(reason)s::text IS NULL OR reason = %(reason)s)
        ORDER BY dead_letter_id
        LIMIT %(page_letters)s
    ) AS d
) AS d
WHERE coalesce(bytes_before, 0) < %(page_bytes)s
ORDER BY dead_letter_id
"""
_MARK: LiteralString = """
UPDATE clickstream.dead_letter SET replays = replays + 1, replayed_at = now() WHERE dead_letter_id = ANY (%s)
"""


class Letter(NamedTuple):
    """A dead letter as it is stored; headers are pairs of a name and base64 or null."""

    id: int
    topic: str
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, str | None]] | None


class Replay:
    """One replay to the topic that the consumer reads now, wherever a letter came from; then what came of it."""

    def __init__(self, connection: Connection, settings: KafkaSettings) -> None:
        self._connection = connection
        self._topic = settings.kafka_topic
        self._producer = Producer(
            client_config(settings, "dead-letters")
            | {
                "enable.idempotence": True,
                "acks": "all",
                "message.max.bytes": _MESSAGE_MAX_BYTES,
                # What came compressed may be larger than the topic takes when it is not.
                "compression.type": "zstd",
                "partitioner": "murmur2_random",  # the producer's: a visitor's messages stay together
            }
        )
        self.sent = 0
        self._unlinked = 0
        self._moved: Counter[str] = Counter()
        self._failed: defaultdict[str, list[int]] = defaultdict(list)
        self._answers = True

    def run(self, *, id_: int | None, reason: str | None, all_: bool) -> None:
        """Send all that is asked for and mark what the broker has.

        Raises:
            UserError: the topic is not there, or nothing answers; nothing was sent.
        """
        newest = self._connection.execute(_NEWEST).fetchone()
        query = {"id": id_, "reason": reason, "all": all_, "page_letters": _PAGE_LETTERS, "page_bytes": _PAGE_BYTES}
        query |= {"after": 0, "until": newest[0] if newest else 0}  # what a replay dead-letters anew is not sent again
        while self._answers and (page := [Letter(*row) for row in self._connection.execute(_NEXT, query).fetchall()]):
            if not query["after"]:
                self._require_topic()
            self._send(page)
            query["after"] = page[-1].id

    def report(self) -> list[str]:
        """What was sent, in lines for a person."""
        lines = [f"{self.sent} dead letters replayed"]
        lines += [
            f"{count} of them came from topic {topic}: sent to {self._topic}, which KAFKA_TOPIC names"
            for topic, count in self._moved.items()
        ]
        if self._unlinked:
            lines.append(f"{self._unlinked} of them fill the topic's limit: without the header that tells where from")
        return lines

    def failures(self) -> str:
        """What was not sent, in one line; empty if all was."""
        if not self._failed:
            return ""
        kinds = (f"{len(ids)} {why} (dead letter {ids[0]})" for why, ids in self._failed.items())
        return f"{sum(map(len, self._failed.values()))} dead letters were not sent and stay open: {'; '.join(kinds)}"

    def _require_topic(self) -> None:
        try:
            found = self._producer.list_topics(self._topic, timeout=_METADATA_SECONDS).topics[self._topic]
        except KafkaException as error:
            raise UserError(f"no dead letter was sent: {error.args[0].str()}: check KAFKA_BOOTSTRAP_SERVERS") from None
        if found.error is not None:
            raise UserError(
                f"no dead letter was sent: topic {self._topic}: {found.error.str()}; "
                "set KAFKA_TOPIC to the topic that the consumer reads"
            )

    def _send(self, page: Sequence[Letter]) -> None:
        """Send a page and mark what the broker has; a crash in between only sends again what is stored once anyway."""
        errors = self._deliver(page)
        delivered = [letter for letter in page if errors.get(letter.id, "") is None]
        for letter in page:
            error = errors.get(letter.id, _AWAY)
            if self._answers and isinstance(error, KafkaError) and error.code() in _TOO_LARGE:
                error = self._squeeze(letter)
                if error is None:
                    delivered.append(letter)
            if error is not None:
                self._failed[error if isinstance(error, str) else f"refused: {error.str()}"].append(letter.id)
        self._connection.execute(_MARK, [[letter.id for letter in delivered]])
        self.sent += len(delivered)
        self._moved.update(letter.topic for letter in delivered if letter.topic != self._topic)

    def _squeeze(self, letter: Letter) -> KafkaError | str | None:
        """Send alone what was too large, for it may have been its batch; then without the header that we add."""
        for linked in (True, False):
            error = self._deliver([letter], linked=linked).get(letter.id, _AWAY)
            if not isinstance(error, KafkaError) or error.code() not in _TOO_LARGE:
                self._unlinked += error is None and not linked
                return error
        return f"too large for topic {self._topic}: raise its max.message.bytes"

    def _deliver(self, letters: Sequence[Letter], *, linked: bool = True) -> dict[int, KafkaError | str | None]:
        """Each letter's error, None once the broker has it; a letter is missing where nothing answered in time."""
        errors: dict[int, KafkaError | str | None] = {}

        def note(letter_id: int) -> Any:
            def on_delivery(error: KafkaError | None, _message: Message) -> None:
                errors[letter_id] = error

            return on_delivery

        for letter in letters:
            try:
                self._producer.produce(
                    self._topic,
                    key=letter.key,
                    value=letter.value,
                    headers=_headers(letter, linked=linked),
                    on_delivery=note(letter.id),
                )
            except KafkaException as error:
                errors[letter.id] = error.args[0]
            except (TypeError, ValueError):
                errors[letter.id] = "with headers that no message can have: correct column headers"
            self._producer.poll(0)
        self._answers = self._answers and self._producer.flush(_DELIVERY_SECONDS) == 0
        return errors


def _headers(letter: Letter, *, linked: bool) -> list[tuple[str, str | bytes | None]]:
    """Those it came with, and the one that tells which letter this is a replay of."""
    came = [(name, b64decode(text) if text is not None else None) for name, text in letter.headers or []]
    ours = [(REPLAY_HEADER, str(letter.id).encode())] if linked else []
    return [*(header for header in came if header[0] != REPLAY_HEADER), *ours]
