CREATE OR REPLACE VIEW page_time_hour_pending AS
SELECT
    hour,
    site,
    from_page AS page_path,
    device_type,
    sum(n)::bigint AS timed_views,
    sum(n * time_ms)::bigint AS time_ms
FROM page_move
GROUP BY 1, 2, 3, 4
HAVING sum(n) <> 0 OR sum(n * time_ms) <> 0;
