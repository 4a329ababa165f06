-- Pages by the kind of device of their events. Days whose raw events are gone can't be told apart any more: their rows
-- stay, as of the device 'other'. CASCADE takes page_day_pending along, which the next file makes anew.
DROP VIEW page_hour_pending CASCADE;

ALTER TABLE page_hour
    ADD COLUMN device_type text COLLATE "C" NOT NULL DEFAULT 'other',
    DROP CONSTRAINT page_hour_pkey,
    ADD PRIMARY KEY (hour, page_path, device_type);

ALTER TABLE page_hour ALTER COLUMN device_type DROP DEFAULT;

CREATE VIEW page_hour_pending AS
SELECT
    date_bin('1 hour', event_time, 'epoch'::timestamptz) AS hour,
    page_path,
    device_type,
    count(*) AS events,
    count(*) FILTER (WHERE event_type = 'page_view') AS views,
    count(*) FILTER (WHERE event_type = 'click') AS clicks,
    count(*) FILTER (WHERE event_type = 'scroll') AS scrolls,
    count(*) FILTER (WHERE event_type = 'form_submit') AS form_submits
FROM pending_event
GROUP BY 1, 2, 3;

DELETE FROM rollup_filled WHERE rollup = 'page_hour';
