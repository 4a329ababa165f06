-- Who may do what: run after every migration, so that new relations are covered. What a role may not do by this file it
-- may not do at all, whatever an earlier version gave it.
GRANT USAGE ON SCHEMA clickstream TO clickstream_ingest, clickstream_aggregate;
GRANT USAGE ON SCHEMA reporting TO clickstream_ingest, clickstream_aggregate, grafana_reader;

GRANT SELECT ON ALL TABLES IN SCHEMA reporting TO clickstream_ingest, clickstream_aggregate, grafana_reader;

-- The aggregator reads all and writes rollups; a day's partition only by way of `event`, as those made later. One that
-- was never granted is passed over: it may be dropped at this moment.
DO $$
DECLARE
    relation regclass;
    is_partition boolean;
    is_rollup boolean;
BEGIN
    FOR relation, is_partition, is_rollup IN
        SELECT c.oid, c.relispartition, EXISTS (
            SELECT FROM pg_class AS v
            WHERE v.relnamespace = c.relnamespace AND v.relname = c.relname || '_pending' AND v.relkind = 'v'
        )
        FROM pg_class AS c
        WHERE c.relnamespace = 'clickstream'::regnamespace AND c.relkind IN ('r', 'p', 'v')
            AND pg_has_role(c.relowner, 'USAGE') AND c.relname NOT LIKE '%\_lock'
            AND (NOT c.relispartition OR c.relacl::text ~ 'clickstream_(ingest|aggregate)=')
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM clickstream_ingest, clickstream_aggregate', relation);
        IF NOT is_partition THEN
            EXECUTE format('GRANT SELECT ON %s TO clickstream_aggregate', relation);
        END IF;
        IF is_rollup THEN
            EXECUTE format('GRANT INSERT, UPDATE, DELETE ON %s TO clickstream_aggregate', relation);
        END IF;
    END LOOP;
END
$$;
GRANT UPDATE (rolled_up) ON ingest_batch TO clickstream_aggregate;
-- A grant waits for whoever holds a lock table: only where it lacks.
DO $$
BEGIN
    IF NOT has_table_privilege('clickstream_aggregate', 'pass_lock', 'UPDATE')
        OR NOT has_table_privilege('clickstream_aggregate', 'rebuild_lock', 'UPDATE') THEN
        GRANT UPDATE ON pass_lock, rebuild_lock TO clickstream_aggregate;
    END IF;
END
$$;
GRANT INSERT, UPDATE, DELETE ON aggregator_run, verification, ingest_minute, database_size_hour TO clickstream_aggregate;
GRANT INSERT, UPDATE ON rollup_horizon TO clickstream_aggregate;
GRANT INSERT ON rollup_filled TO clickstream_aggregate;

-- The consumer: adds events and its books, never changes an event.
GRANT SELECT, INSERT ON event, ingest_batch TO clickstream_ingest;
GRANT SELECT, INSERT, UPDATE ON partition_offset TO clickstream_ingest;
GRANT SELECT, INSERT, UPDATE (replays, replayed_at) ON dead_letter TO clickstream_ingest;
GRANT USAGE ON SEQUENCE ingest_batch_batch_id_seq TO clickstream_ingest;
GRANT SELECT ON schema_migration TO clickstream_ingest;

-- What runs with the owner's rights is for those who are named here.
DO $$
DECLARE
    definer regprocedure;
BEGIN
    FOR definer IN
        SELECT oid FROM pg_proc
        WHERE pronamespace = 'clickstream'::regnamespace AND prosecdef AND pg_has_role(proowner, 'USAGE')
    LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC, clickstream_ingest, clickstream_aggregate', definer);
    END LOOP;
END
$$;
REVOKE EXECUTE ON FUNCTION attach_event_partition, skip_used_ids, read_again FROM PUBLIC;
GRANT EXECUTE ON FUNCTION create_event_partition, skip_used_ids TO clickstream_ingest, clickstream_aggregate;
GRANT EXECUTE ON FUNCTION drop_event_partition, analyze_relation, expire_ledger, expire_dead_letters, restore_ledger
    TO clickstream_aggregate;
GRANT EXECUTE ON FUNCTION ingest_minute_horizon TO clickstream_ingest, clickstream_aggregate, grafana_reader;
