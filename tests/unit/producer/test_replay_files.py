"""Replay: files that can't be read, progress, an early end, and anything at all as input."""

import bz2
import gzip
import os
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.common.errors import UserError
from services.producer.replay import mapping
from services.producer.replay.files import InputFile
from services.producer.replay.report import BAD_LINES_SHOWN, Report
from services.producer.replay.source import Options, Replay
from tests.unit.producer.replaying import PACKERS, REAL_LOG, log_line, replay_files, replay_lines, write


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


@pytest.mark.parametrize("packed", PACKERS)
def test_packed_files_give_the_same_messages_whatever_their_names(tmp_path: Path, packed: str) -> None:
    file = write(tmp_path / f"access.log{packed}", *REAL_LOG.read_bytes().splitlines())
    unnamed = file.rename(tmp_path / "access")
    assert replay_files(unnamed).messages == replay_files(REAL_LOG).messages


@pytest.mark.parametrize("packed", PACKERS)
def test_what_was_read_of_a_damaged_packed_file_is_sent_and_the_damage_is_told(tmp_path: Path, packed: str) -> None:
    content = PACKERS[packed](REAL_LOG.read_bytes() * 40)
    damaged = tmp_path / "access.log"
    for broken in (content[: len(content) // 2], content[:-200] + b"\0" * 200, content[:40]):
        damaged.write_bytes(broken)
        assert "data damaged after line" in str(replay_files(damaged).replay.failure)


@pytest.mark.parametrize(
    ("magic", "told"), [(b"PK\x03\x04", "unzip -p"), (b"PAR1", "write it as CSV"), (b"\x04\x22\x4d\x18", "lz4 -dc")]
)
def test_what_is_packed_in_another_way_is_told_with_the_remedy(tmp_path: Path, magic: bytes, told: str) -> None:
    with pytest.raises(UserError, match=told):
        replay_files(write(tmp_path / "access.log", magic + b"x" * 100))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends_do_not_matter(tmp_path: Path, encoding: str, end: str) -> None:
    file = tmp_path / "access.log"
    lines = [log_line(), log_line(request="GET /café HTTP/1.1"), ""]
    file.write_text(end.join(lines), encoding=encoding, newline="")
    assert replay_files(file).ids == replay_lines(tmp_path, *lines[:2], name="plain.log").ids


def test_nuls_that_a_truncated_log_leaves_are_no_line_of_their_own(tmp_path: Path) -> None:
    line = log_line().encode()
    plain = replay_lines(tmp_path, line, line)
    holed = replay_lines(tmp_path, b"\0" * 3_000_000 + line, b"\0\0" + line, b"\0" * 10)
    assert holed.ids == plain.ids
    assert dict(holed.report.passed_over) == {"empty": 1}


@pytest.mark.parametrize("name", ["log", "csv"])
def test_a_pipe_is_read_once_from_its_first_byte(tmp_path: Path, name: str) -> None:
    content = REAL_LOG.read_bytes() if name == "log" else b"event_time,visitor_id,page_path\n1431857103,u1,/a\n"
    file = tmp_path / "plain"
    file.write_bytes(content)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(bz2.compress(content),))
    writer.start()
    piped = replay_files(pipe, format=name)
    writer.join()
    assert piped.messages == replay_files(file, format=name).messages


def test_a_line_of_a_slow_pipe_is_read_before_the_pipe_ends(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(next(InputFile(pipe).lines())))
    read: list[tuple[int, bytes]] = []
    reader.start()
    with pipe.open("wb", buffering=0) as end:
        end.write(log_line().encode() + b"\n")
        reader.join(10)
    assert read == [(1, log_line().encode())]


@pytest.mark.parametrize("packed", [False, True])
def test_a_replay_of_a_pipe_that_says_nothing_more_ends_when_it_is_asked_to(tmp_path: Path, packed: bool) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    said = b"".join(log_line(request=f"GET /{number} HTTP/1.1").encode() + b"\n" for number in range(10_000))
    told, asked = threading.Event(), threading.Event()

    def say_and_wait() -> None:
        with pipe.open("wb", buffering=0) as end:
            end.write(gzip.compress(said)[:-10_000] if packed else said)
            told.set()
            asked.wait(30)

    speaker = threading.Thread(target=say_and_wait)
    speaker.start()
    replay = Replay([InputFile(pipe)], Options(mapping.parse("", ""), format="log"), Report())
    listener = threading.Thread(target=lambda: list(replay))
    listener.start()
    told.wait(30)
    replay.stop.set()
    listener.join(10)
    assert not listener.is_alive()
    assert replay.failure is None
    asked.set()
    speaker.join()


def test_a_pipe_is_not_read_twice(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(b"a\n",))
    writer.start()
    file = InputFile(pipe)
    assert file.head() == [b"a"]
    assert list(file.lines()) == [(1, b"a")]
    writer.join()
    with pytest.raises(UserError, match="a pipe can be read only once"):
        file.lines()


def test_a_file_can_be_read_again(tmp_path: Path) -> None:
    file = InputFile(write(tmp_path / "a.log", "a", "b"))
    assert file.head() == [b"a", b"b"]
    assert list(file.lines()) == list(file.lines()) == [(1, b"a"), (2, b"b")]


_ROWS = st.lists(st.text(alphabet='",a\r\x00é', max_size=12) | st.just("1431857103,u1,/a"), max_size=12)


@given(lines=_ROWS)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_quotes_a_table_holds_every_line_is_accounted_for(tmp_path: Path, lines: list[str]) -> None:
    report = replay_lines(tmp_path, "event_time,visitor_id,page_path", *lines, name="data.csv").report
    assert report.lines == report.events.total() + report.bad.total() + report.passed_over.total() == 1 + len(lines)


_PARTS = st.sampled_from(
    [
        *(
            "203.0.113.7",
            "10.0.0.1",
            "shop.example",
            " ",
            " - ",
            ", ",
            "[17/May/2015:10:05:03 +0000]",
            "May 17 10:05:00",
        ),
        *(
            '"GET /a HTTP/1.1"',
            "200",
            "12",
            '"-"',
            '{"status":200,',
            '"request":',
            "}",
            "#Fields: date time",
            "\t",
            "web-1 | ",
        ),
        *("2015-05-17T10:05:03.1Z", "2015-05-17 10:05:03", "<190>1", "stdout F ", "\x1b[0m", "\ud800"),
    ]
)


@given(
    lines=st.lists(st.lists(_PARTS, max_size=12).map("".join), max_size=4), given=st.sampled_from(["", "%h %t %r %s"])
)
@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_pieces_a_line_is_made_of_it_is_accounted_for(tmp_path: Path, lines: list[str], given: str) -> None:
    written = [line.encode("utf-8", "surrogatepass") for line in lines]
    report = replay_lines(tmp_path, *written, format="log", log_format=given).report
    assert report.lines == len(lines)
    assert report.unreadable() is None or report.bad
