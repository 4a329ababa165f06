CREATE OR REPLACE VIEW traffic_minute_pending AS
SELECT
    date_bin('1 minute', event_time, 'epoch'::timestamptz) AS minute,
    site,
    event_type,
    device_type,
    count(*) AS events
FROM pending_event
GROUP BY 1, 2, 3, 4;
