MODEL (
  name shop.product_conversion,
  kind FULL,
  grain product_id,
  description 'How many views of each product become purchases.',
  audits (unique_values(columns := (product_id)), not_null(columns := (product_id)))
);

SELECT
  product_id,
  min(category) AS category,
  CAST(sum(page_views) AS BIGINT) AS page_views,
  CAST(sum(purchases) AS BIGINT) AS purchases,
  sum(purchases) / nullif(CAST(sum(page_views) AS DOUBLE), 0) AS view_to_purchase_rate
FROM lake.shop.product_hourly
WHERE product_id IS NOT NULL
GROUP BY product_id;
