"""Dead letters: list them, look at one, send them through the topic again, as often as one likes.

A replayed message is the very bytes with the same key. If it is valid now, it is stored (once, as every event); if not,
it becomes a new dead letter that points back to the first.
"""

from base64 import b64decode
from collections import Counter
from typing import Annotated, Any, LiteralString

import typer
from confluent_kafka import KafkaError, Message, Producer
from rich.console import Console
from rich.table import Table

from services.common.errors import UserError
from services.common.kafka import client_config
from services.common.postgres import Connection, connect_or_fail
from services.common.settings import KafkaSettings, PostgresSettings, load
from services.consumer.faults import REASONS
from services.consumer.ledger import REPLAY_HEADER

app = typer.Typer(no_args_is_help=True, help="List, show and replay messages that could not become events.")

_PAGE_LETTERS = 1000
_PAGE_BYTES = 64 * 1024 * 1024
_DELIVERY_SECONDS = 60.0
# As large as the consumer can have taken it.
_MESSAGE_MAX_BYTES = 100_000_000
_Id = Annotated[int, typer.Argument(metavar="ID", min=1, max=2**63 - 1)]
Reason = Annotated[str | None, typer.Option(help=f"Only of this reason: {', '.join(REASONS)}.")]

_LIST: LiteralString = """
SELECT dead_letter_id, failed_at, reason, message, partition, message_offset, octet_length(value), replays
FROM dead_letter
WHERE (replayed_at IS NULL OR %(all)s) AND (%(reason)s::text IS NULL OR reason = %(reason)s)
ORDER BY dead_letter_id DESC
LIMIT %(limit)s
"""
_SHOW: LiteralString = "SELECT * FROM dead_letter WHERE dead_letter_id = %s"
# Some of these are dead letters because they are huge: a page ends when it is heavy.
_NEXT: LiteralString = """
SELECT dead_letter_id, topic, key, value, headers
FROM (
    SELECT *, sum(octet_length(value)) OVER (ORDER BY dead_letter_id ROWS UNBOUNDED PRECEDING EXCLUDE CURRENT ROW)
        AS bytes_before
    FROM (
        SELECT dead_letter_id, topic, key, value, headers
        FROM dead_letter
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
UPDATE dead_letter SET replays = replays + 1, replayed_at = now() WHERE dead_letter_id = ANY (%s)
"""


class DeadLetterSettings(KafkaSettings, PostgresSettings):
    """The same database and broker as the consumer's."""


@app.command("list")
def list_letters(
    reason: Reason = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 50,
    all_: Annotated[bool, typer.Option("--all", help="Also those replayed already.")] = False,
) -> None:
    """List dead letters, newest first."""
    settings: DeadLetterSettings = load(DeadLetterSettings)
    table = Table("id", "failed at", "reason", "message", "partition", "offset", "bytes", "replays")
    with connect_or_fail(settings, "dead-letters") as connection:
        query = {"all": all_, "reason": _known(reason), "limit": limit}
        for row in connection.execute(_LIST, query):
            table.add_row(*(f"{cell:%Y-%m-%d %H:%M:%S}" if i == 1 else _shown(cell) for i, cell in enumerate(row)))
        counts: dict[str, int] = dict(
            connection.execute("SELECT reason, count(*) FROM dead_letter GROUP BY 1 ORDER BY 2 DESC")
        )
    console = _console()
    console.print(table)
    console.print(", ".join(f"{name}: {count}" for name, count in counts.items()) or "no dead letters", soft_wrap=True)


@app.command()
def show(id_: _Id) -> None:
    """Show one dead letter whole."""
    settings: DeadLetterSettings = load(DeadLetterSettings)
    with connect_or_fail(settings, "dead-letters") as connection, connection.cursor() as cursor:
        row = cursor.execute(_SHOW, [id_]).fetchone()
        names = [column.name for column in cursor.description or []]
    if row is None:
        raise UserError(f"there is no dead letter {id_}; see: dead-letters list --all")
    console = _console()
    for name, cell in zip(names, row, strict=True):
        console.print(f"{name:>14}  {_shown(cell)}", soft_wrap=True)


@app.command()
def replay(
    id_: Annotated[
        int | None,
        typer.Argument(metavar="[ID]", min=1, max=2**63 - 1, help="Only this one; else all that are open."),
    ] = None,
    reason: Reason = None,
    all_: Annotated[bool, typer.Option("--all", help="Also those replayed already.")] = False,
) -> None:
    """Send dead letters through the topic again; those that are valid now are stored, each once."""
    settings: DeadLetterSettings = load(DeadLetterSettings)
    query = {"id": id_, "reason": _known(reason), "all": all_ or id_ is not None, "after": 0}
    query |= {"page_letters": _PAGE_LETTERS, "page_bytes": _PAGE_BYTES}
    producer = Producer(
        client_config(settings, "dead-letters")
        | {"enable.idempotence": True, "acks": "all", "message.max.bytes": _MESSAGE_MAX_BYTES}
    )
    replayed = 0
    with connect_or_fail(settings, "dead-letters", autocommit=True) as connection:
        newest = connection.execute("SELECT coalesce(max(dead_letter_id), 0) FROM dead_letter").fetchone()
        query["until"] = newest[0] if newest else 0  # what a replay dead-letters anew is not replayed again
        while page := connection.execute(_NEXT, query).fetchall():
            _send(connection, producer, page)
            replayed += len(page)
            query["after"] = page[-1][0]
    if id_ is not None and not replayed:
        raise UserError(f"there is no dead letter {id_}; see: dead-letters list --all")
    _console().print(f"{replayed} dead letters replayed")


def _send(connection: Connection, producer: Producer, page: list[tuple[Any, ...]]) -> None:
    """Send a page and mark what the broker has; a crash in between only sends again what is stored once anyway."""
    delivered: list[int] = []
    errors: Counter[str] = Counter()

    def on_delivery(letter_id: int) -> Any:
        def note(error: KafkaError | None, _message: Message) -> None:
            if error is None:
                delivered.append(letter_id)
            else:
                errors[error.str()] += 1

        return note

    for letter_id, topic, key, value, headers in page:
        sent_headers = [(name, b64decode(text) if text is not None else None) for name, text in headers or []]
        kept = [header for header in sent_headers if header[0] != REPLAY_HEADER]
        producer.produce(
            topic,
            key=key,
            value=value,
            headers=[*kept, (REPLAY_HEADER, str(letter_id).encode())],
            on_delivery=on_delivery(letter_id),
        )
        producer.poll(0)
    waiting = producer.flush(_DELIVERY_SECONDS)
    connection.execute(_MARK, [delivered])
    if waiting or errors:
        why = errors.most_common(1)[0][0] if errors else "the broker does not answer: check KAFKA_BOOTSTRAP_SERVERS"
        raise UserError(
            f"{len(page) - len(delivered)} dead letters were not sent ({why}); they stay open, replay again"
        )


def _console() -> Console:
    """What others sent is neither markup nor emoji."""
    return Console(markup=False, emoji=False, highlight=False)


def _shown(cell: object) -> str:
    """Text of a cell, in which what others sent can't steer the terminal."""
    text = cell.decode("utf-8", "backslashreplace") if isinstance(cell, bytes) else str(cell)
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def _known(reason: str | None) -> str | None:
    if reason is not None and reason not in REASONS:
        raise UserError(f"--reason {reason}: must be one of {', '.join(REASONS)}")
    return reason
