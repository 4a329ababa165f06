-- Time on page by device and UTC day, for long time ranges.
ALTER TABLE page_time_day
    ADD COLUMN device_type text COLLATE "C" NOT NULL DEFAULT 'other',
    DROP CONSTRAINT page_time_day_pkey,
    ADD PRIMARY KEY (day, page_path, device_type);

ALTER TABLE page_time_day ALTER COLUMN device_type DROP DEFAULT;

CREATE VIEW page_time_day_pending AS
SELECT
    (hour AT TIME ZONE 'UTC')::date AS day,
    page_path,
    device_type,
    sum(timed_views)::bigint AS timed_views,
    sum(time_ms)::bigint AS time_ms
FROM page_time_hour_pending
GROUP BY 1, 2, 3;

DELETE FROM rollup_filled WHERE rollup = 'page_time_day';
