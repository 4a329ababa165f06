-- How many pages sessions saw by UTC day, for long time ranges.
ALTER TABLE session_day
    ADD COLUMN pages_under_3 bigint NOT NULL DEFAULT 0,
    ADD COLUMN pages_under_6 bigint NOT NULL DEFAULT 0,
    ADD COLUMN pages_under_11 bigint NOT NULL DEFAULT 0,
    ADD COLUMN pages_under_21 bigint NOT NULL DEFAULT 0;

CREATE OR REPLACE VIEW session_day_pending AS
SELECT
    (hour AT TIME ZONE 'UTC')::date AS day,
    device_type,
    browser,
    country,
    currency,
    sum(sessions)::bigint AS sessions,
    sum(bounces)::bigint AS bounces,
    sum(conversions)::bigint AS conversions,
    sum(events)::bigint AS events,
    sum(page_views)::bigint AS page_views,
    sum(duration_ms)::bigint AS duration_ms,
    sum(duration_under_10s)::bigint AS duration_under_10s,
    sum(duration_under_60s)::bigint AS duration_under_60s,
    sum(duration_under_180s)::bigint AS duration_under_180s,
    sum(duration_under_600s)::bigint AS duration_under_600s,
    sum(duration_under_1800s)::bigint AS duration_under_1800s,
    sum(viewed_product)::bigint AS viewed_product,
    sum(added_to_cart)::bigint AS added_to_cart,
    sum(began_checkout)::bigint AS began_checkout,
    sum(revenue) AS revenue,
    sum(pages_under_3)::bigint AS pages_under_3,
    sum(pages_under_6)::bigint AS pages_under_6,
    sum(pages_under_11)::bigint AS pages_under_11,
    sum(pages_under_21)::bigint AS pages_under_21
FROM session_hour_pending
GROUP BY 1, 2, 3, 4, 5;

DELETE FROM rollup_filled WHERE rollup = 'session_day';
