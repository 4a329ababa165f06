-- Works with: 0.1.0

-- What was clicked on each page. A click without an element has the empty text.
CREATE TABLE element_hour (
    hour        timestamptz NOT NULL,
    site        text COLLATE "C" NOT NULL,
    page_path   text COLLATE "C" NOT NULL,
    element     text COLLATE "C" NOT NULL,
    device_type text COLLATE "C" NOT NULL,
    clicks      bigint      NOT NULL,
    PRIMARY KEY (hour, site, page_path, element, device_type)
);

COMMENT ON TABLE element_hour IS 'twins: day';
