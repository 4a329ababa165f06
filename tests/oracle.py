"""What every rollup must say, counted in plain Python from the raw events: nothing here knows our SQL.

An event is a dict as on the topic (`services/common/event.py`); absent and None are the same. Every function returns
rows as `{key: values}`, both tuples in the order of the rollup's columns, without rows that came to nothing.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import wraps
from itertools import groupby, pairwise
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

Event = dict[str, Any]
Rows = dict[tuple[Any, ...], tuple[Any, ...]]
T = TypeVar("T")

_SCHEME_MARKS = str.maketrans("", "", "+.-")
_NAME_MARKS = str.maketrans("", "", "._-")
FUNNEL = {"product_view": 1, "add_to_cart": 2, "begin_checkout": 3, "purchase": 4}


def moment(event: Event) -> datetime:
    """When it happened."""
    return datetime.fromisoformat(event["event_time"])


def minute(time: datetime) -> datetime:
    """The minute it is in."""
    return time.replace(second=0, microsecond=0)


def hour(time: datetime) -> datetime:
    """The hour it is in."""
    return time.replace(minute=0, second=0, microsecond=0)


def day(time: datetime) -> date:
    """The UTC day it is in."""
    return time.astimezone(UTC).date()


def text(event: Event, field: str) -> str:
    """The field, or the empty text."""
    return event.get(field) or ""


def tally(
    events: Iterable[Event], key: Callable[[Event], tuple[Any, ...]], values: Callable[[Event], tuple[Any, ...]]
) -> Rows:
    """Sum the values of all events with the same key."""
    sums: dict[tuple[Any, ...], list[Any]] = {}
    for event in events:
        one = values(event)
        total = sums.setdefault(key(event), [0] * len(one))
        for i, value in enumerate(one):
            total[i] += value
    return {k: tuple(v) for k, v in sums.items() if any(v)}


def is_type(event: Event, *types: str) -> int:
    """1 if it is one of them."""
    return int(event["event_type"] in types)


def traffic(bucket: Callable[[datetime], datetime]) -> Callable[[list[Event]], Rows]:
    """Events by type and device."""
    return lambda events: tally(
        events, lambda e: (bucket(moment(e)), e["event_type"], e["device_type"]), lambda _e: (1,)
    )


def geography_hour(events: list[Event]) -> Rows:
    """Events, page views, purchases by place."""
    return tally(
        events,
        lambda e: (hour(moment(e)), text(e, "country"), text(e, "city")),
        lambda e: (1, is_type(e, "page_view"), is_type(e, "purchase")),
    )


def page(bucket: Callable[[datetime], Any]) -> Callable[[list[Event]], Rows]:
    """Events, views, clicks, scrolls, form submits by page and device."""
    kinds = ("page_view", "click", "scroll", "form_submit")
    return lambda events: tally(
        events,
        lambda e: (bucket(moment(e)), e["page_path"], e["device_type"]),
        lambda e: (1, *(is_type(e, kind) for kind in kinds)),
    )


def element(bucket: Callable[[datetime], Any]) -> Callable[[list[Event]], Rows]:
    """Clicks by page, element and device."""
    return lambda events: tally(
        (e for e in events if is_type(e, "click")),
        lambda e: (bucket(moment(e)), e["page_path"], text(e, "element"), e["device_type"]),
        lambda _e: (1,),
    )


def product(bucket: Callable[[datetime], Any]) -> Callable[[list[Event]], Rows]:
    """Views, carts, removals, purchases, quantity, revenue by product and currency of what was bought."""
    kinds = ("product_view", "add_to_cart", "remove_from_cart", "purchase")

    def values(e: Event) -> tuple[Any, ...]:
        bought = is_type(e, "purchase")
        quantity, revenue = (e.get("quantity") or 0), Decimal(e.get("value") or 0)
        return (*(is_type(e, kind) for kind in kinds), bought * quantity, bought * revenue)

    return lambda events: tally(
        (e for e in events if e.get("product_id") is not None and is_type(e, *kinds)),
        lambda e: (bucket(moment(e)), e["product_id"], text(e, "currency") if is_type(e, "purchase") else ""),
        values,
    )


def visitor_day(events: list[Event]) -> Rows:
    """Who was there on which day."""
    return {(e["visitor_id"], day(moment(e))): () for e in events}


def visitor_count(events: list[Event]) -> Rows:
    """Visitors, and new ones, by day, week and month."""
    days = defaultdict(set)
    for visitor, on in visitor_day(events):
        days[visitor].add(on)
    starts: dict[str, Callable[[date], date]] = {
        "day": lambda d: d,
        "week": week,
        "month": lambda d: d.replace(day=1),
    }
    visitors: Counter[tuple[str, date]] = Counter()
    new: Counter[tuple[str, date]] = Counter()
    for period, start in starts.items():
        for seen in days.values():
            visitors.update({(period, start(d)) for d in seen})
            new[period, start(min(seen))] += 1
    return {key: (count, new[key]) for key, count in visitors.items()}


def host(url: str | None) -> str | None:
    """A URL's host without "www."."""
    name = urlsplit(url).hostname if url else None
    return name.removeprefix("www.") if name else None


