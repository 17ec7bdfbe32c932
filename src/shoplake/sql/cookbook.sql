-- The cookbook: what docs/cookbook.md shows with its output, `shoplake query NAME` runs and the tests check.
-- input: the gold tables and the view sessions; events where the order of events, prices or searches matter
-- dialect: DuckDB

-- 1. retention_by_day: of the users first seen on a day, how many came back one, two, ... days later
-- A user belongs to the first day of the range that is read, so read enough days before it to know who is new.
WITH days AS (SELECT DISTINCT user_id, CAST(event_hour AS DATE) AS day FROM user_hourly),
cohorts AS (SELECT user_id, min(day) AS cohort FROM days GROUP BY user_id),
sizes AS (SELECT cohort, count(*) AS users FROM cohorts GROUP BY cohort)
SELECT
    cohort,
    users,
    day - cohort AS days_later,
    count(*) AS returned,
    count(*) / users AS share
FROM days JOIN cohorts USING (user_id) JOIN sizes USING (cohort)
WHERE day > cohort
GROUP BY cohort, users, days_later
ORDER BY cohort, days_later;

-- 2. cohort_revenue: what the buyers of each first week spent, in that week and in those after it, per buyer
WITH weeks AS (
    SELECT user_id, CAST(date_trunc('week', event_hour) AS DATE) AS week, sum(revenue) AS revenue
    FROM user_hourly
    WHERE purchases > 0
    GROUP BY ALL
),
cohorts AS (SELECT user_id, min(week) AS cohort FROM weeks GROUP BY user_id),
sizes AS (SELECT cohort, count(*) AS buyers FROM cohorts GROUP BY cohort)
SELECT
    cohort AS first_week,
    buyers,
    CAST((week - cohort) / 7 AS BIGINT) AS weeks_later,
    count(*) AS buying,
    CAST(sum(revenue) AS DECIMAL(38, 2)) AS revenue,
    CAST(sum(revenue) / buyers AS DECIMAL(38, 2)) AS revenue_per_buyer
FROM weeks JOIN cohorts USING (user_id) JOIN sizes USING (cohort)
GROUP BY cohort, buyers, weeks_later
ORDER BY first_week, weeks_later;

-- 3. ordered_funnel: sessions that viewed a product, later put the same one into the cart, and later bought it
-- Each step is later than the one before it, in the same session and for the same product.
WITH views AS (
    SELECT session_id, product_id, min(event_time) AS viewed
    FROM events
    WHERE event_type = 'page_view'
    GROUP BY ALL
),
carts AS (
    SELECT session_id, product_id, viewed, min(event_time) AS carted
    FROM views JOIN events USING (session_id, product_id)
    WHERE event_type = 'add_to_cart' AND event_time > viewed
    GROUP BY ALL
),
orders AS (
    SELECT session_id, product_id, min(event_time) AS bought
    FROM carts JOIN events USING (session_id, product_id)
    WHERE event_type = 'purchase' AND event_time > carted
    GROUP BY ALL
)
SELECT
    (SELECT count(DISTINCT session_id) FROM views) AS viewed,
    (SELECT count(DISTINCT session_id) FROM carts) AS then_added_it_to_cart,
    (SELECT count(DISTINCT session_id) FROM orders) AS then_bought_it;

-- 4. time_to_purchase: minutes from a session's first event to its first purchase
WITH first_purchases AS (
    SELECT session_id, min(event_time) AS bought
    FROM events
    WHERE event_type = 'purchase'
    GROUP BY session_id
)
SELECT
    count(*) AS sessions,
    quantile_cont(epoch(bought - first_event_time) / 60, 0.5) AS median_minutes,
    quantile_cont(epoch(bought - first_event_time) / 60, 0.9) AS minutes_of_nine_in_ten
FROM first_purchases JOIN sessions USING (session_id);

