"""What the tests of the simulation share: settings, runs, and events as the consumer sees them."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.json import Decoder

from services.common.event import Event
from services.common.settings import load
from services.consumer.limits import Limits
from services.consumer.validation import Validator
from services.producer.settings import SimulateSettings
from services.producer.simulate.source import Simulation
from services.producer.source import Message

START = datetime(2026, 3, 2, tzinfo=UTC)
decode = Decoder(Event).decode


def settings(**given: Any) -> SimulateSettings:
    """Settings without the environment's shares: what a test doesn't ask for doesn't happen."""
    plain: dict[str, Any] = {
        "kafka_bootstrap_servers": "unused:9092",
        "producer_late_share": 0.0,
        "producer_duplicate_share": 0.0,
        "producer_invalid_share": 0.0,
        "producer_seed": 7,
        "producer_start": START,
    }
    return load(SimulateSettings, **(plain | given))


def simulate(events: int, **given: Any) -> list[Message]:
    """That many messages."""
    return list(Simulation(settings(producer_events=events, **given)))


def visits(messages: Iterable[Message]) -> dict[str, list[Event]]:
    """Events by session, in the order of sending."""
    found: dict[str, list[Event]] = defaultdict(list)
    for message in messages:
        event = decode(message.value)
        found[event.session_id].append(event)
    return found


def refused(values: list[bytes], now: datetime = START + timedelta(days=2)) -> list[bool]:
    """Whether the consumer would dead-letter each."""
    limits = Limits.at(now, retention_days=400, max_bytes=1 << 20)
    return [not isinstance(row, tuple) or hasattr(row, "reason") for row in Validator().check(values, limits, 1)]
