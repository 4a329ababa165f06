-- Every event, once. A day partition is a range of event_id: a UUIDv7 begins with the time it was made,
-- so a primary key on event_id alone works, and an event resent with another event_time is still the same event.
CREATE TABLE event (
    event_id     uuid        NOT NULL,
    session_id   uuid        NOT NULL,
    event_time   timestamptz NOT NULL,
    batch_id     bigint      NOT NULL,
    quantity     integer,
    event_type   text COLLATE "C" NOT NULL,
    visitor_id   text COLLATE "C" NOT NULL,
    page_path    text COLLATE "C" NOT NULL,
    device_type  text COLLATE "C" NOT NULL,
    user_id      text COLLATE "C",
    page_url     text COLLATE "C",
    page_title   text COLLATE "C",
    referrer     text COLLATE "C",
    utm_source   text COLLATE "C",
    utm_medium   text COLLATE "C",
    utm_campaign text COLLATE "C",
    os           text COLLATE "C",
    browser      text COLLATE "C",
    country      text COLLATE "C",
    city         text COLLATE "C",
    element      text COLLATE "C",
    product_id   text COLLATE "C",
    value        numeric,
    currency     text COLLATE "C",
    properties   jsonb,
    PRIMARY KEY (event_id)
) PARTITION BY RANGE (event_id);

COMMENT ON COLUMN event.batch_id IS 'the batch of ingest_batch that stored it: the only lineage column';

-- In a session's order of time: what lies beside an event is one look away, however long the session.
CREATE INDEX event_session_id ON event (session_id, event_time, event_id);
CREATE INDEX event_batch_id ON event (batch_id);
CREATE INDEX event_event_time ON event USING brin (event_time);

-- Days whose raw events were dropped: their rollups can no longer be rebuilt.
CREATE TABLE expired_day (
    day        date        PRIMARY KEY,
    expired_at timestamptz NOT NULL DEFAULT now()
);

-- Locks, for LOCK TABLE: one table for each thing that only one session may do at a time. They stay empty. Locking one
-- needs rights on it, where an advisory lock is anybody's who may log in; it holds back neither readers nor vacuum.
CREATE TABLE event_partition_lock ();
CREATE TABLE pass_lock ();
CREATE TABLE rebuild_lock ();

CREATE FUNCTION event_partition_bound(day date) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT
RETURN rpad(lpad(to_hex((extract(epoch FROM day::timestamp) * 1000)::bigint), 12, '0'), 32, '0')::uuid;

-- Makes a day's partition where it lacks; true if it did. Attaching blocks neither readers nor writers, as
-- CREATE TABLE … PARTITION OF would. Without n_distinct the planner scans whole small partitions for the pending tail.
CREATE FUNCTION create_event_partition(day date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = clickstream, pg_temp
AS $$
DECLARE
    partition text := 'event_' || to_char(day, 'YYYYMMDD');
BEGIN
    LOCK TABLE clickstream.event_partition_lock IN EXCLUSIVE MODE;
    IF to_regclass(format('clickstream.%I', partition)) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE clickstream.%I (LIKE clickstream.event INCLUDING DEFAULTS)', partition);
    EXECUTE format('ALTER TABLE clickstream.%I ALTER COLUMN batch_id SET (n_distinct = -0.001)', partition);
    EXECUTE format('ALTER TABLE clickstream.event ATTACH PARTITION clickstream.%I FOR VALUES FROM (%L) TO (%L)',
                   partition, event_partition_bound(day), event_partition_bound(day + 1));
    RETURN true;
END
$$;

-- Drops a day's raw events and remembers the day; false where it is not there, or an event of it is not rolled up yet.
-- Gives up after three seconds rather than queue everyone behind it, and at once while a rebuild reads the raw events.
CREATE FUNCTION drop_event_partition(day date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = clickstream, pg_temp SET lock_timeout = '3s'
AS $$
DECLARE
    partition text := 'event_' || to_char(day, 'YYYYMMDD');
    is_pending boolean;
BEGIN
    BEGIN
        LOCK TABLE clickstream.rebuild_lock IN ROW SHARE MODE NOWAIT;
    EXCEPTION WHEN lock_not_available THEN
        RAISE EXCEPTION 'a rebuild, or a migration, needs the raw events of %: drop them when it is done', day
            USING ERRCODE = 'lock_not_available';
    END;
    LOCK TABLE clickstream.event_partition_lock IN EXCLUSIVE MODE;
    IF to_regclass(format('clickstream.%I', partition)) IS NULL THEN
        RETURN false;
    END IF;
    -- Whoever stores events of this day now is waited for: what is pending is known only then.
    EXECUTE format('LOCK TABLE clickstream.%I IN ACCESS EXCLUSIVE MODE', partition);
    EXECUTE format('SELECT EXISTS (SELECT FROM clickstream.%I WHERE batch_id = ANY '
                   '(ARRAY(SELECT b.batch_id FROM clickstream.ingest_batch AS b WHERE NOT b.rolled_up)))',
                   partition) INTO is_pending;
    IF is_pending THEN
        RETURN false;
    END IF;
    EXECUTE format('ALTER TABLE clickstream.event DETACH PARTITION clickstream.%I', partition);
    EXECUTE format('DROP TABLE clickstream.%I', partition);
    INSERT INTO expired_day (day) VALUES (drop_event_partition.day) ON CONFLICT DO NOTHING;
    RETURN true;
END
$$;

CREATE FUNCTION analyze_relation(relation regclass) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = clickstream, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_class WHERE oid = relation AND relnamespace = 'clickstream'::regnamespace) THEN
        RAISE EXCEPTION '% is not a relation of schema clickstream', relation;
    END IF;
    EXECUTE format('ANALYZE %s', relation);
END
$$;

-- The partitions and their days.
CREATE VIEW event_partition AS
SELECT
    c.relname AS partition,
    to_date(right(c.relname, 8), 'YYYYMMDD') AS day,
    pg_total_relation_size(c.oid) AS size_bytes,
    greatest(c.reltuples, 0)::bigint AS estimated_events
FROM pg_inherits AS i
JOIN pg_class AS c ON c.oid = i.inhrelid
WHERE i.inhparent = 'clickstream.event'::regclass;
