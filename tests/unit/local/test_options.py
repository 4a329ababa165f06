"""What the producer is told."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from local import demo
from local.cli import app
from local.options import Options
from services.common.errors import UserError


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


def _run(*arguments: str) -> None:
    app(["demo", *arguments], standalone_mode=False)


def test_a_slip_in_an_option_is_told_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "run", lambda _options: pytest.fail("it started"))
    log = tmp_path / "access.log"
    log.touch()
    for slip in (("--evnts", "5"), ("--replay", str(log), "--mapp", "user=x"), ("--visitors", "many"), ("surplus",)):
        with pytest.raises(UserError, match="what can be said: python -m local demo --help"):
            _run(*slip)


def test_options_of_the_producer_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[Options] = []
    monkeypatch.setattr(demo, "run", ran.append)
    log = tmp_path / "access.log"
    log.touch()
    _run("--visitors", "50", "--span-hours", "3")
    _run("--replay", str(log), "--map", "user=x", str(log))
    _run("--site", "shop.example,blog.example")
    _run("--replay", str(log), "--site", "shop.example")
    assert [options.producer_arguments()[-2:] for options in ran[2:]] == [
        ["--site", "shop.example,blog.example"],
        ["--site", "shop.example"],
    ]
