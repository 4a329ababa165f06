-- What was bought, by currency: amounts of different currencies don't add up.
CREATE TABLE revenue_hour (
    hour        timestamptz NOT NULL,
    device_type text COLLATE "C" NOT NULL,
    country     text COLLATE "C" NOT NULL,
    currency    text COLLATE "C" NOT NULL,
    purchases   bigint      NOT NULL,
    revenue     numeric     NOT NULL,
    PRIMARY KEY (hour, device_type, country, currency)
);

CREATE VIEW revenue_hour_pending AS
SELECT
    date_bin('1 hour', event_time, 'epoch'::timestamptz) AS hour,
    device_type,
    coalesce(country, '') AS country,
    coalesce(currency, '') AS currency,
    count(*) AS purchases,
    coalesce(sum(value), 0) AS revenue
FROM pending_event
WHERE event_type = 'purchase'
GROUP BY 1, 2, 3, 4;
