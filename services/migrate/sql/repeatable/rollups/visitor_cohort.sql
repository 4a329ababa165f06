CREATE OR REPLACE VIEW visitor_cohort_pending AS
WITH touched AS (
    SELECT DISTINCT p.site, p.visitor_id, date_trunc('week', p.day::timestamp)::date AS week
    FROM visitor_day_pending AS p
),
gained AS (
    SELECT t.site, t.visitor_id, t.week
    FROM touched AS t
    WHERE NOT EXISTS (
        SELECT FROM visitor_day AS v
        WHERE v.site = t.site AND v.visitor_id = t.visitor_id AND v.day >= t.week AND v.day < t.week + 7
        OFFSET 0
    )
),
known AS (
    SELECT g.site, g.visitor_id, w.week
    FROM (SELECT DISTINCT site, visitor_id FROM gained) AS g
    CROSS JOIN LATERAL (
        SELECT DISTINCT date_trunc('week', v.day::timestamp)::date AS week
        FROM visitor_day AS v
        WHERE v.site = g.site AND v.visitor_id = g.visitor_id
        OFFSET 0
    ) AS w
),
change (first_week, active_week, site, n) AS (
    SELECT min(a.week) OVER (PARTITION BY a.site, a.visitor_id), a.week, a.site, 1
    FROM (SELECT * FROM known UNION ALL SELECT * FROM gained) AS a
    UNION ALL
    SELECT min(k.week) OVER (PARTITION BY k.site, k.visitor_id), k.week, k.site, -1
    FROM known AS k
)
SELECT first_week, active_week, site, sum(n)::bigint AS visitors
FROM change
GROUP BY 1, 2, 3
HAVING sum(n) <> 0;
