-- Where sessions came from, by the hour they started in.
CREATE TABLE source_hour (
    hour           timestamptz NOT NULL,
    source         text COLLATE "C" NOT NULL,
    medium         text COLLATE "C" NOT NULL,
    campaign       text COLLATE "C" NOT NULL,
    currency       text COLLATE "C" NOT NULL,
    sessions       bigint      NOT NULL,
    bounces        bigint      NOT NULL,
    conversions    bigint      NOT NULL,
    page_views     bigint      NOT NULL,
    duration_ms    bigint      NOT NULL,
    viewed_product bigint      NOT NULL,
    added_to_cart  bigint      NOT NULL,
    began_checkout bigint      NOT NULL,
    revenue        numeric     NOT NULL,
    PRIMARY KEY (hour, source, medium, campaign, currency)
);

CREATE VIEW source_hour_pending AS
SELECT
    date_bin('1 hour', started_at, 'epoch'::timestamptz) AS hour,
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
GROUP BY 1, 2, 3, 4, 5;
