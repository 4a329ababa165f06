CREATE OR REPLACE VIEW custom_event_hour_pending AS
SELECT
    date_bin('1 hour', event_time, 'epoch'::timestamptz) AS hour,
    site,
    event_name,
    page_path,
    device_type,
    count(*) AS events
FROM pending_event
WHERE event_type = 'custom'
GROUP BY 1, 2, 3, 4, 5;
