"""What the panels of Live and Traffic must answer."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, get_args

from services.common.event import EventType
from tests import oracle
from tests.dashboards.facts import Facts, Session, groups, ratio, top, total, utc_day
from tests.oracle import hour, moment, text

Rows = list[tuple[Any, ...]]
NOW = timedelta(minutes=5)


def in_range(facts: Facts, *types: str) -> list[oracle.Event]:
    """By the minute, in more than two days by whole hours."""
    if facts.until - facts.span.since <= timedelta(days=2):
        return facts.exactly_within(*types)
    return [e for e in facts.within if oracle.is_type(e, *types)]


def per_minute(*types: str) -> Callable[[Facts], Rows]:
    """Events of these types a minute; steps without any event are not there."""

    def answer(facts: Facts) -> Rows:
        events = in_range(facts, *get_args(EventType))
        if facts.until - facts.span.since <= timedelta(days=2):
            minutes, steps = (
                facts.span.step_seconds / 60,
                groups(events, lambda e: facts.step(oracle.minute(moment(e)))),
            )
        else:
            minutes, steps = 60, groups(events, lambda e: hour(moment(e)).timestamp())
        return [
            (step, *(sum(oracle.is_type(e, kind) for e in found) / minutes for kind in types))
            for step, found in sorted(steps.items())
        ]

    return answer


def visitors(sessions: list[Session]) -> int:
    """How many different ones."""
    return len({s["visitor_id"] for s in sessions})


def stored_per_second(facts: Facts) -> Rows:
    """Of the last minute's batches."""
    start = facts.until - timedelta(minutes=1)
    return [
        (total((b for b in facts.tables["ingest_batch"] if start < b["committed_at"] <= facts.until), "stored") / 60,)
    ]


def newest(facts: Facts) -> Rows:
    """The age of the youngest event stored in a quarter of an hour."""
    start = facts.until - timedelta(minutes=15)
    batches = [b for b in facts.tables["ingest_batch"] if start < b["committed_at"] <= facts.until]
    return [((facts.until - max(b["max_event_time"] for b in batches if b["max_event_time"])).total_seconds(),)]


def active_by(column: str, most: int) -> Callable[[Facts], Rows]:
    """Visitors of the last five minutes by a column of their session that is not empty."""

    def answer(facts: Facts) -> Rows:
        found = groups([s for s in facts.active(NOW) if s[column]], lambda s: s[column])
        return top([(key, visitors(sessions)) for key, sessions in found.items()], 1, most)

    return answer


def popular_now(facts: Facts) -> Rows:
    """Pages of this hour and the last."""
    start = hour(facts.until) - timedelta(hours=1)
    found = groups([e for e in facts.on_sites if start <= hour(moment(e)) <= facts.until], lambda e: e["page_path"])
    rows = [
        (page, sum(oracle.is_type(e, "page_view") for e in es), sum(oracle.is_type(e, "click") for e in es))
        for page, es in found.items()
    ]
    return top([row for row in rows if row[1]], 1, 10, then=lambda row: row[0])


def uniques(period: str) -> Callable[[Facts], Rows]:
    """Different visitors of the period of the end."""

    def answer(facts: Facts) -> Rows:
        today = utc_day(facts.until)
        start = {"day": today, "week": oracle.week(today), "month": today.replace(day=1)}[period]
        return [(facts.visitor_counts.get((period, start), (0, 0))[0],)]

    return answer


def new_and_returning(facts: Facts) -> Rows:
    """By day."""
    first, last = utc_day(facts.span.since), utc_day(facts.until)
    return [
        (midnight(on), new, seen - new)
        for (period, on), (seen, new) in sorted(facts.visitor_counts.items())
        if period == "day" and first <= on <= last
    ]


def midnight(on: date) -> Any:
    """Midnight."""
    return datetime.combine(on, time.min, UTC)


def sources(facts: Facts) -> Rows:
    """By source and medium."""
    found = groups(facts.sourced, lambda s: (s["source"], s["medium"]))
    rows = [
        (*key, len(ss), ratio(sum(s["page_views"] <= 1 for s in ss), len(ss)), ratio(total(ss, "page_views"), len(ss)))
        for key, ss in found.items()
    ]
    return top(rows, 2, 50, then=lambda row: row[:2])


