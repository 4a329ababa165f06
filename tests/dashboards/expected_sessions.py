"""What the panels of Sessions must answer."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from tests import oracle
from tests.dashboards.expected_shop import conversion
from tests.dashboards.facts import Facts, duration_ms, groups, ratio, top, total, utc_day
from tests.oracle import moment

Rows = list[tuple[Any, ...]]


def mean_duration(facts: Facts) -> Rows:
    """In seconds."""
    return [(ratio(sum(map(duration_ms, facts.sessions)) / 1000, len(facts.sessions)),)]


def durations(facts: Facts) -> Rows:
    """A histogram."""
    names = ("< 10 s", "10-60 s", "1-3 min", "3-10 min", "10-30 min", "> 30 min")
    bounds = (10_000, 60_000, 180_000, 600_000, 1_800_000)
    found = Counter(sum(duration_ms(s) >= bound for bound in bounds) for s in facts.sessions)
    return [(name, found[i]) for i, name in enumerate(names)]


def depths(facts: Facts) -> Rows:
    """A histogram."""
    names = ("0-1", "2", "3-5", "6-10", "11-20", "> 20")
    found = Counter(sum(s["page_views"] >= bound for bound in (2, 3, 6, 11, 21)) for s in facts.sessions)
    return [(name, found[i]) for i, name in enumerate(names)]


def conversion_paths(facts: Facts) -> Rows:
    """Of sessions that converted."""
    converted = [s for s in facts.sourced if s["converted"] and facts.of_choice(s)]
    members = groups(facts.events, lambda e: e["session_id"])
    found = groups((oracle.way_to_purchase(members[str(s["session_id"])]) for s in converted), lambda way: way[0])
    rows = [
        (
            steps or "(no page view)",
            len(ways),
            sum(w[1] for w in ways) / len(ways),
            sum(w[2] for w in ways) / 1000 / len(ways),
        )
        for steps, ways in found.items()
    ]
    return top(rows, 1, 50, then=lambda row: row[0])


def retention(facts: Facts) -> Rows:
    """Cohorts, the newest first."""
    since = oracle.week(utc_day(min(facts.span.since, facts.until - timedelta(weeks=8))))
    cohorts = groups(facts.cohorts.items(), lambda item: item[0][0])
    rows: Rows = []
    for first, items in sorted(cohorts.items(), reverse=True):
        later = {(active - first).days // 7: n for (_, active), (n,) in items}
        if since <= first <= utc_day(facts.until):
            shares = (ratio(later[n], later[0]) if n in later else None for n in range(1, 9))
            rows.append((str(first), later[0], *shares))
    return rows


def latest(facts: Facts) -> Rows:
    """The newest fifty."""
    kept = [
        s
        for s in facts.all_sessions
        if facts.span.since <= s["started_at"] <= facts.until
        and facts.of_choice(s)
        and facts.chosen("source", s["source"])
    ]
    kept.sort(key=lambda s: (s["started_at"], s["session_id"]), reverse=True)
    columns = (
        "site",
        "source",
        "device_type",
        "country",
        "entry_page",
        "exit_page",
        "page_views",
        "events",
        "purchases",
    )
    return [
        (
            str(s["session_id"]),
            s["started_at"],
            (s["ended_at"] - s["started_at"]).total_seconds(),
            s["visitor_id"],
            *(s[column] for column in columns),
        )
        for s in kept[:50]
    ]


def one_session(facts: Facts) -> Rows:
    """Its events in order."""
    chosen = facts.choice.values.get("session", [""])[0]
    events = [e for e in facts.events if e["session_id"] == chosen]
    events.sort(key=lambda e: (moment(e), e["event_id"]))
    columns = ("page_path", "element", "product_id", "quantity", "value", "currency", "referrer")
    return [
        (moment(e), e.get("event_name") or e["event_type"], *(_number(e, column) for column in columns))
        for e in events[:1000]
    ]


def _number(event: oracle.Event, column: str) -> Any:
    value = event.get(column)
    return float(value) if column == "value" and value is not None else value


def too_fast(facts: Facts) -> Rows:
    """Of the last hour."""
    rows = []
    for s in facts.active(timedelta(hours=1)):
        seconds = max((s["ended_at"] - s["started_at"]).total_seconds(), 1)
        if s["clicks"] >= 30 and s["clicks"] > 3 * seconds:
            speed = s["clicks"] / seconds
            ids = s["visitor_id"], str(s["session_id"])
            rows.append((*ids, s["ended_at"], s["clicks"], speed, s["source"], s["country"]))
    return top(rows, 4, 20, then=lambda row: row[1])


ANSWERS: dict[str, Callable[[Facts], Rows]] = {
    "Sessions: Sessions": lambda f: [(len(f.sessions),)],
    "Sessions: Mean duration": mean_duration,
    "Sessions: Pages per session": lambda f: [(ratio(total(f.sessions, "page_views"), len(f.sessions)),)],
    "Sessions: Conversion": lambda f: [(conversion(f.sessions),)],
    "Sessions: Duration of sessions": durations,
    "Sessions: Depth of sessions": depths,
    "Sessions: Conversion paths": conversion_paths,
    "Sessions: Retention by first week": retention,
    "Sessions: Latest sessions": latest,
    "Sessions: Events of one session": one_session,
    "Sessions: Faster than people": too_fast,
}
