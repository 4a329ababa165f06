-- Who was there on which UTC day: a set, so that unique visitors are counted, not estimated.
CREATE TABLE visitor_day (
    visitor_id text COLLATE "C" NOT NULL,
    day        date NOT NULL,
    PRIMARY KEY (visitor_id, day)
);

CREATE VIEW visitor_day_pending AS
SELECT DISTINCT
    visitor_id,
    (event_time AT TIME ZONE 'UTC')::date AS day
FROM pending_event;
