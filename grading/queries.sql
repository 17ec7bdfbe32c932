-- The oracle: the same five questions, answered from the events themselves and written independently of queries.sql.
-- Both must give the same rows on every engine.

-- 1. conversion_funnel
WITH steps AS (
    SELECT
        product_id,
        category,
        CASE event_type WHEN 'page_view' THEN 1 ELSE 0 END AS viewed,
        CASE event_type WHEN 'add_to_cart' THEN 1 ELSE 0 END AS carted,
        CASE event_type WHEN 'purchase' THEN 1 ELSE 0 END AS bought
    FROM events
    WHERE event_type <> 'search'
),
totals AS (
    SELECT
        product_id,
        min(category) AS category,
        CAST(sum(viewed) AS BIGINT) AS views,
        CAST(sum(carted) AS BIGINT) AS add_to_carts,
        CAST(sum(bought) AS BIGINT) AS purchases
    FROM steps
    GROUP BY product_id
)
SELECT
    product_id,
    category,
    views,
    add_to_carts,
    purchases,
    CASE WHEN views > 0 THEN CAST(add_to_carts AS DOUBLE) / CAST(views AS DOUBLE) END AS view_to_cart_rate,
    CASE WHEN add_to_carts > 0 THEN CAST(purchases AS DOUBLE) / CAST(add_to_carts AS DOUBLE) END AS cart_to_purchase_rate,
    CASE WHEN views > 0 THEN CAST(purchases AS DOUBLE) / CAST(views AS DOUBLE) END AS view_to_purchase_rate
FROM totals
ORDER BY views DESC, product_id;

-- 2. hourly_revenue
SELECT
    date_trunc('hour', event_time) AS event_hour,
    CAST(sum(quantity * CAST(price AS DECIMAL(22, 2))) AS DECIMAL(38, 2)) AS revenue,
    count(*) AS purchases,
    CAST(sum(quantity) AS BIGINT) AS units_sold
FROM events
WHERE event_type = 'purchase'
GROUP BY date_trunc('hour', event_time)
ORDER BY event_hour;

-- 3. top_products
SELECT product_id, min(category) AS category, count(CASE WHEN event_type = 'page_view' THEN 1 END) AS views
FROM events
WHERE event_type IN ('page_view', 'add_to_cart', 'remove_from_cart', 'purchase')
GROUP BY product_id
HAVING count(CASE WHEN event_type = 'page_view' THEN 1 END) > 0
ORDER BY views DESC, product_id
LIMIT 10;

-- 4. category_performance
SELECT
    CAST(event_time AS DATE) AS event_date,
    CASE WHEN event_type = 'search' THEN '(none)' ELSE category END AS category,
    count(*) AS events,
    CAST(sum(CASE event_type WHEN 'page_view' THEN 1 ELSE 0 END) AS BIGINT) AS page_views,
    CAST(sum(CASE event_type WHEN 'add_to_cart' THEN 1 ELSE 0 END) AS BIGINT) AS add_to_carts,
    CAST(sum(CASE event_type WHEN 'remove_from_cart' THEN 1 ELSE 0 END) AS BIGINT) AS removes_from_cart,
    CAST(sum(CASE event_type WHEN 'purchase' THEN 1 ELSE 0 END) AS BIGINT) AS purchases,
    CAST(sum(CASE event_type WHEN 'search' THEN 1 ELSE 0 END) AS BIGINT) AS searches
FROM events
GROUP BY CAST(event_time AS DATE), CASE WHEN event_type = 'search' THEN '(none)' ELSE category END
ORDER BY event_date, category;

-- 5. user_activity
SELECT
    CAST(event_time AS DATE) AS event_date,
    count(DISTINCT user_id) AS unique_users,
    count(DISTINCT session_id) AS unique_sessions,
    count(*) AS events
FROM events
GROUP BY CAST(event_time AS DATE)
ORDER BY event_date
