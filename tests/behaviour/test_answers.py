"""The five answers: from gold, from the oracle and counted in plain Python they are the same."""

import tempfile
from dataclasses import replace
from datetime import timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import shoplake
from shoplake import queries
from shoplake.generator.faults import Faults
from shoplake.generator.files import generate_files
from tests.support import (
    QUESTIONS,
    START,
    accepted,
    answers,
    both_in_proofs,
    dump,
    event,
    five_answers,
    ingest,
    judge_files,
    oracle,
    put,
)

COLUMNS = {
    "conversion_funnel": [
        *("product_id", "category", "views", "add_to_carts", "purchases"),
        *("view_to_cart_rate", "cart_to_purchase_rate", "view_to_purchase_rate"),
    ],
    "hourly_revenue": ["event_hour", "revenue", "purchases", "units_sold"],
    "top_products": ["product_id", "category", "views"],
    "category_performance": [
        *("event_date", "category", "events"),
        *("page_views", "add_to_carts", "removes_from_cart", "purchases", "searches"),
    ],
    "user_activity": ["event_date", "unique_users", "unique_sessions", "events"],
}


@pytest.fixture(scope="module", params=["realistic", "uniform"])
def hour(request, tmp_path_factory):
    """An hour around midnight with every fault, ingested in two runs."""
    folder = tmp_path_factory.mktemp(request.param)
    faults = replace(Faults.heavy(), late_fraction=0.004)
    start = START + timedelta(hours=9, minutes=35)
    made = generate_files(folder / "raw", 12, (250, 400), start, 23, request.param, faults=faults, workers=1)
    waiting = made[-1].path.rename(folder / "waiting")
    ingest(folder / "raw", folder / "lake")
    waiting.rename(made[-1].path)
    ingest(folder / "raw", folder / "lake")
    return folder


def test_answers_of_a_generated_hour(hour):
    """Gold, oracle and a count over the raw lines agree on hours with every fault, in rows and order."""
    counted = five_answers(accepted(judge_files(hour / "raw")))
    found = answers(hour / "lake")
    for name in QUESTIONS:
        assert found[name] == counted[name], name
        assert len(found[name]) > 1, name
    assert oracle(hour / "lake") == counted


def test_columns(hour):
    """Each answer has exactly the columns that are promised, in their order; so has the oracle's."""
    with shoplake.open(hour / "lake") as lake:
        assert [query.name for query in queries.five()] == list(COLUMNS)
        for query in (*queries.five(), *queries.oracle()):
            assert list(lake.sql(query.sql).columns) == COLUMNS[query.name], query.name


def test_types(hour):
    """Money is decimal, counts are whole, rates are fractions, times have no zone and are UTC."""
    found = answers(hour / "lake")
    assert all(isinstance(row[1], Decimal) and row[1].as_tuple().exponent == -2 for row in found["hourly_revenue"])
    assert all(rate is None or isinstance(rate, float) for row in found["conversion_funnel"] for rate in row[5:])
    assert all(isinstance(count, int) for row in found["category_performance"] for count in row[2:])
    assert all(row[0].tzinfo is None and row[0].minute == 0 for row in found["hourly_revenue"])


def test_orders(hour):
    """Rows come in the promised order."""
    found = answers(hour / "lake")
    for name in ("conversion_funnel", "top_products"):
        assert found[name] == sorted(found[name], key=lambda row: (-row[2], row[0]))
    for name in ("hourly_revenue", "user_activity"):
        assert found[name] == sorted(found[name])
    assert found["category_performance"] == sorted(found["category_performance"], key=lambda row: row[:2])
    assert len(found["top_products"]) == 10


def ingested(tmp_path, *files):
    """The answers after each file came in a run of its own."""
    for slot, lines in enumerate(files):
        put(tmp_path / "raw", slot, lines)
        ingest(tmp_path / "raw", tmp_path / "lake")
    found = answers(tmp_path / "lake")
    assert found == oracle(tmp_path / "lake") == five_answers(accepted(judge_files(tmp_path / "raw")))
    return found


def test_product_under_two_categories(tmp_path):
    """A product seen under two categories is one row of queries 1 and 3, and counts under both in query 4."""
    found = ingested(
        tmp_path,
        [event(number, product_id="p_1", category="toys") for number in range(2)],
        [event(number, product_id="p_1", category="books") for number in range(2, 5)],
    )
    assert [row[:3] for row in found["conversion_funnel"]] == [("p_1", "books", 5)]
    assert found["top_products"] == [("p_1", "books", 5)]
    assert [row[1:3] for row in found["category_performance"]] == [("books", 3), ("toys", 2)]


def test_searches_stand_under_none(tmp_path):
    """Searches have no category: they are counted under (none), and in no product."""
    found = ingested(tmp_path, [event(1, "search"), event(2, "search", search_query=""), event(3)])
    assert [row[1:] for row in found["category_performance"]] == [
        ("(none)", 2, 0, 0, 0, 0, 2),
        ("books", 1, 1, 0, 0, 0, 0),
    ]
    assert len(found["conversion_funnel"]) == 1
    assert found["user_activity"][0][3] == 3


