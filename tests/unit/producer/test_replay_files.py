"""Replay: files that can't be read, progress, an early end, and anything at all as input."""

import gzip
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.common.errors import UserError
from services.producer.replay.files import InputFile
from services.producer.replay.report import BAD_LINES_SHOWN
from tests.unit.producer.replaying import REAL_LOG, log_line, replay_files, replay_lines, write


def test_a_missing_file_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"missing\.log: No such file or directory"):
        replay_files(tmp_path / "missing.log")


def test_a_directory_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Is a directory"):
        replay_files(tmp_path)


def test_what_was_read_of_a_damaged_gzip_file_is_sent_and_the_damage_is_told(tmp_path: Path) -> None:
    packed = gzip.compress(REAL_LOG.read_bytes())
    damaged = tmp_path / "access.log.gz"
    damaged.write_bytes(packed[: len(packed) // 2])
    replayed = replay_files(damaged)
    assert replayed.messages
    assert "gzip data damaged after line" in str(replayed.replay.failure)


def test_garbage_behind_a_gzip_header_is_told(tmp_path: Path) -> None:
    damaged = tmp_path / "access.log.gz"
    damaged.write_bytes(b"\x1f\x8b" + b"garbage" * 100)
    replayed = replay_files(damaged)
    assert "gzip data damaged after line 0" in str(replayed.replay.failure)


def test_an_empty_file_is_no_error(tmp_path: Path) -> None:
    assert not replay_files(write(tmp_path / "a.log"), write(tmp_path / "b.log.gz")).messages


def test_a_last_line_without_its_end_is_read(tmp_path: Path) -> None:
    file = tmp_path / "access.log"
    file.write_text(log_line())
    assert len(replay_files(file).messages) == 1


@pytest.mark.parametrize("name", ["a.log", "a.log.gz"])
def test_a_file_read_to_its_end_is_read_to_its_last_byte(tmp_path: Path, name: str) -> None:
    file = InputFile(write(tmp_path / name, *REAL_LOG.read_bytes().splitlines()))
    assert len(list(file.lines())) == 490
    assert file.position_bytes == file.size_bytes > 0


def test_a_replay_that_is_asked_to_stop_reads_no_further(tmp_path: Path) -> None:
    lines = [log_line(f"17/May/2015:10:{minute:02d}:00 +0000") for minute in range(60)]
    replayed = replay_lines(tmp_path, *lines)
    messages = iter(replayed.replay)
    next(messages)
    replayed.replay.stop.set()
    assert len(list(messages)) < 10


def test_bad_lines_are_logged_with_file_and_number_but_only_the_first_few(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    replayed = replay_lines(tmp_path, log_line(), *(["bad"] * 100))
    shown = capsys.readouterr().out
    assert shown.count("bad line  ") == BAD_LINES_SHOWN
    assert "access.log" in shown
    assert "line=2" in shown
    assert replayed.report.bad.total() == 100


@given(
    request=st.binary(max_size=80),
    referrer=st.binary(max_size=80),
    agent=st.binary(max_size=80),
    status=st.sampled_from([b"200", b"304", b"404"]),
)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_bytes_a_log_holds_the_consumer_takes_what_is_sent(
    tmp_path: Path, request: bytes, referrer: bytes, agent: bytes, status: bytes
) -> None:
    line = b'192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET /%s HTTP/1.1" %s 1 "%s" "%s"'
    content = (line % (request, status, referrer, agent)).replace(b"\n", b"")
    report = replay_lines(tmp_path, content).report
    assert report.events.total() + report.skipped.total() + report.bad.total() == report.lines == 1


@given(cells=st.lists(st.text(max_size=20), min_size=4, max_size=4))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_table_holds_the_consumer_takes_what_is_sent(tmp_path: Path, cells: list[str]) -> None:
    quoted = ",".join('"' + cell.replace('"', '""') + '"' for cell in cells)
    row = f"1431857103,{quoted}".encode("utf-8", "surrogatepass")
    report = replay_lines(tmp_path, "event_time,visitor_id,page_path,page_title,value", row, name="data.csv").report
    assert report.events.total() + report.bad.total() >= 1
