-- Works with: 0.1.0

-- What was bought, by currency: amounts of different currencies don't add up.
CREATE TABLE revenue_hour (
    hour        timestamptz NOT NULL,
    site        text COLLATE "C" NOT NULL,
    device_type text COLLATE "C" NOT NULL,
    country     text COLLATE "C" NOT NULL,
    currency    text COLLATE "C" NOT NULL,
    purchases   bigint      NOT NULL,
    revenue     numeric     NOT NULL,
    PRIMARY KEY (hour, site, device_type, country, currency)
);

COMMENT ON TABLE revenue_hour IS 'twins: day';
