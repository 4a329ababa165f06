-- How long pages were looked at: from a page view to the session's next one, by the hour of the first. The last page
-- of a session has no next one, so it is not timed; what lasts longer than half an hour counts as half an hour.
CREATE TABLE page_time_hour (
    hour        timestamptz NOT NULL,
    page_path   text COLLATE "C" NOT NULL,
    timed_views bigint      NOT NULL,
    time_ms     bigint      NOT NULL,
    PRIMARY KEY (hour, page_path)
);

CREATE VIEW page_time_hour_pending AS
SELECT hour, from_page AS page_path, sum(n)::bigint AS timed_views, sum(n * time_ms)::bigint AS time_ms
FROM page_move
GROUP BY 1, 2
HAVING sum(n) <> 0 OR sum(n * time_ms) <> 0;
