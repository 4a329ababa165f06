"""What the producer is told."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from local.options import Options


def test_a_number_of_events_has_a_seed_and_a_start_so_that_a_restart_repeats_it() -> None:
    arguments = Options(Path("x"), events=3000, seed=7).producer_arguments()
    assert arguments[:6] == ["simulate", "--events", "3000", "--seed", "7", "--start"]
    start = datetime.fromisoformat(arguments[6])
    assert start < datetime.now(UTC) - timedelta(seconds=3000)


def test_for_ever_runs_by_the_clock_at_a_pleasant_rate() -> None:
    arguments = Options(Path("x"), producer=["--late", "0.1"]).producer_arguments()
    assert arguments == ["simulate", "--rate", "300", "--late", "0.1"]


def test_a_replay_passes_on_what_is_meant_for_the_producer() -> None:
    options = Options(Path("x"), replay=Path("/logs/a.log"), producer=["--speed", "60", "/logs/b.log"])
    assert options.finite
    assert options.producer_arguments() == ["replay", "/logs/a.log", "--speed", "60", "/logs/b.log"]
