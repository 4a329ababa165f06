-- How much happened each minute.
CREATE TABLE traffic_minute (
    minute      timestamptz NOT NULL,
    event_type  text COLLATE "C" NOT NULL,
    device_type text COLLATE "C" NOT NULL,
    events      bigint      NOT NULL,
    PRIMARY KEY (minute, event_type, device_type)
);

CREATE VIEW traffic_minute_pending AS
SELECT
    date_bin('1 minute', event_time, 'epoch'::timestamptz) AS minute,
    event_type,
    device_type,
    count(*) AS events
FROM pending_event
GROUP BY 1, 2, 3;
