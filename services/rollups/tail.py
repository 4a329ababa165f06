"""One pass: what the batches not yet rolled up add to every rollup, added, and the batches flagged, in a transaction.

The `…_pending` views that a live view reads are bound here, by the same text, to temporary tables of the same names:
a pass evaluates each once, in order of dependency, over the batches it has chosen. All is read before anything is
written, so no rollup sees another's new rows. There is nothing here to change when a rollup is added.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import LiteralString

from services.common.errors import UserError
from services.common.postgres import Connection
from services.rollups.catalogue import Rollup, View, rollups, tail_views

_CHOOSE: LiteralString = """
INSERT INTO pending_batch (batch_id)
SELECT batch_id
FROM (
    SELECT batch_id, stored, sum(stored) OVER (ORDER BY batch_id) AS total
    FROM ingest_batch
    WHERE NOT rolled_up
) AS b
WHERE total - stored < %s
"""
_FLAG: LiteralString = """
UPDATE ingest_batch SET rolled_up = true WHERE batch_id IN (SELECT batch_id FROM pending_batch)
"""
# Conditions on event_id for the events of the batches chosen, and also for those of the sessions that these go on with;
# and what the session's view `event` has now, which is as it was again after a transaction that was rolled back.
_PENDING_IDS: LiteralString = """
SELECT event_id_condition(range_agg(daterange(d.day, d.day + 1))), (SELECT i.condition FROM event_ids AS i)
FROM ingest_batch AS b
JOIN pending_batch AS p USING (batch_id)
CROSS JOIN LATERAL unnest(b.event_days) AS d (day)
"""
_TOUCHED_IDS: LiteralString = """
SELECT event_id_condition(range_agg(days)), (SELECT i.condition FROM event_ids AS i)
FROM (
    SELECT daterange(d.day, d.day + 1) AS days
    FROM ingest_batch AS b
    JOIN pending_batch AS p USING (batch_id)
    CROSS JOIN LATERAL unnest(b.event_days) AS d (day)
    UNION ALL
    SELECT DISTINCT daterange(event_day(s.min_event_id), event_day(s.max_event_id), '[]')
    FROM session AS s
    WHERE s.session_id IN (SELECT e.session_id FROM pending_event AS e)
) AS touched
"""
_BOOKED: LiteralString = "SELECT sum(stored) FROM ingest_batch WHERE batch_id IN (SELECT batch_id FROM pending_batch)"
# Of a batch whose events are of a day that was dropped, some may be gone; of no batch may there be more than it stored.
_INCOMPLETE: LiteralString = """
WITH odd AS (
    SELECT b.batch_id, b.stored, coalesce(e.events, 0) AS events, b.event_days
    FROM ingest_batch AS b
    JOIN pending_batch AS p USING (batch_id)
    LEFT JOIN (SELECT batch_id, count(*) AS events FROM pending_event GROUP BY 1) AS e USING (batch_id)
    WHERE coalesce(e.events, 0) <> b.stored
        AND (coalesce(e.events, 0) > b.stored OR NOT b.event_days && ARRAY(SELECT x.day FROM expired_day AS x))
),
days AS (
    SELECT DISTINCT d.day,
        NOT EXISTS (SELECT FROM event_partition AS p WHERE d.day BETWEEN p.first_day AND p.last_day) AS gone
    FROM odd AS o
    CROSS JOIN LATERAL unnest(o.event_days) AS d (day)
)
SELECT count(*), min(batch_id), max(batch_id), sum(stored), sum(events),
    (
        SELECT array_agg(d.day::text ORDER BY d.day)
        FROM days AS d
        WHERE d.gone OR NOT EXISTS (SELECT FROM days WHERE gone)
    )
