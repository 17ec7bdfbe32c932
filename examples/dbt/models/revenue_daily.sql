WITH products AS (
    SELECT
        CAST(event_hour AS DATE) AS event_date,
        sum(revenue) AS revenue,
        CAST(sum(purchases) AS BIGINT) AS purchases
    FROM {{ source('lake', 'product_hourly') }}
    GROUP BY 1
)

SELECT
    activity.event_date,
    coalesce(products.revenue, 0) AS revenue,
    coalesce(products.purchases, 0) AS purchases,
    activity.unique_users,
    products.revenue / nullif(products.purchases, 0) AS revenue_per_purchase
FROM {{ source('lake', 'activity_daily') }} AS activity
LEFT JOIN products ON products.event_date = activity.event_date
