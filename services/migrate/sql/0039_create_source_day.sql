-- Where sessions came from by UTC day, for long time ranges.
CREATE TABLE source_day (
    day            date    NOT NULL,
    source         text COLLATE "C" NOT NULL,
    medium         text COLLATE "C" NOT NULL,
    campaign       text COLLATE "C" NOT NULL,
    currency       text COLLATE "C" NOT NULL,
    sessions       bigint  NOT NULL,
    bounces        bigint  NOT NULL,
    conversions    bigint  NOT NULL,
    page_views     bigint  NOT NULL,
    duration_ms    bigint  NOT NULL,
    viewed_product bigint  NOT NULL,
    added_to_cart  bigint  NOT NULL,
    began_checkout bigint  NOT NULL,
    revenue        numeric NOT NULL,
    PRIMARY KEY (day, source, medium, campaign, currency)
);

CREATE VIEW source_day_pending AS
SELECT
    (hour AT TIME ZONE 'UTC')::date AS day,
    source,
    medium,
    campaign,
    currency,
    sum(sessions)::bigint AS sessions,
    sum(bounces)::bigint AS bounces,
    sum(conversions)::bigint AS conversions,
    sum(page_views)::bigint AS page_views,
    sum(duration_ms)::bigint AS duration_ms,
    sum(viewed_product)::bigint AS viewed_product,
    sum(added_to_cart)::bigint AS added_to_cart,
    sum(began_checkout)::bigint AS began_checkout,
    sum(revenue) AS revenue
FROM source_hour_pending
GROUP BY 1, 2, 3, 4, 5;
