"""The pipeline's books held against each other: positions, ledger, dead letters and events.

Each check gives how many things it looked at and how many are off. Rows past their time are in `ledger_carried`, so
the sums hold for all time. A topic's counters are compared as a whole: the ledger has no others by partition.
"""

from datetime import datetime
from typing import LiteralString

from services.common.postgres import Connection

# Each batch: as many events as it stored, of the days and times that it says. Of a day that was dropped some may lack.
_EVENTS = """
WITH booked AS (
    SELECT batch_id, stored, min_event_time, max_event_time, event_days,
        event_days && ARRAY(SELECT day FROM clickstream.expired_day) AS expired
    FROM clickstream.ingest_batch
    WHERE %(since)s::timestamptz IS NULL OR committed_at >= %(since)s
),
counted AS (
    SELECT batch_id, tableoid, count(*) AS events, min(event_time) AS since, max(event_time) AS until
    FROM clickstream.event
    WHERE batch_id IN (SELECT batch_id FROM booked) AND ({event_ids})
    GROUP BY 1, 2
),
found AS (
    SELECT c.batch_id, sum(c.events) AS events, min(c.since) AS since, max(c.until) AS until,
        bool_or(p.partition IS NOT NULL AND NOT EXISTS (
            SELECT FROM unnest(b.event_days) AS d (day) WHERE d.day BETWEEN p.first_day AND p.last_day
        )) AS misplaced
    FROM counted AS c
    JOIN booked AS b USING (batch_id)
    JOIN pg_catalog.pg_class AS r ON r.oid = c.tableoid
    LEFT JOIN clickstream.event_partition AS p ON p.partition = r.relname
    GROUP BY 1
)
SELECT count(*), count(*) FILTER (
    WHERE coalesce(f.events, 0) > b.stored
        OR (coalesce(f.events, 0) < b.stored AND NOT b.expired)
        OR (f.events > 0 AND (NOT f.misplaced AND f.since >= b.min_event_time AND f.until <= b.max_event_time)
            IS NOT TRUE)
)
FROM booked AS b
LEFT JOIN found AS f USING (batch_id)
"""
# In constants: the planner then leaves out all other partitions.
_EVENT_IDS: LiteralString = """
SELECT
    (
        SELECT event_id_condition(range_agg(daterange(d.day, d.day + 1)))
        FROM clickstream.ingest_batch AS b
        CROSS JOIN LATERAL unnest(b.event_days) AS d (day)
        WHERE b.committed_at >= %(since)s
    ),
    event_id_condition(datemultirange(daterange((%(since)s AT TIME ZONE 'UTC')::date - 1, '3000-01-01')))
"""
_ORPHANS = """
SELECT count(*)
FROM clickstream.event AS e
WHERE (%(since)s::timestamptz IS NULL OR e.event_time >= %(since)s) AND ({event_ids})
    AND NOT EXISTS (SELECT FROM clickstream.ingest_batch AS b WHERE b.batch_id = e.batch_id)
"""
# Positions move on without a message where the topic holds markers, so there may be holes; never an offset twice.
_OFFSETS: LiteralString = """
SELECT count(*)
FROM (
    SELECT o.first_offset < lag(o.next_offset) OVER (PARTITION BY b.topic, o.partition ORDER BY b.batch_id)
        OR (b.received > 0 AND o.next_offset < o.first_offset) AS is_off
    FROM clickstream.ingest_batch AS b
    CROSS JOIN LATERAL unnest(b.partitions, b.first_offsets, b.next_offsets) AS o (partition, first_offset, next_offset)
    WHERE %(since)s::timestamptz IS NULL OR b.committed_at >= %(since)s
    UNION ALL
    SELECT b.received > (
        SELECT sum(o.next_offset - o.first_offset)
        FROM unnest(b.first_offsets, b.next_offsets) AS o (first_offset, next_offset)
    )
    FROM clickstream.ingest_batch AS b
    WHERE cardinality(b.partitions) > 0 AND (%(since)s::timestamptz IS NULL OR b.committed_at >= %(since)s)
        AND b.received > 0
) AS claim
WHERE is_off
"""
_BALANCE: LiteralString = """
SELECT count(*), count(*) FILTER (
    WHERE o.received <> o.stored + o.duplicate + o.dead
        OR o.next_offset < (
            SELECT l.next_offset
            FROM clickstream.ingest_batch AS b
            CROSS JOIN LATERAL unnest(b.partitions, b.next_offsets) AS l (partition, next_offset)
            WHERE b.topic = o.topic AND l.partition = o.partition
            ORDER BY b.batch_id DESC
            LIMIT 1
        )
)
FROM clickstream.partition_offset AS o
"""
# Counters of a topic for which positions and ledger say something else.
_TOTALS: LiteralString = """
WITH entry AS (
    SELECT topic, received, stored, duplicate, dead, lost FROM clickstream.partition_offset
    UNION ALL
    SELECT topic, -sum(received), -sum(stored), -sum(duplicate), -sum(dead), -sum(lost)
    FROM clickstream.ingest_batch
    WHERE cardinality(partitions) > 0
    GROUP BY topic
    UNION ALL
    SELECT topic, -received, -stored, -duplicate, -dead, -lost FROM clickstream.ledger_carried
),
total AS (
    SELECT sum(received) AS received, sum(stored) AS stored, sum(duplicate) AS duplicate, sum(dead) AS dead,
        sum(lost) AS lost
    FROM entry
    GROUP BY topic
)
SELECT count(*)
FROM total AS t
CROSS JOIN LATERAL (VALUES (t.received), (t.stored), (t.duplicate), (t.dead), (t.lost)) AS c (n)
WHERE c.n <> 0
"""
# Each batch: as many letters as it says, less those past their time, each of an offset that was the batch's.
_LETTERS: LiteralString = """
WITH kept AS (
    SELECT d.batch_id, count(*) AS letters, count(*) FILTER (
        WHERE NOT EXISTS (
            SELECT
            FROM unnest(b.partitions, b.first_offsets, b.next_offsets) AS o (partition, first_offset, next_offset)
            WHERE b.topic = d.topic AND o.partition = d.partition
                AND d.message_offset >= o.first_offset AND d.message_offset < o.next_offset
        )
    ) AS foreign_to_batch
    FROM clickstream.dead_letter AS d
    JOIN clickstream.ingest_batch AS b USING (batch_id)
    WHERE cardinality(b.partitions) > 0
    GROUP BY 1
)
SELECT count(*), count(*) FILTER (
    WHERE coalesce(k.letters, 0) + b.letters_expired <> b.dead OR k.foreign_to_batch > 0
)
FROM clickstream.ingest_batch AS b
LEFT JOIN kept AS k USING (batch_id)
WHERE cardinality(b.partitions) > 0 AND (b.dead > 0 OR b.letters_expired > 0 OR k.letters > 0)
"""
_OLD_LETTERS: LiteralString = """
WITH entry (topic, letters, carried) AS (
    SELECT d.topic, 1, 0
    FROM clickstream.dead_letter AS d
    WHERE NOT EXISTS (SELECT FROM clickstream.ingest_batch AS b WHERE b.batch_id = d.batch_id)
    UNION ALL
    SELECT topic, 0, letters FROM clickstream.ledger_carried
)
SELECT count(*) FROM (SELECT FROM entry GROUP BY topic HAVING sum(letters) <> sum(carried)) AS off
"""


