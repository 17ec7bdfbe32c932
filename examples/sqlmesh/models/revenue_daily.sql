MODEL (
  name shop.revenue_daily,
  kind FULL,
  grain event_date,
  description 'Revenue, orders and users of each day (UTC).',
  audits (unique_values(columns := (event_date)), not_null(columns := (event_date, revenue)))
);

WITH products AS (
  SELECT
    CAST(event_hour AS DATE) AS event_date,
    sum(revenue) AS revenue,
    CAST(sum(purchases) AS BIGINT) AS purchases
  FROM lake.shop.product_hourly
  GROUP BY CAST(event_hour AS DATE)
)
SELECT
  activity.event_date,
  coalesce(products.revenue, 0) AS revenue,
  coalesce(products.purchases, 0) AS purchases,
  activity.unique_users
FROM lake.shop.activity_daily AS activity
LEFT JOIN products ON products.event_date = activity.event_date;
