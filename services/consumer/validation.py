"""Whether bytes from the topic are an event that PostgreSQL will take.

A block of messages is checked at once: decode all, then one regular expression over the joined ids and times, and a
few scans of joined text. Whatever looks odd there sends the block through the row-by-row check of `faults`, which is
exact and names the fault. What passes either is accepted by the columns of table `event`.

Here, and nowhere else, an event that names no site gets one: whoever sent it, and also when it is sent again.
"""

import re
from collections.abc import Sequence
from datetime import datetime

from msgspec import DecodeError
from msgspec.json import Decoder
from msgspec.structs import astuple

from services.common import sites, uuid7
from services.common.event import (
    ID_TO_TIME_MAX_MS,
    PROPERTIES_MAX_BYTES,
    PROPERTIES_MAX_DEPTH,
    TIME_PATTERN,
    UUID7_PATTERN,
    VALUE_PATTERN,
    Event,
)
from services.common.timestamps import unix_ms
from services.consumer import faults
from services.consumer.faults import Invalid, properties_text
from services.consumer.limits import Limits

_IDS_AND_TIMES = re.compile(f"(?:{UUID7_PATTERN}{UUID7_PATTERN}{TIME_PATTERN})*", re.ASCII)
_VALUE = re.compile(VALUE_PATTERN, re.ASCII)
_UPPER = re.compile("[A-Z]*", re.ASCII)
_MAYBE_IPV4 = re.compile(r"\d\.\d+\.\d")
_MAYBE_NUL = b"\\u0000"
# An exponent of four digits or more, where a number can stand.
_MAYBE_HUGE = re.compile(r"[:,\[]\s*-?[\d.]+[eE][+-]?\d{4}")

Row = tuple[str | int | None, ...]


class _OddError(Exception):
    """Something in the block needs the row-by-row check."""


class Validator:
    """Turns messages into rows for COPY: the fields in the order of `event.COLUMNS`, then the batch's id."""

    def __init__(self, default_site: str = sites.DEFAULT) -> None:
        self._decode = Decoder(Event).decode
        self._default_site = default_site

    def check(self, values: Sequence[bytes | None], limits: Limits, batch_id: int) -> list[Row | Invalid]:
        """One row, or the reason why there is none, for each message value."""
        try:
            return self._block(values, limits, batch_id)
        except (_OddError, DecodeError, UnicodeDecodeError, ValueError, TypeError, RecursionError):
            return [self._row(value, limits, batch_id) for value in values]

    def _block(self, values: Sequence[bytes | None], limits: Limits, batch_id: int) -> list[Row | Invalid]:
        """All rows of a block in which nothing looks odd."""
        joined = b"".join(values)  # type: ignore[arg-type]  # a tombstone raises TypeError: odd
        if _MAYBE_NUL in joined or max(map(len, values), default=0) > limits.max_bytes:  # type: ignore[arg-type]
            raise _OddError
        decode = self._decode
        events = [decode(value) for value in values]  # type: ignore[arg-type]
        _check_ids_and_times(events, limits)
        _check_texts(events)
        self._settle_sites(events)
        texts = [properties_text(event) for event in events]
        _check_properties([text for text in texts if text is not None])
        return [(*astuple(event)[:-1], text, batch_id) for event, text in zip(events, texts, strict=True)]

    def _row(self, value: bytes | None, limits: Limits, batch_id: int) -> Row | Invalid:
        if value is None:
            return Invalid("tombstone", "the message has no value")
        if len(value) > limits.max_bytes:
            return Invalid("too_large", f"{len(value)} bytes, more than CONSUMER_EVENT_MAX_BYTES={limits.max_bytes}")
        try:
            event = self._decode(value)
            text = properties_text(event)
        except UnicodeDecodeError as error:
            return faults.explain_encoding(value) or Invalid("invalid_utf8", error.reason)
        except RecursionError:
            return Invalid("invalid_json", "nested too deep")
        except DecodeError as error:
            return faults.explain_decoding(error, value)
        fault = faults.find(event, text, limits)
        if fault is not None:
            return fault
        event.site = sites.of_event(event.site, event.page_url) or self._default_site
        return (*astuple(event)[:-1], text, batch_id)

    def _settle_sites(self, events: list[Event]) -> None:
        """Few sites are different within a block, and nearly always they are written as they are kept."""
        given = {event.site for event in events}
        kept = {name: sites.canonical(name) for name in given if name is not None}
        if None in kept.values():
            raise _OddError
        if None in given or any(name != site for name, site in kept.items()):
            for event in events:
                site = event.site
                event.site = kept[site] if site else sites.of_url(event.page_url) or self._default_site


def _check_ids_and_times(events: list[Event], limits: Limits) -> None:
    """Ids and times have fixed lengths (the struct sees to it), so joined text can't hide a shift between them."""
    if not _IDS_AND_TIMES.fullmatch("".join([e.event_id + e.session_id + e.event_time for e in events])):
        raise _OddError
    times = [e.event_time for e in events]
    for time in times:
        datetime.fromisoformat(time)
    ids = [e.event_id for e in events]
    first, last, first_id, last_id = min(times), max(times), min(ids), max(ids)
    if (
        first < limits.earliest_time
        or last >= limits.latest_time
        or first_id < limits.earliest_id
        or last_id >= limits.latest_id
    ):
        raise _OddError
    # As a rule a block spans less than a day, so that no two of it are too far apart.
    widest = max(unix_ms(last) - uuid7.unix_ms(first_id), uuid7.unix_ms(last_id) - unix_ms(first))
    if widest > ID_TO_TIME_MAX_MS and any(map(_are_apart, ids, times)):
        raise _OddError


def _are_apart(event_id: str, event_time: str) -> bool:
    return abs(uuid7.unix_ms(event_id) - unix_ms(event_time)) > ID_TO_TIME_MAX_MS


def _check_texts(events: list[Event]) -> None:
    """Few countries, currencies and values are different within a block, so sets are quicker than joined text."""
    persons = "\n".join([e.visitor_id if e.user_id is None else f"{e.visitor_id}\n{e.user_id}" for e in events])
    codes = {e.country for e in events if e.country} | {e.currency for e in events if e.currency}
    values = {e.value for e in events if e.value is not None}
    if (
        "@" in persons
        or ":" in persons
        or ("." in persons and _MAYBE_IPV4.search(persons))
        or not "".join([e.page_path for e in events]).isascii()  # else 512 characters may be more than 512 bytes
        or not _UPPER.fullmatch("".join(codes))
        or not all(map(_VALUE.fullmatch, values))
        or None in [e.event_name for e in events if e.event_type == "custom"]
    ):
        raise _OddError


def _check_properties(texts: list[str]) -> None:
    if _MAYBE_HUGE.search("\n".join(texts)):
        raise _OddError
    for text in texts:
        if text[0] != "{" or len(text) > PROPERTIES_MAX_BYTES // 4:
            raise _OddError
        if text.count("{") + text.count("[") > PROPERTIES_MAX_DEPTH:
            raise _OddError
