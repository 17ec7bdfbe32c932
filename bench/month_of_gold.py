"""Writes a lake that holds a month of gold at full volume and no events, to time what only gold is asked for.

    .venv/bin/python bench/month_of_gold.py /tmp/month --days 30
    .venv/bin/python bench/dashboard.py /tmp/month

Each day has 24 hours of 300 products, and as many rows of users and sessions as a realistic day of 181 million events with
1.3 million users: two hours of activity and two sessions for each. They are written as maintenance leaves them: a file for each
day and table, with the keys of its units beside it. No event is generated, and no command but the dashboard makes sense on such
a lake.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from shoplake.engines import unit_keys
from shoplake.lake.catalog import Lake
from shoplake.lake.commits import Commit
from shoplake.lake.parquet import arrow_schema
from shoplake.tables import ACTIVITY_DAILY, PRODUCT_HOURLY, SESSION_HOURLY, USER_HOURLY, Table

FIRST = datetime(2025, 11, 1, tzinfo=UTC).replace(tzinfo=None)
EVENTS = 181_000_000
COUNTS = "{n}::BIGINT AS page_views, ({n} // 4)::BIGINT AS add_to_carts, ({n} // 20)::BIGINT AS removes_from_cart,"
SOLD = "({n} // 30)::BIGINT AS purchases,"
USERS = f"""
SELECT TIMESTAMP '{{day}}' + INTERVAL (hash(i, 1) % 24) HOUR AS event_hour,
  'u_' || (hash(i % {{users}}, {{number}}) % 5000000) AS user_id,
  {COUNTS.format(n="(i % 60)")} {SOLD.format(n="(i % 60)")} 1::BIGINT AS searches, (i % 60 + 1)::BIGINT AS events,
  (i % 90)::DECIMAL(38, 2) AS revenue
FROM range({{rows}}) AS made(i)
"""
SESSIONS = f"""
SELECT event_hour, 's_{{number}}_' || i AS session_id, 'u_' || (hash(i % {{users}}, {{number}}) % 5000000) AS user_id,
  event_hour + INTERVAL 5 MINUTE AS first_event_time, event_hour + INTERVAL 25 MINUTE AS last_event_time,
  {COUNTS.format(n="(i % 60)")} {SOLD.format(n="(i % 60)")} 1::BIGINT AS searches, (i % 60 + 1)::BIGINT AS events,
  (i % 90)::DECIMAL(38, 2) AS revenue
FROM (SELECT i, TIMESTAMP '{{day}}' + INTERVAL (hash(i, 2) % 24) HOUR AS event_hour FROM range({{rows}}) AS made(i))
"""
PRODUCTS = """
SELECT TIMESTAMP '{day}' + INTERVAL (h) HOUR AS event_hour, 'p_' || p AS product_id, 'category ' || (p % 8) AS category,
  n AS page_views, n // 5 AS add_to_carts, n // 20 AS removes_from_cart, n // 30 AS purchases, n // 20 AS units_sold,
  (n // 30 * 24.95)::DECIMAL(38, 2) AS revenue, 0::BIGINT AS searches, n + n // 5 + n // 20 + n // 30 AS events
FROM (SELECT h, p, (20000 + hash(h, p, '{day}') % 10000)::BIGINT AS n FROM range(24) AS hours(h), range(300) AS products(p))
"""


def main() -> None:
    """Write the lake, a day in a commit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lake")
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--users", type=int, default=1_300_000, help="users of a day")
    given = parser.parse_args()
    lake, database = Lake(given.lake), duckdb.connect()
    view = lake.create()
    for number in range(given.days):
        day = FIRST + timedelta(days=number)
        with Commit(lake, view, datetime.now(UTC).replace(tzinfo=None), {}) as commit:
            for table, sql in ((PRODUCT_HOURLY, PRODUCTS), (USER_HOURLY, USERS), (SESSION_HOURLY, SESSIONS)):
                text = sql.format(day=day, number=number, users=given.users, rows=2 * given.users)
                rows = _rows(database, table, text)
                keys = _keys(rows, table.unit, view[table.name].uuid) if table.unit else None
                commit.replace(table, (), [commit.write(table, day, rows, (), keys=keys)])
            row = {
                "event_date": day.date(),
                "unique_users": given.users,
                "unique_sessions": 2 * given.users,
                "events": EVENTS,
            }
            rows = pa.Table.from_pylist([row], arrow_schema(ACTIVITY_DAILY))
            commit.replace(ACTIVITY_DAILY, (), [commit.write(ACTIVITY_DAILY, day.date(), rows)])
            view = commit.publish()


def _keys(rows: pa.Table, unit: str, salt: str) -> bytes:
    return unit_keys.of(pc.unique(rows.column(unit)), salt).in_order().encoded(salt)


def _rows(database: duckdb.DuckDBPyConnection, table: Table, sql: str) -> pa.Table:
    order = ", ".join(table.merged_sort)
    columns = ", ".join(table.column_names)
    made = database.sql(f"SELECT {columns} FROM ({sql}) ORDER BY {order}").to_arrow_table()
    return made.cast(arrow_schema(table).remove_metadata())


if __name__ == "__main__":
    main()
