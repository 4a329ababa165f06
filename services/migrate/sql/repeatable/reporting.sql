-- The pipeline itself, for dashboards; the rollups' live views are generated beside these.
CREATE OR REPLACE VIEW reporting.partition_offset AS
SELECT topic, partition, next_offset, high_watermark, received, stored, duplicate, dead, lost,
    received - stored - duplicate - dead AS imbalance,
    greatest(high_watermark - next_offset, 0) AS lag_messages, updated_at
FROM partition_offset;

CREATE OR REPLACE VIEW reporting.ingest_batch AS
SELECT * FROM ingest_batch;

-- Without the raw bytes: they may hold what nobody should see on a dashboard.
CREATE OR REPLACE VIEW reporting.dead_letter AS
SELECT dead_letter_id, batch_id, topic, partition, message_offset, produced_at, failed_at, reason, message,
    octet_length(value) AS value_bytes, replay_of, replays, replayed_at
FROM dead_letter;

CREATE OR REPLACE VIEW reporting.aggregator_run AS
SELECT * FROM aggregator_run;

CREATE OR REPLACE VIEW reporting.verification AS
SELECT * FROM verification;

CREATE OR REPLACE VIEW reporting.event_partition AS
SELECT * FROM event_partition;

-- How large the database is, and how large it may get: the server setting clickstream.capacity_bytes, null if not set.
CREATE OR REPLACE VIEW reporting.database AS
SELECT
    current_database()::text AS name,
    pg_database_size(current_database()) AS size_bytes,
    nullif(current_setting('clickstream.capacity_bytes', true), '')::bigint AS capacity_bytes;

CREATE OR REPLACE FUNCTION note_database_size() RETURNS void
LANGUAGE sql
BEGIN ATOMIC
    INSERT INTO clickstream.database_size_hour (hour, size_bytes)
    VALUES (date_bin('1 hour', now(), 'epoch'::timestamptz), pg_database_size(current_database()))
    ON CONFLICT (hour) DO UPDATE SET size_bytes = excluded.size_bytes;
END;

CREATE OR REPLACE VIEW reporting.database_size_hour AS
SELECT * FROM database_size_hour;
