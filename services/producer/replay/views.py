"""A hit becomes a page view, or is left out and counted.

The address stays here: what leaves is a pseudonym of address and user agent.
"""

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl

from services.common import sites
from services.common.event import Event
from services.common.timestamps import rfc3339_ms
from services.producer.replay import agents
from services.producer.replay.clients import is_public
from services.producer.replay.hits import Hit, printable
from services.producer.replay.identity import EventIds, Pseudonyms
from services.producer.replay.ordering import Found
from services.producer.replay.pages import why_not_a_page
from services.producer.replay.paths import one_spelling
from services.producer.replay.report import BadLineError, Report
from services.producer.replay.validity import NO_SESSION, check_page_path
from services.producer.site import Site

_origin = re.compile(rb"https?://[^/?#]+", re.IGNORECASE).match
_unprintable = re.compile(rb"[\x00-\x20\x7f]")
_not_ascii = re.compile(rb"[\x80-\xff]")
_names_a_campaign = re.compile("utm_", re.IGNORECASE).search
_TEXT_MAX_LENGTH = 2048
_CAMPAIGN_MAX_LENGTH = 128


@dataclass(frozen=True)
class Views:
    """Makes a page view of a hit.

    It is of `site`, if that is given, whose address goes in front of the path to make `page_url`, which a log alone
    doesn't know; else of the host that the line names.
    """

    ids: EventIds
    pseudonyms: Pseudonyms
    report: Report
    site: Site | None
    keep_bots: bool

    def __call__(self, hit: Hit, line: bytes) -> Found | None:
        """The page view of a hit, or None of one that is counted as left out; the whole line makes its id.

        Raises:
            BadLineError: nothing that can become a valid event.
        """
        target = _target(hit.target)
        path, _, query = target.partition("?")
        reason = why_not_a_page(hit.method, hit.status, path, query) if hit.method else "error"
        if reason is None and not target.startswith("/"):
            raise BadLineError("the request's target is not a path")
        if reason is None:
            agent = agents.describe(hit.agent)
            if self.keep_bots or not agent.crawler:
                return self._page_view(hit, target, line, agent)
            reason = "bot"
        self.report.skipped[reason] += 1
        return None

    def _page_view(self, hit: Hit, target: str, line: bytes, agent: agents.Agent) -> Found:
        self.report.addresses = True
        self.report.hits[is_public(hit.client)] += 1
        path, _, query = target.partition("?")
        path = one_spelling(path)
        check_page_path(path)
        event = Event(
            event_id=self.ids.of_line(hit.time_ms, self.pseudonyms.digest(line.decode("utf-8", "surrogateescape"))),
            event_time=rfc3339_ms(hit.time_ms),
            event_type="page_view",
            session_id=NO_SESSION,
            visitor_id=self.pseudonyms.of(hit.client, hit.agent),
            page_path=path,
            device_type=agent.device_type,
            site=self.site.name if self.site else sites.of_host(hit.host),
            page_url=_if_fits(f"{self.site.address}{target}") if self.site and self.site.address else None,
            referrer=_if_fits(hit.referrer),
            os=agent.os,
            browser=agent.browser,
        )
        if _names_a_campaign(query):
            _add_campaign(event, query)
        return Found(hit.time_ms, event)


def _target(raw: bytes) -> str:
    """Path and query as text in which nothing is left that a URL may not hold; no scheme, host or fragment."""
    raw = raw.partition(b"#")[0]
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


def _if_fits(text: str) -> str | None:
    """A URL cut short would be another URL: one that is too long is left out."""
    return text if 0 < len(text) <= _TEXT_MAX_LENGTH else None


def _add_campaign(event: Event, query: str) -> None:
    given = {name.lower(): printable(value) for name, value in parse_qsl(query, errors="replace")}
    for name in ("utm_source", "utm_medium", "utm_campaign"):
        value = given.get(name)
        if value and len(value) <= _CAMPAIGN_MAX_LENGTH:
            setattr(event, name, value)
