"""Simulated events are valid, repeatable, and never from the future."""

import os
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest

from services.common import uuid7
from services.common.errors import UserError
from services.common.event import EventType
from services.common.timestamps import rfc3339_ms, to_unix_ms
from services.producer.simulate.source import Simulation
from tests.unit.producer.simulating import START, decode, refused, settings, simulate, visits


def test_the_consumer_accepts_every_event_and_every_type_occurs() -> None:
    messages = simulate(30_000, producer_late_share=0.1, producer_duplicate_share=0.1)
    assert not any(refused([message.value for message in messages]))
    assert {decode(message.value).event_type for message in messages} == set(get_args(EventType))


def test_the_key_is_the_visitor() -> None:
    assert all(message.key.decode() == decode(message.value).visitor_id for message in simulate(2_000))


def test_an_id_carries_the_time_of_its_event_and_is_never_used_twice() -> None:
    events = [decode(message.value) for message in simulate(20_000, producer_late_share=0.2)]
    assert all(rfc3339_ms(uuid7.unix_ms(event.event_id)) == event.event_time for event in events)
    assert len({event.event_id for event in events}) == len(events)


def test_a_session_id_carries_the_time_of_the_first_event() -> None:
    for events in visits(simulate(5_000, producer_late_share=0.2)).values():
        assert rfc3339_ms(uuid7.unix_ms(events[0].session_id)) == events[0].event_time


@pytest.mark.parametrize("mishaps", [0.0, 0.1])
def test_the_same_seed_and_start_give_the_same_bytes_every_time(mishaps: float) -> None:
    shares = {f"producer_{kind}_share": mishaps for kind in ("late", "duplicate", "invalid")}
    source = Simulation(settings(producer_events=5_000, **shares))
    assert list(source) == list(source) == simulate(5_000, **shares)


def test_another_process_makes_the_same_events_however_its_hashes_are_seeded() -> None:
    code = (
        "import hashlib; from tests.unit.producer.simulating import simulate; "
        "print(hashlib.sha256(b''.join(m.value for m in simulate(3_000))).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(digests) == 1


def test_another_seed_gives_other_events() -> None:
    assert not {m.value for m in simulate(1_000)} & {m.value for m in simulate(1_000, producer_seed=8)}


def test_exactly_as_many_messages_as_asked_for_and_in_order_of_time() -> None:
    for events in (0, 1, 2, 999, 5_000):
        due = [message.due_ms for message in simulate(events, producer_duplicate_share=0.3)]
        assert len(due) == events
        assert due == sorted(due)


def test_a_number_of_events_is_spread_over_the_span_from_the_start() -> None:
    times = [m.due_ms for m in simulate(20_000, producer_span_hours=2)]
    first, end = to_unix_ms(START), to_unix_ms(START + timedelta(hours=2))
    assert first <= times[0] < first + 10_000
    assert end - 10_000 < times[-1] < end


def test_few_events_are_spread_over_a_shorter_time_so_that_visits_stay_visits() -> None:
    times = [m.due_ms for m in simulate(600)]
    assert times[-1] - times[0] < 600_000


def test_without_a_start_a_number_of_events_lies_in_the_hours_before_now() -> None:
    before_ms = int(time.time() * 1000)
    times = [m.due_ms for m in simulate(5_000, producer_start=None, producer_span_hours=1)]
    assert before_ms - 3_600_000 <= times[0]
    assert times[-1] <= int(time.time() * 1000)


def test_with_a_rate_events_happen_when_they_are_taken() -> None:
    source = iter(Simulation(settings(producer_start=None, producer_rate=100)))
    for _ in range(200):
        earliest = int(time.time() * 1000)
        message = next(source)
        assert earliest <= uuid7.unix_ms(decode(message.value).event_id) <= int(time.time() * 1000)


def test_with_a_rate_and_a_start_the_clock_advances_by_the_rate() -> None:
    times = [m.due_ms for m in simulate(100, producer_rate=4)]
    assert times == [to_unix_ms(START) + 250 * number for number in range(100)]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"producer_start": datetime.now(UTC) + timedelta(hours=1)}, "PRODUCER_START lies in the future"),
        ({"producer_start": datetime.now(UTC) - timedelta(hours=1)}, "reach into the future"),
        ({"producer_events": -1}, "PRODUCER_START needs PRODUCER_EVENTS or PRODUCER_RATE"),
    ],
)
def test_a_time_that_cannot_be_is_refused_at_once(given: dict[str, object], says: str) -> None:
    with pytest.raises(UserError, match=says):
        Simulation(settings(**{"producer_events": 1_000_000} | given))


def test_a_few_visitors_come_back() -> None:
    events = [decode(message.value) for message in simulate(20_000, producer_visitors=50)]
    assert len({event.visitor_id for event in events}) <= 50
    sessions = Counter(visitor for visitor, _ in {(e.visitor_id, e.session_id) for e in events})
    assert max(sessions.values()) > 20
