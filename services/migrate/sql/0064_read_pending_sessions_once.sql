-- Moves from page to page as before, from session_merged alone: that it was joined to session_pending had the tail
-- computed twice by whoever reads the live view. A session whose pending events hold no page view cancels itself out.
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
