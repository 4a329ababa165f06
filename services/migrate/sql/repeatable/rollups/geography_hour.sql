CREATE OR REPLACE VIEW geography_hour_pending AS
SELECT
    date_bin('1 hour', event_time, 'epoch'::timestamptz) AS hour,
    site,
    coalesce(country, '') AS country,
    coalesce(city, '') AS city,
    count(*) AS events,
    count(*) FILTER (WHERE event_type = 'page_view') AS page_views,
    count(*) FILTER (WHERE event_type = 'purchase') AS purchases
FROM pending_event
GROUP BY 1, 2, 3, 4;
