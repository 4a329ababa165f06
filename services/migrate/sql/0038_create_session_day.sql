-- Sessions by the UTC day they started in, for long time ranges.
CREATE TABLE session_day (
    day                  date    NOT NULL,
    device_type          text COLLATE "C" NOT NULL,
    browser              text COLLATE "C" NOT NULL,
    country              text COLLATE "C" NOT NULL,
    currency             text COLLATE "C" NOT NULL,
    sessions             bigint  NOT NULL,
    bounces              bigint  NOT NULL,
    conversions          bigint  NOT NULL,
    events               bigint  NOT NULL,
    page_views           bigint  NOT NULL,
    duration_ms          bigint  NOT NULL,
    duration_under_10s   bigint  NOT NULL,
    duration_under_60s   bigint  NOT NULL,
    duration_under_180s  bigint  NOT NULL,
    duration_under_600s  bigint  NOT NULL,
    duration_under_1800s bigint  NOT NULL,
    viewed_product       bigint  NOT NULL,
    added_to_cart        bigint  NOT NULL,
    began_checkout       bigint  NOT NULL,
    revenue              numeric NOT NULL,
    PRIMARY KEY (day, device_type, browser, country, currency)
);

CREATE VIEW session_day_pending AS
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
    sum(revenue) AS revenue
FROM session_hour_pending
GROUP BY 1, 2, 3, 4, 5;
