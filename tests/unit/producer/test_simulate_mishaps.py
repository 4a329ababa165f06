"""Late events, client retries and broken messages come as often as asked, and are what they claim to be."""

from random import Random

import pytest
from msgspec import json

from services.common import uuid7
from services.producer.simulate.broken import KINDS
from tests.unit.producer.simulating import decode, refused, simulate, visits


@pytest.mark.parametrize("share", [0.01, 0.05, 0.3])
def test_retries_repeat_earlier_bytes_as_often_as_asked(share: float) -> None:
    seen: dict[str, bytes] = {}
    repeated = 0
    for message in simulate(30_000, producer_duplicate_share=share):
        event = decode(message.value)
        if event.event_id in seen:
            assert seen[event.event_id] == message.value
            repeated += 1
        seen[event.event_id] = message.value
    assert repeated / 30_000 == pytest.approx(share, rel=0.15)


@pytest.mark.parametrize("share", [0.02, 0.2])
def test_late_events_come_minutes_to_hours_after_they_happened(share: float) -> None:
    messages = simulate(60_000, producer_late_share=share)
    lags_ms = [message.due_ms - uuid7.unix_ms(decode(message.value).event_id) for message in messages]
    late = [lag for lag in lags_ms if lag]
    assert min(late) >= 60_000
    assert max(late) <= 6.1 * 3_600_000
    assert len(late) / len(messages) == pytest.approx(share, rel=0.25)


def test_a_late_visit_is_late_as_a_whole() -> None:
    for visit in visits(simulate(20_000, producer_late_share=0.5)).values():
        times = [event.event_time for event in visit]
        assert times == sorted(times)


@pytest.mark.parametrize("share", [0.01, 0.2])
def test_broken_messages_are_refused_and_nothing_else_is(share: float) -> None:
    messages = simulate(20_000, producer_invalid_share=share)
    broken = sum(refused([message.value for message in messages]))
    assert broken / len(messages) == pytest.approx(share, rel=0.2)


@pytest.mark.parametrize("kind", KINDS)
def test_the_consumer_refuses_what_is_broken(kind: str) -> None:
    (message,) = simulate(1)
    for seed in range(20):
        assert refused([KINDS[kind](json.decode(message.value), Random(seed))]) == [True]
