"""Verify finds gold that is not that of the events, names it exactly, and repairs it."""

from datetime import timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from shoplake.engines.duckdb import DuckDBEngine
from shoplake.lake.catalog import Lake
from shoplake.operations.verify import VerifyRequest, verify
from shoplake.tables import BY_NAME
from tests.behaviour.verify.support import (
    GOLD,
    HOUR,
    MIDNIGHT,
    NEXT_HOUR,
    below,
    check,
    files_of,
    first_row,
    found,
    only,
    rewrite,
    rows_of,
    stored,
    with_value,
)
from tests.support import dump, everywhere, everywhere_in_proofs, key

pytestmark = pytest.mark.usefixtures("own_data_files")


@everywhere_in_proofs
def test_changed_gold_rows(shop):
    """One figure in one row of each gold table: its hour, its key, and both values; repairing gives the old rows back."""
    before = dump(shop / "lake")
    changed = {}
    for table in GOLD:
        column, place = ("event_date", HOUR.date()) if table == "activity_daily" else ("event_hour", HOUR)
        rows = rows_of(shop, table)
        changed[table] = rows.filter(pc.equal(rows.column(column), pa.scalar(place)))
        rewrite(shop, table, [place], with_value(changed[table], "events", first_row(changed[table]), 777))
    report = check(shop)
    for table, rows in changed.items():
        difference = only(report, table)
        where = "2025-11-18" if table == "activity_daily" else "2025-11-18T14:00:00Z"
        assert (difference.what, difference.where) == ("gold", where)
        (pair,) = difference.more["first"]
        assert (pair["found"], pair["expected"]) == ({"events": 777}, {"events": rows.column("events")[0].as_py()})
        for name, value in pair["key"].items():
            assert value == rows.column(name)[0].as_py()
    answers = {where for name, _, where in found(report) if name == "answers"}
    assert answers == {"category_performance 2025-11-18", "user_activity 2025-11-18"}
    assert {name for name, _, _ in found(report)} == {*GOLD, "answers"}
    mended = check(shop, repair=True)
    assert mended.ok
    assert mended.repaired == {"hours": ["2025-11-18T14:00:00Z"], "days": ["2025-11-18"], "left": []}
    assert dump(shop / "lake") == before


def test_missing_gold(shop):
    """An hour, and a day, that gold does not hold."""
    before = dump(shop / "lake")
    for table in GOLD:
        rewrite(shop, table, [partition(table, MIDNIGHT)], None)
    found_and_mended(shop, before, MIDNIGHT, "found")


def test_surplus_gold(shop):
    """Gold of an hour, and of a day, without any event."""
    before, nowhere = dump(shop / "lake"), HOUR + timedelta(days=7)
    for table in GOLD:
        value = partition(table, nowhere)
        rows = rows_of(shop, table).slice(0, 1)
        rewrite(shop, table, [value], with_value(rows, BY_NAME[table].key, pa.array([True]), value))
    found_and_mended(shop, before, nowhere, "expected")


def partition(table, hour):
    return hour.date() if table == "activity_daily" else hour


def found_and_mended(shop, before, hour, nothing):
    """Each gold table differs in that hour, or its day, and has nothing on that side; repair brings the lake back."""
    report = check(shop)
    for table in GOLD:
        difference = only(report, table)
        assert difference.where == f"{partition(table, hour):{'%F' if table == 'activity_daily' else '%FT%TZ'}}"
        assert difference.more["first"][0][nothing] is None
    assert check(shop, repair=True).ok
    assert dump(shop / "lake") == before


def test_gold_rows_doubled(shop):
    """An hour of gold that is there twice."""
    rewrite(shop, "user_hourly", [], rows_of(shop, "user_hourly").filter(pc.equal(pc.field("event_hour"), NEXT_HOUR)))
    assert found(check(shop)) == {("user_hourly", "gold", "2025-11-18T15:00:00Z")}
    assert check(shop, repair=True).ok


