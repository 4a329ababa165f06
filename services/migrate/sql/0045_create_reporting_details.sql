-- One session's events, for a drill-down: ask for one session_id.
CREATE VIEW reporting.session_event AS
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
    WHERE i.session_id = s.session_id AND i.event_id BETWEEN s.min_event_id AND s.max_event_id
    OFFSET 0
) AS e;

-- How large the database is, and how large it may get: the server setting clickstream.capacity_bytes, null if not set.
CREATE VIEW reporting.database AS
SELECT
    current_database()::text AS name,
    pg_database_size(current_database()) AS size_bytes,
    nullif(current_setting('clickstream.capacity_bytes', true), '')::bigint AS capacity_bytes;
