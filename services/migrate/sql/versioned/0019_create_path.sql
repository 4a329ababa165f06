-- Works with: 0.1.0

-- From which page to which: consecutive page views of a session, by the hour of the first.
CREATE TABLE path_hour (
    hour      timestamptz NOT NULL,
    site      text COLLATE "C" NOT NULL,
    from_page text COLLATE "C" NOT NULL,
    to_page   text COLLATE "C" NOT NULL,
    moves     bigint      NOT NULL,
    PRIMARY KEY (hour, site, from_page, to_page)
);

COMMENT ON TABLE path_hour IS 'twins: day, week';

-- By which pages sessions came to their first conversion, by the hour they started in. A step is a page's section: the
-- first part of its path. Repeated steps count once; of more than eight the first four and the last four are kept.
CREATE TABLE conversion_path_hour (
    hour        timestamptz NOT NULL,
    site        text COLLATE "C" NOT NULL,
    device_type text COLLATE "C" NOT NULL,
    source      text COLLATE "C" NOT NULL,
    steps       text COLLATE "C" NOT NULL,
    country     text COLLATE "C" NOT NULL,
    conversions bigint      NOT NULL,
    page_views  bigint      NOT NULL,
    time_ms     bigint      NOT NULL,
    PRIMARY KEY (hour, site, device_type, source, steps, country)
);

COMMENT ON COLUMN conversion_path_hour.page_views IS 'seen before the conversion, and the page of it if it is a page view';
COMMENT ON COLUMN conversion_path_hour.time_ms IS 'from the start of the session to the conversion';
