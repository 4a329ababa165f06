-- One row a session. Rows merge: whichever order events come in, the row is the same.
-- What describes the session (device, place, source) is its first event's.
CREATE TABLE session (
    session_id       uuid        PRIMARY KEY,
    visitor_id       text COLLATE "C" NOT NULL,
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
    purchased_at     timestamptz,
    revenue          numeric     NOT NULL,
    currency         text COLLATE "C" NOT NULL,
    furthest_step    smallint    NOT NULL,
    entry_page       text COLLATE "C" NOT NULL,
    exit_page        text COLLATE "C" NOT NULL,
    device_type      text COLLATE "C" NOT NULL,
    os               text COLLATE "C" NOT NULL,
    browser          text COLLATE "C" NOT NULL,
    country          text COLLATE "C" NOT NULL,
    city             text COLLATE "C" NOT NULL,
    source           text COLLATE "C" NOT NULL,
    medium           text COLLATE "C" NOT NULL,
    campaign         text COLLATE "C" NOT NULL
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
COMMENT ON COLUMN session.purchased_at IS 'merge: least (the first purchase)';
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

-- One sort serves all: of the events in order, the first describes the session, and the last is its exit.
CREATE VIEW session_pending AS
WITH ordered AS (
    SELECT
        *,
        row_number() OVER session = 1 AS is_first,
        lead(event_id) OVER session IS NULL AS is_last
    FROM pending_event
    WINDOW session AS (PARTITION BY session_id ORDER BY event_time, event_id)
)
SELECT
    session_id,
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
    bool_or(event_type = 'purchase') AS converted,
    min(event_time) FILTER (WHERE event_type = 'purchase') AS purchased_at,
    coalesce(sum(value) FILTER (WHERE event_type = 'purchase'), 0) AS revenue,
    coalesce(max(currency) FILTER (WHERE event_type = 'purchase'), '') AS currency,
    max(funnel_step(event_type)) AS furthest_step,
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
