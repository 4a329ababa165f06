CREATE OR REPLACE VIEW revenue_hour_pending AS
SELECT
    date_bin('1 hour', event_time, 'epoch'::timestamptz) AS hour,
    site,
    device_type,
    coalesce(country, '') AS country,
    coalesce(currency, '') AS currency,
    count(*) AS purchases,
    coalesce(sum(value), 0) AS revenue
FROM pending_event
WHERE event_type = 'purchase'
GROUP BY 1, 2, 3, 4, 5;
