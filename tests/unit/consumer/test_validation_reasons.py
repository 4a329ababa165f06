"""Every kind of bad input has its reason, and what only looks like it is accepted."""

from datetime import timedelta

import pytest
from msgspec import json

from services.common.event import COLUMNS
from services.common.timestamps import rfc3339_ms, to_unix_ms
from services.common.uuid7 import compose, lower_bound
from services.consumer.faults import REASONS, Invalid
from services.consumer.limits import EARLIEST, Limits
from services.consumer.validation import Validator
from tests.unit.consumer.samples import (
    LIMITS,
    MAX_BYTES,
    NOW,
    NOW_MS,
    accepted,
    event,
    fields,
    outcome,
    reason,
    with_raw,
    without,
)

DAY_MS = 86_400_000
FIRST_MS = to_unix_ms(NOW.replace(hour=0, minute=0)) - 400 * DAY_MS


def test_a_valid_event_becomes_a_row_with_the_fields_in_the_columns_order() -> None:
    row = accepted(event())
    whole = fields()
    assert {name: row[name] for name in whole if name != "properties"} == {
        name: value for name, value in whole.items() if name != "properties"
    }
    assert row["properties"] == '{"color":"red","price":19.9}'
    assert row["batch_id"] == 7


def test_only_seven_fields_are_needed() -> None:
    needed = {"event_id", "event_time", "event_type", "session_id", "visitor_id", "page_path", "device_type"}
    row = accepted(without(*fields().keys() - needed))
    assert {name for name, value in row.items() if value is not None} == needed | {"site", "batch_id"}


def test_a_message_without_value_is_a_tombstone() -> None:
    assert reason(None) == "tombstone"


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b" ",
        b"hello",
        b"{",
        event()[:-1],
        event() + b"}",
        event() + event(),
        b"\xef\xbb\xbf" + event(),
        event().replace(b'"Lamp"', b'"La\nmp"'),
        event().replace(b'"Lamp"', b'"La\x00mp"'),
        event().replace(b'"Lamp"', b"'Lamp'"),
        event().replace(b'"Lamp"', rb'"\x"'),
        event().replace(b'"Lamp"', rb'"\ud800"'),
        event().replace(b'"Lamp"', rb'"\udc00\ud800"'),
        with_raw("properties", r'{"a":"\ud800"}'),
        with_raw("properties", '{"a":"\x00"}'),
        with_raw("properties", '{"a":NaN}'),
        with_raw("properties", '{"a":01}'),
        with_raw("properties", '{"a":1.}'),
        with_raw("properties", "{'a':1}"),
        with_raw("properties", '{"a":1,}'),
        with_raw("properties", "[" * 100_000),
        with_raw("properties", '{"a":' + "[" * 100_000 + "]" * 100_000 + "}"),
    ],
)
def test_what_is_not_json_is_invalid_json(value: bytes) -> None:
    assert reason(value) == "invalid_json"


@pytest.mark.parametrize("value", [b"[]", b'"event"', b"1", b"null", b"[" + event() + b"]"])
def test_json_that_is_not_an_object_is_an_invalid_field(value: bytes) -> None:
    assert reason(value) == "invalid_field"


