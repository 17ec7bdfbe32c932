"""Naive DuckDB: typed read of the gzips straight into one Parquet file, then the five questions on it."""

from __future__ import annotations

import answers
import duckdb

QUESTIONS = {
    "conversion_funnel": """
        SELECT product_id, min(category) AS category,
            count(*) FILTER (event_type = 'page_view') AS views,
            count(*) FILTER (event_type = 'add_to_cart') AS add_to_carts,
            count(*) FILTER (event_type = 'purchase') AS purchases,
            add_to_carts / nullif(views, 0) AS view_to_cart_rate,
            purchases / nullif(add_to_carts, 0) AS cart_to_purchase_rate,
            purchases / nullif(views, 0) AS view_to_purchase_rate
        FROM events WHERE product_id IS NOT NULL GROUP BY product_id ORDER BY views DESC, product_id""",
    "hourly_revenue": """
        SELECT date_trunc('hour', event_time) AS event_hour, sum(quantity * price) AS revenue, count(*) AS purchases,
            sum(quantity) AS units_sold
        FROM events WHERE event_type = 'purchase' GROUP BY event_hour ORDER BY event_hour""",
    "top_products": """
        SELECT product_id, min(category) AS category, count(*) AS views
        FROM events WHERE event_type = 'page_view' GROUP BY product_id ORDER BY views DESC, product_id LIMIT 10""",
    "category_performance": """
        SELECT event_time::DATE AS event_date, coalesce(category, '(none)') AS category, count(*) AS events,
            count(*) FILTER (event_type = 'page_view') AS page_views,
            count(*) FILTER (event_type = 'add_to_cart') AS add_to_carts,
            count(*) FILTER (event_type = 'remove_from_cart') AS removes_from_cart,
            count(*) FILTER (event_type = 'purchase') AS purchases,
            count(*) FILTER (event_type = 'search') AS searches
        FROM events GROUP BY ALL ORDER BY event_date, category""",
    "user_activity": """
        SELECT event_time::DATE AS event_date, count(DISTINCT user_id) AS unique_users,
            count(DISTINCT session_id) AS unique_sessions, count(*) AS events
        FROM events GROUP BY event_date ORDER BY event_date""",
}

raw, work, target = answers.arguments()
database = duckdb.connect()
database.execute("SET TimeZone = 'UTC'")
database.execute("SET preserve_insertion_order = false")
database.execute(
    f"""
    COPY (
        SELECT "timestamp"::TIMESTAMP AS event_time, * EXCLUDE ("timestamp")
        FROM read_json('{raw}/**/*.jsonl.gz', format = 'newline_delimited', columns = {answers.DUCKDB_FIELDS})
    ) TO '{work}/events.parquet'"""
)
database.execute(f"CREATE VIEW events AS FROM read_parquet('{work}/events.parquet')")
results = ((name, database.sql(text)) for name, text in QUESTIONS.items())
answers.save(target, [(name, result.columns, result.fetchall()) for name, result in results])
