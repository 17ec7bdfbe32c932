"""The generator says what it did wrong; the ledger must find exactly that."""

import json

import pytest

from shoplake.generator.faults import Faults
from shoplake.generator.files import MANIFEST_NAME, generate_files
from tests.support import START, both_in_proofs, dump, ingest


@pytest.mark.parametrize("profile", ["realistic", "uniform"])
@pytest.mark.parametrize("preset", ["demo", "heavy"])
def test_ledger_agrees_with_the_truth(tmp_path, preset, profile):
    """For each file the ledger and the quarantine show the manifest's figures: lines, fates, reasons, unreadable files."""
    faults = getattr(Faults, preset)()
    generate_files(tmp_path / "raw", 8, (400, 700), START, 17, profile, faults=faults, workers=1)
    manifest = json.loads((tmp_path / "raw" / MANIFEST_NAME).read_text())
    done = ingest(tmp_path / "raw", tmp_path / "lake")
    tables = dump(tmp_path / "lake")
    entries = {row["source_file"]: row for row in tables["ledger"]}
    assert set(entries) == {file["path"] for file in manifest["files"]}
    for file in manifest["files"]:
        entry = entries[file["path"]]
        found = {name: entry[name] for name in ("lines", "accepted", "duplicates", "quarantined")}
        assert found == {name: file[name] for name in found}, file["path"]
        assert entry["status"] == ("unreadable" if file["unreadable"] else "ingested"), file["path"]
        reasons: dict[str, int] = {}
        for row in tables["quarantine"]:
            if row["source_file"] == file["path"]:
                for code in row["reasons"]:
                    reasons[code] = reasons.get(code, 0) + 1
        assert reasons == file["quarantined_by_reason"], file["path"]
    totals = manifest["totals"]
    assert (done.lines, done.accepted, done.duplicates, done.quarantined) == tuple(
        totals[name] for name in ("lines", "accepted", "duplicates", "quarantined")
    )
    assert dict(sorted(done.reasons.items())) == totals["quarantined_by_reason"]
    assert len(done.failures) == sum(file["unreadable"] for file in manifest["files"])


@both_in_proofs
def test_late_events_land_in_their_own_hour(tmp_path):
    """Events go to the hour of their own time, not to the hour of their file's name."""
    generate_files(tmp_path / "raw", 2, (500, 500), START, 3, faults=Faults(late_fraction=0.01), workers=1)
    manifest = json.loads((tmp_path / "raw" / MANIFEST_NAME).read_text())
    ingest(tmp_path / "raw", tmp_path / "lake")
    tables = dump(tmp_path / "lake")
    for file in manifest["files"]:
        hours: dict[str, int] = {}
        for row in tables["events"]:
            if row["source_file"] == file["path"] and row["event_time"] < START.replace(tzinfo=None):
                hour = f"{row['event_time']:%Y-%m-%dT%H}"
                hours[hour] = hours.get(hour, 0) + 1
        assert hours == file["late_hours"]
        assert file["late_events"] == 5
