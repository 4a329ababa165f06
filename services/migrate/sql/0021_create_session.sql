-- One row a session. Rows merge: whichever order events come in, the row is the same.
-- What describes the session (device, place, source) is its first event's.
CREATE TABLE session (
    session_id       uuid        PRIMARY KEY,
    visitor_id       text        NOT NULL,
    started_at       timestamptz NOT NULL,
    ended_at         timestamptz NOT NULL,
    entry_event_id   uuid        NOT NULL,
    exit_event_id    uuid        NOT NULL,
    min_event_id     uuid        NOT NULL,
    max_event_id     uuid        NOT NULL,
    events           bigint      NOT NULL,
    page_views       bigint      NOT NULL,
    clicks           bigint      NOT NULL,
    add_to_cart      bigint      NOT NULL,
    purchases        bigint      NOT NULL,
    converted        boolean     NOT NULL,
    revenue          numeric     NOT NULL,
    currency         text        NOT NULL,
    furthest_step    smallint    NOT NULL,
    entry_page       text        NOT NULL,
    exit_page        text        NOT NULL,
    device_type      text        NOT NULL,
    os               text        NOT NULL,
    browser          text        NOT NULL,
    country          text        NOT NULL,
    city             text        NOT NULL,
    source           text        NOT NULL,
    medium           text        NOT NULL,
    campaign         text        NOT NULL
);

CREATE INDEX session_started_at ON session (started_at);

COMMENT ON COLUMN session.visitor_id IS 'merge: first by (started_at, entry_event_id)';
COMMENT ON COLUMN session.started_at IS 'merge: least';
COMMENT ON COLUMN session.ended_at IS 'merge: greatest';
COMMENT ON COLUMN session.entry_event_id IS 'merge: first by (started_at, entry_event_id)';
COMMENT ON COLUMN session.exit_event_id IS 'merge: last by (ended_at, exit_event_id)';
COMMENT ON COLUMN session.min_event_id IS 'merge: least';
COMMENT ON COLUMN session.max_event_id IS 'merge: greatest';
COMMENT ON COLUMN session.converted IS 'merge: or';
COMMENT ON COLUMN session.currency IS 'merge: greatest';
COMMENT ON COLUMN session.furthest_step IS 'merge: greatest';
COMMENT ON COLUMN session.entry_page IS 'merge: first by (started_at, entry_event_id)';
COMMENT ON COLUMN session.exit_page IS 'merge: last by (ended_at, exit_event_id)';
COMMENT ON COLUMN session.device_type IS 'merge: first by (started_at, entry_event_id)';
COMMENT ON COLUMN session.os IS 'merge: first by (started_at, entry_event_id)';
COMMENT ON COLUMN session.browser IS 'merge: first by (started_at, entry_event_id)';
COMMENT ON COLUMN session.country IS 'merge: first by (started_at, entry_event_id)';
COMMENT ON COLUMN session.city IS 'merge: first by (started_at, entry_event_id)';
COMMENT ON COLUMN session.source IS 'merge: first by (started_at, entry_event_id)';
COMMENT ON COLUMN session.medium IS 'merge: first by (started_at, entry_event_id)';
COMMENT ON COLUMN session.campaign IS 'merge: first by (started_at, entry_event_id)';

-- 0 browsed, 1 viewed a product, 2 added to cart, 3 began checkout, 4 purchased.
CREATE FUNCTION funnel_step(event_type text) RETURNS smallint
LANGUAGE sql IMMUTABLE
RETURN CASE event_type
    WHEN 'product_view' THEN 1
    WHEN 'add_to_cart' THEN 2
    WHEN 'begin_checkout' THEN 3
    WHEN 'purchase' THEN 4
    ELSE 0
END::smallint;

-- The host of a URL, without "www."; null where there is none.
CREATE FUNCTION url_host(url text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT
RETURN substring(lower(url) FROM '^[a-z][a-z0-9+.-]*://(?:[^/?#@]*@)?(?:www\.)?([^/?#:]+)');

-- The campaign's word for it, else the site that linked here, else "direct".
CREATE FUNCTION traffic_source(utm_source text, referrer text, page_url text) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN coalesce(
    nullif(utm_source, ''),
    left(nullif(url_host(referrer), coalesce(url_host(page_url), '')), 255),
    'direct'
);

CREATE VIEW session_pending AS
WITH grouped AS (
    SELECT
        session_id,
        min(event_time) AS started_at,
        max(event_time) AS ended_at,
        array_agg(event_id ORDER BY event_time, event_id) AS event_ids,
        min(event_id::text COLLATE "C")::uuid AS min_event_id,
        max(event_id::text COLLATE "C")::uuid AS max_event_id,
        count(*) AS events,
        count(*) FILTER (WHERE event_type = 'page_view') AS page_views,
        count(*) FILTER (WHERE event_type = 'click') AS clicks,
        count(*) FILTER (WHERE event_type = 'add_to_cart') AS add_to_cart,
        count(*) FILTER (WHERE event_type = 'purchase') AS purchases,
        coalesce(sum(value) FILTER (WHERE event_type = 'purchase'), 0) AS revenue,
        coalesce(max(currency) FILTER (WHERE event_type = 'purchase'), '') AS currency,
        max(funnel_step(event_type)) AS furthest_step
    FROM pending_event
    GROUP BY session_id
)
SELECT
    g.session_id,
    entry.visitor_id,
    g.started_at,
    g.ended_at,
    entry.event_id AS entry_event_id,
    exit.event_id AS exit_event_id,
    g.min_event_id,
    g.max_event_id,
    g.events,
    g.page_views,
    g.clicks,
    g.add_to_cart,
    g.purchases,
    g.purchases > 0 AS converted,
    g.revenue,
    g.currency,
    g.furthest_step,
    entry.page_path AS entry_page,
    exit.page_path AS exit_page,
    entry.device_type,
    coalesce(entry.os, '') AS os,
    coalesce(entry.browser, '') AS browser,
    coalesce(entry.country, '') AS country,
    coalesce(entry.city, '') AS city,
    traffic_source(entry.utm_source, entry.referrer, entry.page_url) AS source,
    coalesce(entry.utm_medium, '') AS medium,
    coalesce(entry.utm_campaign, '') AS campaign
FROM grouped AS g
JOIN pending_event AS entry ON entry.event_id = g.event_ids[1]
JOIN pending_event AS exit ON exit.event_id = g.event_ids[array_upper(g.event_ids, 1)];
