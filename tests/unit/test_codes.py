"""Duplicates and gold from codes: the same rows and types as the ``.sql`` texts, which are their meaning."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import count

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoplake.contract import EVENT_COLUMNS, EVENT_TYPES
from shoplake.engines import codes, duplicates, unit_keys
from shoplake.engines.aggregates import HourlyGold
from shoplake.engines.part_sums import add_up_hour
from shoplake.lake.parquet import arrow_schema
from shoplake.lake.parts import add_up, combined
from shoplake.queries import sql
from shoplake.tables import EVENTS, GOLD_HOURLY, SESSION_HOURLY, USER_HOURLY, Table

HOUR = datetime(2025, 11, 18, 23, tzinfo=UTC).replace(tzinfo=None)
HOURS = [HOUR, HOUR + timedelta(hours=1), HOUR + timedelta(hours=30)]
MOST = Decimal("9999999999.99")
SCHEMA = pa.schema([arrow_schema(EVENTS).field(name) for name in (*EVENT_COLUMNS, "extra")]).remove_metadata()
# They differ in what a comparison may lose: case, white space, normal form, zero bytes, what follows the eighth or the
# sixty-fourth byte, and whether they are there.
LIKE = ["a", "A", "a ", " a", "", "a\0", "a\0\0", "\u00e9", "e\u0301", "\U0010ffff", "\x7f", "\x80"]
LONG = ["common-a", "common-ab", "common-a\0", "common-" + "x" * 57, "common-" + "x" * 58, "common-" + "x" * 57 + "y"]
texts = st.sampled_from(LIKE) | st.sampled_from(LONG) | st.text(st.characters(codec="utf-8"), max_size=10)
moments = st.builds(
    lambda hour, micros: hour + timedelta(microseconds=micros),
    st.sampled_from([*HOURS, HOUR + timedelta(hours=2)]),
    st.sampled_from([0, 1, 3_599_999_999]),
)
events = st.fixed_dictionaries(
    {
        "event_time": moments,
        "user_id": texts,
        "session_id": texts,
        "event_type": st.sampled_from(EVENT_TYPES),
        "product_id": st.none() | texts,
        "category": st.none() | texts,
        "quantity": st.none() | st.integers(1, 3) | st.just(2**31 - 1),
        "price": st.none() | st.decimals(0, 2, places=2) | st.just(MOST),
        "search_query": st.none() | texts,
        "extra": st.none(),
    }
)
files = st.lists(st.lists(events, max_size=12), max_size=4)
forms = st.sampled_from(["plain", "coded", "parts", "more"])


def table(rows, form="plain"):
    """Events as reading may give them: texts plain, as codes, in parts, or with texts in the dictionary that no row has."""
    made = pa.Table.from_pylist(rows, SCHEMA)
    if form == "parts":
        half = made.num_rows // 2
        return pa.concat_tables([codes.encoded(made[:half]), codes.encoded(made[half:])])
    if form == "coded":
        return codes.encoded(made)
    if form == "more":
        others = [dict.fromkeys(SCHEMA.names) | dict.fromkeys(codes.TEXTS, "of no row")]
        return codes.encoded(pa.concat_tables([pa.Table.from_pylist(others, SCHEMA), made]))[1:]
    return made


def mapper(function, items):
    return [function(item) for item in items]


def asked(name: str, **tables: pa.Table) -> pa.Table:
    """What a text in ``sql/`` says of some tables."""
    with duckdb.connect() as connection:
        for known, rows in tables.items():
            connection.register(known, rows)
        return connection.sql(sql(name)).to_arrow_table()


def plain(rows: pa.Table, of: Table) -> pa.Table:
    return rows.cast(arrow_schema(of).remove_metadata())


def typed(rows: pa.Table) -> list[pa.DataType]:
    """The types of the columns, of dictionaries those of their texts."""
    return [kind.value_type if pa.types.is_dictionary(kind) else kind for kind in rows.schema.types]


def counted(rows: pa.Table) -> Counter[tuple]:
    return Counter(tuple(row.values()) for row in rows.to_pylist())


def check_gold(parts: list[pa.Table], hours: list[datetime]) -> HourlyGold:
    """Compare all gold tables with the SQL over the same events."""
    found = HourlyGold([partial(codes.encoded, rows) for rows in parts], hours, mapper)
    every = pa.concat_tables([SCHEMA.empty_table(), *(rows.cast(SCHEMA) for rows in parts)])
    with duckdb.connect() as connection:
        connection.register("every", every)
        inside = ", ".join(f"TIMESTAMP '{hour}'" for hour in hours)
        there = connection.sql(f"FROM every WHERE date_trunc('hour', event_time) IN ({inside})").to_arrow_table()
    expected = {}
    for of in GOLD_HOURLY:
        expected[of.name] = plain(asked(f"gold_{of.name}", events=there), of)  # DuckDB counts in 128 bits
        rows = found.rows(of)
        assert all(typed(part) == arrow_schema(of).types for _, part in rows)
        rows = [(hour, plain(part, of)) for hour, part in rows]
        assert all(set(part.column("event_hour").to_pylist()) == {hour} for hour, part in rows)
        whole = pa.concat_tables([arrow_schema(of).remove_metadata().empty_table(), *(part for _, part in rows)])
        assert counted(whole) == counted(expected[of.name])
        keys = [whole.column(name).to_pylist() for name in ("event_hour", *of.sort)]
        order = [
            tuple((key is None, key.encode() if isinstance(key, str) else key) for key in row)
            for row in zip(*keys, strict=True)
        ]
        assert order == sorted(order)
    hourly = {name: expected[name] for name in ("user_hourly", "session_hourly")}
    days = asked("gold_activity_daily", **hourly).to_pylist()
    for of, figure in ((USER_HOURLY, "unique_users"), (SESSION_HOURLY, "unique_sessions")):
        sets = dict(zip([hour for hour, _ in found.rows(of)], found.keys(of, "salt"), strict=True))
        for day in days:
            of_day = [keys for hour, keys in sets.items() if hour.date() == day["event_date"]]
            assert len(unit_keys.union(of_day).high) == day[figure]
    return found


@settings(max_examples=15, deadline=None)
@given(files, st.lists(forms, min_size=4, max_size=4), st.sets(st.sampled_from(HOURS), min_size=1))
def test_gold_is_what_the_sql_says(rows, how, hours):
    """For any events in any form, any hours of them, and sums that 64 bits do not hold."""
    check_gold([table(of_file, form) for of_file, form in zip(rows, how, strict=False)], sorted(hours))


def event(number: int, **fields) -> dict:
    """An event of the first hour."""
    made = {
        "event_time": HOUR + timedelta(microseconds=number),
        "user_id": "u",
        "session_id": "s",
        "event_type": "purchase",
    }
    return dict.fromkeys(SCHEMA.names) | made | {"product_id": "p", "category": "c"} | fields


@pytest.mark.parametrize("price", [Decimal("0.01"), Decimal("1234.56"), MOST])
@pytest.mark.parametrize("quantity", [1, 2**31 - 1])
@pytest.mark.parametrize("number", [1, 5000])
def test_revenue_is_exact(price, quantity, number):
    """Also where a single purchase needs 71 bits, or only the sum of many needs more than 64."""
    rows = [event(place, quantity=quantity, price=price) for place in range(number)]
    found = check_gold([table(rows[: number // 2]), table(rows[number // 2 :])], [HOUR])
    for of in GOLD_HOURLY:
        ((_, part),) = found.rows(of)
        assert part.column("revenue").to_pylist() == [quantity * price * number]


def test_gold_of_many_hours():
    """More hours and users than there can be a place for each pair: these are sorted instead."""
    hours = [HOUR + timedelta(hours=place) for place in range(600)]
    rows = [event(0, event_time=hour, user_id=f"u{place}", session_id=f"s{place}") for place, hour in enumerate(hours)]
    check_gold([table(rows[::2]), table(rows[1::2])], hours)


def test_another_event_type():
    """A type that the contract does not know is an event, and nothing else."""
    check_gold([table([event(1, event_type="wish"), event(2)])], [HOUR])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(texts, max_size=20), max_size=4))
def test_vocabulary(lists):
    """The texts of all dictionaries, each once, in the order of their bytes; each code leads to its text."""
    found = codes.vocabulary([pa.array(sorted(set(one)), pa.string()) for one in lists])
    expected = sorted({text for one in lists for text in one}, key=str.encode)
    assert found.texts.to_pylist() == expected
    for one, places in zip(lists, found.places, strict=True):
        assert [expected[place] for place in places[:-1]] == sorted(set(one))
        assert places[-1] == len(expected)


def dropped(rows: list[pa.Table], stored: list[pa.Table]) -> dict[int, tuple[set[int], set[str]]]:
    """What the SQL takes away of each file: first what is stored, then of the rest what comes again."""
    batch = pa.concat_tables(
        of_file.cast(SCHEMA)
        .select(EVENT_COLUMNS)
        .append_column("file_order", pa.array([order] * of_file.num_rows, pa.int64()))
        .append_column("position", pa.array(range(of_file.num_rows), pa.int64()))
        .append_column("source_file", pa.array([f"file {order}"] * of_file.num_rows, pa.string()))
        for order, of_file in enumerate(rows)
    )
    gone = []
    if stored:
        gone += asked("dedupe_stored", candidates=batch, stored=pa.concat_tables(stored)).to_pylist()
    places = {(row["file_order"], row["position"]) for row in gone}
    pairs = zip(batch.column("file_order").to_pylist(), batch.column("position").to_pylist(), strict=True)
    rest = batch.filter(pa.array([pair not in places for pair in pairs], pa.bool_()))
    gone += asked("dedupe", candidates=rest).to_pylist()
    found: dict[int, tuple[set[int], set[str]]] = {}
    for row in gone:
        positions, firsts = found.setdefault(row["file_order"], (set(), set()))
        positions.add(row["position"])
        firsts.add(row["first_source_file"])
    return found


def by_codes(rows: list[pa.Table], stored: list[pa.Table]) -> dict[int, tuple[set[int], set[str]]]:
    full = [order for order, of_file in enumerate(rows) if of_file.num_rows]
    near = []
    for part in stored if full else ():
        if part.num_rows:
            moments = codes.microseconds(part, "event_time")
            ends = int(moments.min()), int(moments.max())
            near.append(duplicates.StoredEvents(*ends, partial(codes.encoded, part)))
    if not full:
        return {}
    paths = [f"file {order}" for order in full]
    found = duplicates.find(paths, [codes.encoded(rows[order]) for order in full], near, mapper)
    return {full[place]: (set(one.positions.tolist()), set(one.firsts)) for place, one in found.items()}


def stored_in(lists, names):
    numbers = count()
    return [
        table(rows)
        .select(EVENT_COLUMNS)
        .append_column("source_file", pa.array([f"{names[next(numbers) % 3]}" for _ in rows], pa.string()))
        for rows in lists
    ]


alike = st.lists(
    st.lists(
        st.builds(lambda number, text: event(number, search_query=text), st.integers(0, 3), st.none() | texts),
        max_size=8,
    )
    | st.lists(events, max_size=4),
    min_size=1,
    max_size=4,
)


@settings(max_examples=30, deadline=None)
@given(alike, alike | st.just([]), st.lists(forms, min_size=4, max_size=4))
def test_duplicates_are_what_the_sql_says(rows, earlier, how):
    """Stored rows take all that is equal to them; of the rest the first path and its first line stay."""
    tables = [table(of_file, form) for of_file, form in zip(rows, how, strict=False)]
    stored = stored_in(earlier, ["file a", "a", "z"])
    assert by_codes(tables, stored) == dropped(tables, stored)


@pytest.mark.parametrize("name", EVENT_COLUMNS)
def test_each_field_tells_events_apart(name):
    """Two events that differ in a single field, or where one has none, are two."""
    other = {"event_time": HOUR, "quantity": 2, "price": Decimal("0.02"), "event_type": "search"}.get(name, "other")
    some = {"quantity": 1, "price": Decimal("0.01"), "search_query": "q"}
    rows = [event(1, **some), event(1, **some) | {name: other}]
    if name not in ("event_time", "user_id", "session_id", "event_type"):
        rows.append(event(1, **some) | {name: None})
    assert by_codes([table(rows)], []) == {}
    assert by_codes([table(rows), table(rows)], []) == {1: (set(range(len(rows))), {"file 0"})}


def test_a_file_twice():
    """Rows by the thousand are suspects then, and each is found."""
    rows = [event(place // 3, user_id=f"u{place % 7}", session_id=f"s{place % 2}") for place in range(20_000)]
    tables = [table(rows), table(rows[::-1])]
    assert by_codes(tables, []) == dropped(tables, [])


@given(st.lists(st.integers(0, 50)), st.lists(st.integers(0, 50)))
def test_members(keys, wanted):
    """The positions of the keys that are wanted."""
    ordered = np.sort(np.array(wanted, np.uint64))
    found = codes.members(np.array(keys, np.uint64), ordered)
    assert found.tolist() == [place for place, key in enumerate(keys) if key in set(wanted)]


figures = st.integers(0, 1 << 40)
unit_rows = st.lists(
    st.tuples(
        st.sampled_from("abcdef"),
        st.sampled_from("uvw"),
        st.integers(0, 3_599),
        figures,
        st.sampled_from([0, 7, 1 << 70]),
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda row: row[0],
)


def part_of(of: Table, rows: list[tuple]) -> pa.Table:
    """A part of an hour; each row is a session, a user, a second, a count and cents of revenue."""
    made = []
    for session, user, second, number, paid in rows:
        at = HOUR + timedelta(seconds=second)
        row = {"event_hour": HOUR, "session_id": session, "user_id": user if of is SESSION_HOURLY else session}
        row |= {"first_event_time": at, "last_event_time": at, "revenue": Decimal(paid).scaleb(-2)}
        made.append({name: row.get(name, number) for name in of.column_names})
    return pa.Table.from_pylist(made, arrow_schema(of).remove_metadata())


@settings(max_examples=30, deadline=None)
@given(st.lists(unit_rows, min_size=1, max_size=4), st.sampled_from([USER_HOURLY, SESSION_HOURLY]))
def test_parts_add_up_alike(rows, of):
    """Maintenance adds up parts on codes, readers in SQL and everybody else by :func:`add_up`: the same rows."""
    parts_of_hour = [part_of(of, some) for some in rows]
    every = pa.concat_tables(parts_of_hour)
    on_codes = add_up_hour(of, parts_of_hour)
    with duckdb.connect() as connection:
        connection.register("every", every)
        in_sql = connection.sql(f"SELECT {combined(of)} FROM every GROUP BY event_hour, {of.unit}").to_arrow_table()
    assert counted(on_codes) == counted(add_up(of, every)) == counted(plain(in_sql, of))
    assert on_codes.column(of.unit).to_pylist() == sorted(on_codes.column(of.unit).to_pylist())
