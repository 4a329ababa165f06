-- How sessions that bought something came in and where they ended, by the hour they started in.
CREATE TABLE conversion_path_hour (
    hour        timestamptz NOT NULL,
    source      text COLLATE "C" NOT NULL,
    entry_page  text COLLATE "C" NOT NULL,
    exit_page   text COLLATE "C" NOT NULL,
    conversions bigint      NOT NULL,
    page_views  bigint      NOT NULL,
    duration_ms bigint      NOT NULL,
    PRIMARY KEY (hour, source, entry_page, exit_page)
);

CREATE VIEW conversion_path_hour_pending AS
SELECT
    date_bin('1 hour', started_at, 'epoch'::timestamptz) AS hour,
    source,
    entry_page,
    exit_page,
    sum(n)::bigint AS conversions,
    sum(n * page_views)::bigint AS page_views,
    sum(n * (extract(epoch FROM ended_at - started_at) * 1000)::bigint)::bigint AS duration_ms
FROM session_change
WHERE converted
GROUP BY 1, 2, 3, 4;
