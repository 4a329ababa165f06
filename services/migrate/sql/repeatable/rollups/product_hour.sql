CREATE OR REPLACE VIEW product_hour_pending AS
SELECT
    date_bin('1 hour', event_time, 'epoch'::timestamptz) AS hour,
    site,
    product_id,
    CASE WHEN event_type = 'purchase' THEN coalesce(currency, '') ELSE '' END AS currency,
    count(*) FILTER (WHERE event_type = 'product_view') AS views,
    count(*) FILTER (WHERE event_type = 'add_to_cart') AS add_to_cart,
    count(*) FILTER (WHERE event_type = 'remove_from_cart') AS remove_from_cart,
    count(*) FILTER (WHERE event_type = 'purchase') AS purchases,
    coalesce(sum(quantity) FILTER (WHERE event_type = 'purchase'), 0) AS quantity,
    coalesce(sum(value) FILTER (WHERE event_type = 'purchase'), 0) AS revenue
FROM pending_event
WHERE product_id IS NOT NULL
    AND event_type IN ('product_view', 'add_to_cart', 'remove_from_cart', 'purchase')
GROUP BY 1, 2, 3, 4;
