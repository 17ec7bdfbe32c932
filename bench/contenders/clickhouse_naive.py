"""Naive ClickHouse local (chdb): typed read of the gzips into a MergeTree table, then the five questions on it."""

from __future__ import annotations

import json
import os

import answers
from chdb.session import Session

# Without Nullable, as ClickHouse advises: what is null arrives as '' and 0, which none of the questions confuses. Plain
# String: LowCardinality made the five questions cheaper and the load dearer by more than that.
FIELDS = """timestamp DateTime64(6, 'UTC'), user_id String, session_id String, event_type String, product_id String,
    quantity UInt32, price Decimal(12, 2), category String, search_query String"""

QUESTIONS = {
    "conversion_funnel": """
        SELECT product_id, min(category) AS category,
            countIf(event_type = 'page_view') AS views,
            countIf(event_type = 'add_to_cart') AS add_to_carts,
            countIf(event_type = 'purchase') AS purchases,
            add_to_carts / nullIf(views, 0) AS view_to_cart_rate,
            purchases / nullIf(add_to_carts, 0) AS cart_to_purchase_rate,
            purchases / nullIf(views, 0) AS view_to_purchase_rate
        FROM events WHERE product_id != '' GROUP BY product_id ORDER BY views DESC, product_id""",
    "hourly_revenue": """
        SELECT toStartOfHour(timestamp) AS event_hour, sum(quantity * price) AS revenue, count() AS purchases,
            sum(quantity) AS units_sold
        FROM events WHERE event_type = 'purchase' GROUP BY event_hour ORDER BY event_hour""",
    "top_products": """
        SELECT product_id, min(category) AS category, count() AS views
        FROM events WHERE event_type = 'page_view' GROUP BY product_id ORDER BY views DESC, product_id LIMIT 10""",
    "category_performance": """
        SELECT toDate(timestamp) AS event_date, if(category = '', '(none)', category) AS category_or_none,
            count() AS events,
            countIf(event_type = 'page_view') AS page_views,
            countIf(event_type = 'add_to_cart') AS add_to_carts,
            countIf(event_type = 'remove_from_cart') AS removes_from_cart,
            countIf(event_type = 'purchase') AS purchases,
            countIf(event_type = 'search') AS searches
        FROM events GROUP BY event_date, category_or_none ORDER BY event_date, category_or_none""",
    "user_activity": """
        SELECT toDate(timestamp) AS event_date, uniqExact(user_id) AS unique_users,
            uniqExact(session_id) AS unique_sessions, count() AS events
        FROM events GROUP BY event_date ORDER BY event_date""",
}

raw, work, target = answers.arguments()
session = Session(str(work / "clickhouse"))
session.query("SET date_time_input_format = 'best_effort'")  # ISO 8601; the default knows no T and no offset
session.query(f"SET max_insert_threads = {os.cpu_count()}")  # else one thread writes the table
session.query(
    f"""
    CREATE TABLE events ENGINE = MergeTree ORDER BY tuple() AS
    SELECT * FROM file('{raw}/**/*.jsonl.gz', 'JSONEachRow', '{FIELDS.replace("'", "''")}')"""
)
results = []
for name, text in QUESTIONS.items():
    result = json.loads(session.query(text, "JSONCompact").bytes())
    results.append((name, [column["name"].replace("_or_none", "") for column in result["meta"]], result["data"]))
answers.save(target, results)
session.close()
