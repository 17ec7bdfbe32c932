-- gold_session_hourly: what happened in each session in each hour.
-- grain: event_hour, session_id
-- input: events, whole hours of it
-- dialect: shared by DuckDB, Spark SQL and Trino
SELECT
    date_trunc('hour', event_time) AS event_hour,
    session_id,
    min(user_id) AS user_id,
    min(event_time) AS first_event_time,
    max(event_time) AS last_event_time,
    count_if(event_type = 'page_view') AS page_views,
    count_if(event_type = 'add_to_cart') AS add_to_carts,
    count_if(event_type = 'remove_from_cart') AS removes_from_cart,
    count_if(event_type = 'purchase') AS purchases,
    count_if(event_type = 'search') AS searches,
    count(*) AS events,
    CAST(coalesce(sum(CASE WHEN event_type = 'purchase' THEN quantity * CAST(price AS DECIMAL(22, 2)) END), 0) AS DECIMAL(38, 2)) AS revenue
FROM events
GROUP BY session_id, date_trunc('hour', event_time)
