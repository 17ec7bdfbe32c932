-- oracle_user_hourly: what user_hourly must hold for one hour; written independently of gold_user_hourly.
-- grain: user_id, of the hour in the variable `hour`
-- input: events
-- dialect: DuckDB; only `verify` runs it
WITH parts AS (
    SELECT user_id, event_type, count(*) AS n, sum(price * quantity) AS money
    FROM events
    WHERE event_time >= getvariable('hour') AND event_time < getvariable('hour') + INTERVAL 1 HOUR
    GROUP BY user_id, event_type
)
SELECT
    getvariable('hour') AS event_hour,
    user_id,
    CAST(coalesce(sum(n) FILTER (event_type = 'page_view'), 0) AS BIGINT) AS page_views,
    CAST(coalesce(sum(n) FILTER (event_type = 'add_to_cart'), 0) AS BIGINT) AS add_to_carts,
    CAST(coalesce(sum(n) FILTER (event_type = 'remove_from_cart'), 0) AS BIGINT) AS removes_from_cart,
    CAST(coalesce(sum(n) FILTER (event_type = 'purchase'), 0) AS BIGINT) AS purchases,
    CAST(coalesce(sum(n) FILTER (event_type = 'search'), 0) AS BIGINT) AS searches,
    CAST(sum(n) AS BIGINT) AS events,
    CAST(coalesce(sum(money) FILTER (event_type = 'purchase'), 0) AS DECIMAL(38, 2)) AS revenue
FROM parts
GROUP BY user_id