-- 5. session_lengths: sessions by how long they took, and how many of them bought
-- The time from the first to the last event: how long somebody read the last page, nobody knows.
SELECT
    CASE
        WHEN last_event_time = first_event_time THEN '1. a moment'
        WHEN last_event_time < first_event_time + INTERVAL 1 MINUTE THEN '2. under a minute'
        WHEN last_event_time < first_event_time + INTERVAL 5 MINUTE THEN '3. under 5 minutes'
        WHEN last_event_time < first_event_time + INTERVAL 30 MINUTE THEN '4. under 30 minutes'
        ELSE '5. longer'
    END AS length,
    count(*) AS sessions,
    avg(events) AS events_per_session,
    count(*) FILTER (purchases > 0) / count(*) AS share_that_bought
FROM sessions
GROUP BY length
ORDER BY length;

-- 6. bounce_rate: sessions of one event, by the day on which they began
SELECT
    CAST(first_event_time AS DATE) AS day,
    count(*) AS sessions,
    count(*) FILTER (events = 1) AS bounced,
    count(*) FILTER (events = 1) / count(*) AS bounce_rate
FROM sessions
GROUP BY day
ORDER BY day;

-- 7. price_bands: purchases and revenue by the price of one unit
SELECT
    CASE
        WHEN price < 10 THEN '1. under 10'
        WHEN price < 25 THEN '2. 10 to 25'
        WHEN price < 50 THEN '3. 25 to 50'
        WHEN price < 100 THEN '4. 50 to 100'
        ELSE '5. 100 and more'
    END AS band,
    count(*) AS purchases,
    CAST(sum(quantity) AS BIGINT) AS units,
    CAST(sum(quantity * price) AS DECIMAL(38, 2)) AS revenue,
    CAST(sum(quantity * price) AS DOUBLE) / CAST(sum(sum(quantity * price)) OVER () AS DOUBLE) AS share_of_revenue
FROM events
WHERE event_type = 'purchase'
GROUP BY band
ORDER BY band;

-- 8. search_to_purchase: sessions that searched for something, and those of them that bought after it
-- Whatever was bought: the events do not say which product a search led to.
WITH searches AS (
    SELECT session_id, lower(trim(search_query)) AS search, min(event_time) AS searched
    FROM events
    WHERE event_type = 'search'
    GROUP BY ALL
),
last_purchases AS (
    SELECT session_id, max(event_time) AS bought FROM events WHERE event_type = 'purchase' GROUP BY session_id
)
SELECT
    search,
    count(*) AS sessions,
    count(*) FILTER (bought > searched) AS bought_after,
    count(*) FILTER (bought > searched) / count(*) AS share
FROM searches LEFT JOIN last_purchases USING (session_id)
GROUP BY search
ORDER BY sessions DESC, search;

-- 9. unusual_hours: hours whose events are far from what the same hour of the day has on other days
-- More than three standard deviations from the mean of the same hour on at least six other days.
WITH hours AS (SELECT event_hour, CAST(sum(events) AS BIGINT) AS events FROM product_hourly GROUP BY event_hour),
usual AS (
    SELECT
        *,
        avg(events) OVER other_days AS usual_events,
        stddev_samp(events) OVER other_days AS deviation,
        count(*) OVER other_days AS days
    FROM hours
    WINDOW other_days AS (
        PARTITION BY hour(event_hour) ORDER BY event_hour
        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING EXCLUDE CURRENT ROW
    )
)
SELECT event_hour, events, usual_events, (events - usual_events) / nullif(deviation, 0) AS deviations
FROM usual
WHERE days >= 6 AND abs(events - usual_events) > 3 * deviation
ORDER BY event_hour;

-- 10. bought_together: pairs of products that one session bought
WITH bought AS (SELECT DISTINCT session_id, product_id FROM events WHERE event_type = 'purchase')
SELECT one.product_id, other.product_id AS with_product, count(*) AS sessions
FROM bought AS one JOIN bought AS other ON one.session_id = other.session_id AND one.product_id < other.product_id
GROUP BY ALL
ORDER BY sessions DESC, one.product_id, with_product
LIMIT 10;

-- 11. new_and_returning: users of each day who were never there before, and those who were
WITH days AS (SELECT DISTINCT user_id, CAST(event_hour AS DATE) AS day FROM user_hourly),
firsts AS (SELECT user_id, min(day) AS first_day FROM days GROUP BY user_id)
SELECT
    day,
    count(*) AS users,
    count(*) FILTER (day = first_day) AS new_users,
    count(*) FILTER (day > first_day) AS returning_users
