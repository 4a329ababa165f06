CREATE OR REPLACE FUNCTION event_partition_bound(day date) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT
RETURN rpad(lpad(to_hex((extract(epoch FROM day::timestamp) * 1000)::bigint), 12, '0'), 32, '0')::uuid;

-- The UTC day that an id was made on: that of its partition, whoever made it.
CREATE OR REPLACE FUNCTION event_day(event_id uuid) RETURNS date
LANGUAGE sql IMMUTABLE STRICT
RETURN date '1970-01-01'
    + (('x' || left(replace(event_id::text, '-', ''), 12))::bit(48)::bigint / 86400000)::integer;

-- The lower and upper bound of a partition by range of event_id; null where there is none, as in a default partition.
-- Text is split rather than matched: with thousands of partitions, regular expressions took most of the time.
CREATE OR REPLACE FUNCTION event_partition_bounds(partition oid, OUT low uuid, OUT high uuid)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT
        CASE WHEN b.bounds LIKE 'FOR VALUES FROM (''%' THEN split_part(b.bounds, '''', 2)::uuid END,
        CASE WHEN b.bounds LIKE '% TO (''%'')' THEN split_part(split_part(b.bounds, ' TO (''', 2), '''', 1)::uuid END
    FROM (SELECT pg_get_expr(c.relpartbound, c.oid) AS bounds FROM pg_class AS c WHERE c.oid = partition) AS b;
END;

-- What no partition of a parent covers, whoever made them, of a range of ids.
CREATE OR REPLACE FUNCTION event_partition_gap(parent regclass, first uuid, past_last uuid)
RETURNS TABLE (low uuid, high uuid)
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH taken (low, high) AS (
        SELECT greatest(coalesce(b.low, first), first), least(coalesce(b.high, past_last), past_last)
        FROM pg_inherits AS i
        JOIN pg_class AS c ON c.oid = i.inhrelid
        CROSS JOIN LATERAL event_partition_bounds(c.oid) AS b
        WHERE i.inhparent = parent AND pg_get_expr(c.relpartbound, c.oid) <> 'DEFAULT'
            AND coalesce(b.low < past_last, true) AND coalesce(b.high > first, true)
        UNION ALL
        SELECT first, first
        UNION ALL
        SELECT past_last, past_last
    )
    SELECT t.past, t.next
    FROM (SELECT high AS past, lead(low) OVER (ORDER BY low, high) AS next FROM taken) AS t
    WHERE t.past < t.next;
END;

-- A new partition takes over what its parent has, whoever added it; else it could not be attached. Attaching blocks
-- neither readers nor writers, as CREATE TABLE … PARTITION OF would. Without n_distinct the planner scans whole small
-- partitions for the pending tail.
CREATE OR REPLACE FUNCTION attach_event_partition(
    parent regclass, partition text, first uuid, past_last uuid, is_parent boolean
) RETURNS boolean
LANGUAGE plpgsql SET search_path = clickstream, pg_temp
AS $$
DECLARE
    tablespace text := (SELECT ' TABLESPACE ' || quote_ident(t.spcname) FROM pg_class AS c
                        JOIN pg_tablespace AS t ON t.oid = c.reltablespace WHERE c.oid = 'event'::regclass);
    name text := partition;
    number integer := 1;
BEGIN
    WHILE to_regclass(format('clickstream.%I', name)) IS NOT NULL LOOP
        name := format('%s_%s', partition, number);
        number := number + 1;
    END LOOP;
    EXECUTE format('CREATE TABLE clickstream.%I (LIKE clickstream.event INCLUDING DEFAULTS INCLUDING CONSTRAINTS '
                   'INCLUDING GENERATED INCLUDING STORAGE INCLUDING COMPRESSION INCLUDING STATISTICS)%s%s',
                   name, CASE WHEN is_parent THEN ' PARTITION BY RANGE (event_id)' END, tablespace);
    IF NOT is_parent THEN
        EXECUTE format('ALTER TABLE clickstream.%I ALTER COLUMN batch_id SET (n_distinct = -0.001)', name);
    END IF;
    EXECUTE format('ALTER TABLE %s ATTACH PARTITION clickstream.%I FOR VALUES FROM (%L) TO (%L)',
                   parent, name, first, past_last);
    RETURN true;
EXCEPTION WHEN check_violation THEN  -- a default partition of someone's own holds events of that time
    RETURN false;
END
$$;

-- Makes room for a day's events where it lacks; true if it did. A day of the last two months, or of as many days as
-- clickstream.day_partition_days says, has a partition of its own, below one of its month: so that neither has many
-- beside it. What is older by then comes from a replay, and is seldom dense: its months share one, and before three
-- years ago, its years. Where somebody's own partition covers a part, under whatever name, the rest gets one.
CREATE OR REPLACE FUNCTION create_event_partition(day date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = clickstream, pg_temp
AS $$
DECLARE
    today date := (now() AT TIME ZONE 'UTC')::date;
    own_days integer := coalesce(nullif(current_setting('clickstream.day_partition_days', true), '')::integer, 62);
    unit text := CASE
        WHEN date_trunc('year', day::timestamp) + '1 year'::interval > today - greatest(own_days, 1100) THEN 'month'
        ELSE 'year'
    END;
    since date := date_trunc(unit, day::timestamp)::date;
    until date := (date_trunc(unit, day::timestamp) + ('1 ' || unit)::interval)::date;
    first uuid;
    past_last uuid;
    gap record;
    created boolean := false;
BEGIN
    IF (day BETWEEN '2000-01-01' AND today + 400) IS NOT TRUE THEN
        RAISE EXCEPTION 'no events are stored of %: days from 2000-01-01 to a year ahead can be', day
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    first := event_partition_bound(day);
    past_last := event_partition_bound(day + 1);
    LOCK TABLE clickstream.event_partition_lock IN EXCLUSIVE MODE;
    IF EXISTS (SELECT FROM event_partition_gap('event', first, past_last)) THEN
        FOR gap IN SELECT * FROM event_partition_gap('event', event_partition_bound(since), event_partition_bound(until))
        LOOP
            created := attach_event_partition(
                'event', 'event_' || to_char(day, CASE unit WHEN 'month' THEN 'YYYYMM' ELSE 'YYYY' END),
                gap.low, gap.high, unit = 'month' AND until > today - own_days
            ) OR created;
        END LOOP;
        -- Where a default partition of someone's own holds events of that month or year: the day alone.
        FOR gap IN SELECT * FROM event_partition_gap('event', first, past_last) LOOP
            created := attach_event_partition(
                'event', 'event_' || to_char(day, 'YYYYMMDD'), gap.low, gap.high, false
            ) OR created;
        END LOOP;
    END IF;
    FOR gap IN
        SELECT c.oid::regclass AS parent, g.low, g.high
        FROM pg_inherits AS i
        JOIN pg_class AS c ON c.oid = i.inhrelid AND c.relkind = 'p'
        CROSS JOIN LATERAL event_partition_bounds(c.oid) AS b
        CROSS JOIN LATERAL event_partition_gap(c.oid, greatest(b.low, first), least(b.high, past_last)) AS g
        WHERE i.inhparent = 'event'::regclass AND b.low < past_last AND b.high > first
    LOOP
        created := attach_event_partition(gap.parent, 'event_' || to_char(day, 'YYYYMMDD'), gap.low, gap.high, false)
            OR created;
    END LOOP;
    RETURN created;
END
$$;

-- Drops the partition that holds a day's raw events, with the other days in it if it has more, and remembers them all.
-- Where somebody's own partition leaves several, that begin and end within the day: those that end with it. False where it is not there, or an event of it is not rolled up yet. Gives up after three seconds rather than queue
-- everyone behind it, and at once while a rebuild reads the raw events.
CREATE OR REPLACE FUNCTION drop_event_partition(day date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = clickstream, pg_temp SET lock_timeout = '3s'
AS $$
DECLARE
    youngest constant date := (now() AT TIME ZONE 'UTC')::date - 2;
    partitions regclass[];
    parents regclass[];
    dropped_days date[];
    parent regclass;
    is_pending boolean;
BEGIN
    IF (day <= youngest) IS NOT TRUE THEN
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
    WITH holding AS (
        SELECT p.partition, p.first_day, p.last_day
        FROM event_partition AS p
        WHERE drop_event_partition.day BETWEEN p.first_day AND p.last_day
    ),
    chosen AS (
        SELECT h.partition, h.first_day, h.last_day
        FROM holding AS h
        WHERE h.last_day = drop_event_partition.day
            OR NOT EXISTS (SELECT FROM holding AS o WHERE o.last_day = drop_event_partition.day)
    )
    SELECT array_agg(c.oid::regclass ORDER BY c.oid), array_agg(DISTINCT i.inhparent::regclass),
        array(
            SELECT DISTINCT d.first_day + n
            FROM chosen AS d
            CROSS JOIN LATERAL generate_series(0, d.last_day - d.first_day) AS n
            WHERE NOT EXISTS (
                SELECT
                FROM event_partition AS l
                WHERE d.first_day + n BETWEEN l.first_day AND l.last_day
                    AND l.partition NOT IN (SELECT k.partition FROM chosen AS k)
            )
        )
    INTO partitions, parents, dropped_days
    FROM chosen AS p
    JOIN pg_class AS c ON c.relname = p.partition AND c.relnamespace = 'clickstream'::regnamespace
    JOIN pg_inherits AS i ON i.inhrelid = c.oid;
    IF partitions IS NULL THEN
        RETURN false;
    END IF;
    IF youngest < ANY (dropped_days) THEN
        RAISE EXCEPTION 'the raw events of % share a partition with days too young to be dropped', day
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- Parents first, as everybody locks them. Whoever stores events now is waited for: what is pending is known then.
    LOCK TABLE ONLY clickstream.event IN ACCESS EXCLUSIVE MODE;
    FOR n IN 1..cardinality(parents) LOOP
        EXECUTE format('LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE', parents[n]);
    END LOOP;
    FOR n IN 1..cardinality(partitions) LOOP
        EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', partitions[n]);
        EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE batch_id = ANY '
                       '(ARRAY(SELECT b.batch_id FROM clickstream.ingest_batch AS b WHERE NOT b.rolled_up)))',
                       partitions[n]) INTO is_pending;
        IF is_pending THEN
            RETURN false;
        END IF;
    END LOOP;
    FOR n IN 1..cardinality(partitions) LOOP
        parent := (SELECT i.inhparent FROM pg_inherits AS i WHERE i.inhrelid = partitions[n]);
        EXECUTE format('ALTER TABLE %s DETACH PARTITION %s', parent, partitions[n]);
        EXECUTE format('DROP TABLE %s', partitions[n]);
        IF parent <> 'event'::regclass AND NOT EXISTS (SELECT FROM pg_inherits WHERE inhparent = parent) THEN
            EXECUTE format('ALTER TABLE clickstream.event DETACH PARTITION %s', parent);
            EXECUTE format('DROP TABLE %s', parent);
        END IF;
    END LOOP;
    INSERT INTO expired_day (day) SELECT unnest(dropped_days) ON CONFLICT DO NOTHING;
    RETURN true;
END
$$;

CREATE OR REPLACE FUNCTION analyze_relation(relation regclass) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = clickstream, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_class WHERE oid = relation AND relnamespace = 'clickstream'::regnamespace) THEN
        RAISE EXCEPTION '% is not a relation of schema clickstream', relation;
    END IF;
    EXECUTE format('ANALYZE %s', relation);
END
$$;

-- Its size, looked up last: the cost keeps the planner from asking for that of rows that a LIMIT leaves out.
CREATE OR REPLACE FUNCTION partition_size_bytes(partition oid) RETURNS bigint
LANGUAGE plpgsql STABLE COST 100000
AS $$
BEGIN
    RETURN pg_total_relation_size(partition);
END
$$;

-- The partitions that hold raw events, and of which days; one of someone's own is left out. The days are those of the
-- bounds: the planner may evaluate an expression on every relation there is before it looks which are partitions, so
-- what is within OFFSET 0 can't fail on any.
CREATE OR REPLACE VIEW event_partition AS
SELECT d.partition, d.first_day, d.last_day, partition_size_bytes(d.oid) AS size_bytes, d.estimated_events
FROM (
    SELECT
        p.oid,
        p.partition,
        event_day(split_part(p.bounds, '''', 2)::uuid) AS first_day,
        date '1970-01-01' + (
            (('x' || left(replace(split_part(p.bounds, '''', 4), '-', ''), 12))::bit(48)::bigint - 1) / 86400000
        )::integer AS last_day,
        p.estimated_events
    FROM (
        SELECT
            c.oid,
            c.relname AS partition,
            pg_get_expr(c.relpartbound, c.oid) AS bounds,
            greatest(c.reltuples, 0)::bigint AS estimated_events
        FROM pg_inherits AS i
        JOIN pg_class AS c ON c.oid = i.inhrelid AND c.relkind = 'r'
        WHERE i.inhparent = 'clickstream.event'::regclass
            OR i.inhparent IN (SELECT m.inhrelid FROM pg_inherits AS m WHERE m.inhparent = 'clickstream.event'::regclass)
        OFFSET 0
    ) AS p
    WHERE p.bounds LIKE 'FOR VALUES FROM (''%'') TO (''%'')'
    OFFSET 0
) AS d
WHERE split_part(d.partition::text, '_', 1) = 'event'
    AND split_part(d.partition::text, '_', 2)
        IN (to_char(d.first_day, 'YYYYMMDD'), to_char(d.first_day, 'YYYYMM'), to_char(d.first_day, 'YYYY'))
    AND ltrim(split_part(d.partition::text, '_', 3), '0123456789') = ''
    AND split_part(d.partition::text, '_', 4) = '';

-- A condition on event_id for events of these days, in constants, so that the planner looks at no other partition and
-- locks none. Of very many days apart, their hull: longer conditions would take longer than they save.
CREATE OR REPLACE FUNCTION event_id_condition(days datemultirange) RETURNS text
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT coalesce(
        string_agg(
            format(
                '(event_id >= %L AND event_id < %L)',
                event_partition_bound(lower(d)),
                event_partition_bound(upper(d))
            ),
            ' OR ' ORDER BY d
        ),
        'false'
    )
    FROM unnest(CASE
        WHEN (SELECT count(*) FROM unnest(days)) > 50 THEN datemultirange(range_merge(days))
        ELSE days
    END) AS d;
END;
