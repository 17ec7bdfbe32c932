"""What the dashboard shows beside the five answers: the period before, distinct users of the whole range, top searches.

Distinct users and searches are read from tables that grow with the users and the events, so the page asks for them after its
first view; :class:`shoplake.web.app` remembers them for as long as the data files of the days are the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from shoplake.engines import unit_keys
from shoplake.engines.unit_keys import StoredKeys
from shoplake.lake import retention
from shoplake.lake.reader import OpenLake, Window, narrowed
from shoplake.lake.snapshots import View
from shoplake.tables import ACTIVITY_DAILY, EVENTS, UNIT_TABLES, Table
from shoplake.text import json_value

if TYPE_CHECKING:
    from shoplake.web.data import Shop

MOST_EVENTS = 50_000_000
"""Events up to which an exported page has searches; the page itself counts them from more only if asked to."""
_SEARCHES = """
SELECT search_query AS search, count(*) AS searches, count(DISTINCT user_id) AS users
FROM events WHERE event_type = 'search' AND search_query IS NOT NULL
GROUP BY search_query ORDER BY searches DESC, search LIMIT 50
"""
_FIGURES = """
SELECT coalesce(sum(revenue), 0), coalesce(sum(purchases), 0)::BIGINT, coalesce(sum(units_sold), 0)::BIGINT,
    coalesce(sum(page_views) FILTER (product_id IS NOT NULL), 0)::BIGINT,
    coalesce(sum(add_to_carts), 0)::BIGINT, coalesce(sum(events), 0)::BIGINT
FROM product_hourly
"""
_UNITS = ("users", "sessions")  # of the tables of units, in their order
_NAMES = ("revenue", "purchases", "units_sold", "views", "add_to_carts", "events")


@dataclass(frozen=True)
class Chosen:
    """The part of the shop that is shown: a product, a category, or both; empty texts choose all."""

    product: str = ""
    category: str = ""

    def __bool__(self) -> bool:
        """Whether only a part is shown."""
        return bool(self.product or self.category)

    def of(self, lake: OpenLake, sql: str) -> str:
        """A statement on ``product_hourly``, narrowed to what is chosen; the values are bound, not written into it."""
        if not self:
            return sql
        lake.register("chosen", pa.table({"product": [self.product], "category": [self.category]}))
        conditions = [
            f"{column} = (SELECT {name} FROM chosen)"
            for column, name, value in (
                ("product_id", "product", self.product),
                ("category", "category", self.category),
            )
            if value
        ]
        narrow = f"SELECT * FROM product_hourly WHERE {' AND '.join(conditions)}"
        return f"WITH narrowed AS ({narrow}) {sql.replace('FROM product_hourly', 'FROM narrowed')}"


def before(shop: Shop, since: date, until: date, first: date, chosen: Chosen) -> dict[str, Any] | None:
    """The figures of the period of the same length before some days; None if the lake does not hold all of it.

    Args:
        shop: The lake.
        since: The first of the days.
        until: The last.
        first: The first day of the lake.
        chosen: The part of the shop.
    """
    length = until - since + timedelta(days=1)
    if since - first < length:
        return None
    start, end = since - length, since - timedelta(days=1)
    with OpenLake(shop.lake, shop.settings.threads, start, end) as lake, lake.reading():
        row = lake.sql(chosen.of(lake, _FIGURES)).fetchall()[0]
        days = lake.sql("SELECT unique_users, unique_sessions FROM activity_daily").fetchall()
    figures = {name: json_value(value) for name, value in zip(_NAMES, row, strict=True)}
    if len(days) == 1 and start == end:
        figures |= {"users": days[0][0], "sessions": days[0][1]}
    return {"since": json_value(start), "until": json_value(end), **figures}


def choices(lake: OpenLake) -> dict[str, list[str]]:
    """The categories and products of the days that a lake shows, the most viewed first."""
    with lake.reading():
        return {
            f"{name}s" if name == "product" else "categories": [
                text
                for (text,) in lake.sql(
                    f"SELECT {column} FROM product_hourly WHERE {column} IS NOT NULL"
                    f" GROUP BY {column} ORDER BY sum(page_views) DESC, {column} LIMIT 500"
                ).fetchall()
            ]
            for name, column in (("product", "product_id"), ("category", "category"))
        }


def files_of(view: View, days: tuple[date, date], tables: Sequence[Table]) -> str:
    """A short text that differs whenever the rows of some days do, and stays when other days change."""
    paths = sorted(file.path for table in tables for file in narrowed(table, view[table.name], Window.days(*days))[0])
    return hashlib.sha256("\n".join(paths).encode()).hexdigest()[:16]


def rows_of(view: View, days: tuple[date, date], tables: Sequence[Table]) -> int:
    """Rows in the data files of some days."""
    return sum(file.rows for table in tables for file in narrowed(table, view[table.name], Window.days(*days))[0])


def distinct(shop: Shop, since: date, until: date) -> dict[str, Any]:
    """The distinct users and sessions of a range of days, exactly; None for each where retention removed rows of these days.

    They are counted from the keys beside the data files (:mod:`shoplake.engines.unit_keys`), a fifth of the work that their
    texts would be.
    """
    view = shop.lake.need_view()
    start = retention.kept_from(view[EVENTS.name])
    totals = narrowed(ACTIVITY_DAILY, view[ACTIVITY_DAILY.name], Window.days(since, until))[0]
    if start and any(file.lower["event_date"] < start.date() for file in totals) and since < start.date():
        return {"users": None, "sessions": None, "kept_from": str(start.date())}

    def count(table: Table) -> int:
        stored = view[table.name]
        files = narrowed(table, stored, Window.days(since, until))[0]  # each holds rows of one day alone
        return unit_keys.count([StoredKeys(stored, file) for file in files])

    with ThreadPoolExecutor(min(shop.settings.threads or 2, 2)) as pool:
        return dict(zip(_UNITS, pool.map(count, UNIT_TABLES), strict=True))


def searches(shop: Shop, since: date, until: date) -> dict[str, Any]:
    """The most frequent searches of a range of days: from ``events``, since gold keeps no texts of searches."""
    with OpenLake(shop.lake, shop.settings.threads, since, until) as lake, lake.reading():
        relation = lake.sql(_SEARCHES)
        return {
            "columns": list(relation.columns),
            "rows": [[json_value(value) for value in row] for row in relation.fetchall()],
        }


def of_all_days(shop: Shop, events: int) -> dict[str, Any]:
    """What an exported page has counted; searches only where there are not too many events.

    Args:
        shop: The lake.
        events: How many it has.
    """
    found = {"distinct": distinct(shop, date.min, date.max)}
    return found | ({"searches": searches(shop, date.min, date.max)} if events <= MOST_EVENTS else {})


DISTINCT, SEARCHES = UNIT_TABLES, (EVENTS,)
