-- Retention: how many of the visitors first seen in one week (from Monday, UTC) were there in another.
-- A late event can make somebody's first week an earlier one: then all his weeks move to that cohort.
-- OFFSET 0: each visitor of the tail is looked up, whatever the planner thinks of how many there are.
CREATE TABLE visitor_cohort (
    first_week  date   NOT NULL,
    active_week date   NOT NULL,
    visitors    bigint NOT NULL,
    PRIMARY KEY (first_week, active_week)
);

CREATE VIEW visitor_cohort_pending AS
WITH touched AS (
    SELECT DISTINCT p.visitor_id, date_trunc('week', p.day::timestamp)::date AS week
    FROM visitor_day_pending AS p
),
gained AS (
    SELECT t.visitor_id, t.week
    FROM touched AS t
    WHERE NOT EXISTS (
        SELECT FROM visitor_day AS v
        WHERE v.visitor_id = t.visitor_id AND v.day >= t.week AND v.day < t.week + 7
        OFFSET 0
    )
),
known AS (
    SELECT g.visitor_id, w.week
    FROM (SELECT DISTINCT visitor_id FROM gained) AS g
    CROSS JOIN LATERAL (
        SELECT DISTINCT date_trunc('week', v.day::timestamp)::date AS week
        FROM visitor_day AS v
        WHERE v.visitor_id = g.visitor_id
        OFFSET 0
    ) AS w
),
change (first_week, active_week, n) AS (
    SELECT min(a.week) OVER (PARTITION BY a.visitor_id), a.week, 1
    FROM (SELECT * FROM known UNION ALL SELECT * FROM gained) AS a
    UNION ALL
    SELECT min(k.week) OVER (PARTITION BY k.visitor_id), k.week, -1
    FROM known AS k
)
SELECT first_week, active_week, sum(n)::bigint AS visitors
FROM change
GROUP BY 1, 2
HAVING sum(n) <> 0;