@pytest.mark.parametrize("byte", [b"\xff", b"\xc3", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"])
@pytest.mark.parametrize("where", [b"Lamp", b"mobile", b"red", b"color", b"currency"])
def test_what_is_not_utf8_is_named_with_the_byte_where_it_begins(where: bytes, byte: bytes) -> None:
    value = event().replace(where, where + byte, 1)
    result = outcome(value)
    assert isinstance(result, Invalid)
    assert result.reason == "invalid_utf8"
    assert result.message.endswith(f"at byte {value.index(where) + len(where)}")


def test_bytes_that_are_no_text_at_all_are_not_utf8() -> None:
    assert reason(b"\x80\x03cpickle") == "invalid_utf8"


@pytest.mark.parametrize(
    "name",
    ["visitor_id", "user_id", "page_path", "page_title", "city", "utm_campaign", "element", "site", "event_name"],
)
def test_a_nul_character_in_a_field_is_refused(name: str) -> None:
    assert reason(event(**{name: "a\0b"})) == "nul_character"


@pytest.mark.parametrize(
    "properties",
    [r'{"a":"\u0000"}', r'{"\u0000":1}', r'{"a":["x",{"b":"y\\\u0000"}]}', r'{"a":"\\\\\\\u0000"}'],
)
def test_a_nul_character_anywhere_in_properties_is_refused(properties: str) -> None:
    assert reason(with_raw("properties", properties)) == "nul_character"


@pytest.mark.parametrize("text", [r"\u0000", r"\\u0000", r"\\\u0000", "\\", "\\u", "u0000"])
def test_a_backslash_before_u0000_is_text_like_any_other(text: str) -> None:
    row = accepted(event(page_title=text, properties={text: text}))
    assert row["page_title"] == text


def test_a_message_over_the_limit_is_too_large() -> None:
    assert reason(event(page_title="x" * (10 * 1024 * 1024))) == "too_large"
    padding = b" " * (MAX_BYTES - len(event()))
    assert reason(event() + padding) == "accepted"
    assert reason(event() + padding + b" ") == "too_large"


@pytest.mark.parametrize("event_type", ["", "Click", "page-view", "click\n", "refund", 5, None, ["click"]])
def test_an_unknown_event_type_is_named_so(event_type: object) -> None:
    assert reason(event(event_type=event_type)) == "unknown_event_type"


@pytest.mark.parametrize(
    "name", ["event_id", "event_time", "event_type", "session_id", "visitor_id", "page_path", "device_type"]
)
def test_a_missing_field_is_named(name: str) -> None:
    result = outcome(without(name))
    assert isinstance(result, Invalid)
    assert result.reason == "missing_field"
    assert name in result.message


@pytest.mark.parametrize("name", ["colour", "Event_id", "", "missing required field", "x`$.event_id`"])
def test_an_unknown_field_is_an_invalid_field(name: str) -> None:
    result = outcome(event(**{name: 1}))
    assert isinstance(result, Invalid)
    assert result.reason == "invalid_field"
    assert name in result.message


@pytest.mark.parametrize(
    "change",
    [
        {"visitor_id": 5},
        {"visitor_id": None},
        {"visitor_id": ""},
        {"visitor_id": "v" * 65},
        {"user_id": ""},
        {"user_id": ["u"]},
        {"page_path": None},
        {"page_path": ""},
        {"page_path": "/" * 513},
        {"page_path": "ß" * 512},
        {"page_path": "/" + "ß" * 256},
        {"page_url": "x" * 2049},
        {"page_title": {"en": "Lamp"}},
        {"utm_source": "x" * 129},
        {"device_type": "Mobile"},
        {"device_type": "watch"},
        {"os": "x" * 65},
        {"event_name": ""},
        {"event_name": "x" * 65},
        {"event_name": 5},
        {"event_type": "custom", "event_name": ["signup"]},
        {"country": "de"},
        {"country": "D"},
        {"country": "DEU"},
        {"country": "D1"},
        {"country": "ДЕ"},
        {"country": "D\n"},
        {"currency": "eur"},
        {"currency": "EU"},
        {"currency": "ÉUR"},
        {"quantity": -1},
        {"quantity": 1_000_001},
        {"quantity": 2**31},
        {"quantity": 10**40},
        {"quantity": 1.5},
        {"quantity": "2"},
        {"quantity": True},
        {"value": 39.8},
        {"value": ""},
        {"value": "1e5"},
        {"value": "NaN"},
        {"value": "Infinity"},
        {"value": "-1"},
        {"value": "+1"},
        {"value": " 1"},
        {"value": "1,5"},
        {"value": ".5"},
        {"value": "5."},
        {"value": "12\n34"},
        {"value": "12\n"},
        {"value": "1.23456"},
        {"value": "1234567890123"},
        {"value": "\u0661\u0662"},
        {"value": "1_000"},
    ],
    ids=str,
)
def test_a_field_of_the_wrong_type_or_form_is_invalid(change: dict[str, object]) -> None:
    assert reason(event(**change)) == "invalid_field"


@pytest.mark.parametrize(
    "change",
    [
        {"page_path": "/" * 512},
        {"page_path": "ß" * 256},
        {"page_title": "ß" * 2048},
        {"visitor_id": "v" * 64},
        {"visitor_id": "\U0001f642" * 64},
        {"quantity": 0},
        {"quantity": 1_000_000},
        {"value": "0"},
        {"value": "999999999999.9999"},
        {"value": "007.10"},
        {"user_id": None},
        {"city": ""},
        {"site": "a"},
        {"site": "a" * 63},
        {"event_name": "ß" * 64},
        {"event_type": "custom", "event_name": "video play \U0001f642"},
    ],
    ids=str,
)
def test_the_last_of_what_is_allowed_is_accepted(change: dict[str, object]) -> None:
    row = accepted(event(**change))
    assert {name: row[name] for name in change} == change


@pytest.mark.parametrize(
    "site",
    [
        *("", " ", "-", "..", "a" * 64, "shop example", "shop.example:443", "https://shop.example/", "shop/blog"),
        *("müller.example", "\u212aiosk", "[::1]", "shop\n", "jane@shop.example", 5, ["shop"]),
    ],
)
def test_a_site_that_is_no_name_is_refused_although_the_url_would_give_one(site: object) -> None:
    result = outcome(event(site=site))
    assert isinstance(result, Invalid)
    assert result.reason == "invalid_field"
    assert "site" in result.message


def test_a_site_is_kept_in_lower_case_whatever_the_url_says() -> None:
    assert accepted(event(site="Blog.Example", page_url="https://shop.example/"))["site"] == "blog.example"
    assert accepted(event(site="www.shop.example"))["site"] == "www.shop.example"


@pytest.mark.parametrize(
    ("page_url", "site"),
    [
        ("https://WWW.Shop.example:8443/p?a=b", "shop.example"),
        ("https://shop.example./", "shop.example"),
        ("https://[::1]/", "default"),
        ("https://müller.example/", "default"),
        ("https://" + "a" * 64 + "/", "default"),
        ("/p", "default"),
        (None, "default"),
    ],
)
def test_an_event_that_names_no_site_is_of_its_url_s_else_of_the_default(page_url: str | None, site: str) -> None:
    assert accepted(event(site=None, page_url=page_url))["site"] == site
    given = fields(page_url=page_url)
    del given["site"]
    assert accepted(json.encode(given))["site"] == site


def test_the_default_site_is_what_the_consumer_is_told() -> None:
    value = event(site=None, page_url=None)
    odd = event(site=None, page_url=None, page_path="/größe")
    rows = Validator("shop").check([value], LIMITS, 1) + Validator("shop").check([value, odd], LIMITS, 1)
    assert [row[COLUMNS.index("site")] for row in rows] == ["shop"] * 3


def test_a_custom_event_needs_a_name() -> None:
    assert accepted(event(event_type="custom", event_name="signup"))["event_name"] == "signup"
    for value in (
        event(event_type="custom", event_name=None),
        event(event_type="custom").replace(b'"event_name":"add",', b""),
    ):
        result = outcome(value)
        assert isinstance(result, Invalid)
        assert result == ("missing_field", "event_name is missing: a custom event needs one")


def test_the_name_of_any_other_event_is_kept() -> None:
    assert accepted(event(event_type="click", event_name="signup"))["event_name"] == "signup"


@pytest.mark.parametrize("name", ["event_id", "session_id"])
@pytest.mark.parametrize(
    "text",
    [
        "",
        "not an id",
        "0191ab26-5f00-4cc3-98c4-dc0c0c07398f",
        "0191ab26-5f00-7cc3-18c4-dc0c0c07398f",
        compose(NOW_MS, 0xABCDEF).upper(),
        compose(NOW_MS, 1).replace("-", ""),
        compose(NOW_MS, 1)[:-1] + "\n",
        compose(NOW_MS, 1) + "\n",
        "{" + compose(NOW_MS, 1)[:-2] + "}",
        compose(NOW_MS, 1)[:-1] + "\u0661",
        5,
        None,
    ],
)
def test_an_id_that_is_not_a_uuid7_in_lower_case_is_refused(name: str, text: object) -> None:
    assert reason(event(**{name: text})) == "invalid_id"


@pytest.mark.parametrize(("first", "second"), [(40, 32), (32, 40), (37, 35), (35, 37), (72, 0)])
def test_characters_that_moved_from_one_id_to_the_next_are_noticed(first: int, second: int) -> None:
    both = compose(NOW_MS, 1) + compose(NOW_MS, 2)
    assert first + second == len(both)
    assert reason(event(event_id=both[:first], session_id=both[first:])) == "invalid_id"


@pytest.mark.parametrize(
    "text",
    [
        "2026-02-30T10:00:00.000Z",
        "2026-02-29T10:00:00.000Z",
        "2026-13-01T10:00:00.000Z",
        "2026-00-10T10:00:00.000Z",
        "2026-08-31T24:00:00.000Z",
        "2026-08-31T10:60:00.000Z",
        "2026-06-30T23:59:60.000Z",
        "2026-08-31T10:00:00.000",
        "2026-08-31T10:00:00.0000",
        "2026-08-31T10:00:00+00:0",
        "2026-08-31T10:00:00.00+0",
        "2026-08-31T10:00:00+02:00",
        "2026-08-31T10:00:00Z",
        "2026-08-31T10:00:00,000Z",
        "2026-08-31 10:00:00.000Z",
        "2026-08-31t10:00:00.000z",
        "2026-08-31T10:00:00.00\u0660Z",
        "0000-01-01T00:00:00.000Z",
        "+026-08-31T10:00:00.000Z",
        "now",
        "infinity",
        "",
        1_788_000_000_000,
        None,
    ],
)
def test_a_time_that_does_not_exist_or_is_not_in_our_form_is_invalid(text: object) -> None:
    assert reason(event(event_time=text)) == "invalid_time"


@pytest.mark.parametrize("ms", [0, FIRST_MS - 1, NOW_MS + DAY_MS, 253_402_300_799_999])
def test_a_time_out_of_range_is_refused_whether_the_events_or_its_ids(ms: int) -> None:
    assert reason(event(event_time=rfc3339_ms(ms))) == "out_of_range"
    assert reason(event(event_id=compose(ms, 5))) == "out_of_range"


@pytest.mark.parametrize("ms", [FIRST_MS, NOW_MS + DAY_MS - 1])
def test_the_first_and_the_last_time_in_range_are_accepted(ms: int) -> None:
    row = accepted(event(event_time=rfc3339_ms(ms), event_id=compose(ms, (1 << 74) - 1)))
    assert row["event_time"] == rfc3339_ms(ms)


@pytest.mark.parametrize("apart_ms", [DAY_MS + 1, 2 * DAY_MS, 300 * DAY_MS])
def test_an_id_made_more_than_a_day_before_or_after_its_event_is_refused(apart_ms: int) -> None:
    earlier_ms = NOW_MS - apart_ms
    assert reason(event(event_id=compose(earlier_ms, 5))) == "out_of_range"
    assert reason(event(event_time=rfc3339_ms(earlier_ms))) == "out_of_range"
    assert reason(event(event_time=rfc3339_ms(earlier_ms), event_id=compose(earlier_ms, 5))) == "accepted"


def test_an_id_made_a_day_before_or_after_its_event_is_accepted() -> None:
    assert reason(event(event_id=compose(NOW_MS - DAY_MS, 5))) == "accepted"
    assert reason(event(event_time=rfc3339_ms(NOW_MS - DAY_MS))) == "accepted"


def test_the_largest_id_of_all_is_out_of_range() -> None:
    assert reason(event(event_id="ffffffff-ffff-7fff-bfff-ffffffffffff")) == "out_of_range"


def test_without_retention_all_is_kept_back_to_the_year_2000() -> None:
    keeping_all = Limits.at(NOW, 0, MAX_BYTES)
    first_ms = to_unix_ms(EARLIEST)
    assert reason(event(event_time=rfc3339_ms(first_ms), event_id=compose(first_ms, 0)), keeping_all) == "accepted"
    assert reason(event(event_time=rfc3339_ms(first_ms - 1)), keeping_all) == "out_of_range"


def test_retention_begins_at_midnight_so_that_whole_days_expire() -> None:
    limits = Limits.at(NOW, 1, MAX_BYTES)
    yesterday = NOW.replace(hour=0, minute=0) - timedelta(days=1)
    assert limits.earliest_time == rfc3339_ms(to_unix_ms(yesterday))
    assert limits.earliest_id == lower_bound(to_unix_ms(yesterday))


@pytest.mark.parametrize(
    "number",
    ["1e1000", "1E1000", "-1e-1000", "1.5e+9999", "1e0001", "0e1000", "1e99999999999999999999"],
)
@pytest.mark.parametrize("place", ['{{"a":{}}}', '{{"a": {}}}', '{{"a":[1,\n{}]}}', '{{"a":{{"b":[{}]}}}}'])
def test_an_exponent_beyond_what_numeric_holds_is_refused(number: str, place: str) -> None:
    assert reason(with_raw("properties", place.format(number))) == "invalid_properties"


@pytest.mark.parametrize(
    "properties",
    [
        '{"a":"1e9999"}',
        '{"1e9999":1}',
        '{"a":"b:1e9999"}',
        r'{"a":"\":1e9999"}',
        r'{"a":"\\","b":"[1e9999,2e9999]"}',
        '{"a":1e999,"b":-1E-999,"c":1.5e+10}',
        '{"a":[1000,1e10,2000]}',
        "{}",
        ' {"a" : 1 } ',
        '{"a":' + "9" * 5000 + "}",
    ],
)
def test_a_number_that_numeric_holds_and_text_that_looks_like_another_are_accepted(properties: str) -> None:
    assert accepted(with_raw("properties", properties))["properties"] == properties.strip()


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_properties_may_nest_32_levels_and_no_deeper(opening: str) -> None:
    closing = "]" if opening == "[" else "}"

    def nested(levels: int) -> bytes:
        """Properties are the first level themselves."""
        inner = levels - 1
        return with_raw(
            "properties", '{"p":' + opening * inner + ("1" if closing == "}" else "") + closing * inner + "}"
        )

    assert reason(nested(32)) == "accepted"
    assert reason(nested(33)) == "invalid_properties"
    assert reason(nested(100)) == "invalid_properties"


def test_brackets_inside_texts_or_side_by_side_are_no_nesting() -> None:
    assert reason(event(properties={"a": "[" * 500 + "{" * 500, "b": [[]] * 200})) == "accepted"


@pytest.mark.parametrize("properties", ["[]", "1", '"text"', "true", '[{"a":1}]'])
def test_properties_that_are_not_an_object_are_refused(properties: str) -> None:
    assert reason(with_raw("properties", properties)) == "invalid_properties"


def test_properties_that_are_null_are_none() -> None:
    assert accepted(with_raw("properties", "null"))["properties"] is None


@pytest.mark.parametrize(("character", "size"), [("x", 1), ("ß", 2), ("\U0001f642", 4)])
def test_properties_hold_8_kib_in_utf8_and_no_more(character: str, size: int) -> None:
    room = 8192 - len('{"a":""}')
    full = '{"a":"' + character * (room // size) + '"}'
    assert reason(with_raw("properties", full)) == "accepted"
    assert reason(with_raw("properties", full[:-2] + character + '"}')) == "invalid_properties"


@pytest.mark.parametrize("name", ["visitor_id", "user_id"])
@pytest.mark.parametrize(
    "person",
    [
        "ann@example.com",
        "@",
        "192.168.0.1",
        "8.8.8.8",
        "::1",
        "2001:db8::8a2e:370:7334",
        "::ffff:1.2.3.4",
        "fe80::1%eth0",
    ],
)
def test_an_address_of_a_person_is_refused(name: str, person: str) -> None:
    assert reason(event(**{name: person})) == "personal_data"


@pytest.mark.parametrize(
    "pseudonym", ["1.2.3", "1.2.3.4.5", "256.1.1.1", "a:b", "urn:visitor:5", "v1.2.3.4", "3232235521"]
)
def test_a_pseudonym_that_only_looks_like_an_address_is_accepted(pseudonym: str) -> None:
    assert accepted(event(visitor_id=pseudonym, user_id=pseudonym))["visitor_id"] == pseudonym


def test_every_reason_but_postgresql_s_own_is_given_by_some_message() -> None:
    messages = [
        None,
        b"x" * (MAX_BYTES + 1),
        b"\xff",
        b"{",
        event(event_type="refund"),
        without("page_path"),
        event(country="de"),
        event(event_id="x" * 36),
        event(event_time="x" * 24),
        event(event_time=rfc3339_ms(0)),
        event(city="\0"),
        event(properties=[]),
        event(visitor_id="a@b"),
    ]
    assert [reason(message) for message in messages] == [name for name in REASONS if name != "rejected_by_postgres"]
