"""What the live page asks the database: every figure from the views that the dashboards read, over all sites."""

from dataclasses import dataclass
from typing import Any, LiteralString, NamedTuple

import psycopg
from psycopg.rows import namedtuple_row

Row = Any
Session = psycopg.Connection[Any]


class Balance(NamedTuple):
    """Messages by what became of them, since the topic was made."""

    received: int = 0
    stored: int = 0
    duplicate: int = 0
    dead: int = 0
    lost: int = 0

    @property
    def exact(self) -> bool:
        """Every message is accounted for."""
        return self.received == self.stored + self.duplicate + self.dead


class Flow(NamedTuple):
    """How ingestion goes: freshness over the last half minute, and the tail that only the live views hold."""

    freshness_p50_seconds: float | None
    freshness_p95_seconds: float | None
    pending_events: int


@dataclass(frozen=True)
class Content:
    """What the visitors did: rows as the page shows them."""

    pages: list[Row]
    clicked: list[Row]
    products: list[Row]
    sites: list[Row]
    countries: list[Row]
    devices: list[Row]
    event_types: list[Row]
    dead_letters: list[Row]
    revenue: list[Row]
    sessions: Row
    visitors: Row
    aggregator: Row


_BALANCE: LiteralString = """
SELECT coalesce(sum(received), 0)::bigint, coalesce(sum(stored), 0)::bigint, coalesce(sum(duplicate), 0)::bigint,
    coalesce(sum(dead), 0)::bigint, coalesce(sum(lost), 0)::bigint
FROM reporting.partition_offset
"""
_FLOW: LiteralString = """
SELECT
    percentile_cont(0.5) WITHIN GROUP (ORDER BY freshness_p50_seconds) FILTER (WHERE recent),
    percentile_cont(0.95) WITHIN GROUP (ORDER BY freshness_p95_seconds) FILTER (WHERE recent),
    coalesce(sum(stored) FILTER (WHERE NOT rolled_up), 0)::bigint
FROM (
    SELECT *, committed_at > now() - interval '30 seconds' AS recent
    FROM reporting.ingest_batch
    WHERE committed_at > now() - interval '30 seconds' OR NOT rolled_up
) AS batch
"""
_LISTS: dict[str, LiteralString] = {
    "pages": """
        SELECT page_path, sum(views)::bigint AS views, sum(clicks)::bigint AS clicks
        FROM reporting.page_day GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %s""",
    "clicked": """
        SELECT page_path, element, sum(clicks)::bigint AS clicks
        FROM reporting.element_day GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT %s""",
    "products": """
        SELECT product_id, sum(add_to_cart)::bigint AS added, sum(views)::bigint AS views,
            sum(purchases)::bigint AS purchases
        FROM reporting.product_day GROUP BY 1 ORDER BY 2 DESC, 3 DESC, 1 LIMIT %s""",
    "sites": """
        SELECT site, sum(events)::bigint AS events
        FROM reporting.traffic_hour GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %s""",
    "countries": """
        SELECT country, sum(events)::bigint AS events
        FROM reporting.geography_hour GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %s""",
    "devices": """
        SELECT device_type, sum(events)::bigint AS events
        FROM reporting.traffic_hour GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %s""",
    "event_types": """
        SELECT event_type, sum(events)::bigint AS events
        FROM reporting.traffic_hour GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %s""",
    "dead_letters": """
        SELECT reason, count(*) AS messages
        FROM reporting.dead_letter GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %s""",
    "revenue": """
        SELECT currency, sum(revenue) AS revenue
        FROM reporting.product_day WHERE currency <> '' GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %s""",
}
_SESSIONS: LiteralString = """
SELECT coalesce(sum(sessions), 0)::bigint AS sessions, coalesce(sum(bounces), 0)::bigint AS bounces,
    coalesce(sum(viewed_product), 0)::bigint AS viewed_product,
    coalesce(sum(added_to_cart), 0)::bigint AS added_to_cart,
    coalesce(sum(began_checkout), 0)::bigint AS began_checkout, coalesce(sum(conversions), 0)::bigint AS conversions,
    coalesce(sum(page_views), 0)::bigint AS page_views, coalesce(sum(duration_ms), 0)::bigint AS duration_ms
FROM reporting.session_hour
"""
_VISITORS: LiteralString = """
SELECT starts_on, sum(visitors)::bigint AS visitors, sum(new_visitors)::bigint AS new_visitors
FROM reporting.visitor_count WHERE period = 'day' GROUP BY 1 ORDER BY 1 DESC LIMIT 1
"""
_AGGREGATOR: LiteralString = """
SELECT run_id, started_at, finished_at, passes, events, seconds, error
FROM reporting.aggregator_run ORDER BY run_id DESC LIMIT 1
"""
ROWS = 10


def balance(session: Session) -> Balance:
    """The balance sheet over all partitions."""
    return Balance(*_tuple(session, _BALANCE))


def flow(session: Session) -> Flow:
    """How ingestion goes now."""
    return Flow(*_tuple(session, _FLOW))


def positions(session: Session, topic: str) -> dict[int, int]:
    """The consumer's next offset of each partition that it has one for."""
    rows = session.execute("SELECT partition, next_offset FROM reporting.partition_offset WHERE topic = %s", [topic])
    return dict(rows)


def content(session: Session) -> Content:
    """What the visitors did, of all time, in one snapshot."""
    with session.transaction():
        session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        lists = {name: _all(session, query) for name, query in _LISTS.items()}
        return Content(
            **lists,
            sessions=_one(session, _SESSIONS),
            visitors=_one(session, _VISITORS),
            aggregator=_one(session, _AGGREGATOR),
        )


def stored_events(session: Session) -> int:
    """A recount of the raw events; reads them all."""
    return int(_tuple(session, "SELECT count(*) FROM clickstream.event")[0])


def _all(session: Session, query: LiteralString) -> list[Row]:
    with session.cursor(row_factory=namedtuple_row) as cursor:
        return cursor.execute(query, [ROWS]).fetchall()


def _tuple(session: Session, query: LiteralString) -> tuple[Any, ...]:
    row: tuple[Any, ...] = session.execute(query).fetchone() or ()
    return row


def _one(session: Session, query: LiteralString) -> Row:
    with session.cursor(row_factory=namedtuple_row) as cursor:
        return cursor.execute(query).fetchone()