FROM odd
"""


class IncompleteError(UserError):
    """The raw events of some batches are not what the ledger says was stored."""


@dataclass(frozen=True)
class Pass:
    """What a pass did: batches and events taken, rows of rollups written."""

    batches: int
    events: int
    rollup_rows: int


class Tail:
    """The tail of one session, ready for passes; the session's search_path stays on its temporary tables.

    Unless `counted` is false, a pass holds the events that it finds against the ledger.
    """

    def __init__(self, connection: Connection, work_mem_mb: int, *, counted: bool = True) -> None:
        self._connection = connection
        self._counted = counted
        self.rollups: list[Rollup] = rollups(connection)
        self._views: list[View] = [view for view in tail_views(connection) if view.name != "pending_batch"]
        connection.execute("SELECT set_config('work_mem', %s, false)", [f"{work_mem_mb}MB"])
        connection.execute("SELECT set_config('temp_buffers', %s, false)", [f"{work_mem_mb}MB"])
        # A pass analyses its temporary tables. The planner needs to know how long they are, and little else: the
        # roughest look does, and a closer one would be a tenth of a small pass.
        connection.execute("SET default_statistics_target = 1")
        connection.execute("SET search_path = pg_temp, clickstream")

    def bind(self, instead: Mapping[str, str] | None = None) -> None:
        """Create the temporary tables and views; what the session has by then of the same names is what they read.

        `instead` gives some views another text.
        """
        self._views = [replace(view, text=(instead or {}).get(view.name, view.text)) for view in self._views]
        self._execute("CREATE TEMP TABLE pending_batch (batch_id bigint PRIMARY KEY) ON COMMIT DELETE ROWS")
        self._execute("CREATE TEMP TABLE event_ids (condition text NOT NULL)")
        self._execute("INSERT INTO event_ids VALUES ('')")
        self._look_at("false")
        for view in self._views:
            if _is_table(view):
                self._execute(f"CREATE TEMP TABLE {view.name} ON COMMIT DELETE ROWS AS {view.text} WITH NO DATA")
            else:
                self._execute(f"CREATE TEMP VIEW {view.name} AS {view.text}")

    def roll_up(self, max_events: int) -> Pass:
        """Roll up the oldest pending batches, up to about `max_events`, in the caller's transaction.

        The transaction must be REPEATABLE READ: one snapshot for every step.

        Raises:
            IncompleteError: events lack that the ledger says are stored, or there are more.
        """
        batches = self._connection.execute(_CHOOSE, [max_events]).rowcount
        if not batches:
            return Pass(0, 0, 0)
        self._look_at_ids_of(_PENDING_IDS)
        events = rows = 0
        for view in filter(_is_table, self._views):
            filled = self._execute(f"INSERT INTO {view.name} {view.text}")
            if view.name == "pending_event":
                events = filled
                self._hold_against_ledger(events)
                self._look_at_ids_of(_TOUCHED_IDS)
            if view.readers > 1:
                self._execute(f"ANALYZE {view.name}")
        for rollup in self.rollups:
            rows += self._execute(rollup.upsert())
        self._connection.execute(_FLAG)
        return Pass(batches, events, rows)

    def _look_at_ids_of(self, query: LiteralString) -> None:
        wanted, there = self._connection.execute(query).fetchone() or ("false", "")
        if wanted != there:
            self._look_at(wanted)

    def _look_at(self, event_ids: str) -> None:
        """Let `event` be the raw events of these ids: constants, so that no other partition is planned or locked."""
        self._execute(f"CREATE OR REPLACE TEMP VIEW event AS SELECT * FROM clickstream.event WHERE {event_ids}")
        self._connection.execute("UPDATE event_ids SET condition = %s", [event_ids])

    def _hold_against_ledger(self, events: int) -> None:
        if not self._counted or self._connection.execute(_BOOKED).fetchone() == (events,):
            return
        batches, first, last, stored, found, days = self._connection.execute(_INCOMPLETE).fetchone() or (0,) * 6
        if batches:
            raise IncompleteError(
                f"{found:,} of the {stored:,} events that {batches:,} batches ({first} to {last}) stored are there, "
                f"days {', '.join(days or ['unknown'])}: nothing was changed. Bring them back from a backup; if they "
                "are gone for good, say so by INSERT INTO clickstream.expired_day (day) VALUES (…) for these days"
            )

    def clear(self) -> None:
        """Make room for another pass in the same transaction."""
        self._execute(f"TRUNCATE pending_batch, {', '.join(view.name for view in self._views if _is_table(view))}")

    def _execute(self, statement: str) -> int:
        """Run a statement made of the catalogue's names alone; returns the rows it touched."""
        return self._connection.execute(statement.encode()).rowcount


def _is_table(view: View) -> bool:
    """Worth keeping: it feeds a rollup, or several views read it."""
    return view.readers > 1 or view.name.endswith("_pending")
