CREATE OR REPLACE VIEW element_hour_pending AS
SELECT
    date_bin('1 hour', event_time, 'epoch'::timestamptz) AS hour,
    site,
    page_path,
    coalesce(element, '') AS element,
    device_type,
    count(*) AS clicks
FROM pending_event
WHERE event_type = 'click'
GROUP BY 1, 2, 3, 4, 5;