@pytest.mark.parametrize(("table", "damage"), list(zip(GOLD, ["deleted", "truncated"] * 2, strict=True)))
def test_unreadable_gold_file(shop, table, damage):
    """A gold file that is gone or cut: the file is named, and its hour or day; it is rebuilt without reading it."""
    before = dump(shop / "lake")
    file = min(files_of(shop, table), key=lambda file: file.lower[BY_NAME[table].key])
    damaged = stored(shop, file)
    damaged.unlink() if damage == "deleted" else damaged.write_bytes(damaged.read_bytes()[:-20])
    report = check(shop)
    kind = "missing" if damage == "deleted" else "unreadable"
    assert ("files", kind, below(shop, file.path)) in found(report)
    expected = {HOUR.date(), MIDNIGHT.date()} if table == "activity_daily" else {HOUR}
    held = next(one for one in report.checks if one.name == table)
    assert {one.more["day" if table == "activity_daily" else "hour"] for one in held.differences} <= expected
    assert held.differences
    mended = check(shop, repair=True)
    # Snapshots of before still name the lost file: that is said, and the tables are whole.
    assert {(name, where) for name, _, where in found(mended)} == {("history", below(shop, file.path))} or mended.ok
    assert dump(shop / "lake") == before


@everywhere
def test_unreadable_gold_file_of_several_hours_and_days(shop):
    """Files as maintenance merges them: all hours, or days, of a lost one are rebuilt together."""
    before = dump(shop / "lake")
    for table, keys in (("user_hourly", [HOUR, NEXT_HOUR]), ("activity_daily", [HOUR.date(), MIDNIGHT.date()])):
        rows = rows_of(shop, table)
        rewrite(shop, table, keys, rows.filter(pc.is_in(rows.column(BY_NAME[table].key), pa.array(keys))))
        (file,) = [file for file in files_of(shop, table) if file.lower[BY_NAME[table].key] == keys[0]]
        assert file.upper[BY_NAME[table].key] == keys[1]
        stored(shop, file).unlink()
    assert {where for name, _, where in found(check(shop)) if name in GOLD} == {
        "2025-11-18T14:00:00Z",
        "2025-11-18T15:00:00Z",
        "2025-11-18",
        "2025-11-19",
    }
    assert {name for name, _, _ in found(check(shop, repair=True))} == {"history"}
    assert dump(shop / "lake") == before


def test_repair_plans_anew_after_a_lost_race(shop):
    """An event that another run adds between the repair's view and its commit is in the gold that is rebuilt."""
    rewrite(shop, "user_hourly", [HOUR], None)
    late = rows_of(shop, "events").filter(pc.equal(pc.field("source_file"), key(0))).slice(0, 1)
    late = with_value(late, "user_id", pa.array([True]), "u_late")
    raced: list[bool] = []

    class Raced(DuckDBEngine):
        def gold(self, *arguments):
            rebuilt = super().gold(*arguments)
            if not raced:
                raced.append(True)
                rewrite(shop, "events", [], late)
            return rebuilt

    request = VerifyRequest(Lake(shop / "lake"), None, lambda: Raced(2), 2, repair=True)
    report = verify(request)
    assert raced
    assert report.repaired is not None
    assert report.repaired["hours"] == ["2025-11-18T14:00:00Z"]
    assert found(report) == {("accounts", "account", key(0))}, "gold is that of the other run's events"
    assert "u_late" in {row["user_id"] for row in dump(shop / "lake")["user_hourly"]}


def test_repair_of_a_whole_lake_changes_nothing(shop):
    """Nothing to repair, nothing committed."""
    before = (shop / "lake" / "catalog.json").read_bytes()
    report = check(shop, repair=True)
    assert report.ok
    assert report.repaired == {"hours": [], "days": [], "left": []}
    assert (shop / "lake" / "catalog.json").read_bytes() == before
