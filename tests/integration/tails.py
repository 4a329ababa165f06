"""What `reporting.<rollup>_tail()` runs, for a look at its plan, which that of its caller does not show."""

from services.common.postgres import Connection
from services.rollups.catalogue import Rollup
from services.rollups.live_views import tail_text


def tail_statement(owner: Connection, rollup: Rollup) -> str:
    """With the days that it needs now."""
    days, text = tail_text(owner, rollup)
    (condition,) = owner.execute(f"SELECT event_id_condition({days})".encode()).fetchone() or ("false",)
    return f"WITH event AS NOT MATERIALIZED (SELECT * FROM clickstream.event WHERE {condition}){text}"
