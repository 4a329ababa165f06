-- One session's events, for a drill-down: ask for one session_id. A robot's session can hold millions: the first thousand
-- are shown, in the order of the index, so that no more are read (see page_move for why rows are compared).
CREATE OR REPLACE VIEW reporting.session_event AS
SELECT
    s.session_id,
    e.event_time,
    e.event_type,
    e.page_path,
    e.element,
    e.product_id,
    e.quantity,
    e.value,
    e.currency,
    e.referrer,
    e.properties,
    e.event_id
FROM reporting.session AS s
CROSS JOIN LATERAL (
    SELECT i.*
    FROM event AS i
    WHERE (i.session_id, i.event_time) >= (s.session_id, s.started_at)
        AND (i.session_id, i.event_time) <= (s.session_id, s.ended_at)
        AND i.event_id BETWEEN s.min_event_id AND s.max_event_id
    ORDER BY i.session_id, i.event_time, i.event_id
    LIMIT 1000
) AS e;
