"""Naive Polars: a streaming sink of each gzip into a Parquet file, then the five questions on them."""

from __future__ import annotations

import answers
import polars as pl

FIELDS = {
    "timestamp": pl.String,
    "user_id": pl.String,
    "session_id": pl.String,
    "event_type": pl.String,
    "product_id": pl.String,
    "quantity": pl.Int32,
    "price": pl.Float64,
    "category": pl.String,
    "search_query": pl.String,
}


def of_type(kind: str) -> pl.Expr:
    """The number of events of a type."""
    return (pl.col("event_type") == kind).sum()


def rate(part: str, whole: str) -> pl.Expr:
    """A fraction, null where there is nothing to divide by."""
    return pl.when(pl.col(whole) > 0).then(pl.col(part) / pl.col(whole))


raw, work, target = answers.arguments()
for number, file in enumerate(sorted(raw.rglob("*.jsonl.gz"))):
    pl.scan_ndjson(file, schema=FIELDS).with_columns(
        pl.col("timestamp").str.to_datetime("%+", time_unit="us", time_zone="UTC"),
        pl.col("price").cast(pl.Decimal(12, 2)),
    ).sink_parquet(work / f"events-{number:02}.parquet")

events = pl.scan_parquet(work / "events-*.parquet")
product, day = pl.col("product_id"), pl.col("timestamp").dt.date().alias("event_date")
funnel = (
    events.filter(product.is_not_null())
    .group_by("product_id")
    .agg(
        pl.col("category").min(),
        of_type("page_view").alias("views"),
        of_type("add_to_cart").alias("add_to_carts"),
        of_type("purchase").alias("purchases"),
    )
    .with_columns(
        rate("add_to_carts", "views").alias("view_to_cart_rate"),
        rate("purchases", "add_to_carts").alias("cart_to_purchase_rate"),
        rate("purchases", "views").alias("view_to_purchase_rate"),
    )
    .sort(["views", "product_id"], descending=[True, False])
)
revenue = (
    events.filter(pl.col("event_type") == "purchase")
    .group_by(pl.col("timestamp").dt.truncate("1h").alias("event_hour"))
    .agg(
        (pl.col("quantity").cast(pl.Decimal(12, 0)) * pl.col("price")).sum().alias("revenue"),
        pl.len().alias("purchases"),
        pl.col("quantity").sum().alias("units_sold"),
    )
    .sort("event_hour")
)
top = (
    events.filter(pl.col("event_type") == "page_view")
    .group_by("product_id")
    .agg(pl.col("category").min(), pl.len().alias("views"))
    .sort(["views", "product_id"], descending=[True, False])
    .head(10)
)
categories = (
    events.group_by(day, pl.col("category").fill_null("(none)"))
    .agg(
        pl.len().alias("events"),
        of_type("page_view").alias("page_views"),
        of_type("add_to_cart").alias("add_to_carts"),
        of_type("remove_from_cart").alias("removes_from_cart"),
        of_type("purchase").alias("purchases"),
        of_type("search").alias("searches"),
    )
    .sort("event_date", "category")
)
activity = (
    events.group_by(day)
    .agg(
        pl.col("user_id").n_unique().alias("unique_users"),
        pl.col("session_id").n_unique().alias("unique_sessions"),
        pl.len().alias("events"),
    )
    .sort("event_date")
)
questions = {
    "conversion_funnel": funnel,
    "hourly_revenue": revenue,
    "top_products": top,
    "category_performance": categories,
    "user_activity": activity,
}
results = ((name, question.collect(engine="streaming")) for name, question in questions.items())
answers.save(target, [(name, frame.columns, frame.rows()) for name, frame in results])
