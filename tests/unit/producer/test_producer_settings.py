"""Every option has its variable, and what is wrong is named."""

import pytest

from services.common.errors import UserError
from services.common.settings import load
from services.producer.settings import SimulateSettings


@pytest.fixture(autouse=True)
def _broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "broker:9092")


def test_without_any_variable_it_runs_for_ever() -> None:
    assert load(SimulateSettings).producer_events == -1


@pytest.mark.parametrize("variable", ["PRODUCER_EVENTS", "NUMBER_OF_MESSAGES"])
def test_the_number_of_events_has_two_names(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "12")
    assert load(SimulateSettings).producer_events == 12
    assert load(SimulateSettings, producer_events=5).producer_events == 5


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PRODUCER_RATE", "fast"),
        ("PRODUCER_RATE", "nan"),
        ("PRODUCER_EVENTS", "-2"),
        ("PRODUCER_LATE_SHARE", "1.5"),
        ("PRODUCER_START", "2026-01-31T00:00:00"),
        ("PRODUCER_VISITORS", "0"),
    ],
)
def test_a_wrong_variable_is_named(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(UserError, match=rf"^{variable}: "):
        load(SimulateSettings)
