-- What was clicked, by the kind of device. Clicks of days whose raw events are gone stay, as of the device 'other'.
-- CASCADE takes element_day_pending along, which the next file makes anew.
DROP VIEW element_hour_pending CASCADE;

ALTER TABLE element_hour
    ADD COLUMN device_type text COLLATE "C" NOT NULL DEFAULT 'other',
    DROP CONSTRAINT element_hour_pkey,
    ADD PRIMARY KEY (hour, page_path, element, device_type);

ALTER TABLE element_hour ALTER COLUMN device_type DROP DEFAULT;

CREATE VIEW element_hour_pending AS
SELECT
    date_bin('1 hour', event_time, 'epoch'::timestamptz) AS hour,
    page_path,
    coalesce(element, '') AS element,
    device_type,
    count(*) AS clicks
FROM pending_event
WHERE event_type = 'click'
GROUP BY 1, 2, 3, 4;

DELETE FROM rollup_filled WHERE rollup = 'element_hour';
