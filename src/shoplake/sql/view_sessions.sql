-- sessions: whole sessions, over all their hours; exact whenever session_hourly is, late events included.
-- grain: session_id
-- input: session_hourly
-- dialect: shared by DuckDB, Spark SQL and Trino. A view: a table would have to rewrite a session's row wherever a late event lands.
SELECT
    session_id,
    min(user_id) AS user_id,
    min(first_event_time) AS first_event_time,
    max(last_event_time) AS last_event_time,
    CAST(sum(page_views) AS BIGINT) AS page_views,
    CAST(sum(add_to_carts) AS BIGINT) AS add_to_carts,
    CAST(sum(removes_from_cart) AS BIGINT) AS removes_from_cart,
    CAST(sum(purchases) AS BIGINT) AS purchases,
    CAST(sum(searches) AS BIGINT) AS searches,
    CAST(sum(events) AS BIGINT) AS events,
    CAST(sum(revenue) AS DECIMAL(38, 2)) AS revenue
FROM session_hourly
GROUP BY session_id
