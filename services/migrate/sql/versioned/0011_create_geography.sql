-- Works with: 0.1.0

-- Where it happened. An unknown place is the empty text.
CREATE TABLE geography_hour (
    hour       timestamptz NOT NULL,
    site       text COLLATE "C" NOT NULL,
    country    text COLLATE "C" NOT NULL,
    city       text COLLATE "C" NOT NULL,
    events     bigint      NOT NULL,
    page_views bigint      NOT NULL,
    purchases  bigint      NOT NULL,
    PRIMARY KEY (hour, site, country, city)
);
