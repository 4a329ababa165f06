-- Time on page by UTC day, for long time ranges.
CREATE TABLE page_time_day (
    day         date   NOT NULL,
    page_path   text COLLATE "C" NOT NULL,
    timed_views bigint NOT NULL,
    time_ms     bigint NOT NULL,
    PRIMARY KEY (day, page_path)
);

CREATE VIEW page_time_day_pending AS
SELECT
    (hour AT TIME ZONE 'UTC')::date AS day,
    page_path,
    sum(timed_views)::bigint AS timed_views,
    sum(time_ms)::bigint AS time_ms
FROM page_time_hour_pending
GROUP BY 1, 2;
