"""``shoplake verify``: a whole lake is found whole; each damage is found, named exactly, and mended where that is promised."""

import gzip
import json
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

import shoplake
from shoplake import api, commits
from shoplake.cli.main import main
from shoplake.commits import Commit
from shoplake.discover import open_source
from shoplake.engines.duckdb import DuckDBEngine
from shoplake.errors import UsageError
from shoplake.generate_files import Faults, generate_files
from shoplake.lake import Lake
from shoplake.operations.verify import Request, verify
from shoplake.parquet import read
from shoplake.tables import BY_NAME, GOLD_HOURLY
from tests.support import START, dump, event, events, everywhere, ingest, key, ledger, put

NOW = datetime(2025, 11, 20, tzinfo=UTC)
HOUR = START.replace(tzinfo=None)
NEXT_HOUR = HOUR + timedelta(hours=1)
MIDNIGHT = HOUR + timedelta(hours=10)
GOLD = [*(table.name for table in GOLD_HOURLY), "activity_daily"]


def at(hour, number, event_type="page_view"):
    """An event of another hour."""
    moment = (hour + timedelta(seconds=number)).isoformat()
    return event(number, event_type, timestamp=f"{moment}Z", session_id=f"s_{hour:%H}_{number}")


@pytest.fixture
def shop(place):
    """A source and its lake: three files over three hours and two days, duplicates, broken lines, a cut file."""
    raw = place / "raw"
    put(raw, 0, [*events(20), *events(2), b"broken", event(3, user_id=None)])
    put(raw, 1, [*events(5), *(at(NEXT_HOUR, n, "purchase") for n in range(10)), b"\xff", b"", event(90)])
    put(raw, 2, [at(MIDNIGHT, n, "search") for n in range(10)])
    put(raw, 3, events(3))
    (raw / key(3)).write_bytes((raw / key(3)).read_bytes()[:40])
    ingest(raw, place / "lake")
    return place


def check(shop, source=True, **options):
    """Verify the lake; with its source unless told otherwise."""
    place = open_source(str(shop / "raw")) if source else None
    options.setdefault("now", lambda: NOW)
    return verify(Request(Lake(shop / "lake"), place, lambda: DuckDBEngine(2), 2, **options))


def found(report):
    """Which checks found what, and where."""
    return {(one.name, d.what, d.where) for one in report.checks for d in one.differences}


def only(report, name):
    """The one difference of a check."""
    (difference,) = next(one for one in report.checks if one.name == name).differences
    return difference


def files_of(shop, table):
    """The data files of a table."""
    return Lake(shop / "lake").view()[table].files


def rows_of(shop, table):
    """All rows of a table."""
    held = [read(BY_NAME[table], stored(shop, file).read_bytes()) for file in files_of(shop, table)]
    return pa.concat_tables(held)


def rewrite(shop, table, keys, rows):
    """Commit other rows in place of those of some keys."""
    lake, declared = Lake(shop / "lake"), BY_NAME[table]
    with Commit(lake, lake.view(), NOW.replace(tzinfo=None), {}) as commit:
        new = []
        if rows is not None and rows.num_rows:
            column = rows.column(declared.partition[0])
            transform = declared.partition[1]
            unit = pc.floor_temporal(column, unit=transform)
            for value in pc.unique(unit).to_pylist():
                part = rows.filter(pc.equal(unit, pa.scalar(value, unit.type)))
                new.append(commit.write(declared, value, part))
        commit.replace(declared, keys, new)
        commit.publish()


def with_value(rows, column, where, value):
    """The rows with another value in the rows that a mask names."""
    position = rows.column_names.index(column)
    field = rows.schema.field(column)
    changed = pc.if_else(where, pa.scalar(value, field.type), rows.column(column))
    return rows.set_column(position, field, changed)


def first_row(rows):
    return pa.array([True] + [False] * (rows.num_rows - 1))


def below(shop, path):
    return str(path).removeprefix(f"{shop / 'lake'}/")


def stored(shop, file):
    """Where a data file is."""
    return shop / "lake" / below(shop, file.path)


def heal(shop, *slots):
    """What replaying files does: their raw objects are taken in again."""
    for slot in slots:
        (shop / "raw" / key(slot)).touch()
    ingest(shop / "raw", shop / "lake")


# ---------------------------------------------------------------------------------------------------------- whole lakes


