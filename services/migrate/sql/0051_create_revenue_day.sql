-- What was bought by UTC day, for long time ranges.
CREATE TABLE revenue_day (
    day         date    NOT NULL,
    device_type text COLLATE "C" NOT NULL,
    country     text COLLATE "C" NOT NULL,
    currency    text COLLATE "C" NOT NULL,
    purchases   bigint  NOT NULL,
    revenue     numeric NOT NULL,
    PRIMARY KEY (day, device_type, country, currency)
);

CREATE VIEW revenue_day_pending AS
SELECT
    (hour AT TIME ZONE 'UTC')::date AS day,
    device_type,
    country,
    currency,
    sum(purchases)::bigint AS purchases,
    sum(revenue) AS revenue
FROM revenue_hour_pending
GROUP BY 1, 2, 3, 4;
