-- The metrics, defined once: what docs/metrics.md shows, `shoplake query NAME` runs and the tests check.
-- input: the gold tables, the view sessions, and events where only these have the answer
-- dialect: DuckDB, Spark SQL and Trino, in the words of queries.sql. Rates are fractions, NULL where there is nothing to divide by.

-- 1. event_funnel: of all events with a product, how many are views, carts and purchases; a conversion is a purchase event
-- A conversion is an event: one purchase line of one product. The rates divide events by events, so a product that is viewed once and
-- bought three times converts at 300 %, and nobody is followed from one step to the next. Question 1 has the same by product.
SELECT
    CAST(sum(page_views) AS BIGINT) AS views,
    CAST(sum(add_to_carts) AS BIGINT) AS add_to_carts,
    CAST(sum(purchases) AS BIGINT) AS purchases,
    CAST(sum(add_to_carts) AS DOUBLE) / nullif(CAST(sum(page_views) AS DOUBLE), 0) AS view_to_cart_rate,
    CAST(sum(purchases) AS DOUBLE) / nullif(CAST(sum(add_to_carts) AS DOUBLE), 0) AS cart_to_purchase_rate,
    CAST(sum(purchases) AS DOUBLE) / nullif(CAST(sum(page_views) AS DOUBLE), 0) AS view_to_purchase_rate
FROM product_hourly
WHERE product_id IS NOT NULL;

-- 2. people_funnel: of all users, how many viewed, also put something into a cart, and also bought, in any order
-- A user counts once, whatever they did how often, over the whole range that is read, and is in a step only if they are in those before
-- it. A purchase without a view in that range does not count. The order of the steps does not matter: ordered_funnel of the cookbook keeps it.
WITH people AS (
    SELECT user_id, sum(page_views) AS page_views, sum(add_to_carts) AS add_to_carts, sum(purchases) AS purchases
    FROM user_hourly
    GROUP BY user_id
)
SELECT
    count(*) AS users,
    count(CASE WHEN page_views > 0 THEN 1 END) AS viewed,
    count(CASE WHEN page_views > 0 AND add_to_carts > 0 THEN 1 END) AS added_to_cart,
    count(CASE WHEN page_views > 0 AND add_to_carts > 0 AND purchases > 0 THEN 1 END) AS purchased,
    CAST(count(CASE WHEN page_views > 0 AND add_to_carts > 0 AND purchases > 0 THEN 1 END) AS DOUBLE)
        / nullif(CAST(count(CASE WHEN page_views > 0 THEN 1 END) AS DOUBLE), 0) AS conversion_rate
FROM people;

-- 3. session_funnel: of all sessions, how many viewed, also put something into a cart, and also bought, in any order
-- The same with sessions: the conversion rate that most web analytics shows. It is lower than that of people as soon as they come twice.
SELECT
    count(*) AS sessions,
    count(CASE WHEN page_views > 0 THEN 1 END) AS viewed,
    count(CASE WHEN page_views > 0 AND add_to_carts > 0 THEN 1 END) AS added_to_cart,
    count(CASE WHEN page_views > 0 AND add_to_carts > 0 AND purchases > 0 THEN 1 END) AS purchased,
    CAST(count(CASE WHEN page_views > 0 AND add_to_carts > 0 AND purchases > 0 THEN 1 END) AS DOUBLE)
        / nullif(CAST(count(CASE WHEN page_views > 0 THEN 1 END) AS DOUBLE), 0) AS conversion_rate
FROM sessions;

-- 4. average_order_value: revenue of an order, which is all that was bought in one session
-- The events have no order numbers, so all that one session bought is one order. Revenue is quantity times price, as it was paid: no
-- taxes, shipping or refunds are known.
SELECT
    count(*) AS orders,
    CAST(sum(purchases) AS BIGINT) AS purchases,
    CAST(sum(revenue) AS DECIMAL(38, 2)) AS revenue,
    CAST(sum(revenue) AS DOUBLE) / nullif(CAST(count(*) AS DOUBLE), 0) AS average_order_value,
    CAST(sum(purchases) AS DOUBLE) / nullif(CAST(count(*) AS DOUBLE), 0) AS purchases_per_order
FROM sessions
WHERE purchases > 0;

-- 5. cart_abandonment: of the sessions that put something into a cart, how many bought nothing
-- A session whose cart led to nothing, whatever was removed from it. A cart that is bought in a later session counts as abandoned.
SELECT
    count(*) AS sessions_with_cart,
    count(CASE WHEN purchases = 0 THEN 1 END) AS abandoned,
    CAST(count(CASE WHEN purchases = 0 THEN 1 END) AS DOUBLE) / nullif(CAST(count(*) AS DOUBLE), 0) AS abandonment_rate
FROM sessions
WHERE add_to_carts > 0;

-- 6. top_searches: the ten most frequent searches, in lower case without spaces around them
-- The texts are what people typed. Spelling variants are different searches.
SELECT
    lower(trim(search_query)) AS search,
    count(*) AS searches,
    count(DISTINCT user_id) AS users
FROM events
WHERE event_type = 'search'
GROUP BY lower(trim(search_query))
ORDER BY searches DESC, search
LIMIT 10;

-- 7. repeat_rate: of the users who bought, how many did so in at least two sessions
-- Over the range that is read: with a longer range the rate grows. Two purchases of one session are one order.
WITH buyers AS (
    SELECT user_id, count(DISTINCT session_id) AS orders
    FROM events
    WHERE event_type = 'purchase'
    GROUP BY user_id
)
SELECT
    count(*) AS buyers,
    count(CASE WHEN orders > 1 THEN 1 END) AS repeat_buyers,
    CAST(count(CASE WHEN orders > 1 THEN 1 END) AS DOUBLE) / nullif(CAST(count(*) AS DOUBLE), 0) AS repeat_rate
FROM buyers
