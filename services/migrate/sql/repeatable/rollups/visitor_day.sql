CREATE OR REPLACE VIEW visitor_day_pending AS
SELECT DISTINCT
    site,
    visitor_id,
    (event_time AT TIME ZONE 'UTC')::date AS day
FROM pending_event;