def ledger(connection: Connection, since: datetime | None) -> tuple[int, int]:
    """Batches committed, and events, from `since` on: how many were looked at, how many things are off."""
    of_batches, young = ("true", "true") if since is None else _event_ids(connection, since)
    given = {"since": since}
    batches, odd = connection.execute(_EVENTS.format(event_ids=of_batches).encode(), given).fetchone() or (0, 0)
    orphans = connection.execute(_ORPHANS.format(event_ids=young).encode(), given).fetchone() or (0,)
    return batches, odd + orphans[0] + _one(connection, _OFFSETS, since)


def _event_ids(connection: Connection, since: datetime) -> tuple[str, str]:
    """Conditions for the events of the batches committed since then, and for those that are no older."""
    row = connection.execute(_EVENT_IDS, {"since": since}).fetchone()
    return row or ("true", "true")


def positions(connection: Connection) -> tuple[int, int]:
    """Partitions: how many there are, how many counters are off."""
    partitions, odd = connection.execute(_BALANCE).fetchone() or (0, 0)
    return partitions, odd + _one(connection, _TOTALS)


def dead_letters(connection: Connection) -> tuple[int, int]:
    """Batches with dead letters: how many there are, how many things are off."""
    batches, odd = connection.execute(_LETTERS).fetchone() or (0, 0)
    return batches, odd + _one(connection, _OLD_LETTERS)


def _one(connection: Connection, statement: LiteralString, since: datetime | None = None) -> int:
    row = connection.execute(statement, {"since": since}).fetchone()
    return int(row[0]) if row else 0
