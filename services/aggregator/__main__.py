"""`python -m services.aggregator`: run, verify, rebuild, restore-ledger, housekeep."""

from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from services.aggregator import housekeeping
from services.aggregator.run import Run
from services.aggregator.settings import AggregatorSettings
from services.aggregator.verification import verify as recount
from services.common import log, shutdown
from services.common.errors import end_with_one_line
from services.common.postgres import connect_or_fail
from services.common.settings import load
from services.rollups.rebuild import rebuild as rebuild_rollups

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)


@app.command()
def run(
    once: Annotated[bool, typer.Option("--once", help="End as soon as nothing is pending.")] = False,
) -> None:
    """Roll up what is pending, every few seconds until the run's time is up; then housekeeping."""
    settings: AggregatorSettings = load(AggregatorSettings)
    logger = log.configure(settings, "aggregator")
    Run(settings, logger, shutdown.on_signal(), once=once).run()


@app.command()
def verify(
    days: Annotated[int, typer.Option(min=1, help="UTC days to recount, today included.")] = 2,
    all_: Annotated[bool, typer.Option("--all", help="Recount all that raw events cover.")] = False,
) -> None:
    """Recount from raw events and compare with the live views; exit code 1 if anything differs or is left out."""
    settings: AggregatorSettings = load(AggregatorSettings)
    found = recount(settings, None if all_ else days)
    table = Table("rollup", "since", "rows", "different", title="verify: live views against a recount of raw events")
    for drift in found:
        since = f"{drift.since:%Y-%m-%d %H:%M}" if drift.since else "the beginning"
        table.add_row(drift.rollup, since, f"{drift.rows:,}", f"{drift.drift_rows:,}")
    console = Console()
    console.print(table)
    different = sum(drift.drift_rows for drift in found)
    left_out = [drift for drift in found if drift.note]
    for drift in left_out:
        console.print(f"{drift.rollup} is {drift.note}", highlight=False, markup=False, soft_wrap=True)
    console.print(f"{different} differences", highlight=False)
    if different or left_out:
        raise typer.Exit(1)


@app.command()
def rebuild() -> None:
    """Compute every rollup anew from raw events, beside the old, and swap in one transaction."""
    settings: AggregatorSettings = load(AggregatorSettings)
    console = Console()
    columns = (TextColumn("rebuilding"), BarColumn(), MofNCompleteColumn(), TextColumn("events"), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("events", total=None)
        changed = rebuild_rollups(settings, lambda done, total: bar.update(task, completed=done, total=total))
    for rollup, rows in changed.items():
        console.print(f"{rollup:>16}  {rows:,} rows changed", highlight=False)


@app.command()
def housekeep() -> None:
    """Create partitions ahead, drop what is past its retention: what every run does, now."""
    settings: AggregatorSettings = load(AggregatorSettings)
    logger = log.configure(settings, "aggregator")
    with connect_or_fail(settings, "housekeep", autocommit=True) as connection:
        logger.info("housekeeping done", **vars(housekeeping.keep(connection, settings, logger)))


@app.command()
def restore_ledger() -> None:
    """Give events whose ledger row is gone a row again; positions and ledger add up from here on."""
    settings: AggregatorSettings = load(AggregatorSettings)
    with connect_or_fail(settings, "restore-ledger", autocommit=True) as connection:
        row = connection.execute("SELECT restore_ledger()").fetchone()
    console = Console()
    console.print(f"{row[0] if row else 0:,} ledger rows restored; now: verify --all", highlight=False)


if __name__ == "__main__":
    end_with_one_line(app)
