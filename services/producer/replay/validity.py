"""Events made of someone else's fields, held to the rules of services/common/event.py before they are sent."""

import re
from typing import Any

import msgspec
from msgspec import Raw

from services.common import event as rules
from services.common import sites
from services.common.event import Event
from services.producer.replay.identity import is_address
from services.producer.replay.report import BadLineError

# What the session is comes later; until then the field holds a valid id of nothing.
NO_SESSION = "00000000-0000-7000-8000-000000000000"

_PATTERNS = {
    "site": re.compile(sites.PATTERN, re.ASCII).fullmatch,
    "country": re.compile(r"[A-Z]{2}").fullmatch,
    "currency": re.compile(r"[A-Z]{3}").fullmatch,
    "value": re.compile(rules.VALUE_PATTERN, re.ASCII).fullmatch,
}
_HUGE = re.compile(rb"[eE][+-]?\d{4}")
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_OPENING = re.compile(rb"[\[{]")


def to_event(fields: dict[str, Any]) -> Event:
    """An event of these fields.

    Raises:
        BadLineError: one is missing, unknown or breaks a rule; the message names the field, never its value.
    """
    try:
        event = msgspec.convert(fields, Event)
    except msgspec.ValidationError as error:
        raise BadLineError(_without_values(str(error))) from None
    for name, matches in _PATTERNS.items():
        text = getattr(event, name)
        if text is not None and not matches(text):
            raise BadLineError(f"{name} is not as the schema wants it")
    if event.event_type == "custom" and event.event_name is None:
        raise BadLineError("event_name is missing: a custom event needs one")
    if any("\0" in text for text in fields.values() if isinstance(text, str)):
        raise BadLineError("a NUL character")
    for name in ("visitor_id", "user_id"):
        text = fields.get(name)
        if text is not None and ("@" in text or is_address(text)):
            raise BadLineError(f"{name} is an e-mail or IP address: only pseudonyms are stored")
    check_page_path(event.page_path)
    if isinstance(event.properties, Raw):
        _check_properties(bytes(event.properties))
    return event


def check_page_path(path: str) -> None:
    """Raises BadLineError: the path is longer than 512 bytes."""
    if len(path) > rules.PAGE_PATH_MAX_BYTES or (
        not path.isascii() and len(path.encode("utf-8", "surrogatepass")) > rules.PAGE_PATH_MAX_BYTES
    ):
        raise BadLineError(f"page_path longer than {rules.PAGE_PATH_MAX_BYTES} bytes")


def _check_properties(raw: bytes) -> None:
    if len(raw) > rules.PROPERTIES_MAX_BYTES:
        raise BadLineError(f"properties larger than {rules.PROPERTIES_MAX_BYTES} bytes")
    if b"\\u0000" in raw:
        raise BadLineError("a NUL character")
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadLineError("properties are not JSON, or hold a number out of range") from None
    if _HUGE.search(raw) and _HUGE.search(_STRING.sub(b"", raw)):
        raise BadLineError("properties hold a number out of range")
    if not isinstance(value, dict):
        raise BadLineError("properties are not an object")
    if len(_OPENING.findall(raw)) > rules.PROPERTIES_MAX_DEPTH and _depth(value) > rules.PROPERTIES_MAX_DEPTH:
        raise BadLineError(f"properties nested deeper than {rules.PROPERTIES_MAX_DEPTH} levels")


def _depth(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0


def _without_values(message: str) -> str:
    """Msgspec quotes a wrong enum value; that may be anything, so it isn't repeated."""
    return re.sub(r"enum value '.*?' -", "value -", message, flags=re.DOTALL).replace("`", "").replace("$.", "")
