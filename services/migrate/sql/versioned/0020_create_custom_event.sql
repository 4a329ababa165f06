-- Works with: 0.1.0

-- Events of no fixed type, by the name that the site gave them.
CREATE TABLE custom_event_hour (
    hour        timestamptz NOT NULL,
    site        text COLLATE "C" NOT NULL,
    event_name  text COLLATE "C" NOT NULL,
    page_path   text COLLATE "C" NOT NULL,
    device_type text COLLATE "C" NOT NULL,
    events      bigint      NOT NULL,
    PRIMARY KEY (hour, site, event_name, page_path, device_type)
);

COMMENT ON TABLE custom_event_hour IS 'twins: day';
