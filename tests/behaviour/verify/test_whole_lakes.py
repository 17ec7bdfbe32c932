"""``shoplake verify`` finds a whole lake whole, by a look at all of it or at a sample."""

from datetime import timedelta
from pathlib import Path

import pytest

import shoplake
from shoplake import api
from shoplake.errors import UsageError
from shoplake.generator.faults import Faults
from shoplake.generator.files import generate_files
from shoplake.lake.catalog import Lake
from tests.behaviour.verify.support import HOUR, at, below, check, files_of, found, rewrite
from tests.support import START, events, everywhere, ingest, ledger, put

pytestmark = pytest.mark.usefixtures("own_data_files")


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
    with pytest.raises(UsageError, match="sample"):
        api.verify(shop / "lake", sample=0)


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
