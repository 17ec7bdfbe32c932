"""Totals of units that are added up in memory: the same digits as those that DuckDB adds up."""

# ruff: noqa: DTZ001 - times of the lake are UTC without a zone

import datetime as dt
import random
from collections import defaultdict
from datetime import timedelta
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

import shoplake
from shoplake.experiments import activity, totals
from shoplake.experiments.totals import Rows
from tests.support import accepted, as_line, event, ingest, judge_files, put

NOON = dt.datetime(2025, 11, 18, 12)
USERS = [f"{'käufer-' * (number % 4)}{number}" for number in range(300)]
LISTED = pa.table({"unit": [*USERS[::2], "nobody"], "variant": (["control", "treatment"] * 150)[:151]})


def some_events(rng):
    """Four hours; a session lasts over an hour or several, and some are of several users, also in turn."""
    for hour in range(-2, 2):
        at = NOON + timedelta(hours=hour)
        yield event(0, timestamp=at.isoformat() + "Z", user_id=USERS[1 + hour % 2], session_id="in turn")
    for number, user in enumerate(USERS):
        for step in range(rng.randint(1, 6)):
            at = NOON + timedelta(hours=rng.randrange(-2, 2), microseconds=rng.randrange(3_600_000_000))
            session = f"shared {step}" if number % 50 == 0 else f"{user}/{step % 2}"
            who = {"timestamp": at.isoformat() + "Z", "user_id": user, "session_id": session}
            kind = rng.choice(["page_view", "add_to_cart", "purchase", "search"])
            amount = {"quantity": rng.randint(1, 3), "price": round(rng.lognormvariate(3, 1), 2)}
            yield event(0, kind, **who, **(amount if kind in {"purchase", "add_to_cart"} else {}))


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    put(folder / "raw", 0, map(as_line, some_events(random.Random(3))))
    ingest(folder / "raw", folder / "lake")
    return folder


@pytest.fixture
def in_memory(monkeypatch):
    """However few units there are, and in parts; the totals that were made so."""
    made = []

    def seen(*given):
        made.append(totals.add_up(*given))
        return made[-1]

    monkeypatch.setattr(activity, "FEWEST_UNITS", 0)
    monkeypatch.setattr(activity, "ROWS_AT_ONCE", 300)
    monkeypatch.setattr(activity, "add_up", seen)
    return made


MEDIAN = "typical=median(nullif(revenue, 0))"
EVERYTHING = "x=page_views + add_to_carts + (removes_from_cart / 7) / events"


@pytest.mark.parametrize(
    ("more", "times"),
    [
        ({}, 1),
        (
            {
                "metrics": ["conversion", MEDIAN, EVERYTHING, "y=1 / SESSIONS"],
                "winsorize": 0.9,
                "by": ["day", "cumulative"],
            },
            3,
        ),
        ({"metrics": ["one=1 / 2", "searches=searches"]}, 1),
        ({"start": NOON, "cuped": timedelta(hours=2)}, 2),
        ({"assignments": LISTED}, 1),
        ({"assignments": LISTED, "start": NOON, "cuped": timedelta(hours=2)}, 2),
        ({"unit": "session", "metrics": ["conversion", "n=sessions", "revenue_per_session"]}, 1),
    ],
)
def test_the_same_digits(shop, request, more, times):
    by_duckdb = shoplake.experiment(shop / "lake", "x", **more)
    made = request.getfixturevalue("in_memory")
    assert shoplake.experiment(shop / "lake", "x", **more) == by_duckdb
    assert [rows is not None for rows in made] == [True] * times


def test_sessions_count_once_for_each_of_their_users(shop, in_memory):
    """One session over several hours, one of several users: as in plain Python."""
    sessions = defaultdict(set)
    for one in accepted(judge_files(shop / "raw")):
        sessions[one.session, one.time.hour].add(one.user)
    expected = defaultdict(set)
    for (session, _), users in sessions.items():
        expected[min(users)].add(session)
    shoplake.experiment(shop / "lake", "x")
    (rows,) = in_memory
    units = rows.column("unit").to_pylist()
    assert units == sorted(units, key=str.encode)
    assert dict(zip(units, rows.column("sessions").to_pylist(), strict=True)) == {
        unit: len(expected[unit]) for unit in units
    }


def test_users_that_share_a_hash_are_told_apart(shop, in_memory, monkeypatch):
    """Then DuckDB adds up."""
    expected = shoplake.experiment(shop / "lake", "x")
    monkeypatch.setattr(totals, "_of_each", lambda _, units, __: np.full(len(units), 7, np.uint64))
    assert shoplake.experiment(shop / "lake", "x") == expected
    assert in_memory[-1] is None
    sessions = ["SELECT 7::UBIGINT AS unit, 's' AS session_id"]
    assert added_up(shop, "SELECT 'a' AS unit", sessions=sessions) == [{"unit": "a", "sessions": 1}]
    assert added_up(shop, "SELECT unnest(['a', 'b']) AS unit", sessions=sessions) is None


def added_up(shop, *figures, **more):
    with shoplake.open(shop / "lake") as lake:
        rows = totals.add_up(lake, Rows(figures, **more), "salt")
    return rows and rows.to_pylist()


def test_money_is_added_up_to_the_cent(shop):
    assert added_up(
        shop,
        "SELECT 'b' AS unit, 90071992547409.93::DECIMAL(38, 2) AS revenue",
        "SELECT unnest(['a', 'b', 'ä']) AS unit, 0.01::DECIMAL(38, 2) AS revenue",
    ) == [
        {"unit": "a", "revenue": Decimal("0.01")},
        {"unit": "b", "revenue": Decimal("90071992547409.94")},
        {"unit": "ä", "revenue": Decimal("0.01")},
    ]


@pytest.mark.parametrize(
    "number", ["5e18::BIGINT", "-1::BIGINT", "NULL::BIGINT", "1e20::DECIMAL(38, 2)", "-0.01::DECIMAL(38, 2)"]
)
def test_what_does_not_fit_is_left_to_duckdb(shop, number):
    assert added_up(shop, f"SELECT 'a' AS unit, {number} AS figure FROM range(2)") is None


def test_the_population_decides_who_is_there(shop):
    assert added_up(
        shop,
        "SELECT unnest(['a', 'b', 'a']) AS unit, 2::BIGINT AS events",
        population=["SELECT unnest(['a', 'c']) AS unit, unnest([0, 1]) AS variant"],
    ) == [{"unit": "a", "variant": 0, "events": 4}, {"unit": "c", "variant": 1, "events": 0}]


@pytest.mark.parametrize("user", ["b", *"cdefgh"])
def test_sessions_of_somebody_else_are_left_to_duckdb(shop, user):
    sessions = [f"SELECT hash('{user}') AS unit, 's' AS session_id"]
    found = added_up(shop, "SELECT unnest(['a', 'b']) AS unit", sessions=sessions)
    assert found == ([{"unit": "a", "sessions": 0}, {"unit": "b", "sessions": 1}] if user == "b" else None)


def test_nobody_was_there_before(shop):
    assert added_up(
        shop,
        "SELECT 'a' AS unit, 1::BIGINT AS events WHERE false",
        sessions=["SELECT hash('a') AS unit, 's' AS session_id WHERE false"],
        population=["SELECT 'b' AS unit"],
        variant="length(unit)",
    ) == [{"unit": "b", "events": 0, "variant": 1, "sessions": 0}]
