"""Web-server logs: the Combined and the Common Log Format of nginx and Apache, with or without a virtual host in front.

The address stays here: what leaves is a pseudonym of address and user agent.
"""

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl

from services.common.event import Event
from services.common.timestamps import rfc3339_ms
from services.producer.replay import agents
from services.producer.replay.identity import EventIds, Pseudonyms
from services.producer.replay.ordering import Found
from services.producer.replay.pages import why_not_a_page
from services.producer.replay.report import BadLineError, Report
from services.producer.replay.times import parse_log_time
from services.producer.replay.validity import NO_SESSION, check_page_path

_QUOTED = rb'"(?P<%s>[^"\\]*(?:\\.[^"\\]*)*)"'
_LINE = re.compile(
    rb"(?s)(?:(?P<host>[^\s,]+) (?=[0-9a-fA-F]*[.:][0-9a-fA-F.:]* ))?"  # virtual host, if an address follows
    rb"(?P<address>\S+) \S+ [^\[\]\"]{0,256}? ?\[(?P<time>[^\]]{20,32})\] "  # address, ident, user, [time]
    + _QUOTED % b"request"
    + rb" (?P<status>\d{3}) (?:\d+|-)"
    + rb"(?: %s %s(?:\s.*)?)?$" % (_QUOTED % b"referrer", _QUOTED % b"agent")  # after them comes whatever else
).match
_request = re.compile(rb"([A-Za-z]+) (\S.*?)(?: HTTP/\d(?:\.\d)?)?$", re.DOTALL).match
_origin = re.compile(rb"https?://[^/?#]+", re.IGNORECASE).match
_escape = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_unprintable = re.compile(rb"[\x00-\x20\x7f]")
_not_ascii = re.compile(rb"[\x80-\xff]")
_control = re.compile(r"[\x00-\x1f\x7f]")
_NOTHING = (None, b"", b"-")
_LETTERS = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"b": b"\b", b"f": b"\f", b"v": b"\v"}
_TEXT_MAX_LENGTH = 2048
_CAMPAIGN_MAX_LENGTH = 128


@dataclass(frozen=True)
class Reader:
    """Makes a page view of a line.

    `site` (https://example.org) goes in front of the path to make `page_url`, which a log alone doesn't know.
    """

    ids: EventIds
    pseudonyms: Pseudonyms
    report: Report
    site: str | None
    keep_bots: bool

    def __call__(self, line: bytes) -> Found | None:
        """The page view, or None of a line that is counted as left out.

        Raises:
            BadLineError: not a log line, or nothing that can become a valid event.
        """
        parts = _LINE(line)
        if parts is None:
            raise BadLineError("not a line of the Combined or Common Log Format")
        target, reason = _page_target(parts["request"], int(parts["status"]))
        if reason is None:
            user_agent = _text(parts["agent"]) if parts["agent"] not in _NOTHING else ""
            agent = agents.describe(user_agent)
            if self.keep_bots or not agent.crawler:
                visitor_id = self.pseudonyms.of(parts["address"].decode("utf-8", "surrogateescape"), user_agent)
                return self._page_view(parts, target, visitor_id, agent)
            reason = "bot"
        self.report.skipped[reason] += 1
        return None

    def _page_view(self, parts: re.Match[bytes], target: str, visitor_id: str, agent: agents.Agent) -> Found:
        self.report.addresses = True
        time_ms = parse_log_time(parts["time"])
        path, _, query = target.partition("?")
        check_page_path(path)
        rest = (parts["host"] or b"") + parts.string[parts.end("address") :]
        event = Event(
            event_id=self.ids.of_line(time_ms, f"{visitor_id}\0{rest.decode('utf-8', 'surrogateescape')}"),
            event_time=rfc3339_ms(time_ms),
            event_type="page_view",
            session_id=NO_SESSION,
            visitor_id=visitor_id,
            page_path=path,
            device_type=agent.device_type,
            page_url=_if_fits(f"{self.site}{target}") if self.site else None,
            referrer=_if_fits(_text(parts["referrer"])) if parts["referrer"] not in _NOTHING else None,
            os=agent.os,
            browser=agent.browser,
        )
        if "utm_" in query:
            _add_campaign(event, query)
        return Found(time_ms, event)


def _page_target(request: bytes, status: int) -> tuple[str, str | None]:
    """Path and query, and why this is not a page view, if so."""
    parts = _request(request)
    if parts is None:
        if status >= 400:  # a TLS handshake, a port scan: the server has refused it
            return "", "error"
        raise BadLineError("the request is not METHOD PATH PROTOCOL")
    method, raw = parts.groups()
    target = _target(raw)
    path, _, query = target.partition("?")
    reason = why_not_a_page(method.decode(), status, path, query)
    if reason is None and not target.startswith("/"):
        raise BadLineError("the request's target is not a path")
    return target, reason


def _target(raw: bytes) -> str:
    """Path and query as text in which nothing is left that a URL may not hold; no scheme, host or fragment."""
    raw = _unescaped(raw).partition(b"#")[0]
    if origin := _origin(raw):
        raw = raw[origin.end() :]
        raw = raw if raw.startswith(b"/") else b"/" + raw
    raw = _unprintable.sub(_percent, raw)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return _not_ascii.sub(_percent, raw).decode()


def _percent(match: re.Match[bytes]) -> bytes:
    return b"%%%02X" % match[0][0]


def _unescaped(raw: bytes) -> bytes:
    r"""Servers write `"`, `\` and what isn't printable as `\"`, `\\`, `\xHH`."""
    if b"\\" not in raw:
        return raw
    return _escape.sub(lambda m: bytes([int(m[1], 16)]) if m[1] else _LETTERS.get(m[2], m[2]), raw)


def _text(raw: bytes) -> str:
    text = _unescaped(raw).decode("utf-8", "replace")
    return text if text.isprintable() else _control.sub("", text)


def _if_fits(text: str) -> str | None:
    """A URL cut short would be another URL: one that is too long is left out."""
    return text if 0 < len(text) <= _TEXT_MAX_LENGTH else None


def _add_campaign(event: Event, query: str) -> None:
    given = {name.lower(): _control.sub("", value) for name, value in parse_qsl(query, errors="replace")}
    for name in ("utm_source", "utm_medium", "utm_campaign"):
        value = given.get(name)
        if value and len(value) <= _CAMPAIGN_MAX_LENGTH:
            setattr(event, name, value)
