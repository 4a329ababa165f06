-- Works with: 0.1.0

-- How much happened each minute.
CREATE TABLE traffic_minute (
    minute      timestamptz NOT NULL,
    site        text COLLATE "C" NOT NULL,
    event_type  text COLLATE "C" NOT NULL,
    device_type text COLLATE "C" NOT NULL,
    events      bigint      NOT NULL,
    PRIMARY KEY (minute, site, event_type, device_type)
);

COMMENT ON TABLE traffic_minute IS 'twins: hour; retention: 90 days';
