-- The pipeline itself, for dashboards; the rollups' live views are generated beside these.
CREATE VIEW reporting.partition_offset AS
SELECT topic, partition, next_offset, high_watermark, received, stored, duplicate, dead, lost,
    received - stored - duplicate - dead AS imbalance,
    greatest(high_watermark - next_offset, 0) AS lag_messages, updated_at
FROM partition_offset;

CREATE VIEW reporting.ingest_batch AS
SELECT * FROM ingest_batch;

-- Without the raw bytes: they may hold what nobody should see on a dashboard.
CREATE VIEW reporting.dead_letter AS
SELECT dead_letter_id, batch_id, topic, partition, message_offset, produced_at, failed_at, reason, message,
    octet_length(value) AS value_bytes, replay_of, replays, replayed_at
FROM dead_letter;

CREATE VIEW reporting.aggregator_run AS
SELECT * FROM aggregator_run;

CREATE VIEW reporting.verification AS
SELECT * FROM verification;

CREATE VIEW reporting.event_partition AS
SELECT * FROM event_partition;
