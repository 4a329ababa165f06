CREATE OR REPLACE VIEW visitor_count_pending AS
WITH gained AS (
    SELECT p.site, p.visitor_id, p.day
    FROM visitor_day_pending AS p
    WHERE NOT EXISTS (
        SELECT FROM visitor_day AS v
        WHERE v.site = p.site AND v.visitor_id = p.visitor_id AND v.day = p.day
        OFFSET 0
    )
),
first_day AS (
    SELECT
        g.site,
        g.visitor_id,
        min(g.day) AS gained,
        (SELECT min(v.day) FROM visitor_day AS v WHERE v.site = g.site AND v.visitor_id = g.visitor_id) AS known
    FROM gained AS g
    GROUP BY 1, 2
),
period (period, length) AS (
    VALUES ('day' COLLATE "C", interval '1 day'), ('week', interval '1 week'), ('month', interval '1 month')
),
gained_period AS (
    SELECT DISTINCT g.site, g.visitor_id, p.period, p.length, date_trunc(p.period, g.day::timestamp)::date AS starts_on
    FROM gained AS g
    CROSS JOIN period AS p
),
change (period, day, site, visitors, new_visitors) AS (
    SELECT g.period, g.starts_on, g.site, 1, 0
    FROM gained_period AS g
    WHERE NOT EXISTS (
        SELECT FROM visitor_day AS v
        WHERE v.site = g.site AND v.visitor_id = g.visitor_id
            AND v.day >= g.starts_on AND v.day < g.starts_on + g.length
        OFFSET 0
    )
    UNION ALL
    SELECT p.period, f.gained, f.site, 0, 1
    FROM first_day AS f
    CROSS JOIN period AS p
    WHERE f.known IS NULL OR f.gained < f.known
    UNION ALL
    SELECT p.period, f.known, f.site, 0, -1
    FROM first_day AS f
    CROSS JOIN period AS p
    WHERE f.gained < f.known
)
SELECT
    period,
    date_trunc(period, day::timestamp)::date AS starts_on,
    site,
    sum(visitors)::bigint AS visitors,
    sum(new_visitors)::bigint AS new_visitors
FROM change
GROUP BY 1, 2, 3;
