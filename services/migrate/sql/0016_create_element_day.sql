-- Clicked elements by UTC day, for long time ranges.
CREATE TABLE element_day (
    day       date   NOT NULL,
    page_path text COLLATE "C" NOT NULL,
    element   text COLLATE "C" NOT NULL,
    clicks    bigint NOT NULL,
    PRIMARY KEY (day, page_path, element)
);

CREATE VIEW element_day_pending AS
SELECT
    (hour AT TIME ZONE 'UTC')::date AS day,
    page_path,
    element,
    sum(clicks)::bigint AS clicks
FROM element_hour_pending
GROUP BY 1, 2, 3;
