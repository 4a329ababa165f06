"""How far the replay is: a bar on a terminal, else a log line every few seconds."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog
from rich import progress as bars
from rich.console import Console
from rich.table import Table

from services.producer.progress import Progress
from services.producer.replay.files import InputFile
from services.producer.replay.report import Report

TERMINAL_SECONDS = 0.2
Show = Callable[[Progress], None]

log = structlog.stdlib.get_logger("producer")


def on_terminal() -> bool:
    """Whether a person watches."""
    return sys.stderr.isatty()


@contextmanager
def shown(files: list[InputFile], report: Report) -> Iterator[Show]:
    """What to call with the progress of the sending."""
    if not on_terminal():
        yield lambda progress: _log(progress, files, report)
        return
    bar = bars.Progress(
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.DownloadColumn(),
        bars.TextColumn("{task.fields[events]:,} events, {task.fields[rate]:,.0f}/s"),
        bars.TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    with bar:
        task = bar.add_task("replay", total=None if _percent(files) is None else _size(files), events=0, rate=0.0)

        def show(progress: Progress) -> None:
            bar.update(task, completed=_read(files), events=progress.delivered, rate=progress.rate_per_second)

        yield show
        bar.update(task, completed=_read(files), events=report.events.total())


def print_summary(report: Report) -> None:
    """The counts as a table, for a person."""
    table = Table("replay", "count", title_justify="left")
    table.columns[1].justify = "right"
    table.add_row("lines read", f"{report.lines:,}")
    for prefix, counts in (
        ("event", report.events),
        ("left out", report.skipped),
        ("bad line", report.bad),
        ("passed over", report.passed_over),
    ):
        for name, count in counts.most_common():
            table.add_row(f"{prefix}: {name}", f"{count:,}")
    Console(stderr=True).print(table)


def _log(progress: Progress, files: list[InputFile], report: Report) -> None:
    log.info(
        "progress",
        read_percent=_percent(files),
        lines=report.lines,
        bad_lines=report.bad.total(),
        delivered=progress.delivered,
        queued=progress.queued,
        rate_per_second=round(progress.rate_per_second),
    )


def _percent(files: list[InputFile]) -> float | None:
    """None while a pipe is among them, whose size nobody knows."""
    if not all(file.size_bytes for file in files):
        return None
    return round(100 * _read(files) / _size(files), 1)


def _size(files: list[InputFile]) -> int:
    return sum(file.size_bytes for file in files)


def _read(files: list[InputFile]) -> int:
    return sum(file.position_bytes for file in files)