def campaigns(facts: Facts) -> Rows:
    """By campaign and source."""
    found = groups([s for s in facts.sourced if s["campaign"]], lambda s: (s["campaign"], s["source"]))
    rows = [
        (*key, len(ss), total(ss, "converted"), ratio(total(ss, "converted"), len(ss))) for key, ss in found.items()
    ]
    return top(rows, 2, 50, then=lambda row: row[:2])


def sessions_by(column: str, most: int = 1000, empty: str | None = "unknown") -> Callable[[Facts], Rows]:
    """How many; `empty` is what stands for the empty text, None leaves it out."""

    def answer(facts: Facts) -> Rows:
        kept = [s for s in facts.sessions if s[column] or empty is not None]
        found = groups(kept, lambda s: s[column] or empty)
        return top([(key, len(ss)) for key, ss in found.items()], 1, most)

    return answer


def over_time(facts: Facts) -> Rows:
    """Sessions, page views, bounces."""
    found = groups(facts.sessions, lambda s: facts.point(s["started_at"]))
    return [
        (at, len(ss), total(ss, "page_views"), sum(s["page_views"] <= 1 for s in ss))
        for at, ss in sorted(found.items())
    ]


def places(facts: Facts) -> Rows:
    """Country and city."""
    kept = [e for e in facts.within if facts.chosen("country", text(e, "country"))]
    found = groups(kept, lambda e: (text(e, "country") or "unknown", text(e, "city") or "unknown"))
    rows = [
        (*key, sum(oracle.is_type(e, "page_view") for e in es), sum(oracle.is_type(e, "purchase") for e in es), len(es))
        for key, es in found.items()
    ]
    return top(rows, 4, 100, then=lambda row: row[:2])


def week_clock(facts: Facts) -> Rows:
    """Page views, weekday by hour; null where there were none."""
    views = [e for e in facts.by_device if oracle.is_type(e, "page_view")]
    found = groups(views, lambda e: moment(e).weekday())
    names = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    return [
        (names[weekday], *(sum(moment(e).hour == clock for e in es) or None for clock in range(24)))
        for weekday, es in sorted(found.items())
    ]


ANSWERS: dict[str, Callable[[Facts], Rows]] = {
    "Live: Events per second": stored_per_second,
    "Live: Active visitors": lambda f: [(visitors(f.active(NOW)),)],
    "Live: Newest event": newest,
    "Live: Purchases": lambda f: [(len(in_range(f, "purchase")),)],
    "Live: Events per minute": per_minute(
        "page_view", "click", "product_view", "search", "scroll", "form_submit", "custom"
    ),
    "Live: Carts and purchases per minute": per_minute("add_to_cart", "remove_from_cart", "begin_checkout", "purchase"),
    "Live: Where visitors are now": active_by("exit_page", 10),
    "Live: Popular pages now": popular_now,
    "Live: Map of now": active_by("country", 1000),
    "Traffic: Visitors today": uniques("day"),
    "Traffic: Visitors this week": uniques("week"),
    "Traffic: Visitors this month": uniques("month"),
    "Traffic: Sessions": lambda f: [(len(f.sessions),)],
    "Traffic: Page views": lambda f: [(total(f.sessions, "page_views"),)],
    "Traffic: Bounce rate": lambda f: [(ratio(sum(s["page_views"] <= 1 for s in f.sessions), len(f.sessions)),)],
    "Traffic: New and returning visitors": new_and_returning,
    "Traffic: Sessions and page views": over_time,
    "Traffic: Sources": sources,
    "Traffic: Campaigns": campaigns,
    "Traffic: Devices": sessions_by("device_type"),
    "Traffic: Browsers": sessions_by("browser", 12),
    "Traffic: Sessions by country": sessions_by("country", empty=None),
    "Traffic: Places": places,
    "Traffic: Page views by hour and weekday": week_clock,
}
