-- How many pages sessions saw, by the hour they started in; 30 stands for 30 or more.
CREATE TABLE session_depth_hour (
    hour       timestamptz NOT NULL,
    page_views bigint      NOT NULL,
    sessions   bigint      NOT NULL,
    PRIMARY KEY (hour, page_views)
);

CREATE VIEW session_depth_hour_pending AS
SELECT
    date_bin('1 hour', started_at, 'epoch'::timestamptz) AS hour,
    least(page_views, 30) AS page_views,
    sum(n)::bigint AS sessions
FROM session_change
GROUP BY 1, 2
HAVING sum(n) <> 0;
