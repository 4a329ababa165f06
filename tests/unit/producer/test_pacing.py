"""Messages leave when they are due."""

import threading
from collections.abc import Iterator
from itertools import repeat

import pytest

from services.producer.pacing import BURST, Pace, Rate, Speed, Unpaced
from services.producer.source import Message


class Clock:
    """A stop event on which waiting takes no time, and the clock that it moves."""

    def __init__(self) -> None:
        self.seconds = 100.0
        self.stop = threading.Event()
        self.stop.wait = self._wait  # type: ignore[method-assign]

    def __call__(self) -> float:
        return self.seconds

    def _wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.seconds += timeout
        return self.stop.is_set()


def _messages(*due_ms: int) -> Iterator[Message]:
    return iter([Message(due, b"k", b"v") for due in due_ms])


def _left_at(pace: Pace, clock: Clock, messages: Iterator[Message]) -> list[float]:
    """When each left, in seconds since the start."""
    return [round(clock() - 100, 3) for burst in pace.bursts(messages, clock.stop) for _ in burst]


def test_unpaced_messages_leave_in_full_bursts() -> None:
    sizes = [len(burst) for burst in Unpaced().bursts(_messages(*range(BURST + 3)), threading.Event())]
    assert sizes == [BURST, 3]


@pytest.mark.parametrize("per_second", [0.5, 10, 1_000, 50_000])
def test_a_rate_is_kept(per_second: float) -> None:
    clock = Clock()
    count = int(per_second * 4)
    left = _left_at(Rate(per_second, clock), clock, repeat(Message(0, b"k", b"v"), count))
    assert len(left) == count
    assert left[-1] == pytest.approx((count - 1) / per_second, abs=0.05)


def test_a_stall_is_not_made_up_for() -> None:
    clock = Clock()
    sent_after_stall = 0
    for burst in Rate(100, clock).bursts(repeat(Message(0, b"k", b"v")), clock.stop):
        if clock() < 105:
            clock.seconds = 160  # a minute in which the broker was away
        elif clock() >= 161:
            break
        else:
            sent_after_stall += len(burst)
    assert 100 <= sent_after_stall <= 160


def test_a_message_is_taken_from_its_source_only_when_it_may_leave() -> None:
    clock = Clock()
    taken: list[float] = []

    def source() -> Iterator[Message]:
        while len(taken) < 3:
            taken.append(round(clock() - 100, 2))
            yield Message(0, b"k", b"v")

    assert len(_left_at(Rate(1, clock), clock, source())) == 3
    assert taken == pytest.approx([0, 1, 2], abs=0.01)


@pytest.mark.parametrize("factor", [1.0, 60.0])
def test_speed_keeps_distances(factor: float) -> None:
    clock = Clock()
    left = _left_at(Speed(factor, clock), clock, _messages(5_000, 6_000, 6_000, 126_000))
    assert left == pytest.approx([0, 1 / factor, 1 / factor, 121 / factor], abs=0.01)


def test_what_is_out_of_order_leaves_at_once() -> None:
    clock = Clock()
    assert _left_at(Speed(1, clock), clock, _messages(10_000, 12_000, 1_000)) == pytest.approx([0, 2, 2], abs=0.01)


@pytest.mark.parametrize("pace", [Unpaced(), Rate(1_000), Speed(1)])
def test_stopping_ends_the_bursts(pace: Pace) -> None:
    stop = threading.Event()
    endless = (Message(0, b"k", b"v") for _ in repeat(None))
    for number, _ in enumerate(pace.bursts(endless, stop)):
        assert number < 3
        stop.set()
