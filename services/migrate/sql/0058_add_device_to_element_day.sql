-- Clicked elements by device and UTC day, for long time ranges.
ALTER TABLE element_day
    ADD COLUMN device_type text COLLATE "C" NOT NULL DEFAULT 'other',
    DROP CONSTRAINT element_day_pkey,
    ADD PRIMARY KEY (day, page_path, element, device_type);

ALTER TABLE element_day ALTER COLUMN device_type DROP DEFAULT;

CREATE VIEW element_day_pending AS
SELECT
    (hour AT TIME ZONE 'UTC')::date AS day,
    page_path,
    element,
    device_type,
    sum(clicks)::bigint AS clicks
FROM element_hour_pending
GROUP BY 1, 2, 3, 4;

DELETE FROM rollup_filled WHERE rollup = 'element_day';
