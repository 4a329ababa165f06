-- Deletes the ledger's oldest rows, up to the first that must stay: it is young, pending, or raw events of it may be
-- there. Only a beginning goes, so that what is left is without holes. A row that was restored has nothing to carry: its
-- sums were made to stand here when it was; but its letters now are without a row.
CREATE OR REPLACE FUNCTION expire_ledger(before timestamptz) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = clickstream, pg_temp
BEGIN ATOMIC
    WITH gone AS (
        DELETE FROM clickstream.ingest_batch
        WHERE batch_id < coalesce(
            (
                SELECT b.batch_id
                FROM clickstream.ingest_batch AS b
                WHERE b.committed_at >= before
                    OR NOT b.rolled_up
                    OR EXISTS (
                        SELECT
                        FROM unnest(b.event_days) AS d (day)
                        WHERE d.day <@ (
                            SELECT range_agg(daterange(p.first_day, p.last_day, '[]'))
                            FROM clickstream.event_partition AS p
                        )
                    )
                    OR (
                        EXISTS (  -- partitions of somebody's own, which no view of ours lists
                            SELECT
                            FROM pg_catalog.pg_inherits AS i
                            JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid
                            WHERE c.relkind <> 'p'
                                AND (
                                    i.inhparent = 'clickstream.event'::regclass
                                    OR i.inhparent IN (
                                        SELECT m.inhrelid
                                        FROM pg_catalog.pg_inherits AS m
                                        WHERE m.inhparent = 'clickstream.event'::regclass
                                    )
                                )
                                AND c.relname NOT IN (SELECT p.partition FROM clickstream.event_partition AS p)
                        )
                        AND EXISTS (SELECT FROM clickstream.event AS e WHERE e.batch_id = b.batch_id)
                    )
                ORDER BY b.batch_id
                LIMIT 1
            ),
            9223372036854775807
        )
        RETURNING batch_id, topic, partitions, received, stored, duplicate, dead, lost, letters_expired, event_days
    ),
    entry AS (
        SELECT topic, received, stored, duplicate, dead, lost, dead - letters_expired AS letters, event_days
        FROM gone
        WHERE cardinality(partitions) > 0
        UNION ALL
        SELECT topic, 0, 0, 0, 0, 0, 0, event_days
        FROM gone
        WHERE cardinality(partitions) = 0
        UNION ALL
        SELECT d.topic, 0, 0, 0, 0, 0, 1, '{}'
        FROM gone AS g
        JOIN clickstream.dead_letter AS d ON d.batch_id = g.batch_id
        WHERE cardinality(g.partitions) = 0
    ),
    carried AS (
        INSERT INTO clickstream.ledger_carried AS c
        SELECT topic, sum(received), sum(stored), sum(duplicate), sum(dead), sum(lost), sum(letters),
            max((SELECT max(d.day) FROM unnest(event_days) AS d (day)))
        FROM entry
        GROUP BY topic
        ON CONFLICT (topic) DO UPDATE SET
            received = c.received + excluded.received,
            stored = c.stored + excluded.stored,
            duplicate = c.duplicate + excluded.duplicate,
            dead = c.dead + excluded.dead,
            lost = c.lost + excluded.lost,
            letters = c.letters + excluded.letters,
            last_day = greatest(c.last_day, excluded.last_day)
    )
    SELECT count(*) FROM gone;
END;

-- Deletes dead letters that were replayed before a time.
CREATE OR REPLACE FUNCTION expire_dead_letters(before timestamptz) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = clickstream, pg_temp
BEGIN ATOMIC
    WITH gone AS (
        DELETE FROM clickstream.dead_letter WHERE replayed_at < before RETURNING topic, batch_id
    ),
    of_batch AS (
        SELECT topic, batch_id, count(*) AS letters FROM gone GROUP BY 1, 2
    ),
    booked AS (
        UPDATE clickstream.ingest_batch AS b
        SET letters_expired = b.letters_expired + g.letters
        FROM of_batch AS g
        WHERE b.batch_id = g.batch_id
        RETURNING b.batch_id
    ),
    carried AS (
        UPDATE clickstream.ledger_carried AS c
        SET letters = c.letters - g.letters
        FROM (
            SELECT topic, sum(letters) AS letters
            FROM of_batch
            WHERE batch_id NOT IN (SELECT batch_id FROM booked)
            GROUP BY 1
        ) AS g
        WHERE c.topic = g.topic
    )
    SELECT count(*) FROM gone;
END;

-- Gives events whose ledger row is gone a row again, and lets the books begin anew from what is there; returns the
-- rows made. They count as rolled up: a row is only ever deleted after that, and `verify` tells if it was not so.
CREATE OR REPLACE FUNCTION restore_ledger() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = clickstream, pg_temp
AS $$
DECLARE
    restored bigint;
