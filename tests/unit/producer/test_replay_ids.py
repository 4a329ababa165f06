"""Replay: the same line is the same event, however often and from wherever it is replayed."""

import shutil
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from services.producer.replay.identity import EventIds
from tests.unit.producer.replaying import REAL_LOG, log_line, replay_files, replay_lines, write


def test_a_second_replay_gives_the_same_ids(tmp_path: Path) -> None:
    copy = Path(shutil.copy(REAL_LOG, tmp_path / "another name.txt"))
    assert replay_files(REAL_LOG).ids == replay_files(copy).ids


def test_a_gzipped_file_gives_the_same_messages_whatever_its_name(tmp_path: Path) -> None:
    packed = write(tmp_path / "access.log.gz", *REAL_LOG.read_bytes().splitlines())
    unnamed = packed.rename(tmp_path / "access")
    assert replay_files(unnamed).messages == replay_files(REAL_LOG).messages


def test_line_ends_do_not_matter(tmp_path: Path) -> None:
    windows = tmp_path / "windows.log"
    windows.write_bytes(b"\r\n".join(REAL_LOG.read_bytes().splitlines()))
    assert replay_files(windows).ids == replay_files(REAL_LOG).ids


def test_identical_lines_of_a_file_are_distinct_events_and_the_same_ones_next_time(tmp_path: Path) -> None:
    lines = [log_line()] * 3 + [log_line(request="GET /other HTTP/1.1"), log_line()]
    once = replay_lines(tmp_path, *lines)
    again = replay_lines(tmp_path, *lines)
    assert len({event.event_id for event in once.events}) == 5
    assert once.ids == again.ids


def test_the_same_line_in_two_files_is_one_event(tmp_path: Path) -> None:
    first = write(tmp_path / "a.log", log_line())
    second = write(tmp_path / "b.log", log_line())
    assert len({event.event_id for event in replay_files(first, second).events}) == 1


def test_another_source_is_another_event(tmp_path: Path) -> None:
    assert (
        replay_lines(tmp_path, log_line()).event.event_id
        != replay_lines(tmp_path, log_line(), source="shop").event.event_id
    )


def test_what_is_left_out_changes_no_id() -> None:
    kept = {event.event_id for event in replay_files(REAL_LOG, keep_bots=True).events}
    dropped = {event.event_id for event in replay_files(REAL_LOG).events}
    assert dropped < kept


@given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from("ab"))))
def test_lines_get_as_many_ids_as_there_are_lines(lines: list[tuple[int, str]]) -> None:
    by_time = sorted(lines)
    ids = EventIds("test")
    assert len({ids.of_line(minute * 60_000, content) for minute, content in by_time}) == len(lines)
