"""Which column of a CSV file becomes which field of an event: `--map` and `--map-event`."""

import re
from dataclasses import dataclass
from typing import get_args

from services.common.errors import UserError
from services.common.event import COLUMNS, EventType
from services.producer.replay.nothing import is_nothing

EVENT_TYPES: frozenset[str] = frozenset(get_args(EventType))
# What isn't a field itself but becomes some: the price of one piece; browser, system and device of a user agent.
_EXTRA = ("price", "user_agent")
_FIELDS = (*(name for name in COLUMNS if name != "properties"), *_EXTRA)
_column_of = re.compile(r"\{([^{}]+)\}")


@dataclass(frozen=True)
class Mapping:
    """Field → column name, or a template: `/item/{item}`. `events` translates the data's names of event types."""

    fields: dict[str, str]
    events: dict[str, str]

    def for_header(self, header: list[str], file: str) -> dict[str, str]:
        """The mapping of one file as templates; without `--map`, columns named like fields.

        Raises:
            UserError: a column is not there, or something an event can't do without is not mapped.
        """
        fields = self.fields or {name: name for name in header if name in _FIELDS}
        templates = {field: _template(text) for field, text in fields.items()}
        for field, template in templates.items():
            for column in _column_of.findall(template):
                if column not in header:
                    raise UserError(f"--map {field}={column}: {file} has no such column, {_named(header)}")
                if header.count(column) > 1:
                    raise UserError(f"{file}: two columns are called {column}: name them all with --columns")
        for field, remedy in (("event_time", "time"), ("visitor_id", "user")):
            if field not in fields:
                raise UserError(f"{file}: no column is {field}: add --map {field}=COLUMN (for instance {remedy})")
        if not {"page_path", "page_url"} & fields.keys():
            raise UserError(
                f"{file}: no column is page_path or page_url: add --map page_path=COLUMN, "
                "or a template such as --map 'page_path=/item/{COLUMN}'"
            )
        return templates


def parse(maps: str, events: str) -> Mapping:
    """Both options, each a comma-separated list of NAME=VALUE.

    Raises:
        UserError: not NAME=VALUE, or an unknown field or event type.
    """
    fields = _pairs("--map", maps)
    for field in fields:
        if field not in _FIELDS and not field.startswith("properties."):
            raise UserError(f"--map {field}=…: no such field; there are {', '.join(_FIELDS)} and properties.NAME")
    translated = _pairs("--map-event", events)
    for name, event_type in translated.items():
        if event_type not in EVENT_TYPES:
            raise UserError(
                f"--map-event {name}={event_type}: no such event type; there are {', '.join(sorted(EVENT_TYPES))}"
            )
    return Mapping(fields, translated)


def _named(header: list[str]) -> str:
    """The columns there are, for a message; a first line with a number in it is data, which is not repeated."""
    if any(name.lstrip("-")[:1].isdigit() for name in header):
        return "and its first line seems to be no header: name the columns with --columns"
    return f"but {', '.join(header)}; if that is no header, name the columns with --columns"


def _pairs(option: str, given: str) -> dict[str, str]:
    pairs = {}
    for part in given.split(","):
        if part.strip():
            name, equals, value = part.partition("=")
            if not (equals and name.strip() and value.strip()):
                raise UserError(f"{option} {part}: must be NAME=VALUE[,NAME=VALUE…]")
            pairs[name.strip()] = value.strip()
    return pairs


def _template(text: str) -> str:
    """A column's name is the template that holds only that column; text with braces or a slash in front is one."""
    return text if "{" in text or text.startswith("/") else f"{{{text}}}"


def fill(template: str, row: dict[str, str], field: str = "") -> str:
    """The template with the columns' values; empty as soon as one of them stands for nothing."""
    values = [row[column].strip() for column in _column_of.findall(template)]
    if any(is_nothing(value, field) for value in values):
        return ""
    filling = iter(values)
    return _column_of.sub(lambda _: next(filling), template)
