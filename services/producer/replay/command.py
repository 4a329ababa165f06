"""`replay FILE…`: real data through the same pipeline as everything else."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import structlog
import typer

from services.common.errors import UserError
from services.common.settings import load
from services.producer.pacing import Pace, Speed, Unpaced
from services.producer.replay import display, mapping
from services.producer.replay.files import InputFile
from services.producer.replay.report import Report
from services.producer.replay.settings import ReplaySettings
from services.producer.replay.source import Options, Replay
from services.producer.running import run
from services.producer.source import Message

log = structlog.stdlib.get_logger("producer")


def replay(
    files: Annotated[list[Path], typer.Argument(help="Files, packed or not; - is standard input.", metavar="FILE…")],
    format_: Annotated[
        str | None, typer.Option("--format", help="log, ndjson or csv; default: by name and first line.")
    ] = None,
    map_: Annotated[
        list[str] | None,
        typer.Option("--map", help="CSV: FIELD=COLUMN,… (page_path=/item/{COLUMN} and properties.NAME=COLUMN too)."),
    ] = None,
    map_event: Annotated[
        list[str] | None, typer.Option(help="CSV: THEIRS=OURS,… for the names of event types.")
    ] = None,
    log_format: Annotated[
        str | None, typer.Option(help="A log's fields as nginx ($remote_addr …) or Apache (%h …) is configured.")
    ] = None,
    columns: Annotated[str | None, typer.Option(help="CSV without a header: COLUMN,… in their order.")] = None,
    delimiter: Annotated[str | None, typer.Option(help="CSV: what stands between fields; tab for a tab.")] = None,
    speed: Annotated[
        str | None, typer.Option(help="max, real (as long as it took), or a multiple such as x60.")
    ] = None,
    bots: Annotated[str | None, typer.Option(help="drop or keep what crawlers asked for; default: drop.")] = None,
    source: Annotated[
        str | None,
        typer.Option(help="Name of the data, part of every derived id: one for each server whose lines may be alike."),
    ] = None,
    site: Annotated[
        str | None,
        typer.Option(
            help="Site of events that name none, part of every derived id: its name, or its address (https://…), "
            "which then stands before the path in page_url. Default: a log line's virtual host."
        ),
    ] = None,
) -> None:
    """Replay web-server logs, NDJSON of our own event, or CSV. Twice the same file stores nothing twice."""
    settings = load(
        ReplaySettings,
        producer_format=format_,
        producer_map=",".join(map_) if map_ else None,
        producer_map_event=",".join(map_event) if map_event else None,
        producer_log_format=log_format,
        producer_columns=columns,
        producer_delimiter=delimiter,
        producer_speed=speed,
        producer_bots=bots,
        producer_source=source,
        producer_site=site,
        producer_progress_seconds=display.TERMINAL_SECONDS if display.on_terminal() else None,
    )
    options = Options(
        mapping=mapping.parse(settings.producer_map, settings.producer_map_event),
        format=settings.producer_format,
        log_format=settings.producer_log_format,
        columns=settings.producer_columns,
        delimiter="\t" if settings.producer_delimiter == "tab" else settings.producer_delimiter,
        source=settings.producer_source,
        site=settings.producer_site,
        keep_bots=settings.producer_bots == "keep",
        visitor_key=settings.producer_visitor_key.get_secret_value(),
    )
    report = Report()
    inputs = [InputFile(path) for path in files]
    events = Replay(inputs, options, report)
    try:
        with display.shown(inputs, report) as show:
            run(events, settings, _Attended(events, pace_of(settings.producer_speed)), show)
    finally:
        _conclude(report, options)
    if events.failure is not None:
        raise events.failure
    if (unreadable := report.unreadable()) is not None:
        raise UserError(unreadable)


def pace_of(speed: str) -> Pace:
    """The pace that `--speed` asks for."""
    if speed == "max":
        return Unpaced()
    return Speed(1.0 if speed == "real" else float(speed.removeprefix("x")))


class _Attended:
    """A pace that lets the source know of `stop`, since it may read for minutes without finding an event."""

    def __init__(self, events: Replay, pace: Pace) -> None:
        self._events = events
        self._pace = pace

    def bursts(self, messages: Iterator[Message], stop: threading.Event) -> Iterator[list[Message]]:
        self._events.stop = stop
        yield from self._pace.bursts(messages, stop)


def _conclude(report: Report, options: Options) -> None:
    log.info("replayed", **report.as_dict())
    if display.on_terminal():
        display.print_summary(report)
    for advice in report.advice(int(time.time() * 1000)):
        log.warning(advice)
    if report.addresses and not options.visitor_key:
        log.warning(
            "pseudonyms made without a key can be undone by trying all addresses: "
            "set PRODUCER_VISITOR_KEY for data that is not public"
        )
