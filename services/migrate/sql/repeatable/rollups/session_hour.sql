CREATE OR REPLACE VIEW session_hour_pending AS
WITH change AS (
    SELECT *, (extract(epoch FROM ended_at - started_at) * 1000)::bigint AS duration_ms
    FROM session_change
)
SELECT
    date_bin('1 hour', started_at, 'epoch'::timestamptz) AS hour,
    site,
    device_type,
    browser,
    country,
    currency,
    sum(n)::bigint AS sessions,
    coalesce(sum(n) FILTER (WHERE page_views <= 1), 0)::bigint AS bounces,
    coalesce(sum(n) FILTER (WHERE converted), 0)::bigint AS conversions,
    sum(n * events)::bigint AS events,
    sum(n * page_views)::bigint AS page_views,
    sum(n * duration_ms)::bigint AS duration_ms,
    coalesce(sum(n) FILTER (WHERE duration_ms < 10000), 0)::bigint AS duration_under_10s,
    coalesce(sum(n) FILTER (WHERE duration_ms < 60000), 0)::bigint AS duration_under_60s,
    coalesce(sum(n) FILTER (WHERE duration_ms < 180000), 0)::bigint AS duration_under_180s,
    coalesce(sum(n) FILTER (WHERE duration_ms < 600000), 0)::bigint AS duration_under_600s,
    coalesce(sum(n) FILTER (WHERE duration_ms < 1800000), 0)::bigint AS duration_under_1800s,
    coalesce(sum(n) FILTER (WHERE furthest_step >= 1), 0)::bigint AS viewed_product,
    coalesce(sum(n) FILTER (WHERE furthest_step >= 2), 0)::bigint AS added_to_cart,
    coalesce(sum(n) FILTER (WHERE furthest_step >= 3), 0)::bigint AS began_checkout,
    sum(n * revenue) AS revenue,
    coalesce(sum(n) FILTER (WHERE page_views < 3), 0)::bigint AS pages_under_3,
    coalesce(sum(n) FILTER (WHERE page_views < 6), 0)::bigint AS pages_under_6,
    coalesce(sum(n) FILTER (WHERE page_views < 11), 0)::bigint AS pages_under_11,
    coalesce(sum(n) FILTER (WHERE page_views < 21), 0)::bigint AS pages_under_21
FROM change
GROUP BY 1, 2, 3, 4, 5, 6;