def test_lake_with_every_fault_is_clean(tmp_path):
    """Late, repeated, broken lines and unreadable files, in several runs, with a replaced file: all agrees."""
    faults = Faults(
        late_fraction=0.005,
        duplicate_fraction=0.02,
        cross_duplicate_fraction=0.02,
        malformed_fraction=0.08,
        blank_fraction=0.02,
        cut_gzip=frozenset({2}),
        crlf=frozenset({3}),
        bom=frozenset({4}),
        not_gzip=frozenset({5}),
        empty=frozenset({6}),
    )
    made = generate_files(tmp_path / "raw", 8, (300, 400), START, 7, "realistic", faults=faults)
    paths = [tmp_path / "raw" / file.path for file in made]
    (tmp_path / "later").mkdir()
    for number in (1, 6):
        paths[number].rename(tmp_path / "later" / str(number))
    ingest(tmp_path / "raw", tmp_path / "lake")
    for number in (1, 6):
        (tmp_path / "later" / str(number)).rename(paths[number])
    ingest(tmp_path / "raw", tmp_path / "lake")
    put(tmp_path / "raw", str(paths[0].relative_to(tmp_path / "raw")), events(30))
    ingest(tmp_path / "raw", tmp_path / "lake")
    report = check(tmp_path)
    assert report.ok, report.differences
    assert {one.name for one in report.checks if not one.checked} == set()
    assert {one.name for one in report.checks if one.skipped} == set()
    assert [note.what for note in report.notes] == []
    books = ledger(tmp_path / "lake").values()
    counted = {one.name: one.checked for one in report.checks}
    assert counted["source"] == counted["ledger"] == counted["accounts"] == 8
    assert counted["lines"] == sum(book["lines"] for book in books)
    assert sum(book["duplicates"] for book in books) > 0


def test_empty_lake_is_clean(tmp_path):
    """A lake without any file agrees with its empty source."""
    (tmp_path / "raw").mkdir()
    Lake(tmp_path / "lake").create()
    assert check(tmp_path).ok


@everywhere
def test_api(shop):
    """The Python interface gives the same report; a wrong share is a usage error."""
    report = shoplake.verify(shop / "lake", shop / "raw", threads=2)
    assert (report.ok, report.differences) == (True, [])
    with pytest.raises(UsageError, match="share"):
        api.verify(shop / "lake", sample=0)


# ----------------------------------------------------------------------------------------------------------------- gold


@everywhere
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
        rewrite(shop, table, [MIDNIGHT.date() if table == "activity_daily" else MIDNIGHT], None)
    report = check(shop)
    for table in GOLD:
        difference = only(report, table)
        assert difference.where == ("2025-11-19" if table == "activity_daily" else "2025-11-19T00:00:00Z")
        assert difference.more["first"][0]["found"] is None
    assert check(shop, repair=True).ok
    assert dump(shop / "lake") == before


def test_surplus_gold(shop):
    """Gold of an hour, and of a day, without any event."""
    before = dump(shop / "lake")
    nowhere = HOUR + timedelta(days=7)
    for table in GOLD:
        value = nowhere.date() if table == "activity_daily" else nowhere
        rows = rows_of(shop, table).slice(0, 1)
        rewrite(shop, table, [value], with_value(rows, BY_NAME[table].key, pa.array([True]), value))
    report = check(shop)
    for table in GOLD:
        difference = only(report, table)
        assert difference.where == ("2025-11-25" if table == "activity_daily" else "2025-11-25T14:00:00Z")
        assert difference.more["first"][0]["expected"] is None
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

    request = Request(Lake(shop / "lake"), None, lambda: Raced(2), 2, repair=True)
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


# --------------------------------------------------------------------------------------------------------------- events


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


# --------------------------------------------------------------------------------------------- ledger, quarantine, files


@pytest.mark.parametrize(
    "columns", [("lines", "accepted", "max_event_time"), ("duplicates", "min_event_time", "quarantined")]
)
def test_changed_ledger(shop, columns):
    """A figure of the ledger that is wrong, another in each file: the file, from each side that can tell."""
    expected = set()
    for slot, column in enumerate(columns):
        path = key(slot)
        rows = rows_of(shop, "ledger").filter(pc.equal(pc.field("source_file"), path))
        value = HOUR if column.endswith("time") else 1 + rows.column(column)[0].as_py()
        rewrite(shop, "ledger", [path], with_value(rows, column, pa.array([True]), value))
        expected |= {
            "lines": {("ledger", "ledger_sum", path), ("source", "raw_lines", path)},
            "accepted": {("ledger", "ledger_sum", path), ("accounts", "account", path)},
            "duplicates": {("ledger", "ledger_sum", path)},
            "quarantined": {("ledger", "ledger_sum", path), ("accounts", "account", path)},
        }.get(column, {("accounts", "event_times", path)})
    assert found(check(shop)) == expected
    heal(shop, 0, 1, 2)
    assert check(shop).ok


