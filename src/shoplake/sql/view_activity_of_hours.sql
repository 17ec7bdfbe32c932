-- activity_daily: as the table, of a range of whole hours that cuts a day; there the day's own counts do not help.
-- grain: day
-- input: user_hourly, session_hourly, both of these hours alone
-- dialect: DuckDB
WITH users AS (
    SELECT CAST(event_hour AS DATE) AS event_date, count(DISTINCT user_id) AS unique_users, sum(events) AS events
    FROM user_hourly
    GROUP BY CAST(event_hour AS DATE)
),
sessions_of_days AS (
    SELECT CAST(event_hour AS DATE) AS event_date, count(DISTINCT session_id) AS unique_sessions
    FROM session_hourly
    GROUP BY CAST(event_hour AS DATE)
)
SELECT event_date, unique_users, unique_sessions, CAST(events AS BIGINT) AS events
FROM users JOIN sessions_of_days USING (event_date)
