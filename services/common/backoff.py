"""Waiting times between tries: they double up to a limit, with jitter, so that clients don't return in step."""

import random
from collections.abc import Iterator


def delays(first_seconds: float = 0.1, limit_seconds: float = 5.0) -> Iterator[float]:
    """Endless waiting times in seconds."""
    step = first_seconds
    while True:
        yield random.uniform(step / 2, step)
        step = min(step * 2, limit_seconds)
