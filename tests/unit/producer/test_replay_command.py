"""The command `replay`: what its options may be, and what it tells at the end."""

from pathlib import Path
from typing import Any

import pytest

from services.common.errors import UserError
from services.common.settings import load
from services.producer.pacing import Speed, Unpaced
from services.producer.replay import display
from services.producer.replay.command import pace_of
from services.producer.replay.report import DAY_MS, Report
from services.producer.replay.settings import ReplaySettings
from services.producer.replay.weblog import NOT_A_LOG_LINE
from tests.unit.producer.replaying import log_line, replay_files, replay_lines, write


def settings(**given: Any) -> ReplaySettings:
    return load(ReplaySettings, kafka_bootstrap_servers="localhost:9092", **given)


@pytest.mark.parametrize(("speed", "factor"), [("real", 1.0), ("x60", 60.0), ("x0.5", 0.5), ("x1.25", 1.25)])
def test_a_speed_is_real_time_or_a_multiple(speed: str, factor: float) -> None:
    pace = pace_of(settings(producer_speed=speed).producer_speed)
    assert isinstance(pace, Speed)
    assert pace.factor == factor


def test_unless_told_otherwise_it_goes_as_fast_as_possible() -> None:
    assert isinstance(pace_of(settings().producer_speed), Unpaced)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("producer_speed", "fast"),
        ("producer_speed", "x0"),
        ("producer_speed", "x0.0"),
        ("producer_speed", "x-1"),
        ("producer_bots", "maybe"),
        ("producer_format", "xml"),
        ("producer_site", "example org"),
        ("producer_site", "-"),
        ("producer_site", "example.org:443"),
        ("producer_site", "example.org/shop"),
        ("producer_site", "https://example.org/shop"),
        ("producer_site", "https://[::1]"),
        ("producer_site", "https://jane:pass@example.org"),
        ("producer_site", "shop.example,blog.example"),
        ("producer_site", "x" * 64),
        ("producer_source", ""),
    ],
)
def test_a_wrong_option_is_named(name: str, value: str) -> None:
    with pytest.raises(UserError, match=name.upper()):
        settings(**{name: value})


def test_the_key_of_the_pseudonyms_is_never_shown() -> None:
    assert "secret key" not in repr(settings(producer_visitor_key="secret key"))


def test_a_mapping_without_a_csv_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--map is for CSV files"):
        replay_lines(tmp_path, log_line(), maps=["event_time=ts"])


def test_recent_events_need_no_advice() -> None:
    report = Report()
    report.event("page_view", 1_700_000_000_000)
    assert report.advice(1_700_000_000_000 + 400 * DAY_MS) == []
    assert "EVENT_RETENTION_DAYS=0" in report.advice(1_700_000_000_001 + 400 * DAY_MS)[0]


def test_the_summary_tells_lines_events_what_was_left_out_and_bad_lines_by_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = log_line(), log_line(request="GET /a.png HTTP/1.1"), "bad"
    display.print_summary(replay_lines(tmp_path, *lines).report)
    shown = " ".join(capsys.readouterr().err.split())
    assert "lines read │ 3" in shown
    assert "event: page_view │ 1" in shown
    assert "left out: asset │ 1" in shown
    assert f"bad line: {NOT_A_LOG_LINE} │ 1" in shown


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("2015/05/17 10:05:03 [error] 12#12: *1 open() failed, client: 203.0.113.7", "the error log of nginx"),
        ("[Sun May 17 10:05:03.123456 2015] [core:error] [pid 1] [client 203.0.113.7:5]", "the error log of Apache"),
        ('2015/05/17 10:05:03.541\tinfo\thttp.log.access\thandled request\t{"request": {}}', "Caddy's console log"),
        ('{"level":"info","msg":"started"}', "a JSON object"),
        ('"17/May/2015" [17/May/2015:10:05:03 +0000] 203.0.113.7', "say --log-format"),
        ("2015-05-17 10:05:03 10.0.0.1 GET /page - 203.0.113.7", "without its #Fields line"),
        ("1431857103,u1,page_view,/a", "say --format csv"),
        ("<html><body>", "XML or HTML"),
        ("\x7fELF\x02\x01\x01", "no text"),
        ("just words", "nothing that is known"),
    ],
)
def test_a_file_that_is_mostly_bad_lines_is_told_with_one_and_what_it_looks_like(
    tmp_path: Path, line: str, told: str
) -> None:
    unreadable = replay_lines(tmp_path, line, line, log_line()).report.unreadable()
    assert unreadable is not None
    assert "access.log: 2 of 3 lines could not be read. Line 1: " in unreadable
    assert told in unreadable


def test_the_line_shown_tells_nobody_who_it_was(tmp_path: Path) -> None:
    line = log_line(address="203.0.113.7 2001:db8::7").replace("- - [", "- jane.doe [")
    line = line.replace("/page", "/page?mail=jane.doe@shop.example&token=1234")
    unreadable = replay_lines(tmp_path, line).report.unreadable()
    assert unreadable is not None
    assert '<address> <address> - <user> [17/May/2015:10:05:03 +0000] "GET /page?… HTTP/1.1" 200' in unreadable
    for secret in ("203.0.113.7", "2001:db8", "jane", "1234"):
        assert secret not in unreadable


def test_a_good_file_does_not_hide_a_bad_one(tmp_path: Path) -> None:
    good, bad = write(tmp_path / "good.log", *[log_line()] * 100), write(tmp_path / "bad.log", "bad")
    unreadable = replay_files(good, bad).report.unreadable()
    assert unreadable is not None
    assert "bad.log: 1 of 1" in unreadable


def test_some_bad_lines_among_good_ones_are_only_counted(tmp_path: Path) -> None:
    lines = log_line(), "bad", "", "", log_line(request="GET /a.png HTTP/1.1"), "bad"
    assert replay_lines(tmp_path, *lines).report.unreadable() is None
