-- Moves from page to page that the tail adds (n = 1) or takes away (n = -1), as a late event can come between two
-- pages. They are read from the new page views and their neighbours alone: a session of a million events costs no more
-- than one of ten. What is new changes only the moves beside it, so between two new page views it is enough to know
-- the first and the last that the rollups have; a move between these two is there with the tail and without, and comes
-- to nothing. A session's row says where there is nothing to look for. Rows are compared and ordered in the index's
-- three columns, session included: asked for one session by =, the planner, which knows how short most are, may read
-- all of it and sort.
CREATE OR REPLACE VIEW page_move AS
WITH added AS (
    SELECT
        session_id,
        event_id,
        event_time,
        site,
        page_path,
        device_type,
        coalesce(lag(event_id) OVER session, '00000000-0000-0000-0000-000000000000') AS previous_id,
        coalesce(lag(event_time) OVER session, '-infinity') AS previous_time,
        coalesce(lead(event_id) OVER session, 'ffffffff-ffff-ffff-ffff-ffffffffffff') AS next_id,
        coalesce(lead(event_time) OVER session, 'infinity') AS next_time
    FROM pending_event
    WHERE event_type = 'page_view'
    WINDOW session AS (PARTITION BY session_id ORDER BY event_time, event_id)
),
known AS (
    SELECT a.*, s.started_at, s.ended_at, s.min_event_id, s.max_event_id
    FROM added AS a
    CROSS JOIN LATERAL (SELECT t.* FROM session AS t WHERE t.session_id = a.session_id OFFSET 0) AS s
),
page_view AS (
    SELECT session_id, event_id, event_time, site, page_path, device_type, true AS pending
    FROM added
    UNION ALL
    (
        SELECT k.session_id, e.event_id, e.event_time, e.site, e.page_path, e.device_type, false
        FROM known AS k
        CROSS JOIN LATERAL (
            SELECT i.event_id, i.event_time, i.site, i.page_path, i.device_type
            FROM event AS i
            WHERE k.previous_time <= k.ended_at
                AND k.event_time >= k.started_at
                AND (i.session_id, i.event_time, i.event_id) > (k.session_id, k.previous_time, k.previous_id)
                AND (i.session_id, i.event_time, i.event_id) < (k.session_id, k.event_time, k.event_id)
                AND i.event_id BETWEEN k.min_event_id AND k.max_event_id
                AND i.event_type = 'page_view'
                AND i.batch_id NOT IN (SELECT p.batch_id FROM pending_batch AS p)
                AND i.batch_id NOT IN (SELECT d.batch_id FROM deferred_batch AS d)
            ORDER BY i.session_id DESC, i.event_time DESC, i.event_id DESC
            LIMIT 1
        ) AS e
        UNION
        SELECT k.session_id, e.event_id, e.event_time, e.site, e.page_path, e.device_type, false
        FROM known AS k
        CROSS JOIN LATERAL (
            SELECT i.event_id, i.event_time, i.site, i.page_path, i.device_type
            FROM event AS i
            WHERE k.event_time <= k.ended_at
                AND k.next_time >= k.started_at
                AND (i.session_id, i.event_time, i.event_id) > (k.session_id, k.event_time, k.event_id)
                AND (i.session_id, i.event_time, i.event_id) < (k.session_id, k.next_time, k.next_id)
                AND i.event_id BETWEEN k.min_event_id AND k.max_event_id
                AND i.event_type = 'page_view'
                AND i.batch_id NOT IN (SELECT p.batch_id FROM pending_batch AS p)
                AND i.batch_id NOT IN (SELECT d.batch_id FROM deferred_batch AS d)
            ORDER BY i.session_id, i.event_time, i.event_id
            LIMIT 1
        ) AS e
    )
),
move (moved_at, site, from_page, device_type, to_page, left_at, n) AS (
    SELECT event_time, site, page_path, device_type, lead(page_path) OVER session, lead(event_time) OVER session, 1
    FROM page_view
    WINDOW session AS (PARTITION BY session_id ORDER BY event_time, event_id)
    UNION ALL
    SELECT event_time, site, page_path, device_type, lead(page_path) OVER session, lead(event_time) OVER session, -1
    FROM page_view
    WHERE NOT pending
    WINDOW session AS (PARTITION BY session_id ORDER BY event_time, event_id)
)
SELECT
    date_bin('1 hour', moved_at, 'epoch'::timestamptz) AS hour,
    site,
    from_page,
    to_page,
    (extract(epoch FROM least(left_at - moved_at, interval '30 minutes')) * 1000)::bigint AS time_ms,
    n,
    device_type
FROM move
WHERE to_page IS NOT NULL;
