"""What the panels of Pages and Commerce must answer."""

from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from tests.dashboards.facts import Facts, Session, groups, ratio, top, total
from tests.oracle import Event, is_type, moment, text

Rows = list[tuple[Any, ...]]


def count(events: list[Event], kind: str) -> int:
    """Events of a type."""
    return sum(is_type(e, kind) for e in events)


def popular(facts: Facts) -> Rows:
    """Views by page."""
    views = Counter(e["page_path"] for e in facts.by_device if is_type(e, "page_view"))
    return top([(page, n, n / views.total()) for page, n in views.items()], 1, 100, then=lambda row: row[0])


def clicked(facts: Facts) -> Rows:
    """Clicks by page."""
    found = groups(facts.by_device, lambda e: e["page_path"])
    rows = [(p, count(es, "click"), ratio(count(es, "click"), count(es, "page_view"))) for p, es in found.items()]
    return top([row for row in rows if row[1]], 1, 100, then=lambda row: row[0])


def elements(facts: Facts) -> Rows:
    """Clicks by page and element."""
    found = Counter((e["page_path"], text(e, "element") or "not named") for e in facts.by_device if is_type(e, "click"))
    return top([(*key, n) for key, n in found.items()], 2, 100, then=lambda row: row[:2])


def paths(facts: Facts) -> Rows:
    """Moves from page to page."""
    moves = Counter((a["page_path"], b["page_path"]) for a, b in facts.moves)
    leaving: Counter[str] = Counter()
    for (page, _), n in moves.items():
        leaving[page] += n
    return top([(*key, n, n / leaving[key[0]]) for key, n in moves.items()], 2, 100, then=lambda row: row[:2])


def entries(facts: Facts) -> Rows:
    """First pages."""
    found = groups(facts.started_by_device, lambda s: s["entry_page"])
    rows = [(page, len(ss), ratio(sum(s["page_views"] <= 1 for s in ss), len(ss))) for page, ss in found.items()]
    return top(rows, 1, 100, then=lambda row: row[0])


def exits(facts: Facts) -> Rows:
    """Last pages."""
    found = Counter(s["exit_page"] for s in facts.started_by_device)
    return top([(page, n, n / found.total()) for page, n in found.items()], 1, 100, then=lambda row: row[0])


def page_time(facts: Facts) -> Rows:
    """Mean seconds."""
    found = groups((m for m in facts.moves if facts.chosen("device", m[0]["device_type"])), lambda m: m[0]["page_path"])
    rows = [
        (page, sum(min((moment(b) - moment(a)).total_seconds(), 1800) for a, b in moves) / len(moves), len(moves))
        for page, moves in found.items()
    ]
    return top(rows, 2, 100, then=lambda row: row[0])


def five_pages(facts: Facts) -> Rows:
    """Views over time."""
    best = {page for page, *_ in popular(facts)[:5]}
    views = Counter((facts.point(moment(e)), e["page_path"]) for e in facts.by_device if is_type(e, "page_view"))
    # A page with another kind of event at that time has a row of no views.
    seen = {(facts.point(moment(e)), e["page_path"]) for e in facts.by_device}
    return [(at, page, views[at, page]) for at, page in sorted(seen) if page in best]


def custom_events(facts: Facts) -> Rows:
    """By name."""
    found = Counter(e["event_name"] for e in facts.by_device if is_type(e, "custom"))
    return top([(name, n, n / found.total()) for name, n in found.items()], 1, 100, then=lambda row: row[0])


def five_custom_events(facts: Facts) -> Rows:
    """Over time."""
    best = {name for name, *_ in custom_events(facts)[:5]}
    found = Counter((facts.point(moment(e)), e["event_name"]) for e in facts.by_device if is_type(e, "custom"))
    return [(*key, n) for key, n in sorted(found.items()) if key[1] in best]


def _of_products(facts: Facts) -> list[Event]:
    kinds = ("product_view", "add_to_cart", "remove_from_cart", "purchase")
    return [e for e in facts.within if e.get("product_id") is not None and is_type(e, *kinds)]


def _bought(facts: Facts) -> list[Event]:
    bought = [e for e in facts.within if is_type(e, "purchase") and e.get("currency")]
    return [
        e
        for e in bought
        if facts.chosen("device", e["device_type"]) and facts.chosen("country", e.get("country") or "")
    ]


def _revenue(events: list[Event]) -> float:
    return float(sum(Decimal(e.get("value") or 0) for e in events))


