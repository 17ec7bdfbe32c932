"""Verify finds events that are damaged, doubled, lost or misplaced, and leaves them to a replay."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from shoplake.lake.catalog import Lake
from shoplake.lake.commits import Commit
from shoplake.lake.parquet import read
from shoplake.tables import BY_NAME
from tests.behaviour.verify.support import (
    HOUR,
    MIDNIGHT,
    NEXT_HOUR,
    NOW,
    below,
    check,
    files_of,
    first_row,
    found,
    heal,
    only,
    rewrite,
    rows_of,
    stored,
    with_value,
)
from tests.support import dump, event, ingest, key, put

pytestmark = pytest.mark.usefixtures("own_data_files")


@pytest.mark.parametrize("damage", ["deleted", "truncated", "fewer rows", "bytes changed"])
def test_damaged_events_file(shop, damage):
    """A data file of events: it and its source file are named; repair leaves it alone; taking the file in again mends it."""
    (file,) = [one for one in files_of(shop, "events") if one.lower["event_time"] >= MIDNIGHT]
    path = stored(shop, file)
    content = path.read_bytes()
    if damage == "deleted":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "fewer rows":
        rows = read(BY_NAME["events"], content).slice(0, 4)
        pa.parquet.write_table(rows, path)
    else:
        path.write_bytes(content[:4] + bytes(200) + content[204:])
    report = check(shop)
    kind = {"deleted": "missing", "fewer rows": "changed"}.get(damage, "unreadable")
    assert ("files", kind, below(shop, path)) in found(report)
    if damage == "fewer rows":
        assert "4 rows instead of 10" in only(report, "files").message
    assert ("accounts", "account", key(2)) in found(report)
    account = only(report, "accounts")
    assert (account.more["events"], account.more["accepted"]) == (4 if damage == "fewer rows" else 0, 10)
    assert key(2) in account.remedy
    before = [file.path for file in files_of(shop, "events")]
    repaired = check(shop, repair=True)
    assert ("files", kind, below(shop, path)) in found(repaired), "it never touches events"
    assert [file.path for file in files_of(shop, "events")] == before
    heal(shop, 2)
    healed = check(shop)
    assert {name for name, _, _ in found(healed)} <= {"history"}, "only time travel to before is lost"
    assert len(dump(shop / "lake")["events"]) == 41


def test_damage_inside_a_file_is_blamed_on_it_alone(shop):
    """The other files of the hour are still counted; the hour's gold is left alone, and the rest is compared."""
    here = [one for one in files_of(shop, "events") if one.upper["event_time"] < NEXT_HOUR]
    (path,) = [Path(one.path) for one in here if one.lower["source_file"] == key(0)]
    assert len(here) == 2
    content = path.read_bytes()
    path.write_bytes(content[:4] + bytes(200) + content[204:])
    report = check(shop, lines=0)
    assert found(report) == {("files", "unreadable", below(shop, path)), ("accounts", "account", key(0))}
    counted = {one.name: (one.checked, one.skipped) for one in report.checks}
    assert counted["user_hourly"] == (2, 1)
    assert counted["activity_daily"] == (1, 1)
    assert "not_compared" in [note.what for note in report.notes]
    rewrite(shop, "user_hourly", [HOUR, NEXT_HOUR], None)
    repaired = check(shop, lines=0, repair=True).repaired
    assert repaired == {"hours": ["2025-11-18T15:00:00Z"], "days": ["2025-11-18"], "left": []}


def test_doubled_rows(shop):
    """The rows of a file that are there twice: the hour and the file."""
    rows = rows_of(shop, "events").filter(pc.equal(pc.field("source_file"), key(2)))
    rewrite(shop, "events", [], rows)
    report = check(shop)
    twice = only(report, "duplicates")
    assert (twice.where, twice.more["events"], twice.more["surplus"]) == ("2025-11-19T00:00:00Z", 10, 10)
    assert twice.more["source_files"] == [key(2)]
    assert only(report, "accounts").where == key(2)
    heal(shop, 2)
    assert check(shop).ok


