-- Every event, once. A day partition is a range of event_id: a UUIDv7 begins with the time it was made,
-- so a primary key on event_id alone works, and an event resent with another event_time is still the same event.
CREATE TABLE event (
    event_id     uuid        NOT NULL,
    session_id   uuid        NOT NULL,
    event_time   timestamptz NOT NULL,
    batch_id     bigint      NOT NULL,
    quantity     integer,
    event_type   text        NOT NULL,
    visitor_id   text        NOT NULL,
    page_path    text        NOT NULL,
    device_type  text        NOT NULL,
    user_id      text,
    page_url     text,
    page_title   text,
    referrer     text,
    utm_source   text,
    utm_medium   text,
    utm_campaign text,
    os           text,
    browser      text,
    country      text,
    city         text,
    element      text,
    product_id   text,
    value        numeric,
    currency     text,
    properties   jsonb,
    PRIMARY KEY (event_id)
) PARTITION BY RANGE (event_id);

COMMENT ON COLUMN event.batch_id IS 'the batch of ingest_batch that stored it: the only lineage column';

CREATE INDEX event_session_id ON event (session_id);
CREATE INDEX event_batch_id ON event (batch_id);
CREATE INDEX event_event_time ON event USING brin (event_time);

-- Days whose raw events were dropped: their rollups can no longer be rebuilt.
CREATE TABLE expired_day (
    day        date        PRIMARY KEY,
    expired_at timestamptz NOT NULL DEFAULT now()
);

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
    IF (day BETWEEN '2000-01-01' AND (now() AT TIME ZONE 'UTC')::date + 400) IS NOT TRUE THEN
        RAISE EXCEPTION 'no events are stored of %: days from 2000-01-01 to a year ahead can be', day
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('clickstream.event partitions'));
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

-- Drops a day's raw events and remembers the day; gives up after three seconds rather than queue everyone behind it.
CREATE FUNCTION drop_event_partition(day date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = clickstream, pg_temp SET lock_timeout = '3s'
AS $$
DECLARE
    partition text := 'event_' || to_char(day, 'YYYYMMDD');
BEGIN
    IF (day < (now() AT TIME ZONE 'UTC')::date - 1) IS NOT TRUE THEN
        RAISE EXCEPTION 'the raw events of % are too young to be dropped: only days before yesterday can be', day
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('clickstream.event partitions'));
    EXECUTE format('ALTER TABLE clickstream.event DETACH PARTITION clickstream.%I', partition);
    EXECUTE format('DROP TABLE clickstream.%I', partition);
    INSERT INTO expired_day (day) VALUES (drop_event_partition.day) ON CONFLICT DO NOTHING;
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
