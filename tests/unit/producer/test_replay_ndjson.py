"""Replay of NDJSON: our own events pass through, whatever is invalid is reported."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.common import uuid7
from services.common.event import COLUMNS
from tests.unit.producer.replaying import REAL_LOG, replay_files, replay_lines, write

ID = uuid7.compose(1431857103000, 1)


def line(**changes: Any) -> str:
    """An event as JSON, with fields changed, or left out where they are None."""
    fields = {
        "event_id": ID,
        "event_time": "2015-05-17T10:05:03.000Z",
        "event_type": "click",
        "session_id": ID,
        "visitor_id": "v1",
        "page_path": "/a",
        "device_type": "mobile",
    } | changes
    return msgspec.json.encode({name: value for name, value in fields.items() if value is not None}).decode()


def test_our_own_events_come_out_as_they_went_in(tmp_path: Path) -> None:
    messages = replay_files(REAL_LOG).messages
    copy = write(tmp_path / "events.ndjson.gz", *(message.value for message in messages))
    assert replay_files(copy).messages == messages


def test_all_fields_survive(tmp_path: Path) -> None:
    given = line(country="DE", quantity=2, value="19.90", currency="EUR", properties={"a": [1, {"b": 1.50}]})
    assert replay_lines(tmp_path, given, name="e.ndjson").messages[0].value.decode() == given


@pytest.mark.parametrize("foreign", ["c0ffee00-1234-4abc-8def-0123456789ab", "order 17", 42])
def test_a_foreign_id_becomes_the_same_uuid7_every_time(tmp_path: Path, foreign: object) -> None:
    first = replay_lines(tmp_path, line(event_id=foreign), name="a.ndjson").event
    second = replay_lines(tmp_path, line(event_id=foreign), name="b.jsonl").event
    assert first.event_id == second.event_id
    assert uuid7.unix_ms(first.event_id) == 1431857103000


def test_a_uuid7_with_an_impossible_time_is_a_foreign_id(tmp_path: Path) -> None:
    event = replay_lines(tmp_path, line(event_id=uuid7.compose(0, 5)), name="a.ndjson").event
    assert uuid7.unix_ms(event.event_id) == 1431857103000


def test_events_without_session_are_cut_into_sessions(tmp_path: Path) -> None:
    times = ["2015-05-17T10:00:00.000Z", "2015-05-17T10:30:00.000Z", "2015-05-17T11:00:00.001Z"]
    lines = [line(event_time=time, event_id=None, session_id=None) for time in times]
    events = replay_lines(tmp_path, *lines, name="a.ndjson").events
    assert [event.session_id == events[0].session_id for event in events] == [True, True, False]


def test_a_time_in_another_spelling_is_put_into_ours(tmp_path: Path) -> None:
    for time in ("2015-05-17T12:05:03+02:00", 1431857103, 1431857103000, "1431857103"):
        assert replay_lines(tmp_path, line(event_time=time), name="a.ndjson").event.event_time == (
            "2015-05-17T10:05:03.000Z"
        )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not JSON"),
        ('{"page_title":' + "[" * 100_000, "not JSON"),
        ('{"properties":' + "[" * 100_000, "not JSON"),
        ("[]", "not a JSON object"),
        ("[1]x", "not a JSON object"),
        (line(quantity=0).replace(":0", ":1e999"), "a number out of range"),
        (line(colour="red"), "unknown field colour: what is not a field belongs into properties"),
        (line(**{"jane@x.example": 1}), "an unknown field: what is not a field belongs into properties"),
        (line(event_type="teleport secret"), "Invalid value - at event_type"),
        (line(device_type=None), "Object missing required field device_type"),
        (line(event_time=None), "event_time is missing"),
        (line(event_time=True), "event_time is not a text"),
        (line(event_time="2015-02-30T00:00:00.000Z"), "event_time is neither an epoch number nor an ISO 8601 time"),
        (line(visitor_id="jane@example.org"), "visitor_id is an e-mail or IP address: only pseudonyms are stored"),
        (line(user_id="192.0.2.1"), "user_id is an e-mail or IP address: only pseudonyms are stored"),
        (line(visitor_id="192.0.2.1:80"), "visitor_id is an e-mail or IP address: only pseudonyms are stored"),
        (line(event_type="custom"), "event_name is missing: a custom event needs one"),
        (line(event_type="custom", event_name=" " * 65), "Expected str of length <= 64 - at event_name"),
        (line(site="shop.example:443"), "site is not as the schema wants it"),
        (line(country="de"), "country is not as the schema wants it"),
        (line(value="1,5"), "value is not as the schema wants it"),
        (line(page_title="a\0b"), "a NUL character"),
        (line(properties={"a": "\0"}), "a NUL character"),
        (line(properties=[1]), "properties are not an object"),
        (line(properties={"a": "x" * 8192}), "properties larger than 8192 bytes"),
        (line(properties={"a": 0}).replace("0}", "1e5000}"), "properties are not JSON, or hold a number out of range"),
        (line(properties={"a": 0}).replace("0}", "1e-5000}"), "properties hold a number out of range"),
        (line(properties={"a": 0}).replace("0}", "[" * 32 + "]" * 32 + "}"), "properties nested deeper than 32 levels"),
        (line(page_path="/" + "a" * 512), "Expected str of length <= 512 - at page_path"),
    ],
)
def test_a_line_that_is_not_valid_is_reported_without_its_content(tmp_path: Path, text: str, reason: str) -> None:
    replayed = replay_lines(tmp_path, text, line(), name="a.ndjson")
    assert dict(replayed.report.bad) == {reason: 1}
    assert len(replayed.messages) == 1


@pytest.mark.parametrize("raw", [b'"\xff"', rb'"\ud800"'])
@pytest.mark.parametrize("field", [b'"/a"', b'"v1"', b'"mobile"'])
def test_text_that_is_not_unicode_is_reported(tmp_path: Path, raw: bytes, field: bytes) -> None:
    replayed = replay_lines(tmp_path, line().encode().replace(field, raw), name="a.ndjson")
    assert replayed.report.bad.total() == 1


def test_properties_that_are_not_unicode_are_reported(tmp_path: Path) -> None:
    text = line(properties={"a": "?"}).encode().replace(b'"?"', b'"\xff"')
    assert replay_lines(tmp_path, text, name="a.ndjson").report.bad.total() == 1


@pytest.mark.parametrize("word", ["", "null", "undefined", "NaN", "-"])
def test_an_id_that_is_a_word_for_nothing_is_not_there(tmp_path: Path, word: str) -> None:
    lines = [line(user_id=word, event_id=word, session_id=word, page_title=t, country="") for t in ("-", "b")]
    first, second = replay_lines(tmp_path, *lines, name="a.ndjson").events
    assert (first.user_id, first.country, first.page_title) == (None, None, "-")
    assert first.event_id != second.event_id
    assert replay_lines(tmp_path, line(visitor_id=word), name="b.ndjson").report.bad.total() == 1


def test_a_uuid7_of_another_day_than_its_event_is_a_foreign_id(tmp_path: Path) -> None:
    day = 86_400_000
    for distance, kept in ((day - 1, True), (1 - day, True), (day + 1, False), (-day - 1, False)):
        given = uuid7.compose(1431857103000 + distance, 5)
        event = replay_lines(tmp_path, line(event_id=given), name="a.ndjson").event
        assert (event.event_id == given) is kept
        assert abs(uuid7.unix_ms(event.event_id) - 1431857103000) < day


_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(name=st.sampled_from(COLUMNS), value=_ANYTHING)
@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_field_holds_the_consumer_takes_what_is_sent(tmp_path: Path, name: str, value: object) -> None:
    report = replay_lines(tmp_path, line(**{name: value}), name="a.ndjson").report
    assert report.events.total() + report.bad.total() == 1
