-- Works with: 0.1.0

-- Sessions by the hour they started in. A bounce saw at most one page. Funnel steps count who came at least that far.
CREATE TABLE session_hour (
    hour                 timestamptz NOT NULL,
    site                 text COLLATE "C" NOT NULL,
    device_type          text COLLATE "C" NOT NULL,
    browser              text COLLATE "C" NOT NULL,
    country              text COLLATE "C" NOT NULL,
    currency             text COLLATE "C" NOT NULL,
    sessions             bigint      NOT NULL,
    bounces              bigint      NOT NULL,
    conversions          bigint      NOT NULL,
    events               bigint      NOT NULL,
    page_views           bigint      NOT NULL,
    duration_ms          bigint      NOT NULL,
    duration_under_10s   bigint      NOT NULL,
    duration_under_60s   bigint      NOT NULL,
    duration_under_180s  bigint      NOT NULL,
    duration_under_600s  bigint      NOT NULL,
    duration_under_1800s bigint      NOT NULL,
    pages_under_3        bigint      NOT NULL,
    pages_under_6        bigint      NOT NULL,
    pages_under_11       bigint      NOT NULL,
    pages_under_21       bigint      NOT NULL,
    viewed_product       bigint      NOT NULL,
    added_to_cart        bigint      NOT NULL,
    began_checkout       bigint      NOT NULL,
    revenue              numeric     NOT NULL,
    PRIMARY KEY (hour, site, device_type, browser, country, currency)
);

COMMENT ON COLUMN session_hour.duration_under_60s IS 'cumulative, as a Prometheus histogram: shorter ones included';
COMMENT ON COLUMN session_hour.pages_under_3 IS 'cumulative, as a Prometheus histogram; under 2 are the bounces';
COMMENT ON TABLE session_hour IS 'twins: day';

-- Where sessions came from, by the hour they started in.
CREATE TABLE source_hour (
    hour           timestamptz NOT NULL,
    site           text COLLATE "C" NOT NULL,
    source         text COLLATE "C" NOT NULL,
    medium         text COLLATE "C" NOT NULL,
    campaign       text COLLATE "C" NOT NULL,
    currency       text COLLATE "C" NOT NULL,
    sessions       bigint      NOT NULL,
    bounces        bigint      NOT NULL,
    conversions    bigint      NOT NULL,
    page_views     bigint      NOT NULL,
    duration_ms    bigint      NOT NULL,
    viewed_product bigint      NOT NULL,
    added_to_cart  bigint      NOT NULL,
    began_checkout bigint      NOT NULL,
    revenue        numeric     NOT NULL,
    PRIMARY KEY (hour, site, source, medium, campaign, currency)
);

COMMENT ON TABLE source_hour IS 'twins: day';
