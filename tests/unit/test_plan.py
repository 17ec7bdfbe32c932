"""Planning: a pure function of the listing and the ledger."""

from __future__ import annotations

from shoplake.ingestion import plan
from shoplake.lake.ledger import INGESTED, REOPENED, UNREADABLE, PlanEntry
from shoplake.sources.base import SourceFile

LIMIT = 1000


def file(hour: int, minute: int, size: int = 60, version: str = "1") -> SourceFile:
    return SourceFile(f"events/year=2025/month=11/day=18/hour={hour:02}/minute={minute:02}/e.jsonl.gz", version, size)


def shapes(made: plan.Plan) -> list[list[str]]:
    return [[f.path[38:40] + ":" + f.path[48:50] for f in batch.files] for batch in made.batches]


def test_known_files_are_left_out() -> None:
    """A file that the ledger has in this version is not planned."""
    listing = [file(14, 0), file(14, 5)]
    made = plan.make(listing, {listing[0].path: PlanEntry("1", INGESTED, ())}, LIMIT)
    assert shapes(made) == [["14:05"]]
    assert made.known == 1


def test_another_version_is_a_replacement() -> None:
    """A file whose version changed replaces its rows; one that could not be read before is plainly new."""
    listing = [file(14, 0, version="2"), file(14, 5, version="2")]
    known = {listing[0].path: PlanEntry("1", INGESTED, ()), listing[1].path: PlanEntry("1", UNREADABLE, ())}
    made = plan.make(listing, known, LIMIT)
    assert made.replaced == (listing[0].path,)
    assert made.files == 2


def test_unreadable_files_are_not_tried_again() -> None:
    """A file that could not be read is left alone until its object changes."""
    listing = [file(14, 0)]
    assert plan.make(listing, {listing[0].path: PlanEntry("1", UNREADABLE, ())}, LIMIT).files == 0


def test_reopened_files_come_first_and_together() -> None:
    """Files to be done again share events, so they are one batch, before the others."""
    listing = [file(14, 0), file(15, 0), file(16, 0)]
    known = {listing[index].path: PlanEntry("1", REOPENED, ()) for index in (0, 2)}
    made = plan.make(listing, known, LIMIT)
    assert shapes(made) == [["14:00", "16:00"], ["15:00"]]
    assert made.replaced == ()


def test_batches_are_bounded() -> None:
    """No batch exceeds the bound, but for a single larger file; every file is in exactly one batch."""
    listing = [file(14, minute, 400) for minute in range(0, 30, 5)] + [file(15, 0, 5000)]
    made = plan.make(listing, {}, LIMIT)
    assert [batch.bytes for batch in made.batches] == [800, 800, 800, 5000]
    assert sorted(f for batch in made.batches for f in batch.files) == listing


def test_batches_end_with_an_hour_where_they_can() -> None:
    """A batch that is half full ends with its hour, because an hour in two batches is published twice."""
    listing = [file(hour, minute) for hour in (14, 15) for minute in range(0, 60, 5)]
    made = plan.make(listing, {}, LIMIT)
    assert [len(batch.files) for batch in made.batches] == [12, 12]


def test_flat_files_are_cut_between_hours_too() -> None:
    """Their names tell the hour."""
    listing = [
        SourceFile(f"events-20251118-{hour}{minute:02}00.jsonl.gz", "1", 60)
        for hour in (14, 15)
        for minute in range(0, 60, 5)
    ]
    assert [len(batch.files) for batch in plan.make(listing, {}, LIMIT).batches] == [12, 12]


def test_small_hours_share_a_batch() -> None:
    """Small files of many hours are one batch."""
    listing = [file(hour, minute, 1) for hour in range(24) for minute in range(0, 60, 5)]
    assert len(plan.make(listing, {}, LIMIT).batches) == 1


def test_chosen_files_and_no_others() -> None:
    """Chosen files are planned whether known or not; other new files are not, but what was left to be done again is."""
    listing = [file(14, minute) for minute in range(0, 25, 5)]
    known = {listing[index].path: PlanEntry("1", INGESTED, ()) for index in (0, 1)}
    known[listing[2].path] = PlanEntry("1", REOPENED, ())
    known[listing[4].path] = PlanEntry("1", UNREADABLE, ())
    made = plan.make(listing, known, LIMIT, {listing[0].path, listing[4].path})
    assert shapes(made) == [["14:10"], ["14:00", "14:20"]]
    assert made.batches[1].known == {listing[0].path, listing[4].path}
    assert made.batches[1].reingested == {listing[0].path}
    assert not made.batches[1].replaced
    assert plan.make(listing, known, LIMIT, ()).files == 1
