-- From which page to which: consecutive page views of a session, by the hour of the first.
CREATE TABLE path_hour (
    hour      timestamptz NOT NULL,
    from_page text COLLATE "C" NOT NULL,
    to_page   text COLLATE "C" NOT NULL,
    moves     bigint      NOT NULL,
    PRIMARY KEY (hour, from_page, to_page)
);

-- A late event can come between two pages, so a touched session's moves are counted anew, with the tail and without.
-- The range of ids lets the planner skip the partitions that can't hold the session.
CREATE VIEW path_hour_pending AS
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
move (moved_at, from_page, to_page, n) AS (
    SELECT event_time, page_path, lead(page_path) OVER session, 1
    FROM page_view
    WINDOW session AS (PARTITION BY session_id ORDER BY event_time, event_id)
    UNION ALL
    SELECT event_time, page_path, lead(page_path) OVER session, -1
    FROM page_view
    WHERE NOT pending
    WINDOW session AS (PARTITION BY session_id ORDER BY event_time, event_id)
)
SELECT
    date_bin('1 hour', moved_at, 'epoch'::timestamptz) AS hour,
    from_page,
    to_page,
    sum(n)::bigint AS moves
FROM move
WHERE to_page IS NOT NULL
GROUP BY 1, 2, 3
HAVING sum(n) <> 0;
