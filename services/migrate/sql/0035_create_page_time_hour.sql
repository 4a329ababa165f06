-- How long pages were looked at: from a page view to the session's next one, by the hour of the first. The last page
-- of a session has no next one, so it is not timed; what lasts longer than half an hour counts as half an hour.
CREATE TABLE page_time_hour (
    hour        timestamptz NOT NULL,
    page_path   text COLLATE "C" NOT NULL,
    timed_views bigint      NOT NULL,
    time_ms     bigint      NOT NULL,
    PRIMARY KEY (hour, page_path)
);

-- Moves from page to page: those of a touched session with the tail (n = 1) and without (n = -1), as a late event can
-- come between two pages. The range of ids lets the planner skip the partitions that can't hold the session.
CREATE VIEW page_move AS
WITH page_view AS (
    SELECT
        s.session_id,
        e.event_id,
        e.event_time,
        e.page_path,
        e.batch_id IN (SELECT b.batch_id FROM pending_batch AS b) AS pending
    FROM session_merged AS s
    JOIN session_pending AS p ON p.session_id = s.session_id AND p.page_views > 0
    CROSS JOIN LATERAL (
        SELECT i.event_id, i.event_time, i.page_path, i.batch_id
        FROM event AS i
        WHERE i.session_id = s.session_id
            AND i.event_id BETWEEN s.min_event_id AND s.max_event_id
            AND i.event_type = 'page_view'
        OFFSET 0
    ) AS e
    WHERE s.page_views > 1
        AND e.batch_id NOT IN (SELECT d.batch_id FROM deferred_batch AS d)
),
move (moved_at, from_page, to_page, left_at, n) AS (
    SELECT event_time, page_path, lead(page_path) OVER session, lead(event_time) OVER session, 1
    FROM page_view
    WINDOW session AS (PARTITION BY session_id ORDER BY event_time, event_id)
    UNION ALL
    SELECT event_time, page_path, lead(page_path) OVER session, lead(event_time) OVER session, -1
    FROM page_view
    WHERE NOT pending
    WINDOW session AS (PARTITION BY session_id ORDER BY event_time, event_id)
)
SELECT
    date_bin('1 hour', moved_at, 'epoch'::timestamptz) AS hour,
    from_page,
    to_page,
    (extract(epoch FROM least(left_at - moved_at, interval '30 minutes')) * 1000)::bigint AS time_ms,
    n
FROM move
WHERE to_page IS NOT NULL;

CREATE OR REPLACE VIEW path_hour_pending AS
SELECT hour, from_page, to_page, sum(n)::bigint AS moves
FROM page_move
GROUP BY 1, 2, 3
HAVING sum(n) <> 0;

CREATE VIEW page_time_hour_pending AS
SELECT hour, from_page AS page_path, sum(n)::bigint AS timed_views, sum(n * time_ms)::bigint AS time_ms
FROM page_move
GROUP BY 1, 2
HAVING sum(n) <> 0 OR sum(n * time_ms) <> 0;
