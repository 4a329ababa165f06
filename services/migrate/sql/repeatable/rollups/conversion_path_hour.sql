-- "/product/42" is of "/product". A B-tree row holds 2,704 bytes, so a section has 40 characters at most.
CREATE OR REPLACE FUNCTION page_section(page_path text) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN left('/' || split_part(page_path, '/', 2), 40);

CREATE OR REPLACE FUNCTION conversion_steps(sections text[]) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN CASE
    WHEN cardinality(sections) > 8 THEN
        array_to_string(sections[1:4] || ARRAY['…'] || sections[cardinality(sections) - 3:], ' → ')
    ELSE coalesce(array_to_string(sections, ' → '), '')
END;

-- Each changed session with its first conversion and the pages up to it, among the events that it had or will have.
-- What comes after the first conversion changes nothing here: such a session is not read again, and none beyond it.
-- The range of ids lets the planner skip the partitions that can't hold the session; OFFSET 0 keeps it to a lookup.
CREATE OR REPLACE VIEW conversion_path_hour_pending AS
WITH first_new AS (
    SELECT session_id, min(event_time) AS event_time
    FROM pending_event
    GROUP BY session_id
),
change AS (
    SELECT
        c.n,
        c.session_id,
        c.started_at,
        c.converted_at,
        c.site,
        c.device_type,
        c.source,
        c.country,
        c.min_event_id,
        c.max_event_id
    FROM session_change AS c
    JOIN first_new AS f ON f.session_id = c.session_id AND f.event_time <= c.converted_at
),
visible AS (
    SELECT
        c.n,
        c.session_id,
        e.event_id,
        e.event_time,
        e.event_type = 'page_view' AS is_page_view,
        e.event_time = c.converted_at AND is_goal(e.site, e.event_type, e.event_name, e.page_path) AS is_goal,
        page_section(e.page_path) AS section
    FROM change AS c
    CROSS JOIN LATERAL (
        SELECT i.event_id, i.event_time, i.site, i.event_type, i.event_name, i.page_path, i.batch_id
        FROM event AS i
        WHERE i.session_id = c.session_id
            AND i.event_id BETWEEN c.min_event_id AND c.max_event_id
            AND i.event_time <= c.converted_at
            AND (i.event_type = 'page_view' OR i.event_time = c.converted_at)
        OFFSET 0
    ) AS e
    WHERE e.batch_id NOT IN (SELECT d.batch_id FROM deferred_batch AS d)
        AND (c.n = 1 OR e.batch_id NOT IN (SELECT p.batch_id FROM pending_batch AS p))
),
way AS (
    SELECT
        n,
        session_id,
        event_id,
        event_time,
        is_page_view,
        is_goal,
        section,
        lag(section) OVER before AS previous_section,
        count(*) FILTER (WHERE is_goal) OVER before AS goals
    FROM visible
    WHERE is_page_view OR is_goal
    WINDOW before AS (PARTITION BY session_id, n ORDER BY event_time, event_id)
),
conversion AS (
    SELECT
        n,
        session_id,
        min(event_time) FILTER (WHERE is_goal) AS converted_at,
        count(*) FILTER (WHERE is_page_view) AS page_views,
        conversion_steps(
            array_agg(section ORDER BY event_time, event_id)
                FILTER (WHERE is_page_view AND section IS DISTINCT FROM previous_section)
        ) AS steps
    FROM way
    WHERE goals = 0 OR (goals = 1 AND is_goal)
    GROUP BY 1, 2
    HAVING bool_or(is_goal)
)
SELECT
    date_bin('1 hour', c.started_at, 'epoch'::timestamptz) AS hour,
    c.site,
    c.device_type,
    c.source,
    v.steps,
    c.country,
    sum(c.n)::bigint AS conversions,
    sum(c.n * v.page_views)::bigint AS page_views,
    sum(c.n * (extract(epoch FROM v.converted_at - c.started_at) * 1000)::bigint)::bigint AS time_ms
FROM change AS c
JOIN conversion AS v USING (session_id, n)
GROUP BY 1, 2, 3, 4, 5, 6
HAVING sum(c.n) <> 0
    OR sum(c.n * v.page_views) <> 0
    OR sum(c.n * (extract(epoch FROM v.converted_at - c.started_at) * 1000)::bigint) <> 0;
