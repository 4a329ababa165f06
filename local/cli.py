"""The command line of the platform on one machine."""

import random
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import TyperException

from local import demo as demonstration
from local.options import PLEASANT_RATE, Options
from services.common.errors import UserError
from services.producer.cli import app as producer

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)
DATA = Path(".local/demo")


@app.callback()
def local() -> None:
    """The platform on one machine, without containers: Apache Kafka, PostgreSQL and the services as processes."""


_HELP = (
    "Run the whole platform here and watch it, until Ctrl-C.\n\nWith --events or --replay it ends by itself, with a "
    "verdict: exit code 0 means that every message is accounted for and every figure equals a recount. Each run "
    "starts on fresh data unless --keep is given.\n\nWhat is not named here goes to the producer: with --replay "
    "its --site, --map and --speed and further files, else its --site, --visitors and --start."
)


@app.command(help=_HELP, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def demo(
    context: typer.Context,
    events: Annotated[int | None, typer.Option(min=0, help="Send so many messages, check everything, end.")] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            help=f"Events a second. Default: {PLEASANT_RATE:.0f}; with --events as fast as possible.",
            show_default=False,
        ),
    ] = None,
    consumers: Annotated[int, typer.Option(min=1, max=12, help="How many consumers share the partitions.")] = 2,
    replay: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Replay a log, NDJSON or CSV file instead.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="With --events: same seed, same visitors.")] = None,
    late: Annotated[float, typer.Option(min=0, max=0.5, help="Share of events that come late.")] = 0.02,
    duplicates: Annotated[float, typer.Option(min=0, max=0.5, help="Share of messages that are retries.")] = 0.02,
    invalid: Annotated[float, typer.Option(min=0, max=0.5, help="Share of messages that are broken.")] = 0.005,
    keep: Annotated[
        bool, typer.Option("--keep", help="Go on with the data of the last run; nothing of it expires.")
    ] = False,
    data: Annotated[Path, typer.Option(file_okay=False, help="Where data and logs are kept.")] = DATA,
    grafana: Annotated[
        bool, typer.Option("--grafana", help="Show the dashboards in Grafana, if it is in the PATH or Docker runs.")
    ] = False,
    svg: Annotated[Path | None, typer.Option(dir_okay=False, help="At the end, save the page as a picture.")] = None,
) -> None:
    """Run the platform from the options of a command line."""
    if replay and events is not None:
        raise UserError("--events and --replay exclude each other: a replay sends what its files hold")
    shares = ["--late", f"{late:g}", "--duplicates", f"{duplicates:g}", "--invalid", f"{invalid:g}"]
    options = Options(
        data=data,
        keep=keep,
        consumers=consumers,
        events=events,
        rate=rate,
        seed=random.randrange(1_000_000) if seed is None else seed,
        replay=replay.resolve() if replay else None,
        producer=[*([] if replay else shares), *context.args],
        svg=svg,
        grafana=grafana,
    )
    _require_known(options.producer_arguments())
    try:
        demonstration.run(options)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _require_known(arguments: list[str]) -> None:
    """What is not the demo's must be the producer's: a slip is told before anything starts.

    Raises:
        UserError: it is neither's.
    """
    name, *rest = arguments
    try:
        typer.main.get_group(producer).commands[name].make_context(name, rest)
    except TyperException as error:
        helps = f"--help, or python -m services.producer {name} --help"
        raise UserError(f"{error}; what can be said: python -m local demo {helps}") from None
