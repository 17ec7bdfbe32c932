-- gold_product_hourly: what happened to each product in each hour.
-- grain: event_hour, product_id, category (both NULL for searches)
-- input: events, whole hours of it
-- dialect: shared by DuckDB, Spark SQL and Trino
SELECT
    date_trunc('hour', event_time) AS event_hour,
    product_id,
    category,
    count_if(event_type = 'page_view') AS page_views,
    count_if(event_type = 'add_to_cart') AS add_to_carts,
    count_if(event_type = 'remove_from_cart') AS removes_from_cart,
    count_if(event_type = 'purchase') AS purchases,
    CAST(coalesce(sum(CASE WHEN event_type = 'purchase' THEN quantity END), 0) AS BIGINT) AS units_sold,
    CAST(coalesce(sum(CASE WHEN event_type = 'purchase' THEN quantity * CAST(price AS DECIMAL(22, 2)) END), 0) AS DECIMAL(38, 2)) AS revenue,
    count_if(event_type = 'search') AS searches,
    count(*) AS events
FROM events
GROUP BY date_trunc('hour', event_time), product_id, category
