-- Where it happened. An unknown place is the empty text.
CREATE TABLE geography_hour (
    hour       timestamptz NOT NULL,
    country    text COLLATE "C" NOT NULL,
    city       text COLLATE "C" NOT NULL,
    events     bigint      NOT NULL,
    page_views bigint      NOT NULL,
    purchases  bigint      NOT NULL,
    PRIMARY KEY (hour, country, city)
);

CREATE VIEW geography_hour_pending AS
SELECT
    date_bin('1 hour', event_time, 'epoch'::timestamptz) AS hour,
    coalesce(country, '') AS country,
    coalesce(city, '') AS city,
    count(*) AS events,
    count(*) FILTER (WHERE event_type = 'page_view') AS page_views,
    count(*) FILTER (WHERE event_type = 'purchase') AS purchases
FROM pending_event
GROUP BY 1, 2, 3;