def site(event: Event, default: str = "default") -> str:
    """Which site it is of: what it says itself, else its URL, else the default."""
    named = event.get("site")
    return str(named).lower() if named is not None else site_of_url(event.get("page_url")) or default


def site_of_url(url: str | None) -> str | None:
    """The host of a URL, if it can be a site's name: ASCII letters and digits with dots, hyphens, underscores."""
    scheme, mark, rest = (url or "").partition("://")
    if not mark or not scheme.isascii() or not scheme[:1].isalpha() or not scheme.translate(_SCHEME_MARKS).isalnum():
        return None
    for end in "/?#":
        rest = rest.partition(end)[0]
    named, _, port = rest.rpartition("@")[2].partition(":")
    name = named.lower().removesuffix(".").removeprefix("www.")
    bare = name.translate(_NAME_MARKS)
    if not (
        named.isascii() and bare.isalnum() and len(name) <= 63 and (not port or (port.isascii() and port.isdigit()))
    ):
        return None
    return name


def source(event: Event) -> str:
    """Where it came from."""
    if event.get("utm_source"):
        return str(event["utm_source"])
    referring = host(event.get("referrer"))
    return referring if referring and referring != host(event.get("page_url")) else "direct"


def once(count: Callable[[list[Event]], T]) -> Callable[[list[Event]], T]:
    """Several rollups in a row ask the same of the same events."""
    latest: list[tuple[list[Event], T]] = []

    @wraps(count)
    def counted(events: list[Event]) -> T:
        if not latest or latest[0][0] is not events:
            latest[:] = [(events, count(events))]
        return latest[0][1]

    return counted


@once
def sessions(events: list[Event]) -> dict[UUID, dict[str, Any]]:
    """Each session, in the columns of table `session`."""
    grouped: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        grouped[event["session_id"]].append(event)
    return {UUID(session_id): _session(members) for session_id, members in grouped.items()}


def _session(events: list[Event]) -> dict[str, Any]:
    events = sorted(events, key=lambda e: (moment(e), e["event_id"]))
    first, last = events[0], events[-1]
    kinds = Counter(e["event_type"] for e in events)
    bought = [e for e in events if is_type(e, "purchase")]
    return {
        "site": site(first),
        "visitor_id": first["visitor_id"],
        "started_at": moment(first),
        "ended_at": moment(last),
        "entry_event_id": UUID(first["event_id"]),
        "exit_event_id": UUID(last["event_id"]),
        "min_event_id": UUID(min(e["event_id"] for e in events)),
        "max_event_id": UUID(max(e["event_id"] for e in events)),
        "events": len(events),
        "page_views": kinds["page_view"],
        "clicks": kinds["click"],
        "add_to_cart": kinds["add_to_cart"],
        "purchases": kinds["purchase"],
        "converted": bool(bought),
        "converted_at": min(map(moment, bought), default=None),
        "revenue": sum((Decimal(e.get("value") or 0) for e in bought), Decimal(0)),
        "currency": max((text(e, "currency") for e in bought), default=""),
        "furthest_step": max(FUNNEL.get(e["event_type"], 0) for e in events),
        "entry_page": first["page_path"],
        "exit_page": last["page_path"],
        "device_type": first["device_type"],
        "os": text(first, "os"),
        "browser": text(first, "browser"),
        "country": text(first, "country"),
        "city": text(first, "city"),
        "source": source(first),
        "medium": text(first, "utm_medium"),
        "campaign": text(first, "utm_campaign"),
    }


def session(events: list[Event]) -> Rows:
    """One row a session."""
    return {(session_id,): tuple(row.values()) for session_id, row in sessions(events).items()}


def _duration_ms(s: dict[str, Any]) -> int:
    return int((s["ended_at"] - s["started_at"]) / timedelta(milliseconds=1))