def revenue(facts: Facts) -> Rows:
    """By currency."""
    found = groups(_bought(facts), lambda e: e["currency"])
    return top([(currency, _revenue(es)) for currency, es in found.items()], 1, 4)


def revenue_over_time(facts: Facts) -> Rows:
    """By currency."""
    found = groups(_bought(facts), lambda e: (facts.point(moment(e)), e["currency"]))
    return [(*key, _revenue(es)) for key, es in sorted(found.items())]


def most_added(facts: Facts) -> Rows:
    """By product."""
    kinds = ("add_to_cart", "remove_from_cart", "purchase", "product_view")
    found = groups(_of_products(facts), lambda e: e["product_id"])
    rows = [(product, *(count(es, kind) for kind in kinds)) for product, es in found.items()]
    return top([row for row in rows if row[1]], 1, 50, then=lambda row: row[0])


def not_bought(facts: Facts) -> Rows:
    """Looked at only."""
    rows = [(product, viewed, added) for product, added, _, bought, viewed in _all_products(facts) if not bought]
    return top([row for row in rows if row[1]], 1, 50, then=lambda row: row[0])


def _all_products(facts: Facts) -> Rows:
    kinds = ("add_to_cart", "remove_from_cart", "purchase", "product_view")
    found = groups(_of_products(facts), lambda e: e["product_id"])
    return [(product, *(count(es, kind) for kind in kinds)) for product, es in found.items()]


def steps(sessions: list[Session]) -> list[tuple[str, int]]:
    """The funnel: sessions that came at least so far."""
    names = ("All sessions", "Viewed a product", "Added to cart", "Began checkout", "Converted")
    return [(name, sum(s["furthest_step"] >= step for s in sessions)) for step, name in enumerate(names)]


def drop_off(facts: Facts) -> Rows:
    """What is left, what was lost."""
    funnel = steps(facts.sessions)
    rows: Rows = []
    for i, (name, n) in enumerate(funnel):
        kept = ratio(n, funnel[i - 1][1]) if i else None
        rows.append((name, n, ratio(n, funnel[0][1]), None if kept is None else 1 - kept))
    return rows


def abandonment(sessions: list[Session]) -> float | None:
    """Share of carts that were left."""
    kept = ratio(total(sessions, "converted"), sum(s["furthest_step"] >= 2 for s in sessions))
    return None if kept is None else 1 - kept


def conversion(sessions: list[Session]) -> float | None:
    """Share that converted."""
    return ratio(total(sessions, "converted"), len(sessions))


def conversion_over_time(facts: Facts) -> Rows:
    """And abandonment."""
    found = groups(facts.sessions, lambda s: facts.point(s["started_at"]))
    return [(at, conversion(ss), abandonment(ss)) for at, ss in sorted(found.items())]


def conversion_by(column: str, of: Callable[[Facts], list[Session]]) -> Callable[[Facts], Rows]:
    """Sessions and conversion."""

    def answer(facts: Facts) -> Rows:
        found = groups(of(facts), lambda s: s[column] or "unknown")
        return top([(key, len(ss), conversion(ss)) for key, ss in found.items()], 1, 30, then=lambda row: row[0])

    return answer


ANSWERS: dict[str, Callable[[Facts], Rows]] = {
    "Pages: Popular pages": popular,
    "Pages: Clicks per page": clicked,
    "Pages: Clicks per element": elements,
    "Pages: Page-to-page paths": paths,
    "Pages: Entry pages": entries,
    "Pages: Exit pages": exits,
    "Pages: Time on page": page_time,
    "Pages: Views of the five most viewed pages": five_pages,
    "Pages: Custom events": custom_events,
    "Pages: The five most frequent custom events": five_custom_events,
    "Commerce: Revenue": revenue,
    "Commerce: Converted sessions": lambda f: [(total(f.sessions, "converted"),)],
    "Commerce: Conversion": lambda f: [(conversion(f.sessions),)],
    "Commerce: Cart abandonment": lambda f: [(abandonment(f.sessions),)],
    "Commerce: Funnel": lambda f: [*steps(f.sessions)],
    "Commerce: Drop-off": drop_off,
    "Commerce: Most added to cart": most_added,
    "Commerce: Viewed but not bought": not_bought,
    "Commerce: Revenue over time": revenue_over_time,
    "Commerce: Conversion and cart abandonment": conversion_over_time,
    "Commerce: Conversion by source": conversion_by("source", lambda f: f.sourced),
    "Commerce: Conversion by device": conversion_by("device_type", lambda f: f.sessions),
    "Commerce: Conversion by country": conversion_by("country", lambda f: f.sessions),
}
