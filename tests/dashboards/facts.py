"""What a panel's answer is computed from, without our SQL: raw events, the ledger's rows, a time range, a choice."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any

from tests import oracle
from tests.dashboards.macros import Choice, Span
from tests.oracle import Event, day, hour, moment

WEEK = timedelta(days=7)
Session = dict[str, Any]


@dataclass(frozen=True)
class Facts:
    """`events` are the raw events as stored; `tables` are rows of the books, as dicts, by table."""

    events: list[Event]
    tables: dict[str, list[dict[str, Any]]]
    span: Span
    choice: Choice = field(default_factory=Choice)

    @property
    def until(self) -> datetime:
        """The end of the time range."""
        return self.span.until

    def touched(self, time: datetime) -> bool:
        """Its hour is one that the time range touches."""
        return hour(self.span.since) <= hour(time) <= self.until

    def point(self, time: datetime) -> datetime:
        """Where a chart shows it: at its hour, in long ranges at its day."""
        if self.until - self.span.since <= WEEK:
            return hour(time)
        return hour(time).replace(hour=0)

    def step(self, time: datetime) -> float:
        """Where a chart in steps of the time range shows it, in seconds since 1970."""
        return float(time.timestamp() // self.span.step_seconds * self.span.step_seconds)

    def chosen(self, name: str, value: str) -> bool:
        """A template variable lets it through."""
        return name not in self.choice.values or value in self.choice.values[name]

    @cached_property
    def on_sites(self) -> list[Event]:
        """Events of the chosen sites."""
        return [e for e in self.events if self.chosen("site", oracle.site(e))]

    @cached_property
    def within(self) -> list[Event]:
        """Of them, those of the hours that the time range touches."""
        return [e for e in self.on_sites if self.touched(moment(e))]

    @cached_property
    def moves(self) -> list[tuple[Event, Event]]:
        """From page to page, those that left a page of a chosen site in the hours of the time range."""
        moves = oracle.moves(self.events)
        return [(a, b) for a, b in moves if self.chosen("site", oracle.site(a)) and self.touched(moment(a))]

    @cached_property
    def visitor_counts(self) -> dict[tuple[str, date], tuple[int, int]]:
        """Visitors and new ones by period and its start: counted for each chosen site, and added up."""
        return self._over_sites("visitor_count")

    @cached_property
    def cohorts(self) -> dict[tuple[date, date], tuple[int]]:
        """Visitors by first and active week: counted for each chosen site, and added up."""
        return self._over_sites("visitor_cohort")

    def _over_sites(self, rollup: str) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for (*key, _), values in oracle.ROLLUPS[rollup](self.on_sites).items():
            known = found.get(tuple(key), [0] * len(values))
            found[tuple(key)] = tuple(a + b for a, b in zip(known, values, strict=True))
        return found

    @cached_property
    def by_device(self) -> list[Event]:
        """Of them, those of the chosen devices."""
        return [e for e in self.within if self.chosen("device", e["device_type"])]

    def exactly_within(self, *types: str) -> list[Event]:
        """Events of these types whose minute lies in the time range."""
        return [
            e
            for e in self.on_sites
            if e["event_type"] in types and self.span.since <= oracle.minute(moment(e)) <= self.until
        ]

    @cached_property
    def all_sessions(self) -> list[Session]:
        """Every session that began on a chosen site, with its id."""
        found = oracle.sessions(self.events).items()
        return [{"session_id": key, **s} for key, s in found if self.chosen("site", s["site"])]

    @cached_property
    def started(self) -> list[Session]:
        """Sessions that started in the hours of the time range."""
        return [s for s in self.all_sessions if self.touched(s["started_at"])]

    @cached_property
    def sessions(self) -> list[Session]:
        """Of them, those of the chosen devices and countries."""
        return [s for s in self.started if self.of_choice(s)]

    @cached_property
    def sourced(self) -> list[Session]:
        """Of all that started, those of the chosen sources."""
        return [s for s in self.started if self.chosen("source", s["source"])]

    @cached_property
    def started_by_device(self) -> list[Session]:
        """Of all that started, those of the chosen devices."""
        return [s for s in self.started if self.chosen("device", s["device_type"])]

    def of_choice(self, s: Session) -> bool:
        """By device and country."""
        return self.chosen("device", s["device_type"]) and self.chosen("country", s["country"])

    def active(self, ago: timedelta) -> list[Session]:
        """Sessions whose latest event is at most so old."""
        return [s for s in self.all_sessions if self.until - ago < s["ended_at"] <= self.until]

    def ledger(self, since: datetime, until: datetime) -> list[dict[str, Any]]:
        """Batches whose minute lies in between."""
        rows = self.tables["ingest_batch"]
        return [b for b in rows if since <= oracle.minute(b["committed_at"].astimezone(UTC)) <= until]


def groups(rows: Iterable[Any], key: Callable[[Any], Any]) -> dict[Any, list[Any]]:
    """Rows by key."""
    found: dict[Any, list[Any]] = defaultdict(list)
    for row in rows:
        found[key(row)].append(row)
    return dict(found)


def total(rows: Iterable[Any], column: str) -> Any:
    """The sum of a column."""
    return sum(row[column] for row in rows)


def ratio(part: Any, whole: Any) -> float | None:
    """Null where there is nothing to compare with."""
    return float(part) / float(whole) if whole else None


def duration_ms(s: Session) -> int:
    """From first to last event."""
    return int((s["ended_at"] - s["started_at"]) / timedelta(milliseconds=1))


def top(rows: Iterable[tuple[Any, ...]], by: int, most: int, *, then: Callable[[Any], Any] | None = None) -> list[Any]:
    """The largest by a column first, the others' order breaking ties."""

    def rank(row: tuple[Any, ...]) -> Any:
        return -row[by], then(row) if then else row

    return sorted(rows, key=rank)[:most]


def utc_day(time: datetime) -> date:
    """The UTC day."""
    return day(time)
