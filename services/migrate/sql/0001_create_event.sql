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
    site         text COLLATE "C" NOT NULL,
    event_name   text COLLATE "C",
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
CREATE TABLE skip_used_ids_lock ();

CREATE FUNCTION event_partition_bound(day date) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT
RETURN rpad(lpad(to_hex((extract(epoch FROM day::timestamp) * 1000)::bigint), 12, '0'), 32, '0')::uuid;

-- The UTC day that an id was made on: that of its partition, whoever made it.
CREATE FUNCTION event_day(event_id uuid) RETURNS date
LANGUAGE sql IMMUTABLE STRICT
RETURN date '1970-01-01'
    + (('x' || left(replace(event_id::text, '-', ''), 12))::bit(48)::bigint / 86400000)::integer;

-- A new partition takes over what its parent has, whoever added it; else it could not be attached. Attaching blocks
-- neither readers nor writers, as CREATE TABLE … PARTITION OF would. Without n_distinct the planner scans whole small
-- partitions for the pending tail.
CREATE FUNCTION attach_event_partition(partition text, first uuid, past_last uuid) RETURNS boolean
LANGUAGE plpgsql SET search_path = clickstream, pg_temp
AS $$
DECLARE
    tablespace text := (SELECT ' TABLESPACE ' || quote_ident(t.spcname) FROM pg_class AS c
                        JOIN pg_tablespace AS t ON t.oid = c.reltablespace WHERE c.oid = 'event'::regclass);
BEGIN
    EXECUTE format('CREATE TABLE clickstream.%I (LIKE clickstream.event INCLUDING DEFAULTS INCLUDING CONSTRAINTS '
                   'INCLUDING GENERATED INCLUDING STORAGE INCLUDING COMPRESSION INCLUDING STATISTICS)%s',
                   partition, tablespace);
    EXECUTE format('ALTER TABLE clickstream.%I ALTER COLUMN batch_id SET (n_distinct = -0.001)', partition);
    EXECUTE format('ALTER TABLE clickstream.event ATTACH PARTITION clickstream.%I FOR VALUES FROM (%L) TO (%L)',
                   partition, first, past_last);
    RETURN true;
EXCEPTION WHEN check_violation THEN  -- a default partition of someone's own holds events of that time
    RETURN false;
END
$$;

