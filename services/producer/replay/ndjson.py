"""NDJSON of our own event, one JSON object a line: passed through, with foreign ids and times made ours."""

import re
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import Raw

from services.common.event import COLUMNS
from services.common.timestamps import rfc3339_ms
from services.producer.replay import times
from services.producer.replay.identity import EventIds
from services.producer.replay.nothing import is_nothing
from services.producer.replay.ordering import Found
from services.producer.replay.paths import one_spelling
from services.producer.replay.report import BadLineError
from services.producer.replay.validity import NO_SESSION, to_event

# The event before its types are checked: ids and times may still be foreign; properties stay as they are written.
_Loose = msgspec.defstruct(
    "_Loose",
    [(name, Raw if name == "properties" else Any, None) for name in COLUMNS],
    forbid_unknown_fields=True,
)
# A name is told where it looks like one; anything else could be somebody's data.
_unknown_field = re.compile(r"unknown field `([A-Za-z_][\w.-]{0,63})`", re.ASCII).search
_NAMES_SOMETHING = ("event_id", "session_id", "visitor_id", "user_id", "page_path", "site", "event_name")
_decoder = msgspec.json.Decoder(_Loose)


@dataclass(frozen=True)
class Reader:
    """Makes an event of a line; `session_id` may be missing, then sessions are cut."""

    ids: EventIds

    def says_nothing(self, line: bytes) -> bool:  # noqa: ARG002
        """Never: each line is an event."""
        return False

    def __call__(self, line: bytes) -> Found:
        """The event.

        Raises:
            BadLineError: the line is not one of our events.
        """
        try:
            loose = _decoder.decode(line)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise BadLineError(_reason(error)) from None
        fields = {name: value for name in COLUMNS if not _is_nothing(name, value := getattr(loose, name))}
        if fields.get("properties") == b"null":
            del fields["properties"]
        time_ms = times.parse(_required(fields, "event_time"))
        session = _optional(fields, "session_id")
        if isinstance(path := fields.get("page_path"), str):
            fields["page_path"] = one_spelling(path)
        fields["event_id"] = self._event_id(_optional(fields, "event_id"), time_ms, line)
        fields["event_time"] = rfc3339_ms(time_ms)
        fields["session_id"] = NO_SESSION
        return Found(time_ms, to_event(fields), session)

    def _event_id(self, foreign_id: str | None, time_ms: int, line: bytes) -> str:
        if foreign_id is not None:
            return self.ids.of_foreign(time_ms, foreign_id)
        return self.ids.of_line(time_ms, line.decode("utf-8", "surrogateescape"))


def _is_nothing(name: str, value: object) -> bool:
    """Whether a field is as good as not there: empty, or an id or a page of a name that trackers send for nothing."""
    if value is None or value == "":
        return True
    return name in _NAMES_SOMETHING and isinstance(value, str) and is_nothing(value)


def _required(fields: dict[str, Any], name: str) -> str:
    value = _optional(fields, name)
    if value is None:
        raise BadLineError(f"{name} is missing")
    return value


def _optional(fields: dict[str, Any], name: str) -> str | None:
    """A text, or a number as text: epoch times and numeric ids are written so."""
    value = fields.get(name)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return repr(value)
    if value is None or isinstance(value, str):
        return value
    raise BadLineError(f"{name} is not a text")


def _reason(error: Exception) -> str:
    if not isinstance(error, msgspec.ValidationError):
        return "not JSON"
    text = str(error)
    if unknown := _unknown_field(text):
        return f"unknown field {unknown[1]}: what is not a field belongs into properties"
    if "unknown field" in text:
        return "an unknown field: what is not a field belongs into properties"
    return "a number out of range" if "out of range" in text else "not a JSON object"
