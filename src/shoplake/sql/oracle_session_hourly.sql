-- oracle_session_hourly: what session_hourly must hold for one hour; written independently of gold_session_hourly.
-- grain: session_id, of the hour in the variable `hour`
-- input: events
-- dialect: DuckDB; only `verify` runs it
WITH parts AS (
    SELECT
        session_id,
        event_type,
        min(user_id) AS user_id,
        min(event_time) AS earliest,
        max(event_time) AS latest,
        count(*) AS n,
        sum(price * quantity) AS money
    FROM events
    WHERE event_time >= getvariable('hour') AND event_time < getvariable('hour') + INTERVAL 1 HOUR
    GROUP BY session_id, event_type
)
SELECT
    getvariable('hour') AS event_hour,
    session_id,
    min(user_id) AS user_id,
    min(earliest) AS first_event_time,
    max(latest) AS last_event_time,
    CAST(coalesce(sum(n) FILTER (event_type = 'page_view'), 0) AS BIGINT) AS page_views,
    CAST(coalesce(sum(n) FILTER (event_type = 'add_to_cart'), 0) AS BIGINT) AS add_to_carts,
    CAST(coalesce(sum(n) FILTER (event_type = 'remove_from_cart'), 0) AS BIGINT) AS removes_from_cart,
    CAST(coalesce(sum(n) FILTER (event_type = 'purchase'), 0) AS BIGINT) AS purchases,
    CAST(coalesce(sum(n) FILTER (event_type = 'search'), 0) AS BIGINT) AS searches,
    CAST(sum(n) AS BIGINT) AS events,
    CAST(coalesce(sum(money) FILTER (event_type = 'purchase'), 0) AS DECIMAL(38, 2)) AS revenue
FROM parts
GROUP BY session_id