def session_metrics(bucket: Callable[[datetime], Any]) -> Callable[[list[Event]], Rows]:
    """Sessions by start, device, browser, country, currency."""

    def values(s: dict[str, Any]) -> tuple[Any, ...]:
        duration_ms = _duration_ms(s)
        under = [int(duration_ms < seconds * 1000) for seconds in (10, 60, 180, 600, 1800)]
        steps = [int(s["furthest_step"] >= step) for step in (1, 2, 3)]
        bounced, converted = int(s["page_views"] <= 1), int(s["converted"])
        pages = [int(s["page_views"] < bound) for bound in (3, 6, 11, 21)]
        return (1, bounced, converted, s["events"], s["page_views"], duration_ms, *under, *pages, *steps, s["revenue"])

    return lambda events: tally(
        sessions(events).values(),
        lambda s: (bucket(s["started_at"]), s["device_type"], s["browser"], s["country"], s["currency"]),
        values,
    )


def source_metrics(bucket: Callable[[datetime], Any]) -> Callable[[list[Event]], Rows]:
    """Sessions by start, source, medium, campaign, currency."""

    def values(s: dict[str, Any]) -> tuple[Any, ...]:
        steps = [int(s["furthest_step"] >= step) for step in (1, 2, 3)]
        bounced, converted = int(s["page_views"] <= 1), int(s["converted"])
        return (1, bounced, converted, s["page_views"], _duration_ms(s), *steps, s["revenue"])

    return lambda events: tally(
        sessions(events).values(),
        lambda s: (bucket(s["started_at"]), s["source"], s["medium"], s["campaign"], s["currency"]),
        values,
    )


@once
def moves(events: list[Event]) -> list[tuple[Event, Event]]:
    """From page view to page view within a session."""
    views: dict[str, list[Event]] = defaultdict(list)
    for event in sorted(events, key=lambda e: (moment(e), e["event_id"])):
        if is_type(event, "page_view"):
            views[event["session_id"]].append(event)
    return [move for seen in views.values() for move in pairwise(seen)]


def moves_from(events: list[Event], of_site: str | None) -> Iterable[tuple[Event, Event]]:
    """Those that left a page of this site, if one is given."""
    return ((a, b) for a, b in moves(events) if of_site in (None, site(a)))


def path(bucket: Callable[[datetime], Any]) -> Callable[..., Rows]:
    """How often from which page to which."""

    def count(events: list[Event], of_site: str | None = None) -> Rows:
        found = Counter((bucket(moment(a)), a["page_path"], b["page_path"]) for a, b in moves_from(events, of_site))
        return {key: (number,) for key, number in found.items()}

    return count


