"""The metrics and the recipes of the cookbook: every text runs, and their answers are counted again in plain Python."""

# ruff: noqa: DTZ001 - times of the lake are UTC without a zone

import datetime as dt
import runpy
from collections import Counter, defaultdict
from decimal import Decimal
from itertools import combinations
from pathlib import Path
from statistics import mean, stdev
from zoneinfo import ZoneInfo

import pytest

import shoplake
from shoplake import queries
from shoplake.errors import UsageError
from shoplake.tables import JOINS, TABLES, VIEWS
from tests.support import command, ingest

SHOP = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "sample_shop.py"))


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    SHOP["write"](folder / "raw")
    ingest(folder / "raw", folder / "lake")
    with shoplake.open(folder / "lake") as opened:
        yield opened


@pytest.fixture(scope="module")
def lines():
    """The raw events, with their time read."""
    found = [event | {"at": dt.datetime.fromisoformat(event["timestamp"][:-1])} for event in SHOP["events"]()]
    return sorted(found, key=lambda event: event["at"])


def by(lines, field):
    groups = defaultdict(list)
    for event in lines:
        groups[event[field]].append(event)
    return groups


def types(events):
    return Counter(event["event_type"] for event in events)


def money(events):
    bought = [event for event in events if event["event_type"] == "purchase"]
    return sum((event["quantity"] * Decimal(str(event["price"])) for event in bought), Decimal(0))


def test_names(lake):
    """One name means one query, and the five alone have numbers. The pages show that each of them answers."""
    names = [query.name for query in queries.named()]
    assert len(set(names)) == len(names) == 5 + 7 + 16
    assert queries.find("all") == queries.five()
    with pytest.raises(UsageError) as caught:
        lake.query("avrage_order_value")
    assert "Did you mean average_order_value?" in caught.value.remedy
    shown = command("query", "--help").out
    assert [query.name for query in queries.metrics() if query.name not in shown] == []


def test_funnels(lake, lines):
    """Events by events; people and sessions once each, in a step only with those before it."""
    all_types = types(event for event in lines if event["product_id"])
    views, carts, purchases = (all_types[name] for name in ("page_view", "add_to_cart", "purchase"))
    assert lake.query("event_funnel").fetchall() == [
        (views, carts, purchases, carts / views, purchases / carts, purchases / views)
    ]
    for metric, unit in (("people_funnel", "user_id"), ("session_funnel", "session_id")):
        counted = [types(events) for events in by(lines, unit).values()]
        viewed = [each for each in counted if each["page_view"]]
        carted = [each for each in viewed if each["add_to_cart"]]
        bought = [each for each in carted if each["purchase"]]
        assert len(counted) >= len(viewed) > len(carted) > len(bought)
        assert lake.query(metric).fetchall() == [
            (len(counted), len(viewed), len(carted), len(bought), len(bought) / len(viewed))
        ]


def test_orders(lake, lines):
    """Average order value, abandoned carts and repeat buyers, by session."""
    sessions = by(lines, "session_id").values()
    orders = [events for events in sessions if types(events)["purchase"]]
    purchases = sum(types(events)["purchase"] for events in orders)
    ((count, lines_bought, revenue, average, per_order),) = lake.query("average_order_value").fetchall()
    assert (count, lines_bought, revenue) == (len(orders), purchases, money(lines))
    assert (average, per_order) == pytest.approx((float(money(lines)) / len(orders), purchases / len(orders)))
    carts = [events for events in sessions if types(events)["add_to_cart"]]
    left = [events for events in carts if not types(events)["purchase"]]
    assert lake.query("cart_abandonment").fetchall() == [(len(carts), len(left), len(left) / len(carts))]
    buyers = Counter(events[0]["user_id"] for events in orders)
    again = sum(number > 1 for number in buyers.values())
    assert lake.query("repeat_rate").fetchall() == [(len(buyers), again, again / len(buyers))]


def test_searches(lake, lines):
    """What is searched for, and the sessions that buy something after it."""
    searches = [event for event in lines if event["event_type"] == "search"]
    grouped = defaultdict(list)
    for event in searches:
        grouped[event["search_query"].strip().lower()].append(event)
    ranked = sorted(grouped.items(), key=lambda item: (-len(item[1]), item[0]))
    assert lake.query("top_searches").fetchall() == [
        (text, len(events), len({event["user_id"] for event in events})) for text, events in ranked
    ]
    sessions = by(lines, "session_id")
    expected = {}
    for text, events in grouped.items():
        firsts = {event["session_id"]: event["at"] for event in reversed(events)}
        bought = sum(
            any(event["event_type"] == "purchase" and event["at"] > at for event in sessions[session])
            for session, at in firsts.items()
        )
        expected[text] = (len(firsts), bought, bought / len(firsts))
    found = lake.query("search_to_purchase").fetchall()
    assert {row[0]: row[1:] for row in found} == expected


