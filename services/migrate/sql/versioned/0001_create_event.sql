-- Works with: 0.1.0

-- Every event, once. A day partition is a range of event_id: a UUIDv7 begins with the time it was made,
-- so a primary key on event_id alone works, and an event resent with another event_time is still the same event.
CREATE TABLE event (
    event_id     uuid        NOT NULL,
    session_id   uuid        NOT NULL,
    event_time   timestamptz NOT NULL,
    batch_id     bigint      NOT NULL,
    quantity     integer,
    site         text COLLATE "C" NOT NULL,
    event_type   text COLLATE "C" NOT NULL,
    event_name   text COLLATE "C",
    visitor_id   text COLLATE "C" NOT NULL,
    page_path    text COLLATE "C" NOT NULL,
    device_type  text COLLATE "C" NOT NULL,
    user_id      text COLLATE "C",
    page_url     text COLLATE "C",
    page_title   text COLLATE "C",
    referrer     text COLLATE "C",
    utm_source   text COLLATE "C",
    utm_medium   text COLLATE "C",
    utm_campaign text COLLATE "C",
    os           text COLLATE "C",
    browser      text COLLATE "C",
    country      text COLLATE "C",
    city         text COLLATE "C",
    element      text COLLATE "C",
    product_id   text COLLATE "C",
    value        numeric,
    currency     text COLLATE "C",
    properties   jsonb,
    PRIMARY KEY (event_id)
) PARTITION BY RANGE (event_id);

COMMENT ON COLUMN event.batch_id IS 'the batch of ingest_batch that stored it: the only lineage column';

-- In a session's order of time: what lies beside an event is one look away, however long the session.
CREATE INDEX event_session_id ON event (session_id, event_time, event_id);
CREATE INDEX event_batch_id ON event (batch_id);
CREATE INDEX event_event_time ON event USING brin (event_time);

-- Days whose raw events were dropped: their rollups can no longer be rebuilt.
CREATE TABLE expired_day (
    day        date        PRIMARY KEY,
    expired_at timestamptz NOT NULL DEFAULT now()
);

-- Locks, for LOCK TABLE: one table for each thing that only one session may do at a time. They stay empty. Locking one
-- needs rights on it, where an advisory lock is anybody's who may log in; it holds back neither readers nor vacuum.
CREATE TABLE event_partition_lock ();
CREATE TABLE pass_lock ();
CREATE TABLE rebuild_lock ();
CREATE TABLE skip_used_ids_lock ();
