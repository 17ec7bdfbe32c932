-- The five questions, from the gold tables. They run unchanged on DuckDB, Spark SQL and Athena (Trino).
-- Times are UTC. Rates are fractions, NULL where there is nothing to divide by. Searches have no product and no category.

-- 1. conversion_funnel: how many views of each product become carts and purchases
SELECT
    product_id,
    min(category) AS category,
    CAST(sum(page_views) AS BIGINT) AS views,
    CAST(sum(add_to_carts) AS BIGINT) AS add_to_carts,
    CAST(sum(purchases) AS BIGINT) AS purchases,
    CAST(sum(add_to_carts) AS DOUBLE) / nullif(CAST(sum(page_views) AS DOUBLE), 0) AS view_to_cart_rate,
    CAST(sum(purchases) AS DOUBLE) / nullif(CAST(sum(add_to_carts) AS DOUBLE), 0) AS cart_to_purchase_rate,
    CAST(sum(purchases) AS DOUBLE) / nullif(CAST(sum(page_views) AS DOUBLE), 0) AS view_to_purchase_rate
FROM product_hourly
WHERE product_id IS NOT NULL
GROUP BY product_id
ORDER BY views DESC, product_id;

-- 2. hourly_revenue: revenue of each hour in which something was sold
SELECT
    event_hour,
    CAST(sum(revenue) AS DECIMAL(38, 2)) AS revenue,
    CAST(sum(purchases) AS BIGINT) AS purchases,
    CAST(sum(units_sold) AS BIGINT) AS units_sold
FROM product_hourly
WHERE purchases > 0
GROUP BY event_hour
ORDER BY event_hour;

-- 3. top_products: the ten most viewed products
SELECT
    product_id,
    min(category) AS category,
    CAST(sum(page_views) AS BIGINT) AS views
FROM product_hourly
WHERE product_id IS NOT NULL
GROUP BY product_id
HAVING sum(page_views) > 0
ORDER BY views DESC, product_id
LIMIT 10;

-- 4. category_performance: events of each category and type, day by day; searches stand under (none)
SELECT
    CAST(event_hour AS DATE) AS event_date,
    coalesce(category, '(none)') AS category,
    CAST(sum(events) AS BIGINT) AS events,
    CAST(sum(page_views) AS BIGINT) AS page_views,
    CAST(sum(add_to_carts) AS BIGINT) AS add_to_carts,
    CAST(sum(removes_from_cart) AS BIGINT) AS removes_from_cart,
    CAST(sum(purchases) AS BIGINT) AS purchases,
    CAST(sum(searches) AS BIGINT) AS searches
FROM product_hourly
GROUP BY CAST(event_hour AS DATE), coalesce(category, '(none)')
ORDER BY event_date, category;

-- 5. user_activity: distinct users and sessions of each day
SELECT
    event_date,
    unique_users,
    unique_sessions,
    events
FROM activity_daily
ORDER BY event_date
