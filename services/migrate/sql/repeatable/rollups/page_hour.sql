CREATE OR REPLACE VIEW page_hour_pending AS
SELECT
    date_bin('1 hour', event_time, 'epoch'::timestamptz) AS hour,
    site,
    page_path,
    device_type,
    count(*) AS events,
    count(*) FILTER (WHERE event_type = 'page_view') AS views,
    count(*) FILTER (WHERE event_type = 'click') AS clicks,
    count(*) FILTER (WHERE event_type = 'scroll') AS scrolls,
    count(*) FILTER (WHERE event_type = 'form_submit') AS form_submits
FROM pending_event
GROUP BY 1, 2, 3, 4;