-- Makes a day's partition where it lacks; true if it did. Where a partition of someone's own covers a part of the day,
-- under whatever name, the rest of the day gets one.
CREATE FUNCTION create_event_partition(day date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = clickstream, pg_temp
AS $$
DECLARE
    uuid_text constant text := '\(''([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})''\)';
    partition text := 'event_' || to_char(day, 'YYYYMMDD');
    first uuid;
    past_last uuid;
    taken record;
    created boolean := false;
    number integer := 1;
BEGIN
    IF (day BETWEEN '2000-01-01' AND (now() AT TIME ZONE 'UTC')::date + 400) IS NOT TRUE THEN
        RAISE EXCEPTION 'no events are stored of %: days from 2000-01-01 to a year ahead can be', day
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    first := event_partition_bound(day);
    past_last := event_partition_bound(day + 1);
    LOCK TABLE clickstream.event_partition_lock IN EXCLUSIVE MODE;
    FOR taken IN
        SELECT coalesce(p.low, first) AS low, coalesce(p.high, past_last) AS high
        FROM (
            SELECT pg_get_expr(c.relpartbound, c.oid) <> 'DEFAULT' AS is_range,
                substring(pg_get_expr(c.relpartbound, c.oid) FROM 'FROM ' || uuid_text)::uuid AS low,
                substring(pg_get_expr(c.relpartbound, c.oid) FROM 'TO ' || uuid_text)::uuid AS high
            FROM pg_inherits AS i
            JOIN pg_class AS c ON c.oid = i.inhrelid
            WHERE i.inhparent = 'event'::regclass
        ) AS p
        WHERE p.is_range AND coalesce(p.low < past_last, true) AND coalesce(p.high > first, true)
        UNION ALL
        SELECT past_last, past_last
        ORDER BY 1
    LOOP
        IF taken.low > first THEN
            WHILE to_regclass(format('clickstream.%I', partition)) IS NOT NULL LOOP
                partition := format('event_%s_%s', to_char(day, 'YYYYMMDD'), number);
                number := number + 1;
            END LOOP;
            created := attach_event_partition(partition, first, taken.low) OR created;
        END IF;
        first := greatest(first, taken.high);
    END LOOP;
    RETURN created;
END
$$;

-- Drops a day's raw events and remembers the day; false where it is not there, or an event of it is not rolled up yet.
-- Gives up after three seconds rather than queue everyone behind it, and at once while a rebuild reads the raw events.
CREATE FUNCTION drop_event_partition(day date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = clickstream, pg_temp SET lock_timeout = '3s'
AS $$
DECLARE
    partitions text[];
    partition text;
    is_pending boolean;
BEGIN
    IF (day < (now() AT TIME ZONE 'UTC')::date - 1) IS NOT TRUE THEN
        RAISE EXCEPTION 'the raw events of % are too young to be dropped: only days before yesterday can be', day
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    BEGIN
        LOCK TABLE clickstream.rebuild_lock IN ROW SHARE MODE NOWAIT;
    EXCEPTION WHEN lock_not_available THEN
        RAISE EXCEPTION 'a rebuild, or a migration, needs the raw events of %: drop them when it is done', day
            USING ERRCODE = 'lock_not_available';
    END;
    LOCK TABLE clickstream.event_partition_lock IN EXCLUSIVE MODE;
    partitions := ARRAY(SELECT p.partition FROM event_partition AS p WHERE p.day = drop_event_partition.day ORDER BY 1);
    IF cardinality(partitions) = 0 THEN
        RETURN false;
    END IF;
    -- The parent first, as everybody locks them. Whoever stores events now is waited for: what is pending is known then.
    LOCK TABLE ONLY clickstream.event IN ACCESS EXCLUSIVE MODE;
    FOREACH partition IN ARRAY partitions LOOP
        EXECUTE format('LOCK TABLE clickstream.%I IN ACCESS EXCLUSIVE MODE', partition);
        EXECUTE format('SELECT EXISTS (SELECT FROM clickstream.%I WHERE batch_id = ANY '
                       '(ARRAY(SELECT b.batch_id FROM clickstream.ingest_batch AS b WHERE NOT b.rolled_up)))',
                       partition) INTO is_pending;
        IF is_pending THEN
            RETURN false;
        END IF;
    END LOOP;
    FOREACH partition IN ARRAY partitions LOOP
        EXECUTE format('ALTER TABLE clickstream.event DETACH PARTITION clickstream.%I', partition);
        EXECUTE format('DROP TABLE clickstream.%I', partition);
    END LOOP;
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

-- The days and their partitions, nearly always one each; a partition of someone's own is left out. The day is that of its bound: the planner
-- may evaluate an expression on every relation there is before it looks which are partitions, so none here can fail.
CREATE VIEW event_partition AS
SELECT p.partition, p.day, p.size_bytes, p.estimated_events
FROM (
    SELECT
        c.relname AS partition,
        date '1970-01-01' + (
            ('x' || substring(pg_get_expr(c.relpartbound, c.oid) FROM '^FOR VALUES FROM \(''([0-9a-f]{8})-[0-9a-f]{4}-')
            || substring(pg_get_expr(c.relpartbound, c.oid) FROM '^FOR VALUES FROM \(''[0-9a-f]{8}-([0-9a-f]{4})-')
            )::bit(48)::bigint / 86400000
        )::integer AS day,
        pg_total_relation_size(c.oid) AS size_bytes,
        greatest(c.reltuples, 0)::bigint AS estimated_events
    FROM pg_inherits AS i
    JOIN pg_class AS c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'clickstream.event'::regclass
) AS p
WHERE p.partition ~ ('^event_' || to_char(p.day, 'YYYYMMDD') || '(_[0-9]+)?$');
