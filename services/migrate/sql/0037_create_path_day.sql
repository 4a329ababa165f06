-- From which page to which by UTC day, for long time ranges.
CREATE TABLE path_day (
    day       date   NOT NULL,
    from_page text COLLATE "C" NOT NULL,
    to_page   text COLLATE "C" NOT NULL,
    moves     bigint NOT NULL,
    PRIMARY KEY (day, from_page, to_page)
);

CREATE VIEW path_day_pending AS
SELECT (hour AT TIME ZONE 'UTC')::date AS day, from_page, to_page, sum(moves)::bigint AS moves
FROM path_hour_pending
GROUP BY 1, 2, 3;
