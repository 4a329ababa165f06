-- Products by UTC day, for long time ranges.
CREATE TABLE product_day (
    day              date    NOT NULL,
    product_id       text COLLATE "C" NOT NULL,
    currency         text COLLATE "C" NOT NULL,
    views            bigint  NOT NULL,
    add_to_cart      bigint  NOT NULL,
    remove_from_cart bigint  NOT NULL,
    purchases        bigint  NOT NULL,
    quantity         bigint  NOT NULL,
    revenue          numeric NOT NULL,
    PRIMARY KEY (day, product_id, currency)
);

CREATE VIEW product_day_pending AS
SELECT
    (hour AT TIME ZONE 'UTC')::date AS day,
    product_id,
    currency,
    sum(views)::bigint AS views,
    sum(add_to_cart)::bigint AS add_to_cart,
    sum(remove_from_cart)::bigint AS remove_from_cart,
    sum(purchases)::bigint AS purchases,
    sum(quantity)::bigint AS quantity,
    sum(revenue) AS revenue
FROM product_hour_pending
GROUP BY 1, 2, 3;