def test_entry_twice(shop):
    """A file that the ledger has two entries of."""
    rewrite(shop, "ledger", [], rows_of(shop, "ledger").filter(pc.equal(pc.field("source_file"), key(0))))
    assert found(check(shop)) == {("ledger", "ledger_twice", key(0))}


def test_lost_quarantine_rows(shop):
    """Quarantined lines that are not there."""
    rows = rows_of(shop, "quarantine").filter(pc.equal(pc.field("source_file"), key(0)))
    rewrite(shop, "quarantine", [key(0)], rows.slice(1))
    report = check(shop)
    assert found(report) == {("accounts", "account", key(0)), ("lines", "lines", key(0))}
    difference = only(report, "accounts")
    assert (difference.more["quarantine"], difference.more["quarantined"]) == (1, 2)
    assert "not in quarantine" in only(report, "lines").message


def test_changed_quarantine_text(shop):
    """A quarantined line whose raw text is not the line's."""
    rows = rows_of(shop, "quarantine").filter(pc.equal(pc.field("source_file"), key(1)))
    rewrite(shop, "quarantine", [key(1)], with_value(rows, "raw", first_row(rows), "/g=="))
    assert found(check(shop)) == {("lines", "lines", key(1))}


def test_quarantined_line_under_another_number(shop):
    """A quarantined line that stands under the number of a good one."""
    rows = rows_of(shop, "quarantine").filter(pc.equal(pc.field("source_file"), key(1)))
    rewrite(shop, "quarantine", [key(1)], with_value(rows, "line_number", first_row(rows), 1))
    problems = [one["problem"] for one in only(check(shop), "lines").more["first"]]
    assert problems == [
        "meets the contract, but is in quarantine",
        "breaks the contract (invalid_utf8), but is not in quarantine",
    ]


def test_orphan_is_a_note(shop):
    """A file that nothing names is named with its bytes, and is no damage; young ones may be a running batch's."""
    stray = shop / "lake" / "events" / "data" / "stray.parquet"
    stray.write_bytes(b"12345")
    os.utime(stray, (0, 0))
    (shop / "lake" / "user_hourly" / "data" / "young.parquet").write_bytes(b"123")
    report = check(shop, now=lambda: datetime.now(UTC))
    assert report.ok
    (note,) = report.notes
    assert (note.what, note.more["files"], note.more["bytes"]) == ("orphans", 2, 8)
    assert (note.more["young_files"], note.more["young_bytes"]) == (1, 3)
    assert note.more["first"] == ["events/data/stray.parquet", "user_hourly/data/young.parquet"]


def test_what_old_snapshots_name_is_no_orphan(shop):
    """Files of earlier snapshots that are kept belong to the lake; where they are gone, time travel is lost."""
    put(shop / "raw", 0, events(7))
    old = [file.path for file in files_of(shop, "events")]
    ingest(shop / "raw", shop / "lake")
    assert check(shop).ok
    assert check(shop).notes == []
    gone = min(set(old) - {file.path for file in files_of(shop, "events")})
    Path(gone).unlink()
    assert found(check(shop)) == {("history", "missing", below(shop, gone))}


def test_missing_metadata_document(shop, capsys, monkeypatch):
    """A catalog that names a missing document: the report says which, as json too, with exit code 1."""
    location = Path(str(Lake(shop / "lake").view()["events"].location))
    location.unlink()
    report = check(shop)
    (difference,) = report.differences
    assert difference.where == "catalog.json"
    assert str(location) in difference.message
    code, out, _ = call(capsys, monkeypatch, "verify", "--lake", shop / "lake", "--format", "json")
    assert (code, json.loads(out)["ok"]) == (1, False)


@pytest.mark.parametrize(
    ("table", "which", "damage"),
    [
        ("events", "manifest-list", "deleted"),
        ("events", "manifest", "truncated"),
        ("user_hourly", "manifest-list", "truncated"),
        ("ledger", "manifest", "deleted"),
    ],
)
def test_damaged_manifest(shop, table, which, damage):
    """A manifest or a manifest list that is gone or cut is named; what cannot be read is not said to agree."""
    snapshot = Lake(shop / "lake").view()[table]
    assert snapshot.snapshot is not None
    path = Path(
        snapshot.snapshot["manifest-list"] if which == "manifest-list" else snapshot.manifests[0]["manifest_path"]
    )
    path.unlink() if damage == "deleted" else path.write_bytes(path.read_bytes()[:300])
    report = check(shop)
    assert ("files", "missing" if damage == "deleted" else "unreadable", below(shop, path)) in found(report)
    if table == "ledger":
        assert "not_compared" in [note.what for note in report.notes]


