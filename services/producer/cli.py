"""The producer's commands."""

from typing import Annotated

import typer

from services.common.settings import load
from services.producer.pacing import Rate, Unpaced
from services.producer.replay.command import replay
from services.producer.running import run
from services.producer.settings import SimulateSettings
from services.producer.simulate.source import Simulation

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)


@app.callback()
def producer() -> None:
    """Send events to the topic. Every option has its environment variable, PRODUCER_…; options win."""


@app.command()
def simulate(
    rate: Annotated[float | None, typer.Option(help="Events a second; 0: as fast as possible.")] = None,
    events: Annotated[int | None, typer.Option(help="Messages to send, all kinds included; -1: for ever.")] = None,
    seed: Annotated[int | None, typer.Option(help="Same seed and same --start: the same events.")] = None,
    late: Annotated[float | None, typer.Option(help="Share of events that come minutes to hours late.")] = None,
    duplicates: Annotated[float | None, typer.Option(help="Share of messages that are client retries.")] = None,
    invalid: Annotated[float | None, typer.Option(help="Share of messages that are broken.")] = None,
    visitors: Annotated[int | None, typer.Option(help="Visitors who come and come back.")] = None,
    site: Annotated[
        list[str] | None,
        typer.Option(help="Sites, as names or addresses: shop.example,blog.example. Each visitor is of one."),
    ] = None,
    start: Annotated[str | None, typer.Option(help="Time of the first event: 2026-01-31T00:00:00Z.")] = None,
    span_hours: Annotated[
        float | None, typer.Option(help="Without a rate, a number of events is spread over so many hours.")
    ] = None,
) -> None:
    """Simulate visitors of a shop. With a rate, or for ever, events happen now; a number of them, in the past day."""
    settings = load(
        SimulateSettings,
        producer_rate=rate,
        producer_events=events,
        producer_seed=seed,
        producer_late_share=late,
        producer_duplicate_share=duplicates,
        producer_invalid_share=invalid,
        producer_visitors=visitors,
        producer_site=",".join(site) if site else None,
        producer_start=start,
        producer_span_hours=span_hours,
    )
    source = Simulation(settings)
    run(source, settings, Rate(settings.producer_rate) if settings.producer_rate else Unpaced())


app.command()(replay)
