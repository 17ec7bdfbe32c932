-- gold_activity_daily: distinct users and sessions of each day, exact because the hourly tables are sets.
-- grain: event_date
-- input: user_hourly and session_hourly, whole days of them
-- dialect: shared by DuckDB, Spark SQL and Trino
SELECT
    users.event_date,
    users.unique_users,
    sessions.unique_sessions,
    users.events
FROM (
    SELECT
        CAST(event_hour AS DATE) AS event_date,
        count(DISTINCT user_id) AS unique_users,
        CAST(sum(events) AS BIGINT) AS events
    FROM user_hourly
    GROUP BY CAST(event_hour AS DATE)
) AS users
JOIN (
    SELECT
        CAST(event_hour AS DATE) AS event_date,
        count(DISTINCT session_id) AS unique_sessions
    FROM session_hourly
    GROUP BY CAST(event_hour AS DATE)
) AS sessions ON users.event_date = sessions.event_date
