CREATE OR REPLACE VIEW page_visit_hour_pending AS
SELECT
    date_bin('1 hour', s.started_at, 'epoch'::timestamptz) AS hour,
    s.site,
    v.page_path,
    s.device_type,
    sum(s.n * v.entries)::bigint AS entries,
    sum(s.n * v.exits)::bigint AS exits,
    sum(s.n * v.bounces)::bigint AS bounces
FROM session_change AS s
CROSS JOIN LATERAL (
    VALUES (s.entry_page, 1, 0, (s.page_views <= 1)::integer), (s.exit_page, 0, 1, 0)
) AS v (page_path, entries, exits, bounces)
GROUP BY 1, 2, 3, 4
HAVING sum(s.n * v.entries) <> 0 OR sum(s.n * v.exits) <> 0 OR sum(s.n * v.bounces) <> 0;
