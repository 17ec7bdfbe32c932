"""A small shop of three weeks, whose answers the pages show and the tests count again in plain Python.

Nothing but ``random()`` of a seeded generator decides, which gives the same numbers on every version of Python.
"""

# ruff: noqa: INP001, S311 - a script beside the pages; made-up data

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

START = datetime(2025, 11, 3)  # noqa: DTZ001 - UTC
DAYS = 21
USERS = 60
BROKEN_DAY = "2025-11-05"
HOURS = (9, 19, 23)
SEARCHES = ("yoga mat", " Yoga Mat", "lego", "desk lamp", "python books", "rain jacket")
PRODUCTS = {
    f"p_{category[0]}{number}": (category, price)
    for category, prices in {
        "books": ("8.90", "14.50", "39.00"),
        "clothing": ("24.99", "59.90", "129.00"),
        "home": ("12.00", "34.95", "189.00"),
        "toys": ("9.99", "19.99", "79.00"),
    }.items()
    for number, price in enumerate(prices, 1)
}
Event = dict[str, Any]


def events(seed: int = 7) -> Iterator[Event]:
    """The events of all days, in no particular order."""
    random = Random(seed)
    for user in range(1, USERS + 1):
        joined = int(random.random() * DAYS)
        loyalty = 0.1 + 0.5 * random.random() ** 2
        for day in range(joined, DAYS):
            if day == joined or random.random() < loyalty:
                yield from _session(random, f"u_{user:02}", f"s_{user:02}_{day:02}", START + timedelta(days=day))
    for visitor in range(40):  # an hour of curious visitors, which unusual_hours finds
        at = START + timedelta(days=16, hours=19, seconds=40 * visitor)
        yield _event(at, f"u_x{visitor}", f"s_x{visitor}", "page_view", "p_t1")


def _session(random: Random, user: str, session: str, day: datetime) -> Iterator[Event]:
    at = day + timedelta(hours=HOURS[int(random.random() * len(HOURS))], seconds=int(3600 * random.random()))

    def later() -> datetime:
        nonlocal at
        at += timedelta(seconds=5 + int(400 * random.random() ** 2))
        return at

    if random.random() < 0.4:
        search = SEARCHES[int(random.random() * len(SEARCHES))]
        yield _event(later(), user, session, "search") | {"search_query": search}
    cart = []
    for _ in range(1 + int(4 * random.random())):
        product = list(PRODUCTS)[int(random.random() * len(PRODUCTS))]
        yield _event(later(), user, session, "page_view", product)
        if random.random() < 0.05:  # bought at once, and put into the cart for another time
            yield _event(later(), user, session, "purchase", product, 1)
            yield _event(later(), user, session, "add_to_cart", product, 1)
        elif random.random() < 0.4:
            cart.append(product)
            yield _event(later(), user, session, "add_to_cart", product, 1 + int(2 * random.random()))
        elif cart and random.random() < 0.2:
            yield _event(later(), user, session, "remove_from_cart", cart.pop(), 1)
    if random.random() < 0.55:
        for product in cart:
            yield _event(later(), user, session, "purchase", product, 1 + int(2 * random.random()))


def _event(at: datetime, user: str, session: str, kind: str, product: str | None = None, quantity: int = 0) -> Event:
    return {
        "timestamp": f"{at.isoformat(timespec='milliseconds')}Z",
        "user_id": user,
        "session_id": session,
        "event_type": kind,
        "product_id": product,
        "category": PRODUCTS[product][0] if product else None,
        "quantity": quantity or None,
        "price": float(PRODUCTS[product][1]) if product and quantity else None,
        "search_query": None,
    }


def write(source: Path) -> None:
    """Write the events as source files, one a day, and a line that breaks the contract."""
    days: defaultdict[str, list[Event]] = defaultdict(list)
    for event in events():
        days[event["timestamp"][:10]].append(event)
    for day, lines in days.items():
        year, month, number = day.split("-")
        path = source / f"events/year={year}/month={month}/day={number}/hour=23/minute=55/events.jsonl.gz"
        path.parent.mkdir(parents=True)
        texts = [json.dumps(line) for line in lines]
        if day == BROKEN_DAY:
            texts.append(json.dumps(lines[0] | {"event_type": "refund"}))
        path.write_bytes(gzip.compress("\n".join(texts).encode()))