def test_rates_without_denominator(tmp_path):
    """A rate is a fraction, and NULL where there is nothing to divide by."""
    found = ingested(
        tmp_path,
        [
            event(1, "purchase", product_id="only bought"),
            event(2, product_id="only seen"),
            *(event(number, product_id="both") for number in range(3, 7)),
            event(7, "add_to_cart", product_id="both"),
            event(8, "remove_from_cart", product_id="only removed"),
        ],
    )
    rates = {row[0]: row[5:] for row in found["conversion_funnel"]}
    assert rates == {
        "both": (0.25, 0.0, 0.0),
        "only seen": (0.0, None, 0.0),
        "only bought": (None, None, None),
        "only removed": (None, None, None),
    }
    assert "only bought" not in [row[0] for row in found["top_products"]]


def test_money_is_exact(tmp_path):
    """Revenue is a decimal sum of quantity x price: a thousand times 0.10 is 100.00."""
    found = ingested(
        tmp_path,
        [event(number, "purchase", quantity=1, price=0.1) for number in range(500)],
        [event(number, "purchase", quantity=1, price=0.1) for number in range(500, 1000)],
    )
    assert found["hourly_revenue"] == [(START.replace(tzinfo=None), Decimal("100.00"), 1000, 1000)]


def test_hours_of_two_days_are_apart(tmp_path):
    """An hour is an hour of a day: the same hour of two days makes two rows."""
    found = ingested(
        tmp_path,
        [
            event(number, "purchase", timestamp=f"2025-11-{18 + number}T14:30:00Z", price=number + 1)
            for number in range(2)
        ],
    )
    assert [f"{row[0]:%d %H}" for row in found["hourly_revenue"]] == ["18 14", "19 14"]


@both_in_proofs
def test_distinct_counts_across_runs(tmp_path):
    """Users and sessions of a day are counted once, however many files, hours and runs they are spread over."""
    files = [
        [
            event(
                number,
                timestamp=f"2025-11-18T{hour:02}:{number:02}:00Z",
                user_id=f"u_{number % 5}",
                session_id=f"s_{number % 9}",
            )
            for number in range(20)
        ]
        for hour in (3, 7, 3, 23)
    ]
    files[2] = [one | {"user_id": "u_new", "product_id": "other"} for one in files[2]]
    assert [row[1:] for row in ingested(tmp_path, *files)["user_activity"]] == [(6, 9, 80)]


def test_session_of_several_users(tmp_path):
    """A session that several users have is one session."""
    found = ingested(tmp_path, [event(number, session_id="s", user_id=f"u_{number}") for number in range(3)])
    assert [row[1:] for row in found["user_activity"]] == [(3, 1, 3)]
    assert [row["user_id"] for row in dump(tmp_path / "lake")["session_hourly"]] == ["u_0"]


def test_offsets_decide_the_day(tmp_path):
    """The day and hour of an event are those of UTC, whatever offset its time was written with."""
    found = ingested(
        tmp_path,
        [
            event(1, "purchase", timestamp="2025-11-18T23:30:00-05:00"),
            event(2, "purchase", timestamp="2025-11-19T00:15:00+02:00"),
        ],
    )
    assert [f"{row[0]:%d %H}" for row in found["hourly_revenue"]] == ["18 22", "19 04"]


@both_in_proofs
def test_lake_with_nothing_but_quarantine(tmp_path):
    """A lake in which no line was accepted has five empty answers."""
    assert not any(ingested(tmp_path, [b"broken", event(1, user_id="")]).values())


ids = st.sampled_from(["a", "b", "c", "B", "é", "a b", "'", "日本", "0", "\U0010ffff", "x" * 40])
amounts = {
    "quantity": st.integers(1, 9) | st.just(2_000_000_000),
    "price": st.decimals(0, 1000, places=2).map(float) | st.sampled_from([0, 0.01, 19.99, 9_999_999_999.99]),
}
moments = st.builds(
    lambda seconds, offset: (
        (START + timedelta(seconds=seconds, microseconds=seconds))
        .astimezone(timezone(timedelta(minutes=offset)))
        .isoformat()
    ),
    st.integers(0, 30) | st.sampled_from([-36_001, -1, 3_599, 3_600, 35_999, 36_000]),
    st.sampled_from([0, 60, -330, 765]),
)
everything = {"timestamp": moments, "user_id": ids, "session_id": ids}
product = {"product_id": ids, "category": st.sampled_from(["books", "toys", "(none)", "Ünder"])}
nothing = dict.fromkeys(("product_id", "category", "quantity", "price", "search_query"), st.none())
shapes = st.one_of(
    *(
        st.fixed_dictionaries(everything | nothing | product | more | {"event_type": st.just(name)})
        for name, more in (
            ("page_view", {}),
            ("add_to_cart", amounts),
            ("remove_from_cart", amounts),
            ("purchase", amounts),
        )
    ),
    st.fixed_dictionaries(
        everything | nothing | {"search_query": st.text(max_size=5), "event_type": st.just("search")}
    ),
)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
@given(st.lists(st.lists(shapes, max_size=12), min_size=1, max_size=3), st.booleans())
def test_any_events(files, at_once):
    """For any events, in one run or a run each, the answers are those counted over the raw lines."""
    with tempfile.TemporaryDirectory() as folder:
        source, lake = Path(folder, "raw"), Path(folder, "lake")
        for slot, lines in enumerate(files):
            put(source, slot, lines)
            if not at_once:
                ingest(source, lake)
        ingest(source, lake)
        assert answers(lake) == oracle(lake) == five_answers(accepted(judge_files(source)))
