"""Valid events to spoil, a fixed now to judge them by, and what the validator makes of them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from msgspec import json

from services.common.event import COLUMNS
from services.common.timestamps import rfc3339_ms, to_unix_ms
from services.common.uuid7 import compose
from services.consumer.faults import Invalid
from services.consumer.limits import Limits
from services.consumer.validation import Row, Validator

NOW = datetime(2026, 9, 1, 12, 30, tzinfo=UTC)
NOW_MS = to_unix_ms(NOW)
RETENTION_DAYS = 400
MAX_BYTES = 1024 * 1024
LIMITS = Limits.at(NOW, RETENTION_DAYS, MAX_BYTES)
BATCH_ID = 7
VALIDATOR = Validator()

_WHOLE: dict[str, Any] = {
    "event_id": compose(NOW_MS, 1),
    "event_time": rfc3339_ms(NOW_MS),
    "event_type": "add_to_cart",
    "session_id": compose(NOW_MS - 60_000, 2),
    "visitor_id": "visitor-1",
    "page_path": "/product/1",
    "device_type": "mobile",
    "site": "shop.example",
    "event_name": "add",
    "user_id": "user-1",
    "page_url": "https://shop.example/product/1?color=red",
    "page_title": "Lamp",
    "referrer": "https://search.example/",
    "utm_source": "newsletter",
    "utm_medium": "email",
    "utm_campaign": "autumn",
    "os": "Android",
    "browser": "Firefox",
    "country": "DE",
    "city": "Köln",
    "element": "button.add",
    "product_id": "lamp-1",
    "quantity": 2,
    "value": "39.80",
    "currency": "EUR",
    "properties": {"color": "red", "price": 19.9},
}


def fields(**changes: Any) -> dict[str, Any]:
    """A valid event with every field, but for these changes."""
    return _WHOLE | changes


def event(**changes: Any) -> bytes:
    """The same as JSON."""
    return json.encode(fields(**changes))


def without(*names: str) -> bytes:
    """A valid event that lacks these fields."""
    return json.encode({name: value for name, value in _WHOLE.items() if name not in names})


def with_raw(name: str, text: str | bytes) -> bytes:
    """A valid event whose last field is JSON written by hand."""
    raw = text if isinstance(text, bytes) else text.encode()
    return without(name)[:-1] + f',"{name}":'.encode() + raw + b"}"


def check(*values: bytes | None, limits: Limits = LIMITS) -> list[Row | Invalid]:
    """What becomes of messages that come together."""
    return VALIDATOR.check(values, limits, BATCH_ID)


def outcome(value: bytes | None, limits: Limits = LIMITS) -> Row | Invalid:
    """What becomes of one message, alone or in company of valid ones."""
    alone = check(value, limits=limits)
    assert check(event(), value, event(), limits=limits)[1:2] == alone
    return alone[0]


def reason(value: bytes | None, limits: Limits = LIMITS) -> str:
    """Why a message is refused, or "accepted"."""
    result = outcome(value, limits)
    return result.reason if isinstance(result, Invalid) else "accepted"


def accepted(value: bytes, limits: Limits = LIMITS) -> Mapping[str, Any]:
    """An accepted event's columns."""
    row = outcome(value, limits)
    assert not isinstance(row, Invalid), row
    return dict(zip([*COLUMNS, "batch_id"], row, strict=True))
