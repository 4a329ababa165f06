"""Broken messages, as buggy or hostile clients send them: each a valid event with one thing wrong."""

import uuid
from collections.abc import Callable
from random import Random
from typing import Any

from msgspec import json

from services.common import uuid7

Fields = dict[str, Any]
REQUIRED = ("event_id", "event_time", "event_type", "session_id", "visitor_id", "page_path", "device_type")
DAYS_AHEAD_MS = 30 * 86_400_000


def _without_a_field(event: Fields, draw: Random) -> bytes:
    del event[draw.choice(REQUIRED)]
    return json.encode(event)


def _with(**wrong: Any) -> Callable[[Fields, Random], bytes]:
    """Fields set to what they may not be."""
    return lambda event, _draw: json.encode(event | wrong)


def _random_uuid(event: Fields, draw: Random) -> bytes:
    return json.encode(event | {"event_id": str(uuid.UUID(int=draw.getrandbits(128), version=4))})


def _from_the_future(event: Fields, draw: Random) -> bytes:
    ahead_ms = uuid7.unix_ms(event["event_id"]) + DAYS_AHEAD_MS
    return json.encode(event | {"event_id": uuid7.compose(ahead_ms, draw.getrandbits(uuid7.RANDOM_BITS))})


def _cut_off(event: Fields, draw: Random) -> bytes:
    whole = json.encode(event)
    return whole[: draw.randrange(1, len(whole))]


def _not_utf8(event: Fields, _draw: Random) -> bytes:
    return json.encode(event | {"page_title": "CAFE"}).replace(b"CAFE", b"Caf\xe9")


def _nul_escape(event: Fields, _draw: Random) -> bytes:
    return json.encode(event | {"page_title": "ab\0c"})


def _huge_number(event: Fields, _draw: Random) -> bytes:
    return json.encode(event | {"properties": {"n": "N"}}).replace(b'"N"', b"1e400000")


def _deep(event: Fields, _draw: Random) -> bytes:
    return json.encode(event | {"properties": {"n": "N"}}).replace(b'"N"', b"[" * 500 + b"]" * 500)


KINDS: dict[str, Callable[[Fields, Random], bytes]] = {
    "empty": lambda _event, _draw: b"",
    "not_json": lambda _event, _draw: b"GET /healthz HTTP/1.1",
    "not_an_object": lambda event, _draw: json.encode([event]),
    "cut_off": _cut_off,
    "not_utf8": _not_utf8,
    "nul_escape": _nul_escape,
    "missing_field": _without_a_field,
    "unknown_field": _with(ip_address="203.0.113.7"),
    "unknown_event_type": _with(event_type="teleport"),
    "custom_without_a_name": _with(event_type="custom", event_name=None),
    "site_is_an_address": _with(site="https://shop.example/"),
    "wrong_type": _with(quantity="three"),
    "negative_quantity": _with(quantity=-1),
    "null_for_a_required_field": _with(page_path=None),
    "unknown_device": _with(device_type="toaster"),
    "event_id_not_version_7": _random_uuid,
    "event_id_from_the_future": _from_the_future,
    "event_time_from_the_future": _with(event_time="2099-01-01T00:00:00.000Z"),
    "event_time_without_zone": _with(event_time="2026-01-31T12:00:00.000"),
    "impossible_event_time": _with(event_time="2026-02-30T25:61:00.000Z"),
    "value_not_decimal": _with(value="nineteen"),
    "country_in_words": _with(country="Germany"),
    "path_too_long": _with(page_path="/" + "x" * 600),
    "properties_too_large": _with(properties={"note": "x" * 9000}),
    "properties_too_deep": _deep,
    "number_out_of_range": _huge_number,
}


def break_one(value: bytes, draw: Random) -> bytes:
    """A valid event, broken in one of the ways, with an id of its own."""
    event: Fields = json.decode(value)
    made_ms = uuid7.unix_ms(event["event_id"])
    event["event_id"] = uuid7.compose(made_ms, draw.getrandbits(uuid7.RANDOM_BITS))
    return KINDS[draw.choice(tuple(KINDS))](event, draw)
