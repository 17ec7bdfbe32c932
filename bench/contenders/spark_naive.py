"""Naive Spark (local[2]): typed read of the gzips into Parquet, then the five questions on it."""

from __future__ import annotations

import answers
from pyspark.sql import SparkSession

FIELDS = """timestamp TIMESTAMP, user_id STRING, session_id STRING, event_type STRING, product_id STRING, quantity INT,
    price DECIMAL(12, 2), category STRING, search_query STRING"""

QUESTIONS = {
    "conversion_funnel": """
        SELECT *, add_to_carts / nullif(views, 0) AS view_to_cart_rate,
            purchases / nullif(add_to_carts, 0) AS cart_to_purchase_rate,
            purchases / nullif(views, 0) AS view_to_purchase_rate
        FROM (
            SELECT product_id, min(category) AS category,
                count_if(event_type = 'page_view') AS views,
                count_if(event_type = 'add_to_cart') AS add_to_carts,
                count_if(event_type = 'purchase') AS purchases
            FROM events WHERE product_id IS NOT NULL GROUP BY product_id
        ) ORDER BY views DESC, product_id""",
    "hourly_revenue": """
        SELECT date_trunc('hour', timestamp) AS event_hour, sum(quantity * price) AS revenue, count(*) AS purchases,
            sum(quantity) AS units_sold
        FROM events WHERE event_type = 'purchase' GROUP BY 1 ORDER BY 1""",
    "top_products": """
        SELECT product_id, min(category) AS category, count(*) AS views
        FROM events WHERE event_type = 'page_view' GROUP BY product_id ORDER BY views DESC, product_id LIMIT 10""",
    "category_performance": """
        SELECT date(timestamp) AS event_date, coalesce(category, '(none)') AS category, count(*) AS events,
            count_if(event_type = 'page_view') AS page_views,
            count_if(event_type = 'add_to_cart') AS add_to_carts,
            count_if(event_type = 'remove_from_cart') AS removes_from_cart,
            count_if(event_type = 'purchase') AS purchases,
            count_if(event_type = 'search') AS searches
        FROM events GROUP BY 1, 2 ORDER BY 1, 2""",
    "user_activity": """
        SELECT date(timestamp) AS event_date, count(DISTINCT user_id) AS unique_users,
            count(DISTINCT session_id) AS unique_sessions, count(*) AS events
        FROM events GROUP BY 1 ORDER BY 1""",
}

raw, work, target = answers.arguments()
spark = (
    SparkSession.builder.master("local[2]")
    .config("spark.driver.memory", "4g")
    .config("spark.local.dir", str(work))
    .config("spark.sql.session.timeZone", "UTC")
    .config("spark.sql.shuffle.partitions", "4")  # 200 by default: far too many for one machine
    .config("spark.ui.enabled", "false")
    .getOrCreate()
)
spark.sparkContext.setLogLevel("ERROR")
options = {"recursiveFileLookup": "true", "pathGlobFilter": "*.jsonl.gz"}
lines = spark.read.schema(FIELDS).options(**options).json(str(raw))
lines.write.parquet(str(work / "events"))
spark.read.parquet(str(work / "events")).createOrReplaceTempView("events")
results = ((name, spark.sql(text)) for name, text in QUESTIONS.items())
# Dates and times as text: Row objects would carry them in the time zone of the machine.
answers.save(
    target,
    [
        (name, frame.columns, frame.selectExpr(*(f"CAST({c} AS STRING) AS {c}" for c in frame.columns)).collect())
        for name, frame in results
    ],
)
spark.stop()
