"""With a source, verify finds raw objects that are not what the ledger says."""

import gzip
import json
import os

import pyarrow as pa
import pyarrow.compute as pc

from tests.behaviour.verify.support import check, found, only, rewrite, rows_of, with_value
from tests.support import events, everywhere, key, put


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
