-- How long pages were looked at, by the device of the page view that is timed, as views are counted: a session may
-- change its device. Views of days whose raw events are gone stay, as of the device 'other'. CASCADE takes
-- page_time_day_pending along, which the next file makes anew.
DROP VIEW page_time_hour_pending CASCADE;

ALTER TABLE page_time_hour
    ADD COLUMN device_type text COLLATE "C" NOT NULL DEFAULT 'other',
    DROP CONSTRAINT page_time_hour_pkey,
    ADD PRIMARY KEY (hour, page_path, device_type);

ALTER TABLE page_time_hour ALTER COLUMN device_type DROP DEFAULT;

CREATE VIEW page_time_hour_pending AS
SELECT
    hour,
    from_page AS page_path,
    device_type,
    sum(n)::bigint AS timed_views,
    sum(n * time_ms)::bigint AS time_ms
FROM page_move
GROUP BY 1, 2, 3
HAVING sum(n) <> 0 OR sum(n * time_ms) <> 0;

DELETE FROM rollup_filled WHERE rollup = 'page_time_hour';
