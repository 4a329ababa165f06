-- Entries and exits by UTC day, for long time ranges.
CREATE TABLE page_visit_day (
    day       date   NOT NULL,
    page_path text COLLATE "C" NOT NULL,
    entries   bigint NOT NULL,
    exits     bigint NOT NULL,
    bounces   bigint NOT NULL,
    PRIMARY KEY (day, page_path)
);

CREATE VIEW page_visit_day_pending AS
SELECT
    (hour AT TIME ZONE 'UTC')::date AS day,
    page_path,
    sum(entries)::bigint AS entries,
    sum(exits)::bigint AS exits,
    sum(bounces)::bigint AS bounces
FROM page_visit_hour_pending
GROUP BY 1, 2;