def test_retention(lake, lines):
    """Users by their first day, and on how many of the days after it they were there."""
    days = {user: sorted({event["at"].date() for event in events}) for user, events in by(lines, "user_id").items()}
    sizes = Counter(of_user[0] for of_user in days.values())
    returned = Counter((of_user[0], (day - of_user[0]).days) for of_user in days.values() for day in of_user[1:])
    expected = [(first, sizes[first], later, n, n / sizes[first]) for (first, later), n in sorted(returned.items())]
    assert lake.query("retention_by_day").fetchall() == expected
    present = Counter(day for of_user in days.values() for day in of_user)
    assert lake.query("new_and_returning").fetchall() == [
        (day, users, sizes[day], users - sizes[day]) for day, users in sorted(present.items())
    ]


def test_ordered_funnel(lake, lines):
    """View, then cart, then purchase of one product in one session."""
    steps: list[set[str]] = [set(), set(), set()]
    for session, events in by(lines, "session_id").items():
        for product, of_product in by(events, "product_id").items():
            reached, at = 0, dt.datetime(2025, 1, 1)
            for event in of_product:
                wanted = ("page_view", "add_to_cart", "purchase", None)[reached]
                if product and event["event_type"] == wanted and event["at"] > at:
                    steps[reached].add(session)
                    reached, at = reached + 1, event["at"]
    assert lake.query("ordered_funnel").fetchall() == [tuple(map(len, steps))]


def test_prices_and_pairs(lake, lines):
    """Revenue by price band adds up to all of it; pairs are counted by session."""
    bands = lake.query("price_bands").fetchall()
    assert sum(row[3] for row in bands) == money(lines)
    assert sum(row[4] for row in bands) == pytest.approx(1)
    cheap = [event for event in lines if event["event_type"] == "purchase" and event["price"] < 10]
    assert bands[0][1:4] == (len(cheap), sum(event["quantity"] for event in cheap), money(cheap))
    pairs: Counter[tuple[str, str]] = Counter()
    for events in by([event for event in lines if event["event_type"] == "purchase"], "session_id").values():
        pairs.update(combinations(sorted({event["product_id"] for event in events}), 2))
    ranked = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))[:10]
    assert lake.query("bought_together").fetchall() == [(*pair, number) for pair, number in ranked]


def test_unusual_hours(lake, lines):
    """An hour is measured against the same hour of all other days."""
    hours = Counter(event["at"].replace(minute=0, second=0, microsecond=0) for event in lines)
    expected = []
    for hour, number in sorted(hours.items()):
        others = [n for other, n in hours.items() if other.hour == hour.hour and other != hour]
        if len(others) >= 6 and abs(number - mean(others)) > 3 * stdev(others):
            expected.append((hour, number))
    assert [row[:2] for row in lake.query("unusual_hours").fetchall()] == expected
    assert (dt.datetime(2025, 11, 19, 19), 40) in [(hour, number // 40 * 40) for hour, number in expected]


@pytest.mark.parametrize(
    ("name", "zone"), [("local_days", "Europe/Berlin"), ("local_days_of_any_zone", "Asia/Kolkata")]
)
def test_local_days(lake, lines, name, zone):
    """Distinct users and sessions of a local day are exact, from hours or from events; both differ from the days in UTC."""
    days = defaultdict(list)
    for event in lines:
        days[event["at"].replace(tzinfo=dt.UTC).astimezone(ZoneInfo(zone)).date()].append(event)
    expected = [
        (day, len(by(events, "user_id")), len(by(events, "session_id")), len(events), money(events))
        for day, events in sorted(days.items())
    ]
    assert lake.query(name).fetchall() == expected
    assert [row[1] for row in expected] != [row[1] for row in lake.query("user_activity").fetchall()]


@pytest.mark.parametrize("name", [table.name for table in (*TABLES, *VIEWS)])
def test_keys_are_keys(lake, name):
    """No two rows of a table share the key that the data dictionary gives."""
    key = ", ".join(next(table for table in (*TABLES, *VIEWS) if table.name == name).identity)
    ((rows, distinct),) = lake.sql(
        f"SELECT (SELECT count(*) FROM {name}), count(*) FROM (SELECT DISTINCT {key} FROM {name})"
    ).fetchall()
    assert rows == distinct
    assert rows or name == "erasures"


@pytest.mark.parametrize("join", JOINS, ids=lambda join: f"{join.many.name}-{join.one.name}")
def test_joins_join(lake, join):
    """Each row of the first table has exactly one row of the second."""
    many, one = join.many.name, join.one.name
    ((rows, joined, matched),) = lake.sql(
        f"SELECT (SELECT count(*) FROM {many}), count(*), count({one}.{join.one.identity[0]})"
        f" FROM {many} LEFT JOIN {one} ON {join.condition}"
    ).fetchall()
    assert rows == joined == matched > 0
