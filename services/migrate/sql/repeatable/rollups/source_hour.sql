CREATE OR REPLACE VIEW source_hour_pending AS
SELECT
    date_bin('1 hour', started_at, 'epoch'::timestamptz) AS hour,
    site,
    source,
    medium,
    campaign,
    currency,
    sum(n)::bigint AS sessions,
    coalesce(sum(n) FILTER (WHERE page_views <= 1), 0)::bigint AS bounces,
    coalesce(sum(n) FILTER (WHERE converted), 0)::bigint AS conversions,
    sum(n * page_views)::bigint AS page_views,
    sum(n * (extract(epoch FROM ended_at - started_at) * 1000)::bigint)::bigint AS duration_ms,
    coalesce(sum(n) FILTER (WHERE furthest_step >= 1), 0)::bigint AS viewed_product,
    coalesce(sum(n) FILTER (WHERE furthest_step >= 2), 0)::bigint AS added_to_cart,
    coalesce(sum(n) FILTER (WHERE furthest_step >= 3), 0)::bigint AS began_checkout,
    sum(n * revenue) AS revenue
FROM session_change
GROUP BY 1, 2, 3, 4, 5, 6;