def page_time(bucket: Callable[[datetime], Any]) -> Callable[..., Rows]:
    """Page views that another followed, and the time in between, at most half an hour each, by page and device."""

    def count(events: list[Event], of_site: str | None = None) -> Rows:
        found: dict[tuple[Any, ...], tuple[int, int]] = {}
        for a, b in moves_from(events, of_site):
            key = bucket(moment(a)), a["page_path"], a["device_type"]
            time_ms = min((moment(b) - moment(a)) // timedelta(milliseconds=1), 1_800_000)
            views, total_ms = found.get(key, (0, 0))
            found[key] = views + 1, total_ms + time_ms
        return dict(found)

    return count


def page_visit(bucket: Callable[[datetime], Any]) -> Callable[[list[Event]], Rows]:
    """Sessions that began, ended and bounced at a page, by their start and device."""

    def count(events: list[Event]) -> Rows:
        found: dict[tuple[Any, ...], tuple[int, ...]] = {}
        for s in sessions(events).values():
            for page, *one in (
                (s["entry_page"], 1, 0, int(s["page_views"] <= 1)),
                (s["exit_page"], 0, 1, 0),
            ):
                key = bucket(s["started_at"]), page, s["device_type"]
                found[key] = tuple(a + b for a, b in zip(found.get(key, (0, 0, 0)), one, strict=True))
        return dict(found)

    return count


def revenue(bucket: Callable[[datetime], Any]) -> Callable[[list[Event]], Rows]:
    """Purchases and what they came to, by device, country and currency."""
    return lambda events: tally(
        (e for e in events if is_type(e, "purchase")),
        lambda e: (bucket(moment(e)), e["device_type"], text(e, "country"), text(e, "currency")),
        lambda e: (1, Decimal(e.get("value") or 0)),
    )


def way_to_purchase(members: list[Event]) -> tuple[str, int, int]:
    """The sections of the pages before the first purchase, how many pages, and how long it took."""
    ordered = sorted(members, key=lambda e: (moment(e), e["event_id"]))
    end = next(i for i, e in enumerate(ordered) if is_type(e, "purchase"))
    pages = [e["page_path"] for e in ordered[:end] if is_type(e, "page_view")]
    steps = [step for step, _ in groupby(("/" + "".join(page.split("/")[1:2]))[:40] for page in pages)]
    if len(steps) > 8:
        steps = [*steps[:4], "…", *steps[-4:]]
    return " → ".join(steps), len(pages), (moment(ordered[end]) - moment(ordered[0])) // timedelta(milliseconds=1)


def conversion_path_hour(events: list[Event]) -> Rows:
    """Sessions that bought something, by start, device, source, the way to the first purchase, and country."""
    members: dict[UUID, list[Event]] = defaultdict(list)
    for event in events:
        members[UUID(event["session_id"])].append(event)
    found: dict[tuple[Any, ...], tuple[int, ...]] = {}
    for session_id, s in sessions(events).items():
        if s["converted"]:
            steps, page_views, time_ms = way_to_purchase(members[session_id])
            key = hour(s["started_at"]), s["device_type"], s["source"], steps, s["country"]
            found[key] = tuple(map(sum, zip(found.get(key, (0, 0, 0)), (1, page_views, time_ms), strict=True)))
    return found


def week(on: date) -> date:
    """The Monday of its week."""
    return on - timedelta(days=on.weekday())


def visitor_cohort(events: list[Event]) -> Rows:
    """Visitors by the week they were first seen in, in every week they were there."""
    weeks = defaultdict(set)
    for visitor, on in visitor_day(events):
        weeks[visitor].add(week(on))
    found = Counter((min(seen), active) for seen in weeks.values() for active in seen)
    return {key: (count,) for key, count in found.items()}


def custom_event(bucket: Callable[[datetime], Any]) -> Callable[[list[Event]], Rows]:
    """Events of no fixed type, by name, page and device."""
    return lambda events: tally(
        (e for e in events if is_type(e, "custom")),
        lambda e: (bucket(moment(e)), e["event_name"], e["page_path"], e["device_type"]),
        lambda _e: (1,),
    )


def with_site(rows: Callable[[list[Event]], Rows], at: int = 1) -> Callable[[list[Event]], Rows]:
    """The same by the site of each event, which is the key's column `at`."""

    def count(events: list[Event]) -> Rows:
        by_site: dict[str, list[Event]] = defaultdict(list)
        for event in events:
            by_site[site(event)].append(event)
        return _with_site({of: rows(members) for of, members in by_site.items()}, at)

    return count


def with_site_of_session(rows: Callable[[list[Event]], Rows]) -> Callable[[list[Event]], Rows]:
    """The same by the site of each session: that of its first event."""

    def count(events: list[Event]) -> Rows:
        of_session = {str(session_id): s["site"] for session_id, s in sessions(events).items()}
        by_site: dict[str, list[Event]] = defaultdict(list)
        for event in events:
            by_site[of_session[event["session_id"]]].append(event)
        return _with_site({of: rows(members) for of, members in by_site.items()}, 1)

    return count


def with_site_left(rows: Callable[[list[Event], str], Rows]) -> Callable[[list[Event]], Rows]:
    """The same by the site of the page that was left."""

    def count(events: list[Event]) -> Rows:
        return _with_site({of: rows(events, of) for of in set(map(site, events))}, 1)

    return count


def _with_site(by_site: dict[str, Rows], at: int) -> Rows:
    return {(*key[:at], of, *key[at:]): values for of, rows in by_site.items() for key, values in rows.items()}


ROLLUPS: dict[str, Callable[[list[Event]], Rows]] = {
    "traffic_minute": with_site(traffic(minute)),
    "traffic_hour": with_site(traffic(hour)),
    "geography_hour": with_site(geography_hour),
    "page_hour": with_site(page(hour)),
    "page_day": with_site(page(day)),
    "element_hour": with_site(element(hour)),
    "element_day": with_site(element(day)),
    "product_hour": with_site(product(hour)),
    "product_day": with_site(product(day)),
    "custom_event_hour": with_site(custom_event(hour)),
    "custom_event_day": with_site(custom_event(day)),
    "visitor_day": with_site(visitor_day, 0),
    "visitor_count": with_site(visitor_count, 2),
    "session": session,
    "session_hour": with_site_of_session(session_metrics(hour)),
    "session_day": with_site_of_session(session_metrics(day)),
    "source_hour": with_site_of_session(source_metrics(hour)),
    "source_day": with_site_of_session(source_metrics(day)),
    "path_hour": with_site_left(path(hour)),
    "path_day": with_site_left(path(day)),
    "path_week": with_site_left(path(lambda time: week(day(time)))),
    "page_time_hour": with_site_left(page_time(hour)),
    "page_time_day": with_site_left(page_time(day)),
    "page_visit_hour": with_site_of_session(page_visit(hour)),
    "page_visit_day": with_site_of_session(page_visit(day)),
    "revenue_hour": with_site(revenue(hour)),
    "revenue_day": with_site(revenue(day)),
    "conversion_path_hour": with_site_of_session(conversion_path_hour),
    "visitor_cohort": with_site(visitor_cohort, 2),
}
