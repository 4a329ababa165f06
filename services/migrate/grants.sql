-- Who may do what: run after every migration, so that new relations are covered.
GRANT USAGE ON SCHEMA clickstream TO clickstream_ingest, clickstream_aggregate;
GRANT USAGE ON SCHEMA reporting TO clickstream_ingest, clickstream_aggregate, grafana_reader;

GRANT SELECT ON ALL TABLES IN SCHEMA reporting TO clickstream_ingest, clickstream_aggregate, grafana_reader;

-- The consumer: adds events and its books, never changes an event.
GRANT SELECT, INSERT ON event, ingest_batch TO clickstream_ingest;
GRANT SELECT, INSERT, UPDATE ON partition_offset, dead_letter TO clickstream_ingest;
GRANT USAGE ON SEQUENCE ingest_batch_batch_id_seq TO clickstream_ingest;
GRANT SELECT ON schema_migration TO clickstream_ingest, clickstream_aggregate;

-- The aggregator: reads events, writes everything else.
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA clickstream TO clickstream_aggregate;
REVOKE INSERT, UPDATE, DELETE ON event, schema_migration FROM clickstream_aggregate;
DO $$
DECLARE
    partition regclass;
BEGIN
    FOR partition IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'event'::regclass LOOP
        EXECUTE format('REVOKE ALL ON %s FROM clickstream_aggregate', partition);
    END LOOP;
END
$$;

REVOKE EXECUTE ON FUNCTION create_event_partition, attach_event_partition, drop_event_partition, analyze_relation,
    skip_used_ids FROM PUBLIC;
GRANT EXECUTE ON FUNCTION create_event_partition, skip_used_ids TO clickstream_ingest, clickstream_aggregate;
GRANT EXECUTE ON FUNCTION drop_event_partition, analyze_relation TO clickstream_aggregate;

-- What is past its time goes by functions that look first, and carry its sums forward.
REVOKE INSERT, DELETE ON ingest_batch, dead_letter FROM clickstream_aggregate;
REVOKE INSERT, UPDATE, DELETE ON partition_offset, ledger_carried, expired_day FROM clickstream_aggregate;
REVOKE EXECUTE ON FUNCTION expire_ledger, expire_dead_letters, restore_ledger, read_again FROM PUBLIC;
GRANT EXECUTE ON FUNCTION expire_ledger, expire_dead_letters, restore_ledger TO clickstream_aggregate;
