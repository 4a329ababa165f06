-- How much happened each hour, for long time ranges.
CREATE TABLE traffic_hour (
    hour        timestamptz NOT NULL,
    event_type  text COLLATE "C" NOT NULL,
    device_type text COLLATE "C" NOT NULL,
    events      bigint      NOT NULL,
    PRIMARY KEY (hour, event_type, device_type)
);

CREATE VIEW traffic_hour_pending AS
SELECT
    date_bin('1 hour', minute, 'epoch'::timestamptz) AS hour,
    event_type,
    device_type,
    sum(events)::bigint AS events
FROM traffic_minute_pending
GROUP BY 1, 2, 3;
