"""Replay: sessions are cut at 30 minutes without activity; times stay what they were, in UTC."""

import tracemalloc
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from services.common import uuid7
from services.producer.replay.sessions import Sessions
from tests.unit.producer.replaying import log_line, replay_files, replay_lines, write

NOON = datetime(2015, 5, 17, 12, tzinfo=UTC)


def at(offset: timedelta = timedelta(0), start: datetime = NOON, zone: str = "+0000", **line: str) -> str:
    """A line so long after the start."""
    return log_line((start + offset).strftime(f"%d/%b/%Y:%H:%M:%S {zone}"), **line)  # type: ignore[arg-type]


def minutes(number: int, seconds: int = 0) -> timedelta:
    return timedelta(minutes=number, seconds=seconds)


@pytest.mark.parametrize(
    ("pause", "sessions"),
    [(minutes(29, 59), 1), (minutes(30), 1), (minutes(30, 1), 2)],
    ids=["shorter than 30 minutes", "exactly 30 minutes", "a second longer"],
)
def test_a_session_ends_after_more_than_30_minutes_without_activity(
    tmp_path: Path, pause: timedelta, sessions: int
) -> None:
    events = replay_lines(tmp_path, at(), at(pause)).events
    assert len({event.session_id for event in events}) == sessions


def test_activity_keeps_a_session_open_for_hours(tmp_path: Path) -> None:
    events = replay_lines(tmp_path, *(at(minutes(25 * step)) for step in range(20))).events
    assert len(events) == 20
    assert len({event.session_id for event in events}) == 1


def test_visitors_have_sessions_of_their_own(tmp_path: Path) -> None:
    events = replay_lines(tmp_path, at(), at(address="192.0.2.2"), at(agent="other"), at(minutes(1))).events
    assert len({event.session_id for event in events}) == 3


def test_lines_that_others_left_out_do_not_keep_a_session_open(tmp_path: Path) -> None:
    image = at(minutes(20), request="GET /logo.png HTTP/1.1")
    events = replay_lines(tmp_path, at(), image, at(minutes(40))).events
    assert len({event.session_id for event in events}) == 2


def test_a_session_carries_the_time_of_its_first_event_although_the_log_is_out_of_order(tmp_path: Path) -> None:
    replayed = replay_lines(tmp_path, at(minutes(4)), at(), at(minutes(2)))
    assert [event.event_time[11:16] for event in replayed.events] == ["12:00", "12:02", "12:04"]
    (session,) = {event.session_id for event in replayed.events}
    assert uuid7.unix_ms(session) == int(NOON.timestamp() * 1000)
    assert replayed.report.out_of_order == 0


def test_lines_too_late_to_be_sorted_are_sent_and_counted(tmp_path: Path) -> None:
    replayed = replay_lines(tmp_path, at(minutes(20)), at(minutes(26)), at(), at(minutes(27)))
    assert len(replayed.events) == 4
    assert replayed.report.out_of_order == 1
    assert len({event.session_id for event in replayed.events}) == 1


def test_a_session_goes_on_over_midnight_and_from_one_file_to_the_next(tmp_path: Path) -> None:
    evening = datetime(2015, 5, 17, 23, 59, 59, tzinfo=UTC)
    older = write(tmp_path / "access.log.1.gz", at(start=evening))
    newer = write(tmp_path / "access.log", at(timedelta(seconds=2), start=evening))
    replayed = replay_files(newer, older)
    assert [event.event_time for event in replayed.events] == ["2015-05-17T23:59:59.000Z", "2015-05-18T00:00:01.000Z"]
    assert [uuid7.day_of(event.event_id).day for event in replayed.events] == [17, 18]
    assert len({event.session_id for event in replayed.events}) == 1


def test_a_local_time_becomes_utc_also_where_that_is_another_day(tmp_path: Path) -> None:
    lines = [
        log_line("18/May/2015:01:30:00 +0200"),
        log_line("17/May/2015:18:31:00 -0500"),
        log_line("18/May/2015:05:02:00 +0530"),
    ]
    events = replay_lines(tmp_path, *lines).events
    assert [event.event_time[:16] for event in events] == ["2015-05-17T23:30", "2015-05-17T23:31", "2015-05-17T23:32"]


def test_when_clocks_go_back_the_hour_that_comes_twice_is_told_apart_by_its_offset(tmp_path: Path) -> None:
    lines = [
        log_line("25/Oct/2015:02:59:00 +0200"),
        log_line("25/Oct/2015:02:01:00 +0100"),
        log_line("25/Oct/2015:02:59:00 +0100"),
    ]
    events = replay_lines(tmp_path, *lines).events
    assert [event.event_time[11:16] for event in events] == ["00:59", "01:01", "01:59"]
    assert [event.session_id == events[0].session_id for event in events] == [True, True, False]


def test_when_clocks_go_forward_two_minutes_are_two_minutes(tmp_path: Path) -> None:
    events = replay_lines(
        tmp_path, log_line("29/Mar/2015:01:59:00 +0100"), log_line("29/Mar/2015:03:01:00 +0200")
    ).events
    assert [event.event_time[11:16] for event in events] == ["00:59", "01:01"]
    assert events[0].session_id == events[1].session_id


def test_only_visitors_of_the_last_half_hour_are_remembered() -> None:
    sessions = Sessions("test")
    seconds = 20_000
    tracemalloc.start()
    for second in range(seconds):
        sessions.session_id(f"visitor {second}", second * 1000)
    kept_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept_bytes < seconds * 100  # one alone takes more


def test_visitors_one_after_another_each_sorted_by_time_get_whole_sessions() -> None:
    sessions = Sessions("test")
    ids = {(visitor, sessions.session_id(visitor, minute * 60_000)) for visitor in "abc" for minute in (0, 20, 40, 300)}
    assert len(ids) == 6


def test_the_sessions_that_data_names_do_not_depend_on_the_order_of_its_rows(tmp_path: Path) -> None:
    """Shuffled, sorted by session, newest first; a session may last days and be handed from device to device."""
    start = int(NOON.timestamp())
    rows = [f"{start + 7200 * step},{'uv'[step % 2]},/{step},s{step % 5}" for step in range(60)]
    orders = [rows, rows[::-1], sorted(rows, key=lambda row: row.rpartition(",")[2]), Random(1).sample(rows, 60)]
    header = "event_time,visitor_id,page_path,session_id"
    ids = [sorted(replay_lines(tmp_path, header, *order, name="a.csv").ids) for order in orders]
    assert len({session for _, session, _ in ids[0]}) == 5
    assert ids[1:] == ids[:1] * 3


def test_a_session_of_another_source_is_another_session(tmp_path: Path) -> None:
    lines = "event_time,visitor_id,page_path,session_id", "1431857103,u,/a,s"
    first, second = (replay_lines(tmp_path, *lines, name="a.csv", source=name).event for name in ("a", "b"))
    assert first.session_id != second.session_id


def test_messages_are_due_at_their_own_times_and_keyed_by_visitor(tmp_path: Path) -> None:
    replayed = replay_lines(tmp_path, at(), at(minutes(1)))
    start = int(NOON.timestamp() * 1000)
    assert [message.due_ms for message in replayed.messages] == [start, start + 60_000]
    assert [message.key.decode() for message in replayed.messages] == [e.visitor_id for e in replayed.events]
