-- How long pages were looked at, by the device of the page view that is timed, as views are counted: a session may
-- change its device. Views of days whose raw events are gone stay, as of the device 'other'. CASCADE takes
-- page_time_day_pending along, which the next file makes anew.
DROP VIEW page_time_hour_pending CASCADE;

ALTER TABLE page_time_hour
    ADD COLUMN device_type text COLLATE "C" NOT NULL DEFAULT 'other',
    DROP CONSTRAINT page_time_hour_pkey,
    ADD PRIMARY KEY (hour, page_path, device_type);

ALTER TABLE page_time_hour ALTER COLUMN device_type DROP DEFAULT;

-- As it was, with the device. Paths don't ask for it: theirs is the largest rollup, and would become far larger.
CREATE OR REPLACE VIEW page_move AS
WITH page_view AS (
    SELECT
        s.session_id,
        e.event_id,
        e.event_time,
        e.page_path,
        e.device_type,
        e.batch_id IN (SELECT b.batch_id FROM pending_batch AS b) AS pending
    FROM session_merged AS s
    JOIN session_pending AS p ON p.session_id = s.session_id AND p.page_views > 0
    CROSS JOIN LATERAL (
        SELECT i.event_id, i.event_time, i.page_path, i.device_type, i.batch_id
        FROM event AS i
        WHERE i.session_id = s.session_id
            AND i.event_id BETWEEN s.min_event_id AND s.max_event_id
            AND i.event_type = 'page_view'
        OFFSET 0
    ) AS e
    WHERE s.page_views > 1
        AND e.batch_id NOT IN (SELECT d.batch_id FROM deferred_batch AS d)
),
move (moved_at, from_page, device_type, to_page, left_at, n) AS (
    SELECT event_time, page_path, device_type, lead(page_path) OVER session, lead(event_time) OVER session, 1
    FROM page_view
    WINDOW session AS (PARTITION BY session_id ORDER BY event_time, event_id)
    UNION ALL
    SELECT event_time, page_path, device_type, lead(page_path) OVER session, lead(event_time) OVER session, -1
    FROM page_view
    WHERE NOT pending
    WINDOW session AS (PARTITION BY session_id ORDER BY event_time, event_id)
)
SELECT
    date_bin('1 hour', moved_at, 'epoch'::timestamptz) AS hour,
    from_page,
    to_page,
    (extract(epoch FROM least(left_at - moved_at, interval '30 minutes')) * 1000)::bigint AS time_ms,
    n,
    device_type
FROM move
WHERE to_page IS NOT NULL;

CREATE VIEW page_time_hour_pending AS
SELECT
    hour,
    from_page AS page_path,
    device_type,
    sum(n)::bigint AS timed_views,
    sum(n * time_ms)::bigint AS time_ms
FROM page_move
GROUP BY 1, 2, 3
HAVING sum(n) <> 0 OR sum(n * time_ms) <> 0;

DELETE FROM rollup_filled WHERE rollup = 'page_time_hour';
