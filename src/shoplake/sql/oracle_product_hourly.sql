-- oracle_product_hourly: what product_hourly must hold for one hour; written independently of gold_product_hourly.
-- grain: product_id, category (both NULL for searches), of the hour in the variable `hour`
-- input: events
-- dialect: DuckDB; only `verify` runs it
WITH parts AS (
    SELECT product_id, category, event_type, count(*) AS n, sum(quantity) AS units, sum(price * quantity) AS money
    FROM events
    WHERE event_time >= getvariable('hour') AND event_time < getvariable('hour') + INTERVAL 1 HOUR
    GROUP BY product_id, category, event_type
)
SELECT
    getvariable('hour') AS event_hour,
    product_id,
    category,
    CAST(coalesce(sum(n) FILTER (event_type = 'page_view'), 0) AS BIGINT) AS page_views,
    CAST(coalesce(sum(n) FILTER (event_type = 'add_to_cart'), 0) AS BIGINT) AS add_to_carts,
    CAST(coalesce(sum(n) FILTER (event_type = 'remove_from_cart'), 0) AS BIGINT) AS removes_from_cart,
    CAST(coalesce(sum(n) FILTER (event_type = 'purchase'), 0) AS BIGINT) AS purchases,
    CAST(coalesce(sum(units) FILTER (event_type = 'purchase'), 0) AS BIGINT) AS units_sold,
    CAST(coalesce(sum(money) FILTER (event_type = 'purchase'), 0) AS DECIMAL(38, 2)) AS revenue,
    CAST(coalesce(sum(n) FILTER (event_type = 'search'), 0) AS BIGINT) AS searches,
    CAST(sum(n) AS BIGINT) AS events
FROM parts
GROUP BY product_id, category
