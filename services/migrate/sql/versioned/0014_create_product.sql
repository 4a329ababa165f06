-- Works with: 0.1.0

-- What happened to each product. Quantity and revenue count what was bought; currency is empty for all but purchases,
-- because amounts of different currencies do not add up.
CREATE TABLE product_hour (
    hour             timestamptz NOT NULL,
    site             text COLLATE "C" NOT NULL,
    product_id       text COLLATE "C" NOT NULL,
    currency         text COLLATE "C" NOT NULL,
    views            bigint      NOT NULL,
    add_to_cart      bigint      NOT NULL,
    remove_from_cart bigint      NOT NULL,
    purchases        bigint      NOT NULL,
    quantity         bigint      NOT NULL,
    revenue          numeric     NOT NULL,
    PRIMARY KEY (hour, site, product_id, currency)
);

COMMENT ON TABLE product_hour IS 'twins: day';
