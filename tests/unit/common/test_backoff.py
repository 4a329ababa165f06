"""Waiting times double up to a limit, and no two clients wait alike."""

from itertools import islice

from services.common.backoff import delays


def test_waiting_times_double_up_to_the_limit_with_jitter_of_a_half() -> None:
    steps = [0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0]
    for delay, step in zip(delays(0.1, 1.0), steps, strict=False):
        assert step / 2 <= delay <= step


def test_two_clients_do_not_wait_alike() -> None:
    assert list(islice(delays(), 5)) != list(islice(delays(), 5))


def test_waiting_times_never_end() -> None:
    assert len(list(islice(delays(0.001, 5.0), 10_000))) == 10_000
