"""Verify finds damage of the ledger, of quarantine and of the files that make up a lake."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from shoplake.engines.duckdb import DuckDBEngine
from shoplake.lake import metadata
from shoplake.lake.catalog import Lake
from shoplake.lake.parquet import read
from shoplake.operations.verify import VerifyRequest, verify
from shoplake.tables import BY_NAME
from tests.behaviour.verify.support import (
    HOUR,
    MIDNIGHT,
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
from tests.support import command, events, ingest, key, put


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


def test_missing_metadata_document(shop):
    """A catalog that names a missing document: the report says which, as json too, with exit code 1."""
    location = Path(str(Lake(shop / "lake").view()["events"].location))
    location.unlink()
    report = check(shop)
    (difference,) = report.differences
    assert difference.where == "catalog.json"
    assert str(location) in difference.message
    told = command("verify", "--lake", shop / "lake", "--format", "json")
    assert (told.code, told.json["ok"]) == (1, False)


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


def test_notes_are_no_orphans(shop):
    """What lies beside the catalog belongs to the lake; maintenance never removes it."""
    for name in ("acknowledged-gaps", "demo", "last-failure"):
        (shop / "lake" / f"{name}.json").write_text("{}")
    assert check(shop).notes == []


def test_lake_that_changes_meanwhile_is_looked_at_again(shop, monkeypatch):
    """Documents that a run beside this lets go of are no damage."""
    monkeypatch.setattr(metadata, "METADATA_KEPT", 1)
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

    report = verify(VerifyRequest(Moving(shop / "lake"), None, lambda: DuckDBEngine(2), 2))
    assert report.ok, report.differences
    assert report.version == Lake(shop / "lake").view().version
