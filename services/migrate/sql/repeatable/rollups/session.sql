-- 0 browsed, 1 viewed a product, 2 added to cart, 3 began checkout, 4 converted: the event is a goal.
CREATE OR REPLACE FUNCTION funnel_step(event_type text, is_goal boolean) RETURNS smallint
LANGUAGE sql IMMUTABLE
RETURN CASE
    WHEN is_goal THEN 4
    WHEN event_type IN ('begin_checkout', 'purchase') THEN 3
    WHEN event_type = 'add_to_cart' THEN 2
    WHEN event_type = 'product_view' THEN 1
    ELSE 0
END::smallint;

-- Whether an event is a conversion on its site. Ask it of the types that are a goal somewhere, and of no others.
CREATE OR REPLACE FUNCTION is_goal(of_site text, of_type text, of_name text, of_page text) RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT EXISTS (
        SELECT
        FROM goal AS g
        WHERE g.site = CASE WHEN EXISTS (SELECT FROM goal AS o WHERE o.site = of_site) THEN of_site ELSE '*' END
            AND g.event_type = of_type
            AND g.event_name IN ('', of_name)
            AND (g.page_pattern = '' OR of_page LIKE g.page_like)
    );
END;

-- The host of a URL, without "www."; null where there is none.
CREATE OR REPLACE FUNCTION url_host(url text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT
RETURN substring(lower(url) FROM '^[a-z][a-z0-9+.-]*://(?:[^/?#@]*@)?(?:www\.)?([^/?#:]+)');

-- The campaign's word for it, else the site that linked here, else "direct".
CREATE OR REPLACE FUNCTION traffic_source(utm_source text, referrer text, page_url text) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN coalesce(
    nullif(utm_source, ''),
    left(nullif(url_host(referrer), coalesce(url_host(page_url), '')), 255),
    'direct'
);

-- One sort serves all: of the events in order, the first describes the session, and the last is its exit.
CREATE OR REPLACE VIEW session_pending AS
WITH ordered AS (
    SELECT
        *,
        event_type = ANY (ARRAY(SELECT g.event_type FROM goal AS g))
            AND is_goal(site, event_type, event_name, page_path) AS is_goal,
        row_number() OVER session = 1 AS is_first,
        lead(event_id) OVER session IS NULL AS is_last
    FROM pending_event
    WINDOW session AS (PARTITION BY session_id ORDER BY event_time, event_id)
)
SELECT
    session_id,
    min(site) FILTER (WHERE is_first) AS site,
    min(visitor_id) FILTER (WHERE is_first) AS visitor_id,
    min(event_time) AS started_at,
    max(event_time) AS ended_at,
    (min(event_id::text COLLATE "C") FILTER (WHERE is_first))::uuid AS entry_event_id,
    (min(event_id::text COLLATE "C") FILTER (WHERE is_last))::uuid AS exit_event_id,
    min(event_id::text COLLATE "C")::uuid AS min_event_id,
    max(event_id::text COLLATE "C")::uuid AS max_event_id,
    count(*) AS events,
    count(*) FILTER (WHERE event_type = 'page_view') AS page_views,
    count(*) FILTER (WHERE event_type = 'click') AS clicks,
    count(*) FILTER (WHERE event_type = 'add_to_cart') AS add_to_cart,
    count(*) FILTER (WHERE event_type = 'purchase') AS purchases,
    bool_or(is_goal) AS converted,
    min(event_time) FILTER (WHERE is_goal) AS converted_at,
    coalesce(sum(value) FILTER (WHERE event_type = 'purchase'), 0) AS revenue,
    coalesce(max(currency) FILTER (WHERE event_type = 'purchase'), '') AS currency,
    max(funnel_step(event_type, is_goal)) AS furthest_step,
    min(page_path) FILTER (WHERE is_first) AS entry_page,
    min(page_path) FILTER (WHERE is_last) AS exit_page,
    min(device_type) FILTER (WHERE is_first) AS device_type,
    coalesce(min(os) FILTER (WHERE is_first), '') AS os,
    coalesce(min(browser) FILTER (WHERE is_first), '') AS browser,
    coalesce(min(country) FILTER (WHERE is_first), '') AS country,
    coalesce(min(city) FILTER (WHERE is_first), '') AS city,
    traffic_source(
        min(utm_source) FILTER (WHERE is_first),
        min(referrer) FILTER (WHERE is_first),
        min(page_url) FILTER (WHERE is_first)
    ) AS source,
    coalesce(min(utm_medium) FILTER (WHERE is_first), '') AS medium,
    coalesce(min(utm_campaign) FILTER (WHERE is_first), '') AS campaign
FROM ordered
GROUP BY session_id;
