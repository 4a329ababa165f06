"""Dead letters: list them, look at one, send them through the topic again, as often as one likes.

A replayed message is the very bytes with the same key. If it is valid now, it is stored (once, as every event); if not,
it becomes a new dead letter that points back to the first.
"""

from typing import Annotated, LiteralString

import typer
from rich.console import Console
from rich.table import Table

from services.common.errors import UserError
from services.common.postgres import connect_or_fail, transaction
from services.common.settings import KafkaSettings, PostgresSettings, load
from services.consumer.faults import REASONS
from services.consumer.replay import Replay

app = typer.Typer(no_args_is_help=True, help="List, show and replay messages that could not become events.")

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
    with connect_or_fail(settings, "dead-letters", pooled=True) as connection, transaction(connection):
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
    with (
        connect_or_fail(settings, "dead-letters", pooled=True) as connection,
        transaction(connection),
        connection.cursor() as cursor,
    ):
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
    reason = _known(reason)
    with connect_or_fail(settings, "dead-letters", autocommit=True, pooled=True) as connection:
        sending = Replay(connection, settings)
        sending.run(id_=id_, reason=reason, all_=all_ or id_ is not None)
    failures = sending.failures()
    if id_ is not None and not sending.sent and not failures:
        raise UserError(f"there is no dead letter {id_}; see: dead-letters list --all")
    for line in sending.report():
        _console().print(line, soft_wrap=True)
    if failures:
        raise UserError(failures)


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
