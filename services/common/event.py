"""The clickstream event, version 1: JSON on the topic, keyed by `visitor_id`.

The JSON Schema in docs/event.schema.json is generated from this module. `services/consumer/validation.py` checks what
a type cannot say: that ids are UUIDv7, that times exist and lie in range, that nothing here identifies a person.
"""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Raw, Struct, UnsetType
from msgspec.json import schema

from services.common import sites

EventType = Literal[
    "page_view",
    "click",
    "scroll",
    "search",
    "product_view",
    "add_to_cart",
    "remove_from_cart",
    "begin_checkout",
    "purchase",
    "form_submit",
    "custom",
]
DeviceType = Literal["desktop", "mobile", "tablet", "other"]

UUID7_PATTERN = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
TIME_PATTERN = r"\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3]):\d\d:\d\d\.\d{3}Z"
VALUE_PATTERN = r"\d{1,12}(?:\.\d{1,4})?"
# Both are made where the event happens, so only clocks and queues come between them. Retention goes by the id and
# rollups go by the time: the aggregator's horizon (the last dropped day + 2) is right as long as this is one day.
ID_TO_TIME_MAX_MS = 86_400_000
PAGE_PATH_MAX_BYTES = 512
PROPERTIES_MAX_BYTES = 8 * 1024
PROPERTIES_MAX_DEPTH = 32

Uuid7 = Annotated[str, Meta(min_length=36, max_length=36, description="UUIDv7 (RFC 9562), lower case")]
Pseudonym = Annotated[
    str, Meta(min_length=1, max_length=64, description="pseudonymous: never an e-mail or an IP address")
]
PagePath = Annotated[str, Meta(min_length=1, max_length=512, description="at most 512 bytes in UTF-8")]
Text = Annotated[str, Meta(max_length=2048)]
Campaign = Annotated[str, Meta(max_length=128)]
Name = Annotated[str, Meta(max_length=64)]
Site = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=sites.MAX_LENGTH,
        description="which site or app, stored in lower case; absent: the host of page_url without www. and port, "
        "else what the consumer's DEFAULT_SITE says",
    ),
]
EventName = Annotated[
    str,
    Meta(min_length=1, max_length=64, description="what a custom event is called; of other types kept, not counted"),
]
Country = Annotated[str, Meta(min_length=2, max_length=2, description="ISO 3166-1 alpha-2, upper case")]
Currency = Annotated[str, Meta(min_length=3, max_length=3, description="ISO 4217, upper case")]
Quantity = Annotated[int, Meta(ge=0, le=1_000_000)]
Value = Annotated[
    str, Meta(min_length=1, max_length=17, description="total of the event, not negative, as decimal text: 19.90")
]


class Event(Struct, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    """One thing a visitor did. Field order is the column order of table `event`.

    `event_id` is made once, where the event happens, and is the same on every retry; its time chooses the day
    partition, and is at most a day from `event_time`. `value` is the total of the event: price times quantity. What no
    other type fits is a `custom` event, and `event_name` says which.
    """

    event_id: Uuid7
    event_time: Annotated[str, Meta(min_length=24, max_length=24, description="RFC 3339, UTC with Z, milliseconds")]
    event_type: EventType
    session_id: Uuid7
    visitor_id: Pseudonym
    page_path: PagePath
    device_type: DeviceType
    site: Site | None = None
    event_name: EventName | None = None
    user_id: Pseudonym | None = None
    page_url: Text | None = None
    page_title: Text | None = None
    referrer: Text | None = None
    utm_source: Campaign | None = None
    utm_medium: Campaign | None = None
    utm_campaign: Campaign | None = None
    os: Name | None = None
    browser: Name | None = None
    country: Country | None = None
    city: Name | None = None
    element: Annotated[str, Meta(max_length=128, description="what was clicked")] | None = None
    product_id: Name | None = None
    quantity: Quantity | None = None
    value: Value | None = None
    currency: Currency | None = None
    properties: Raw | UnsetType = UNSET


COLUMNS: tuple[str, ...] = Event.__struct_fields__


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of an event, with the patterns that the validator checks."""
    document: dict[str, Any] = schema(Event)
    definition = document["$defs"]["Event"]
    fields = definition["properties"]
    for name in ("event_id", "session_id"):
        fields[name]["pattern"] = f"^{UUID7_PATTERN}$"
    fields["event_id"]["description"] += f"; its time is at most {ID_TO_TIME_MAX_MS // 3_600_000} h from event_time"
    fields["event_time"]["pattern"] = f"^{TIME_PATTERN}$"
    fields["properties"] = {
        "description": f"anything else: at most {PROPERTIES_MAX_BYTES} bytes, {PROPERTIES_MAX_DEPTH} levels deep",
        "type": ["object", "null"],
    }
    for name, pattern in (
        ("site", sites.PATTERN),
        ("country", "[A-Z]{2}"),
        ("currency", "[A-Z]{3}"),
        ("value", VALUE_PATTERN),
    ):
        text = next(option for option in fields[name]["anyOf"] if option["type"] == "string")
        text["pattern"] = f"^{pattern}$"
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Clickstream event, version 1",
        **definition,
        "if": {"properties": {"event_type": {"const": "custom"}}},
        "then": {"properties": {"event_name": {"type": "string"}}, "required": ["event_name"]},
    }