BEGIN
    INSERT INTO ingest_batch (batch_id, topic, partitions, first_offsets, next_offsets, lag_messages, received, stored,
        duplicate, dead, bytes, min_event_time, max_event_time, event_days, seconds, consumer, note, rolled_up,
        committed_at)
    SELECT e.batch_id, '', '{}', '{}', '{}', '{}', sum(e.events) + coalesce(max(d.letters), 0), sum(e.events), 0,
        coalesce(max(d.letters), 0), 0, min(e.since), max(e.until), array_agg(e.day ORDER BY e.day), 0, '',
        'restored from its events', true, max(e.until)
    FROM (
        SELECT batch_id, event_day(event_id) AS day, count(*) AS events, min(event_time) AS since,
            max(event_time) AS until
        FROM event AS e
        WHERE NOT EXISTS (SELECT FROM ingest_batch AS b WHERE b.batch_id = e.batch_id)
        GROUP BY 1, 2
    ) AS e
    LEFT JOIN (SELECT batch_id, count(*) AS letters FROM dead_letter GROUP BY 1) AS d ON d.batch_id = e.batch_id
    GROUP BY 1;
    GET DIAGNOSTICS restored = ROW_COUNT;
    INSERT INTO ledger_carried AS c
    SELECT o.topic, o.received - coalesce(b.received, 0), o.stored - coalesce(b.stored, 0),
        o.duplicate - coalesce(b.duplicate, 0), o.dead - coalesce(b.dead, 0), o.lost - coalesce(b.lost, 0),
        (
            SELECT count(*)
            FROM dead_letter AS d
            WHERE d.topic = o.topic AND NOT EXISTS (SELECT FROM ingest_batch AS l WHERE l.batch_id = d.batch_id)
        ),
        NULL
    FROM (
        SELECT topic, sum(received) AS received, sum(stored) AS stored, sum(duplicate) AS duplicate, sum(dead) AS dead,
            sum(lost) AS lost
        FROM partition_offset
        GROUP BY 1
    ) AS o
    LEFT JOIN (
        SELECT topic, sum(received) AS received, sum(stored) AS stored, sum(duplicate) AS duplicate, sum(dead) AS dead,
            sum(lost) AS lost
        FROM ingest_batch
        WHERE cardinality(partitions) > 0
        GROUP BY 1
    ) AS b ON b.topic = o.topic
    ON CONFLICT (topic) DO UPDATE SET
        received = excluded.received,
        stored = excluded.stored,
        duplicate = excluded.duplicate,
        dead = excluded.dead,
        lost = excluded.lost,
        letters = excluded.letters;
    RETURN restored;
END
$$;

-- Sets a partition's position back, to read messages again; the ledger tells, so that no offset is claimed twice.
-- The consumers must be stopped.
CREATE OR REPLACE FUNCTION read_again(of_topic text, of_partition integer, from_offset bigint) RETURNS void
LANGUAGE sql SET search_path = clickstream, pg_temp
BEGIN ATOMIC
    WITH moved AS (
        UPDATE clickstream.partition_offset AS o
        SET next_offset = from_offset
        FROM (
            SELECT next_offset
            FROM clickstream.partition_offset
            WHERE topic = of_topic AND partition = of_partition
            FOR UPDATE
        ) AS was
        WHERE o.topic = of_topic AND o.partition = of_partition AND o.next_offset > from_offset
        RETURNING was.next_offset
    )
    INSERT INTO clickstream.ingest_batch (topic, partitions, first_offsets, next_offsets, lag_messages, received,
        stored, duplicate, dead, bytes, seconds, consumer, note, rolled_up)
    SELECT of_topic, ARRAY[of_partition], ARRAY[next_offset], ARRAY[from_offset], ARRAY[0], 0, 0, 0, 0, 0, 0,
        current_user, 'set back to read messages again', true
    FROM moved;
END;

-- Sets each sequence behind the ids that are in use: one that was restored or promoted may have gone back. Of raw events
-- it looks at the newest partitions: what the ledger has forgotten is of old days.
CREATE OR REPLACE FUNCTION skip_used_ids() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = clickstream, pg_temp
AS $$
DECLARE
    used record;
BEGIN
    LOCK TABLE clickstream.skip_used_ids_lock IN EXCLUSIVE MODE;
    FOR used IN
        SELECT 'ingest_batch' AS relation, 'batch_id' AS id, 'ingest_batch_batch_id_seq' AS sequence
        UNION ALL
        SELECT 'dead_letter', 'dead_letter_id', 'dead_letter_dead_letter_id_seq'
        UNION ALL
        SELECT 'aggregator_run', 'run_id', 'aggregator_run_run_id_seq'
        UNION ALL
        (
            SELECT partition, 'batch_id', 'ingest_batch_batch_id_seq'
            FROM event_partition
            ORDER BY last_day DESC
            LIMIT 500
        )
    LOOP
        EXECUTE format('SELECT setval(%3$L, u.id) FROM (SELECT max(%2$I) AS id FROM %1$I) AS u, %3$I AS s '
                       'WHERE u.id >= s.last_value', used.relation, used.id, used.sequence);
    END LOOP;
END
$$;