def test_wrong_size_recorded(shop):
    """A file that is readable but has other bytes than recorded."""
    file = files_of(shop, "quarantine")[0]
    rows = read(BY_NAME["quarantine"], stored(shop, file).read_bytes())
    pa.parquet.write_table(rows, file.path)
    assert found(check(shop)) == {("files", "changed", below(shop, file.path))}


def test_bounds_that_are_not_true(shop):
    """A file that holds values outside its recorded bounds, with as many rows."""
    (file,) = [one for one in files_of(shop, "events") if one.lower["event_time"] >= MIDNIGHT]
    rows = read(BY_NAME["events"], stored(shop, file).read_bytes())
    pa.parquet.write_table(with_value(rows, "source_file", first_row(rows), key(8)), file.path)
    report = check(shop)
    difference = only(report, "files")
    assert difference.where == below(shop, file.path)
    assert "outside the recorded bounds" in difference.message
    assert ("accounts", "unknown_file", key(8)) in found(report)


def test_lake_that_changes_meanwhile_is_looked_at_again(shop, monkeypatch):
    """Documents that a run beside this lets go of are no damage."""
    monkeypatch.setattr(commits, "METADATA_KEPT", 1)
    put(shop / "raw", 0, events(9))
    ingest(shop / "raw", shop / "lake")
    put(shop / "raw", 0, events(8))

    class Moving(Lake):
        moved = False

        def view(self):
            view = super().view()
            if not self.moved:
                self.moved = True
                ingest(shop / "raw", shop / "lake")
            return view

    report = verify(Request(Moving(shop / "lake"), None, lambda: DuckDBEngine(2), 2))
    assert report.ok, report.differences
    assert report.version == Lake(shop / "lake").view().version


# ---------------------------------------------------------------------------------------------------------- raw objects


def test_changed_raw_object_that_looks_the_same(shop):
    """Other lines under the same size and time: the counts tell."""
    path = shop / "raw" / key(2)
    before = path.stat()
    content = gzip.compress(b"\n".join(json.dumps(one).encode() for one in events(3)))
    path.write_bytes(content + gzip.compress(b"")[: before.st_size - len(content)])
    path.write_bytes((content + bytes(before.st_size))[: before.st_size])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    report = check(shop)
    difference = only(report, "source")
    assert (difference.what, difference.where) == ("raw_lines", key(2))
    assert (difference.more["raw_lines"], difference.more["lines"]) == (3, 10)


def test_raw_object_that_cannot_be_read_any_more(shop):
    """An ingested object that is damaged now."""
    path = shop / "raw" / key(2)
    before = path.stat()
    path.write_bytes(bytes(before.st_size))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert found(check(shop)) == {("source", "raw_unreadable", key(2))}


def test_raw_object_that_can_be_read_now(shop):
    """A file that was set aside as unreadable, and can be read after all."""
    rows = rows_of(shop, "ledger").filter(pc.equal(pc.field("source_file"), key(2)))
    for column, value in (("status", "unreadable"), ("lines", 0), ("accepted", 0), ("min_event_time", None)):
        rows = with_value(rows, column, pa.array([True]), value)
    rewrite(shop, "ledger", [key(2)], with_value(rows, "max_event_time", pa.array([True]), None))
    rewrite(shop, "events", [key(2)], None)
    check(shop, repair=True)
    assert found(check(shop)) == {("source", "readable", key(2))}


@everywhere
def test_replaced_and_new_raw_objects_are_notes(shop):
    """What the next run takes in is no damage."""
    put(shop / "raw", 0, events(5))
    put(shop / "raw", 7, events(5))
    report = check(shop)
    assert report.ok
    assert {note.what: note.more["files"] for note in report.notes} == {"waiting": [key(7)], "replaced": [key(0)]}


@everywhere
def test_gone_raw_object(shop):
    """An ingested object that is gone is a difference, unless that is allowed; a gone unreadable one is a note."""
    (shop / "raw" / key(2)).unlink()
    (shop / "raw" / key(3)).unlink()
    report = check(shop)
    assert found(report) == {("source", "raw_gone", key(2))}
    assert [note.more["files"] for note in report.notes] == [[key(3)]]
    allowed = check(shop, allow_gone=True)
    assert allowed.ok
    assert sorted(note.more["files"] for note in allowed.notes) == [[key(2)], [key(3)]]


# --------------------------------------------------------------------------------------------------------------- sample


