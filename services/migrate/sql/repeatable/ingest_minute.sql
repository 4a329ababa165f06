-- From here on minutes may still change.
CREATE OR REPLACE FUNCTION ingest_minute_horizon() RETURNS timestamptz
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = clickstream, pg_temp
RETURN (SELECT coalesce(max(minute) - interval '15 minutes', '-infinity') FROM clickstream.ingest_minute);

CREATE OR REPLACE VIEW ingest_minute_recent AS
SELECT
    date_bin('1 minute', b.committed_at, 'epoch'::timestamptz) AS minute,
    count(*) AS batches,
    sum(b.received) AS received,
    sum(b.stored) AS stored,
    sum(b.duplicate) AS duplicate,
    sum(b.dead) AS dead,
    sum(b.lost)::bigint AS lost,
    sum(b.bytes)::bigint AS bytes,
    sum(b.seconds::double precision) AS seconds,
    max((SELECT max(l.messages) FROM unnest(b.lag_messages) AS l (messages))) AS lag_messages,
    max(b.freshness_p50_seconds) AS freshness_p50_seconds,
    max(b.freshness_p95_seconds) AS freshness_p95_seconds,
    max(b.freshness_p99_seconds) AS freshness_p99_seconds
FROM ingest_batch AS b
WHERE b.committed_at >= (SELECT ingest_minute_horizon())
GROUP BY 1;

CREATE OR REPLACE FUNCTION sum_up_ledger() RETURNS void
LANGUAGE sql
BEGIN ATOMIC
    INSERT INTO clickstream.ingest_minute AS m
    SELECT * FROM clickstream.ingest_minute_recent
    ON CONFLICT (minute) DO UPDATE SET
        batches = excluded.batches,
        received = excluded.received,
        stored = excluded.stored,
        duplicate = excluded.duplicate,
        dead = excluded.dead,
        lost = excluded.lost,
        bytes = excluded.bytes,
        seconds = excluded.seconds,
        lag_messages = excluded.lag_messages,
        freshness_p50_seconds = excluded.freshness_p50_seconds,
        freshness_p95_seconds = excluded.freshness_p95_seconds,
        freshness_p99_seconds = excluded.freshness_p99_seconds;
END;

CREATE OR REPLACE VIEW reporting.ingest_minute AS
SELECT * FROM ingest_minute WHERE minute < (SELECT ingest_minute_horizon())
UNION ALL
SELECT * FROM ingest_minute_recent;