FROM days JOIN firsts USING (user_id)
GROUP BY day
ORDER BY day;

-- 12. best_customers: the ten users who spent most, and their share of all revenue
WITH customers AS (
    SELECT
        user_id,
        CAST(sum(revenue) AS DECIMAL(38, 2)) AS revenue,
        CAST(sum(purchases) AS BIGINT) AS purchases,
        CAST(max(event_hour) AS DATE) AS last_purchase
    FROM user_hourly
    WHERE purchases > 0
    GROUP BY user_id
)
SELECT *, CAST(revenue AS DOUBLE) / CAST(sum(revenue) OVER () AS DOUBLE) AS share_of_revenue
FROM customers
ORDER BY revenue DESC, user_id
LIMIT 10;

-- 13. revenue_trend: revenue of each day, its change from the day before, and the mean of seven days
WITH days AS (
    SELECT CAST(event_hour AS DATE) AS day, CAST(sum(revenue) AS DECIMAL(38, 2)) AS revenue
    FROM product_hourly
    GROUP BY day
)
SELECT
    day,
    revenue,
    CAST(revenue / nullif(any_value(revenue) OVER before, 0) - 1 AS DOUBLE) AS change,
    CAST(avg(revenue) OVER week AS DECIMAL(38, 2)) AS mean_of_seven_days
FROM days
WINDOW
    before AS (ORDER BY day RANGE BETWEEN INTERVAL 1 DAY PRECEDING AND INTERVAL 1 DAY PRECEDING),
    week AS (ORDER BY day RANGE BETWEEN INTERVAL 6 DAYS PRECEDING AND CURRENT ROW)
ORDER BY day;

-- 14. left_in_carts: products that were put into carts most often without being bought there
WITH carts AS (
    SELECT
        session_id,
        product_id,
        count(*) FILTER (event_type = 'purchase') AS purchases
    FROM events
    WHERE product_id IS NOT NULL
    GROUP BY ALL
    HAVING count(*) FILTER (event_type = 'add_to_cart') > 0
)
SELECT
    product_id,
    count(*) AS carts,
    count(*) FILTER (purchases = 0) AS left_in_cart,
    count(*) FILTER (purchases = 0) / count(*) AS share
FROM carts
GROUP BY product_id
ORDER BY left_in_cart DESC, product_id
LIMIT 10;

-- 15. local_days: users, sessions, events and revenue of each day in a time zone that differs from UTC by whole hours
-- Put your zone for Europe/Berlin. An hour of UTC lies in one local day wherever the difference is whole hours, so the distinct counts are
-- exact, at the price of the hourly tables.
WITH users AS (
    SELECT
        CAST(event_hour AT TIME ZONE 'UTC' AT TIME ZONE 'Europe/Berlin' AS DATE) AS local_day,
        count(DISTINCT user_id) AS unique_users,
        CAST(sum(events) AS BIGINT) AS events,
        CAST(sum(revenue) AS DECIMAL(38, 2)) AS revenue
    FROM user_hourly
    GROUP BY local_day
),
of_sessions AS (
    SELECT
        CAST(event_hour AT TIME ZONE 'UTC' AT TIME ZONE 'Europe/Berlin' AS DATE) AS local_day,
        count(DISTINCT session_id) AS unique_sessions
    FROM session_hourly
    GROUP BY local_day
)
SELECT local_day, unique_users, unique_sessions, events, revenue
FROM users JOIN of_sessions USING (local_day)
ORDER BY local_day;

-- 16. local_days_of_any_zone: the same where a zone is half an hour off, as in India: hours cannot be moved, events can
-- Put your zone for Asia/Kolkata. It reads the events themselves.
SELECT
    CAST(event_time AT TIME ZONE 'UTC' AT TIME ZONE 'Asia/Kolkata' AS DATE) AS local_day,
    count(DISTINCT user_id) AS unique_users,
    count(DISTINCT session_id) AS unique_sessions,
    count(*) AS events,
    CAST(coalesce(sum(quantity * price) FILTER (event_type = 'purchase'), 0) AS DECIMAL(38, 2)) AS revenue
FROM events
GROUP BY local_day
ORDER BY local_day