def test_doubled_row_under_another_file(shop):
    """An event that two source files hold, one row each."""
    rows = rows_of(shop, "events").filter(pc.equal(pc.field("source_file"), key(2))).slice(3, 1)
    rewrite(shop, "events", [], with_value(rows, "source_file", pa.array([True]), key(1)))
    report = check(shop)
    assert only(report, "duplicates").more["source_files"] == [key(1), key(2)]
    assert only(report, "accounts").where == key(1)


def test_rows_of_an_unknown_file(shop):
    """Rows of a file that the ledger does not know."""
    rows = rows_of(shop, "ledger").filter(pc.not_equal(pc.field("source_file"), key(1)))
    rewrite(shop, "ledger", [key(1)], None)
    assert rows.num_rows == 3
    report = check(shop)
    assert found(report) == {("accounts", "unknown_file", key(1))}
    assert [note.what for note in report.notes] == ["waiting"]


def test_lost_and_foreign_event_of_equal_count(shop):
    """As many rows as there should be, but one is another event: its line is judged anew and not found."""
    rows = rows_of(shop, "events").filter(pc.equal(pc.field("source_file"), key(2)))
    rewrite(shop, "events", [key(2)], with_value(rows, "user_id", first_row(rows), "somebody"))
    check(shop, source=False, repair=True)
    report = check(shop)
    assert found(report) == {("lines", "lines", key(2))}
    assert only(report, "lines").more["first"] == [
        {"line_number": 1, "problem": "is accepted, but is not in events"},
    ]
    assert check(shop, lines=0).ok, "without judging lines anew nobody can tell"


@pytest.mark.parametrize("value", [None, '{"device": "phone"}', '{"device": "tv", "x": 1}'])
def test_other_unknown_keys(shop, value):
    """A row with the right event but without the unknown keys of its line, or with others: the line is judged again."""
    put(shop / "raw", 3, [event(900) | {"device": "tv"}, event(901)])
    ingest(shop / "raw", shop / "lake")
    rows = rows_of(shop, "events").filter(pc.equal(pc.field("source_file"), key(3)))
    which = pc.equal(rows.column("session_id"), "s_900")
    rewrite(shop, "events", [key(3)], with_value(rows, "extra", which, value))
    assert only(check(shop), "lines").more["first"] == [
        {"line_number": 1, "problem": "is in events with other unknown keys or values of them"},
    ]
    heal(shop, 3)
    assert check(shop).ok


def test_unknown_keys_of_duplicates(shop):
    """Of equal events the first is kept, with its unknown keys: those of the others are nowhere, and that is right."""
    lines = [event(900) | {"attempt": 1}, event(901), event(900) | {"attempt": 2}, event(900), event(902) | {"a": 1}]
    put(shop / "raw", 3, [*lines, event(902)])
    put(shop / "raw", 4, [event(901) | {"attempt": 2}, event(903) | {"attempt": 1}])
    ingest(shop / "raw", shop / "lake")
    assert check(shop).ok
    rows = rows_of(shop, "events").filter(pc.equal(pc.field("source_file"), key(3)))
    which = pc.equal(rows.column("session_id"), "s_900")
    rewrite(shop, "events", [key(3)], with_value(rows, "extra", which, '{"attempt": 2}'))
    assert [one["line_number"] for one in only(check(shop), "lines").more["first"]] == [1, 4]


def test_misplaced_events(shop):
    """Rows whose time is of another hour than their partition's."""
    lake = Lake(shop / "lake")
    rows = rows_of(shop, "events").filter(pc.equal(pc.field("source_file"), key(1)))
    with Commit(lake, lake.view(), NOW.replace(tzinfo=None), {}) as commit:
        commit.replace(BY_NAME["events"], [key(1)], [commit.write(BY_NAME["events"], HOUR, rows)])
        commit.publish()
    report = check(shop)
    misplaced = only(report, "accounts")
    assert (misplaced.what, misplaced.where, misplaced.more["rows"]) == ("misplaced", key(1), 10)
