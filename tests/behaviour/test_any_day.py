"""A day built by any sequence of runs: after each of them every gold table is what plain Python makes of the events."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import shoplake
from tests.support import ENGINE, as_line, dump, event, key, proofs, put, put_bytes

TYPES = ("page_view", "add_to_cart", "remove_from_cart", "purchase", "search")
FIGURES = ("page_views", "add_to_carts", "removes_from_cart", "purchases", "searches")
SLOTS = range(112, 132)  # 23:20 to 00:55: three hours and two days
PEOPLE = [f"u{number}" for number in range(12)]
SESSIONS = [f"s{number}" for number in range(30)]


def lines(rng: random.Random, slot: int) -> list[dict[str, Any]]:
    """Events of a slot; some of them are late by up to two hours, and some equal those that any other slot may hold."""
    found = []
    for _ in range(rng.randrange(12)):
        of = slot if rng.random() < 0.7 else max(SLOTS.start, slot - rng.randrange(24))
        moment = datetime(2025, 11, 18, 14) + of * timedelta(minutes=5) + timedelta(seconds=rng.randrange(3))  # noqa: DTZ001
        found.append(
            event(
                rng.randrange(3),
                rng.choice(TYPES),
                timestamp=f"{moment.isoformat()}Z",
                user_id=rng.choice(PEOPLE),
                session_id=rng.choice(SESSIONS),
            )
        )
    return found


class Shop:
    """A source and its lake, and what can happen to them."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self.raw, self.lake, self.rng = folder / "raw", folder / "lake", rng
        self.there: set[int] = set()
        self.raw.mkdir()

    def arrive(self) -> None:
        """New files, in any order of their slots."""
        new = self.rng.sample([slot for slot in SLOTS if slot not in self.there], self.rng.choice((1, 1, 1, 4)))
        for slot in new:
            put(self.raw, slot, lines(self.rng, slot))
        self.there.update(new)
        self.run()

    def replace(self) -> None:
        """A file gets other content, which may be none at all or not even gzip."""
        slot = self.rng.choice(sorted(self.there))
        if self.rng.random() < 0.2:
            put_bytes(self.raw, slot, b"not gzip " + str(self.rng.random()).encode())
        else:
            put(self.raw, slot, [*lines(self.rng, slot), as_line({"broken": self.rng.random()})])
        self.run()

    def replay(self) -> None:
        """A file is ingested again, as it is."""
        shoplake.replay(self.raw, self.lake, files=[key(self.rng.choice(sorted(self.there)))])

    def erase(self) -> None:
        """A person is erased."""
        shoplake.erase(self.rng.choice(PEOPLE), self.lake)

    def maintain(self) -> None:
        """Closed hours and days are merged."""
        shoplake.maintain(self.lake)

    def lose_keys(self) -> None:
        """What lies beside the data files is gone."""
        for path in self.lake.rglob("*.keys"):
            path.unlink()

    def run(self) -> None:
        """Ingest what is new, with maintenance or without."""
        shoplake.ingest(self.raw, self.lake, maintain=self.rng.choice(("on", "off")), engine=ENGINE)


def hour_of(row: dict[str, Any]) -> datetime:
    return row["event_time"].replace(minute=0, second=0, microsecond=0)


def gold(events: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The gold tables of some events, counted one by one."""
    hourly: dict[str, dict[tuple, list[dict]]] = {
        name: defaultdict(list) for name in ("product_hourly", "user_hourly", "session_hourly")
    }
    days: dict[date, list[dict]] = defaultdict(list)
    for row in events:
        hourly["product_hourly"][hour_of(row), row["product_id"], row["category"]].append(row)
        hourly["user_hourly"][hour_of(row), row["user_id"]].append(row)
        hourly["session_hourly"][hour_of(row), row["session_id"]].append(row)
        days[row["event_time"].date()].append(row)
    tables: dict[str, list[dict[str, Any]]] = {}
    for name, groups in hourly.items():
        tables[name] = []
        for at, rows in groups.items():
            bought = [row for row in rows if row["event_type"] == "purchase"]
            found: dict[str, Any] = {"event_hour": at[0], "events": len(rows)}
            for kind, figure in zip(TYPES, FIGURES, strict=True):
                found[figure] = sum(row["event_type"] == kind for row in rows)
            found["revenue"] = sum((row["quantity"] * row["price"] for row in bought), Decimal("0.00"))
            if name == "product_hourly":
                found |= {"product_id": at[1], "category": at[2], "units_sold": sum(row["quantity"] for row in bought)}
            elif name == "user_hourly":
                found["user_id"] = at[1]
            else:
                times = [row["event_time"] for row in rows]
                found |= {"session_id": at[1], "user_id": min(row["user_id"] for row in rows)}
                found |= {"first_event_time": min(times), "last_event_time": max(times)}
            tables[name].append(found)
    tables["activity_daily"] = [
        {
            "event_date": day,
            "unique_users": len({row["user_id"] for row in rows}),
            "unique_sessions": len({row["session_id"] for row in rows}),
            "events": len(rows),
        }
        for day, rows in days.items()
    ]
    return tables


def in_order(rows: list[dict[str, Any]]) -> list[list[tuple[str, Any]]]:
    return sorted((sorted(row.items()) for row in rows), key=repr)


@pytest.mark.parametrize("seed", [0, 1, *proofs(*range(2, 60))])
def test_gold_after_every_run(tmp_path, seed):
    """Files that arrive late or in any order, that are replaced, replayed or equal in part; erasures and maintenance."""
    rng = random.Random(seed)
    shop = Shop(tmp_path, rng)
    shop.arrive()
    steps = [
        shop.arrive,
        shop.arrive,
        shop.arrive,
        shop.replace,
        shop.replay,
        shop.erase,
        shop.maintain,
        shop.lose_keys,
    ]
    done = ["arrive"]
    for _ in range(9):
        step = rng.choice(steps[:3] if len(shop.there) < 4 else steps if len(shop.there) < 16 else steps[3:])
        step()
        done.append(step.__name__)
        rows = dump(shop.lake)
        for name, expected in gold(rows["events"]).items():
            assert in_order(rows[name]) == in_order(expected), (name, done)
