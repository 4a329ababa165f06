-- Pages by device and UTC day, for long time ranges.
ALTER TABLE page_day
    ADD COLUMN device_type text COLLATE "C" NOT NULL DEFAULT 'other',
    DROP CONSTRAINT page_day_pkey,
    ADD PRIMARY KEY (day, page_path, device_type);

ALTER TABLE page_day ALTER COLUMN device_type DROP DEFAULT;

CREATE VIEW page_day_pending AS
SELECT
    (hour AT TIME ZONE 'UTC')::date AS day,
    page_path,
    device_type,
    sum(events)::bigint AS events,
    sum(views)::bigint AS views,
    sum(clicks)::bigint AS clicks,
    sum(scrolls)::bigint AS scrolls,
    sum(form_submits)::bigint AS form_submits
FROM page_hour_pending
GROUP BY 1, 2, 3;

DELETE FROM rollup_filled WHERE rollup = 'page_day';