def test_sample(tmp_path):
    """A share of hours, days and files is looked at; the same seed chooses the same; what was left out is told."""
    for slot in range(10):
        put(tmp_path / "raw", slot, [at(HOUR + timedelta(hours=7 * slot), n) for n in range(3)])
    ingest(tmp_path / "raw", tmp_path / "lake")
    report = check(tmp_path, share=0.3, seed=1)
    assert report.ok
    counted = {one.name: (one.checked, one.skipped) for one in report.checks}
    for name in ("ledger", "accounts", "duplicates", "product_hourly", "source"):
        assert counted[name] == (3, 7)
    assert counted["activity_daily"] == (2, 2)
    assert counted["lines"] == (9, 0)
    for slot in range(10):
        rewrite(tmp_path, "user_hourly", [HOUR + timedelta(hours=7 * slot)], None)
    seen = [found(check(tmp_path, share=0.3, seed=seed)) for seed in (1, 1, 2)]
    assert len(seen[0]) == 3
    assert seen[0] == seen[1] != seen[2]
    assert len(check(tmp_path).differences) == 10


def test_sample_finds_missing_files_anywhere(shop):
    """That files are there is looked at for all, however small the share."""
    victims = [file.path for file in files_of(shop, "session_hourly")]
    for path in victims:
        Path(path).unlink()
    report = check(shop, share=0.01)
    assert {where for name, _, where in found(report) if name == "files"} == {below(shop, path) for path in victims}


# --------------------------------------------------------------------------------------------------------- command line


def call(capsys, monkeypatch, *words):
    """Call the command line; its exit code and what it wrote."""
    for name in [name for name in os.environ if name.startswith("SHOPLAKE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(sys, "argv", ["shoplake", *map(str, words)])
    capsys.readouterr()
    code: object = 0
    try:
        main()
    except SystemExit as end:
        code = end.code or 0
    written = capsys.readouterr()
    return code, written.out, written.err


def test_command(shop, capsys, monkeypatch):
    """Exit code 0 on a clean lake, 1 where something differs; --repair mends and exits with 0."""
    words = ("verify", "--lake", shop / "lake", "--source", shop / "raw")
    code, out, err = call(capsys, monkeypatch, *words)
    assert (code, err) == (0, "")
    assert "Everything agrees." in out
    rewrite(shop, "user_hourly", [NEXT_HOUR], None)
    code, out, err = call(capsys, monkeypatch, *words)
    assert (code, err) == (1, "")
    assert "user_hourly of 2025-11-18T15:00:00Z" in out
    assert "shoplake verify --repair" in out
    code, out, err = call(capsys, monkeypatch, *words, "--format", "csv")
    assert (code, out.splitlines()[1].split(",")[:3]) == (1, ["user_hourly", "gold", "2025-11-18T15:00:00Z"])
    code, out, err = call(capsys, monkeypatch, *words, "--repair")
    assert (code, err) == (0, "")
    assert "Rebuilt gold of 1 hour" in out
    assert call(capsys, monkeypatch, *words)[0] == 0


def test_command_json(shop, capsys, monkeypatch):
    """The keys that scripts stand on."""
    rewrite(shop, "user_hourly", [NEXT_HOUR], None)
    code, out, err = call(
        capsys, monkeypatch, "verify", "--lake", shop / "lake", "--sample", "100%", "--format", "json"
    )
    report = json.loads(out)
    assert (code, err) == (1, "")
    assert {"ok", "lake", "source", "version", "sample", "checks", "notes", "repaired", "seconds"} == set(report)
    for one in report["checks"]:
        assert set(one) == {"name", "question", "ok", "unit", "checked", "skipped", "differences"}
        for difference in one["differences"]:
            assert {"what", "where", "message", "remedy"} <= set(difference)
    (difference,) = [d for one in report["checks"] for d in one["differences"]]
    assert (difference["hour"], difference["rows"]) == ("2025-11-18T15:00:00Z", 7)
    assert report["sample"] is None


@pytest.mark.parametrize("share", ["0", "1.5", "-1", "200%", "some"])
def test_wrong_share(tmp_path, capsys, monkeypatch, share):
    """A share that is none is wrong usage."""
    code, _, err = call(capsys, monkeypatch, "verify", "--lake", tmp_path / "lake", "--sample", share)
    assert code == 2
    assert "--sample" in err


def test_no_lake(tmp_path, capsys, monkeypatch):
    """Without a lake there is nothing to verify: wrong usage."""
    code, _, err = call(capsys, monkeypatch, "verify", "--lake", tmp_path / "nothing")
    assert code == 2
    assert "there is no lake" in err
