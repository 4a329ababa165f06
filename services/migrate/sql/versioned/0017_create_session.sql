-- Works with: 0.1.0

-- Which events are a conversion, by site; '*' stands for all sites that have no goals of their own. An empty name or
-- page pattern is any. Written by the migration, as GOALS says.
CREATE TABLE goal (
    site         text COLLATE "C" NOT NULL,
    event_type   text COLLATE "C" NOT NULL,
    event_name   text COLLATE "C" NOT NULL DEFAULT '',
    page_pattern text COLLATE "C" NOT NULL DEFAULT '',
    page_like    text COLLATE "C" NOT NULL GENERATED ALWAYS AS (
        replace(replace(replace(replace(page_pattern, '\', '\\'), '%', '\%'), '_', '\_'), '*', '%')
    ) STORED,
    PRIMARY KEY (site, event_type, event_name, page_pattern)
);

-- One row a session. Rows merge: whichever order events come in, the row is the same.
-- What describes the session (device, place, source) is its first event's.
CREATE TABLE session (
    session_id       uuid        PRIMARY KEY,
    site             text COLLATE "C" NOT NULL,
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
    converted_at     timestamptz,
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

-- What goes on now is asked for all day: sessions by their end, dead letters by reason.
-- A BRIN index leaves the updates of a session's end as cheap as they are without one.
CREATE INDEX session_ended_at ON session USING brin (ended_at) WITH (pages_per_range = 16, autosummarize = on);

COMMENT ON COLUMN session.site IS 'merge: first by (started_at, entry_event_id)';
COMMENT ON COLUMN session.visitor_id IS 'merge: first by (started_at, entry_event_id)';
COMMENT ON COLUMN session.started_at IS 'merge: least';
COMMENT ON COLUMN session.ended_at IS 'merge: greatest';
COMMENT ON COLUMN session.entry_event_id IS 'merge: first by (started_at, entry_event_id)';
COMMENT ON COLUMN session.exit_event_id IS 'merge: last by (ended_at, exit_event_id)';
COMMENT ON COLUMN session.min_event_id IS 'merge: least';
COMMENT ON COLUMN session.max_event_id IS 'merge: greatest';
COMMENT ON COLUMN session.converted IS 'merge: or';
COMMENT ON COLUMN session.converted_at IS 'merge: least (the first event that is a goal)';
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
