-- Entries and exits by device and UTC day, for long time ranges.
ALTER TABLE page_visit_day
    ADD COLUMN device_type text COLLATE "C" NOT NULL DEFAULT 'other',
    DROP CONSTRAINT page_visit_day_pkey,
    ADD PRIMARY KEY (day, page_path, device_type);

ALTER TABLE page_visit_day ALTER COLUMN device_type DROP DEFAULT;

CREATE VIEW page_visit_day_pending AS
SELECT
    (hour AT TIME ZONE 'UTC')::date AS day,
    page_path,
    device_type,
    sum(entries)::bigint AS entries,
    sum(exits)::bigint AS exits,
    sum(bounces)::bigint AS bounces
FROM page_visit_hour_pending
GROUP BY 1, 2, 3;

DELETE FROM rollup_filled WHERE rollup = 'page_visit_day';
