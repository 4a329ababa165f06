"""The rollups computed a second time from raw events, into temporary tables of the same names.

The views of the tail are bound to a ledger of the session's own, in which nothing is rolled up yet; ordinary passes
then fill empty rollups beside the real ones, which stay as they are. `verify` compares the two, `rebuild` puts right
what differs.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import LiteralString, NamedTuple

from services.common.postgres import Connection
from services.rollups.catalogue import Rollup
from services.rollups.tail import Pass, Tail

_LEDGER: LiteralString = """
CREATE TEMP TABLE ingest_batch (
    batch_id   bigint  PRIMARY KEY,
    stored     integer NOT NULL,
    event_days date[]  NOT NULL,
    rolled_up  boolean NOT NULL DEFAULT false
)
"""
_FOLLOW_LEDGER: LiteralString = """
INSERT INTO ingest_batch (batch_id, stored, event_days)
SELECT b.batch_id, b.stored, b.event_days
FROM clickstream.ingest_batch AS b
WHERE (b.rolled_up OR %(pending)s) AND b.stored > 0
    AND (%(since)s::timestamptz IS NULL OR b.max_event_time >= %(since)s)
    AND NOT EXISTS (SELECT FROM ingest_batch AS t WHERE t.batch_id = b.batch_id)
"""
# Whatever this ledger has not rolled up is none of ours yet, also what was stored a moment ago.
_DEFERRED = """
SELECT b.batch_id
FROM clickstream.ingest_batch AS b
WHERE b.batch_id NOT IN (SELECT p.batch_id FROM pending_batch AS p)
    AND NOT EXISTS (SELECT FROM ingest_batch AS t WHERE t.batch_id = b.batch_id AND t.rolled_up)
"""
_EVENTS_SINCE = """
SELECT e.*
FROM event AS e
WHERE e.batch_id = ANY (ARRAY(SELECT p.batch_id FROM pending_batch AS p))
    AND e.event_time >= {since}
"""


class Drift(NamedTuple):
    """How a rollup compares: rows recounted, and keys at which the live view says something else.

    One that was left out has a note that says why.
    """

    rollup: str
    since: datetime | None
    rows: int
    drift_rows: int
    note: str = ""


class Shadow:
    """A second set of rollups, of times from `since` on; None counts all.

    What began before `since` is taken over from the live views as it is, so that a session or a visitor from before is
    known as such; it is neither compared nor written. With `window`, older raw events are there and are not read.
    Unless `counted` is false, a pass stops at events that lack.
    """

    def __init__(
        self,
        connection: Connection,
        work_mem_mb: int,
        since: datetime | None,
        *,
        window: bool = False,
        counted: bool = True,
    ) -> None:
        self._connection = connection
        self._since = since
        self._window = since if window else None
        self._tail = Tail(connection, work_mem_mb, counted=counted)
        connection.execute(_LEDGER)
        for rollup in self._tail.rollups:
            columns = ", ".join(rollup.columns)
            self._execute(f"CREATE TEMP TABLE {rollup.name} (LIKE clickstream.{rollup.name} INCLUDING ALL)")
            if since is not None and not (rollup.merges and rollup.additive):
                self._execute(
                    f"INSERT INTO {rollup.name} ({columns}) SELECT {columns} FROM reporting.{rollup.name} "
                    f"WHERE {rollup.time} < %s",
                    since,
                )
        instead = {"deferred_batch": _DEFERRED}
        if self._window is not None:
            instead["pending_event"] = _EVENTS_SINCE.format(since=f"'{self._window.isoformat()}'::timestamptz")
        self._tail.bind(instead)

    @property
    def rollups(self) -> list[Rollup]:
        """All rollups."""
        return self._tail.rollups

    def follow(self, *, pending: bool) -> None:
        """Take over batches that the real ledger has by now: those rolled up there, or also those pending."""
        self._connection.execute(_FOLLOW_LEDGER, {"pending": pending, "since": self._window})

    def events(self) -> int:
        """How many events the ledger holds."""
        row = self._connection.execute("SELECT coalesce(sum(stored), 0) FROM ingest_batch").fetchone()
        return int(row[0]) if row else 0

    def roll_up(self, max_events: int) -> Pass:
        """One pass, in the caller's transaction."""
        return self._tail.roll_up(max_events)

    def passes(self, max_events: int) -> Iterator[Pass]:
        """Passes until nothing is left, all in the caller's one transaction."""
        while (done := self._tail.roll_up(max_events)).batches:
            yield done
            self._tail.clear()

    def compare(self, rollup: Rollup, since: datetime | None) -> Drift:
        """Hold the live view against the recount, in the caller's transaction."""
        live, recount = (self._rows(rollup, f"{schema}.{rollup.name}", since) for schema in ("reporting", "pg_temp"))
        keys = ", ".join(rollup.keys)
        row = self._connection.execute(
            f"WITH live AS MATERIALIZED ({live}), recount AS MATERIALIZED ({recount}), "
            "drift AS ((TABLE live EXCEPT TABLE recount) UNION ALL (TABLE recount EXCEPT TABLE live)) "
            f"SELECT (SELECT count(*) FROM recount), (SELECT count(*) FROM (SELECT DISTINCT {keys} FROM drift) AS d)"
            "".encode(),
            [since, since] if since else [],
        ).fetchone()
        return Drift(rollup.name, since, *(row or (0, 0)))

    def apply(self, rollup: Rollup) -> int:
        """Write what differs into the real rollup, in the caller's transaction; returns the rows changed."""
        name, keys = rollup.name, ", ".join(rollup.keys)
        same_key = " AND ".join(f"s.{key} = t.{key}" for key in rollup.keys)
        removed = self._execute(
            f"DELETE FROM clickstream.{name} AS t WHERE {_since(rollup, self._since)} "
            f"AND NOT EXISTS (SELECT FROM pg_temp.{name} AS s WHERE {same_key})",
            self._since,
        )
        columns = ", ".join(rollup.columns)
        sets = ", ".join(f"{column} = excluded.{column}" for column in rollup.merges)
        values = [", ".join(f"{side}.{column}" for column in rollup.merges) for side in ("t", "excluded")]
        action = f"UPDATE SET {sets} WHERE ({values[0]}) IS DISTINCT FROM ({values[1]})" if sets else "NOTHING"
        changed = self._execute(
            f"INSERT INTO clickstream.{name} AS t ({columns}) SELECT {columns} FROM pg_temp.{name} "
            f"WHERE {_since(rollup, self._since)} ON CONFLICT ({keys}) DO {action}",
            self._since,
        )
        return removed + changed

    def _rows(self, rollup: Rollup, relation: str, since: datetime | None) -> str:
        """One row a key, without those that came to nothing."""
        keys, where = ", ".join(rollup.keys), _since(rollup, since)
        if not rollup.merges or not rollup.additive:
            return f"SELECT {', '.join(rollup.columns)} FROM {relation} WHERE {where}"
        sums = ", ".join(f"sum({column}) AS {column}" for column in rollup.merges)
        some = " OR ".join(f"sum({column}) <> 0" for column in rollup.merges)
        return f"SELECT {keys}, {sums} FROM {relation} WHERE {where} GROUP BY {keys} HAVING {some}"

    def _execute(self, statement: str, since: datetime | None = None) -> int:
        """Run a statement made of the catalogue's names alone; returns the rows it touched."""
        return self._connection.execute(statement.encode(), [since] if since else []).rowcount


def _since(rollup: Rollup, since: datetime | None) -> str:
    return f"{rollup.time} >= %s" if since else "true"
