-- Works with: 0.1.0

-- What was viewed and clicked on each page, by the kind of device of its events.
CREATE TABLE page_hour (
    hour         timestamptz NOT NULL,
    site         text COLLATE "C" NOT NULL,
    page_path    text COLLATE "C" NOT NULL,
    device_type  text COLLATE "C" NOT NULL,
    events       bigint      NOT NULL,
    views        bigint      NOT NULL,
    clicks       bigint      NOT NULL,
    scrolls      bigint      NOT NULL,
    form_submits bigint      NOT NULL,
    PRIMARY KEY (hour, site, page_path, device_type)
);

COMMENT ON TABLE page_hour IS 'twins: day';

-- On which pages sessions began and ended, by the hour they started in and by the session's device: its first event's.
-- A bounce saw at most one page and counts at the page where the session began.
CREATE TABLE page_visit_hour (
    hour        timestamptz NOT NULL,
    site        text COLLATE "C" NOT NULL,
    page_path   text COLLATE "C" NOT NULL,
    device_type text COLLATE "C" NOT NULL,
    entries     bigint      NOT NULL,
    exits       bigint      NOT NULL,
    bounces     bigint      NOT NULL,
    PRIMARY KEY (hour, site, page_path, device_type)
);

COMMENT ON TABLE page_visit_hour IS 'twins: day';

-- How long pages were looked at: from a page view to the session's next one, by the hour of the first. The last page
-- of a session has no next one, so it is not timed; what lasts longer than half an hour counts as half an hour. The device is that of
-- the page view that is timed, as views are counted: a session may change its device.
CREATE TABLE page_time_hour (
    hour        timestamptz NOT NULL,
    site        text COLLATE "C" NOT NULL,
    page_path   text COLLATE "C" NOT NULL,
    device_type text COLLATE "C" NOT NULL,
    timed_views bigint      NOT NULL,
    time_ms     bigint      NOT NULL,
    PRIMARY KEY (hour, site, page_path, device_type)
);

COMMENT ON TABLE page_time_hour IS 'twins: day';
