"""What exactly is wrong with a message: the precise check of one event, and the words for each fault."""

import ipaddress
import re
from datetime import datetime
from typing import Literal, NamedTuple, get_args

from msgspec import UNSET, DecodeError, ValidationError
from msgspec.structs import astuple

from services.common import sites, uuid7
from services.common.event import (
    ID_TO_TIME_MAX_MS,
    PAGE_PATH_MAX_BYTES,
    PROPERTIES_MAX_BYTES,
    PROPERTIES_MAX_DEPTH,
    TIME_PATTERN,
    UUID7_PATTERN,
    VALUE_PATTERN,
    Event,
)
from services.common.timestamps import unix_ms
from services.consumer.limits import Limits

Reason = Literal[
    "tombstone",
    "too_large",
    "invalid_utf8",
    "invalid_json",
    "unknown_event_type",
    "missing_field",
    "invalid_field",
    "invalid_id",
    "invalid_time",
    "out_of_range",
    "nul_character",
    "invalid_properties",
    "personal_data",
    "rejected_by_postgres",
]
REASONS: tuple[Reason, ...] = get_args(Reason)

_UUID7 = re.compile(UUID7_PATTERN, re.ASCII)
_TIME = re.compile(TIME_PATTERN, re.ASCII)
_VALUE = re.compile(VALUE_PATTERN, re.ASCII)
_UPPER = re.compile("[A-Z]*", re.ASCII)
_NUL_ESCAPE = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_HUGE = re.compile(r"[eE][+-]?\d{4}")
_MESSAGE_MAX_CHARS = 500


class Invalid(NamedTuple):
    """Why a message can't become an event: the class of the fault, and a sentence."""

    reason: Reason
    message: str


def properties_text(event: Event) -> str | None:
    """The raw JSON as text. msgspec has checked its syntax, not its encoding."""
    if event.properties is UNSET:
        return None
    text = str(event.properties, "utf-8")
    return None if text == "null" else text


def find(event: Event, properties: str | None, limits: Limits) -> Invalid | None:
    """The first fault of a decoded event, if it has one; `properties` as `properties_text` gives it."""
    return _id_or_time_fault(event, limits) or _text_fault(event) or _name_fault(event) or _properties_fault(properties)


def _id_or_time_fault(event: Event, limits: Limits) -> Invalid | None:
    for name, text in (("event_id", event.event_id), ("session_id", event.session_id)):
        if not _UUID7.fullmatch(text):
            return Invalid("invalid_id", f"{name} is not a UUIDv7 in lower case")
    if not _TIME.fullmatch(event.event_time) or not _exists(event.event_time):
        return Invalid("invalid_time", "event_time is not an RFC 3339 time in UTC with Z and milliseconds")
    if not limits.earliest_time <= event.event_time < limits.latest_time:
        return Invalid(
            "out_of_range", f"event_time {event.event_time} is {_which(event.event_time, limits.earliest_time)}"
        )
    if not limits.earliest_id <= event.event_id < limits.latest_id:
        return Invalid("out_of_range", f"the time of event_id is {_which(event.event_id, limits.earliest_id)}")
    if abs(uuid7.unix_ms(event.event_id) - unix_ms(event.event_time)) > ID_TO_TIME_MAX_MS:
        return Invalid("out_of_range", "the time of event_id and event_time are more than a day apart")
    return None


def _text_fault(event: Event) -> Invalid | None:
    if any(isinstance(text, str) and "\0" in text for text in astuple(event)):
        return Invalid("nul_character", "a text holds U+0000, which PostgreSQL can't store")
    if len(event.page_path.encode()) > PAGE_PATH_MAX_BYTES:
        return Invalid("invalid_field", f"page_path has more than {PAGE_PATH_MAX_BYTES} bytes in UTF-8")
    for name, code in (("country", event.country), ("currency", event.currency)):
        if code is not None and not _UPPER.fullmatch(code):
            return Invalid("invalid_field", f"{name} is not in capital letters A-Z")
    if event.value is not None and not _VALUE.fullmatch(event.value):
        return Invalid("invalid_field", "value is not a decimal of at most 12 digits and 4 places")
    for name, person in (("visitor_id", event.visitor_id), ("user_id", event.user_id)):
        if person is not None and _is_personal(person):
            return Invalid("personal_data", f"{name} is an e-mail or IP address; send a pseudonym")
    return None


def _name_fault(event: Event) -> Invalid | None:
    if event.site is not None and sites.canonical(event.site) is None:
        return Invalid("invalid_field", "site is not a name of letters a-z, digits, dots, hyphens and underscores")
    if event.event_type == "custom" and event.event_name is None:
        return Invalid("missing_field", "event_name is missing: a custom event needs one")
    return None


def _properties_fault(text: str | None) -> Invalid | None:
    if text is None:
        return None
    if not text.startswith("{"):
        return Invalid("invalid_properties", "properties is not an object")
    if len(text.encode()) > PROPERTIES_MAX_BYTES:
        return Invalid("invalid_properties", f"properties has more than {PROPERTIES_MAX_BYTES} bytes")
    if _NUL_ESCAPE.search(text):
        return Invalid("nul_character", "properties holds U+0000, which PostgreSQL can't store")
    outside_strings = _STRING.sub("", text)
    if _HUGE.search(outside_strings):
        return Invalid("invalid_properties", "properties has a number with an exponent of more than three digits")
    if _depth(outside_strings) > PROPERTIES_MAX_DEPTH:
        return Invalid("invalid_properties", f"properties nests deeper than {PROPERTIES_MAX_DEPTH} levels")
    return None


def _depth(brackets: str) -> int:
    depth = deepest = 0
    for character in brackets:
        if character in "{[":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "}]":
            depth -= 1
    return deepest


def _exists(time: str) -> bool:
    try:
        datetime.fromisoformat(time)
    except ValueError:
        return False
    return True


def _which(text: str, earliest: str) -> str:
    return "older than EVENT_RETENTION_DAYS allows" if text < earliest else "more than a day ahead"


def _is_personal(text: str) -> bool:
    if "@" in text:
        return True
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def explain_decoding(error: DecodeError, value: bytes) -> Invalid:
    """The decoder's message, in our classes."""
    message = str(error).replace("\0", "")[:_MESSAGE_MAX_CHARS]
    if isinstance(error, ValidationError):
        if message.startswith("Object missing required field"):
            return Invalid("missing_field", message)
        if message.endswith("`$.event_type`"):
            return Invalid("unknown_event_type", message)
        for name in ("event_id", "session_id"):
            if message.endswith(f"`$.{name}`"):
                return Invalid("invalid_id", message)
        if message.endswith("`$.event_time`"):
            return Invalid("invalid_time", message)
        return Invalid("invalid_field", message)
    return explain_encoding(value) or Invalid("invalid_json", message)


def explain_encoding(value: bytes) -> Invalid | None:
    """The first byte of a message that is not UTF-8, if there is one."""
    try:
        value.decode()
    except UnicodeDecodeError as error:
        return Invalid("invalid_utf8", f"{error.reason} at byte {error.start}")
    return None
