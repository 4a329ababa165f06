-- From which page to which by week (from Monday, UTC), for time ranges of a month: a day has almost as many rows.
CREATE TABLE path_week (
    week      date   NOT NULL,
    from_page text COLLATE "C" NOT NULL,
    to_page   text COLLATE "C" NOT NULL,
    moves     bigint NOT NULL,
    PRIMARY KEY (week, from_page, to_page)
);

CREATE VIEW path_week_pending AS
SELECT date_trunc('week', day::timestamp)::date AS week, from_page, to_page, sum(moves)::bigint AS moves
FROM path_day_pending
GROUP BY 1, 2, 3;
