"""The committed JSON Schema is the code's, and says what the validator checks."""

import re
from pathlib import Path

import jsonschema
import pytest
from msgspec import json

from services.common.event import COLUMNS, json_schema
from services.common.schema import text
from services.common.timestamps import rfc3339_ms
from services.common.uuid7 import compose
from services.consumer.faults import Invalid
from tests.unit.consumer.samples import fields, outcome

_COMMITTED = Path(__file__).resolve().parents[3] / "docs" / "event.schema.json"
_FIELDS = json_schema()["properties"]


def test_the_committed_schema_is_current() -> None:
    remedy = "run: python -m services.common.schema > docs/event.schema.json"
    assert _COMMITTED.read_text() == text(), remedy


def test_it_describes_every_field_and_allows_no_other() -> None:
    schema = json_schema()
    assert tuple(schema["properties"]) == COLUMNS
    assert schema["additionalProperties"] is False
    assert schema["required"] == [name for name in COLUMNS if "default" not in _FIELDS[name] and name != "properties"]


@pytest.mark.parametrize("name", ["event_id", "session_id"])
def test_its_pattern_for_ids_is_that_of_a_uuid7(name: str) -> None:
    pattern = _FIELDS[name]["pattern"]
    assert re.search(pattern, compose(1_790_000_000_000, 1))
    assert not re.search(pattern, "0191ab26-5f00-4cc3-98c4-dc0c0c07398f")


def test_its_pattern_for_times_is_that_of_ours() -> None:
    pattern = _FIELDS["event_time"]["pattern"]
    assert re.search(pattern, rfc3339_ms(1_790_000_000_000))
    assert not re.search(pattern, "2026-08-31T24:00:00.000Z")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"event_type": "custom"},
        {"event_type": "custom", "event_name": ""},
        {"event_type": "custom", "event_name": "x" * 64},
        {"event_type": "custom", "event_name": "x" * 65},
        {"event_name": None},
        {"site": None},
        {"site": "Shop.Example"},
        {"site": "shop.example:443"},
        {"site": "-"},
        {"site": "a" * 64},
    ],
    ids=str,
)
def test_what_it_says_of_sites_and_names_is_what_the_validator_does(changes: dict[str, object]) -> None:
    given = {name: value for name, value in fields(event_name=None).items() if name != "event_name"} | changes
    accepted = jsonschema.Draft202012Validator(json_schema()).is_valid(given)
    assert accepted is not isinstance(outcome(json.encode(given)), Invalid)
