"""A row of foreign data becomes an event, by a mapping of its columns."""

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlsplit

import msgspec

from services.common.timestamps import rfc3339_ms
from services.producer.replay import agents, times
from services.producer.replay.identity import EventIds, Pseudonyms
from services.producer.replay.mapping import EVENT_TYPES, fill
from services.producer.replay.ordering import Found
from services.producer.replay.paths import one_spelling
from services.producer.replay.report import BadLineError, Report
from services.producer.replay.table import Row
from services.producer.replay.validity import NO_SESSION, to_event

_MAY_HAVE_LINES = ("page_title", "element", "city", "user_agent")
_DEVICES = ("desktop", "mobile", "tablet")
_FOUR_PLACES = Decimal("0.0001")
_LARGEST_VALUE = Decimal(10) ** 12
_PROPERTIES = "properties."
_query_or_fragment = re.compile("[?#]")


@dataclass(frozen=True)
class Reader:
    """Makes an event of a row whose header the templates fit; `event_types` translates the data's names of them."""

    templates: dict[str, str]
    event_types: dict[str, str]
    ids: EventIds
    pseudonyms: Pseudonyms
    report: Report
    keep_bots: bool

    def __call__(self, row: Row) -> Found | None:
        """The event, or None of a crawler's, which is counted.

        Raises:
            BadLineError: the row can't become a valid event.
        """
        given = {field: text for field, template in self.templates.items() if (text := fill(template, row, field))}
        for field in ("event_time", "visitor_id"):
            if field not in given:
                raise BadLineError(f"{field} is missing")
        if not self.keep_bots and agents.describe(given.get("user_agent", "")).crawler:
            self.report.skipped["bot"] += 1
            return None
        time_ms = times.parse(given["event_time"])
        session = given.pop("session_id", None)
        fields = _plain(given) | {
            "event_id": self._event_id(given.get("event_id"), time_ms, row),
            "event_time": rfc3339_ms(time_ms),
            "event_type": self._event_type(given.get("event_type")),
            "session_id": NO_SESSION,
        }
        if fields["event_type"] == "custom" and given["event_type"] != "custom":
            fields.setdefault("event_name", given["event_type"])  # --map-event signup=custom
        if any("\n" in text for field, text in given.items() if field not in _MAY_HAVE_LINES and "." not in field):
            raise BadLineError("a line break where none can be meant")
        for field in ("visitor_id", "user_id"):
            if field in given:
                fields[field] = self.pseudonyms.unless_harmless(given[field])
        return Found(time_ms, to_event(fields), session)

    def has_time(self, row: Row) -> bool:
        """Whether the row has a time where it should: then it is a row, and not the rest of one."""
        try:
            times.parse(fill(self.templates["event_time"], row))
        except BadLineError:
            return False
        return True

    def _event_id(self, foreign_id: str | None, time_ms: int, row: Row) -> str:
        if foreign_id:
            return self.ids.of_foreign(time_ms, foreign_id)
        return self.ids.of_line(time_ms, self.pseudonyms.digest(*row.values()))

    def _event_type(self, name: str | None) -> str:
        event_type = "page_view" if name is None else self.event_types.get(name, name)
        if event_type not in EVENT_TYPES:
            raise BadLineError("unknown event_type: --map-event THEIRS=OURS translates it")
        return event_type


def _plain(given: dict[str, str]) -> dict[str, Any]:
    """The fields that follow from the row alone, in our spelling."""
    fields: dict[str, Any] = {
        name: text for name, text in given.items() if name not in ("price", "user_agent") and "." not in name
    }
    properties = {name.removeprefix(_PROPERTIES): text for name, text in given.items() if name.startswith(_PROPERTIES)}
    if properties:
        fields["properties"] = msgspec.Raw(msgspec.json.encode(properties))
    for name in ("country", "currency"):
        if name in given:
            fields[name] = given[name].upper()
    path_or_url = given.get("page_path") or given.get("page_url")
    if path_or_url:
        fields["page_path"] = _path_of(path_or_url)
    _add_device(fields, given)
    _add_numbers(fields, given)
    return fields


def _path_of(path_or_url: str) -> str:
    if not path_or_url.lower().startswith(("http://", "https://")):
        return one_spelling(_query_or_fragment.split(path_or_url, 1)[0])
    try:
        return one_spelling(urlsplit(path_or_url).path or "/")
    except ValueError:
        raise BadLineError("page_url is not a URL") from None


def _add_device(fields: dict[str, Any], given: dict[str, str]) -> None:
    device = given.get("device_type", "").lower()
    fields["device_type"] = device if device in _DEVICES else "other"
    if "user_agent" in given:
        agent = agents.describe(given["user_agent"])
        known = {"browser": agent.browser, "os": agent.os, "device_type": agent.device_type}
        fields.update({name: text for name, text in known.items() if text and name not in given})


def _add_numbers(fields: dict[str, Any], given: dict[str, str]) -> None:
    if "quantity" in given:
        quantity = _decimal("quantity", given["quantity"])
        if quantity != int(quantity):
            raise BadLineError("quantity is not a whole number")
        fields["quantity"] = int(quantity)
    if "value" in given:
        fields["value"] = _money(_decimal("value", given["value"]))
    elif "price" in given:
        fields["value"] = _money(_decimal("price", given["price"]) * fields.get("quantity", 1))


def _decimal(field: str, text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise BadLineError(f"{field} is not a number") from None
    if not (number.is_finite() and 0 <= number < _LARGEST_VALUE):
        raise BadLineError(f"{field} is negative or too large")
    return number


def _money(value: Decimal) -> str:
    """Decimal text with at most four places: floats written in full lose their noise."""
    exponent = value.as_tuple().exponent
    return f"{value:.4f}" if isinstance(exponent, int) and exponent < -4 else f"{value:f}"
