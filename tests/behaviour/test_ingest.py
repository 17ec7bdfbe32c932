"""What one run makes of the files it finds, and what the next run makes of what has changed."""

import gzip
import json
import shutil
from pathlib import Path

import pytest

from shoplake.errors import UsageError
from shoplake.ingestion import pipeline
from shoplake.sources.local import LocalSource
from shoplake.sources.open import open_source
from tests.support import (
    QUESTIONS,
    accepted,
    answers,
    both,
    both_in_proofs,
    dump,
    elsewhere_in_proofs,
    event,
    events,
    everywhere,
    everywhere_but,
    everywhere_by_both_in_proofs,
    everywhere_in_proofs,
    fates,
    five_answers,
    ingest,
    judge_files,
    key,
    ledger,
    oracle,
    prepare,
    put,
    put_bytes,
    snapshots,
)

STARTER = Path(__file__).parents[1] / "data" / "starter"
COUNTS = ("lines", "accepted", "duplicates", "quarantined")


def figures(entry):
    return {name: entry[name] for name in COUNTS}


def check(source, lake):
    """Ledger, events and answers are those of the judge, who reads the source as it is now."""
    judged = judge_files(source)
    entries = ledger(lake)
    assert {path: figures(entry) for path, entry in entries.items()} == {
        path: fates(verdicts) for path, verdicts in judged.items()
    }
    assert answers(lake) == oracle(lake) == five_answers(accepted(judged))


@pytest.fixture
def source(place):
    """A source with two whole files."""
    put(place / "raw", 0, events(50))
    put(place / "raw", 1, events(50, first=50))
    return place / "raw"


@pytest.fixture
def lake(place):
    return place / "lake"


@everywhere_in_proofs
def test_second_run_finds_nothing_new(source, lake):
    """The second run reads nothing and leaves the snapshots of every table as they are."""
    first = ingest(source, lake)
    before = snapshots(lake)
    second = ingest(source, lake)
    assert (first.files, first.lines, first.batches) == (2, 100, 1)
    assert (second.files, second.lines, second.batches) == (0, 0, 0)
    assert snapshots(lake) == before
    assert None not in (before["events"], before["ledger"], before["activity_daily"])


def test_starter_samples(tmp_path):
    """The course's own sample files ingest whole: 2 files, 200 lines, nothing quarantined."""
    source, lake = shutil.copytree(STARTER, tmp_path / "raw"), tmp_path / "lake"
    done = ingest(source, lake)
    assert (done.files, done.lines, done.accepted, done.duplicates, done.quarantined) == (2, 200, 200, 0, 0)
    assert dump(lake)["quarantine"] == []
    check(source, lake)


@everywhere_by_both_in_proofs
def test_every_line_has_one_fate(source, lake):
    """Lines = accepted + duplicates + quarantined, for each file in the ledger and for the run."""
    put(source, 2, [*events(20, first=95), b"no event", event(3, quantity=5), event(200), event(200)])
    done = ingest(source, lake)
    for entry in dump(lake)["ledger"]:
        assert entry["lines"] == entry["accepted"] + entry["duplicates"] + entry["quarantined"]
    assert figures(ledger(lake)[key(2)]) == {"lines": 24, "accepted": 16, "duplicates": 6, "quarantined": 2}
    assert (done.lines, done.accepted, done.duplicates, done.quarantined) == (124, 116, 6, 2)
    assert done.reasons == {"malformed_json": 1, "unexpected_quantity": 1}
    check(source, lake)


@both_in_proofs
def test_ledger_tells_the_times_of_a_file(source, lake, engine):
    """The ledger shows each file's earliest and latest accepted event, its size, engine and status."""
    ingest(source, lake)
    entry = ledger(lake)[key(1)]
    times = [verdict.event.time for verdict in judge_files(source)[key(1)] if verdict.event]
    assert (entry["min_event_time"], entry["max_event_time"]) == (min(times), max(times))
    assert entry["bytes"] == (source / key(1)).stat().st_size
    assert (entry["engine"], entry["status"], entry["error"]) == (engine, "ingested", None)


@everywhere_in_proofs
def test_dry_run_changes_nothing(source, lake):
    """A preview names the files and makes no lake; on a lake it leaves every file as it was."""
    todo = pipeline.preview(prepare(source, lake))
    assert [file.path for batch in todo.batches for file in batch.files] == [key(0), key(1)]
    assert not lake.exists()
    ingest(source, lake)
    put(source, 1, events(10, first=50))
    put(source, 2, events(10, first=300))
    before = {path: path.stat().st_mtime_ns for path in lake.rglob("*")}
    todo = pipeline.preview(prepare(source, lake))
    assert (todo.files, todo.replaced, todo.known) == (2, (key(1),), 1)
    assert {path: path.stat().st_mtime_ns for path in lake.rglob("*")} == before


@everywhere_in_proofs
def test_source_without_files_makes_no_lake(place, lake):
    """A source that holds nothing is no error and leaves no lake behind."""
    (place / "raw").mkdir()
    assert ingest(place / "raw", lake).files == 0
    assert not lake.exists()


def test_missing_source_is_a_usage_error(tmp_path):
    """A source that is not there is told as such, with what to do."""
    with pytest.raises(UsageError, match="is not a folder") as caught:
        LocalSource(tmp_path / "nothing")
    assert "shoplake generate" in caught.value.remedy


@everywhere_by_both_in_proofs
def test_replaced_object_replaces_its_rows(source, lake, place):
    """A new version of a file takes the place of the old one's rows in every table, and of them alone."""
    put(source, 1, [*events(50, first=50), b"broken", event(7, "purchase", timestamp="2025-11-18T20:00:00Z")])
    ingest(source, lake)
    put(source, 1, [*events(30, first=60), event(8, price=1)])
    done = ingest(source, lake)
    assert (done.files, done.replaced, done.lines) == (1, 1, 31)
    assert [row["raw"] for row in dump(lake)["quarantine"]] == [judge_files(source)[key(1)][-1].raw.decode()]
    ingest(source, place / "fresh")
    assert dump(lake) == dump(place / "fresh")
    check(source, lake)


@everywhere_in_proofs
def test_replaced_by_an_empty_file(source, lake, place):
    """A file replaced by one without events loses all its rows; an hour that was only its own is gone from gold."""
    put(source, 2, [event(1, timestamp="2025-11-19T03:00:00Z"), b"broken"])
    ingest(source, lake)
    put(source, 2, [])
    ingest(source, lake)
    ingest(source, place / "fresh")
    assert dump(lake) == dump(place / "fresh")
    assert [row[0].day for row in answers(lake)["user_activity"]] == [18]


def damaged_checksum(content):
    return content[:-8] + bytes([content[-8] ^ 255]) + content[-7:]


def damaged_inside(content):
    middle = len(content) // 2
    return content[:middle] + bytes(byte ^ 255 for byte in content[middle : middle + 20]) + content[middle + 20 :]


UNREADABLE = {
    "cut in half": (lambda content: content[: len(content) // 2], "cut"),
    "cut in the header": (lambda content: content[:5], "cut"),
    "cut in the trailer": (lambda content: content[:-3], "cut"),
    "plain text": (gzip.decompress, "not a complete gzip file"),
    "one byte": (lambda content: b"{", "gzip"),
    "damaged checksum": (damaged_checksum, "gzip"),
    "damaged inside": (damaged_inside, "gzip"),
    "garbage behind": (lambda content: content + b"garbage behind the stream", "gzip"),
}


@elsewhere_in_proofs
def test_unreadable_files_are_set_aside(source, lake, place):
    """Files that cannot be read whole give no rows, stand in the ledger with the reason and hold up nobody."""
    whole = gzip.compress(b"\n".join(b"%d" % number * 50 for number in range(2000)), 1)
    for slot, (spoil, _) in enumerate(UNREADABLE.values(), 2):
        put_bytes(source, slot, spoil(whole))
    done = ingest(source, lake)
    assert (done.files, done.lines, done.accepted) == (2, 100, 100)
    assert {failure["file"] for failure in done.failures} == {key(slot) for slot in range(2, 2 + len(UNREADABLE))}
    entries = ledger(lake)
    for slot, (name, (_, reason)) in enumerate(UNREADABLE.items(), 2):
        entry = entries[key(slot)]
        assert entry["status"] == "unreadable", name
        assert reason in entry["error"], name
        assert figures(entry) == dict.fromkeys(COUNTS, 0), name
    assert dump(lake)["quarantine"] == []
    before = snapshots(lake)
    assert ingest(source, lake).batches == 0, "they are not tried again as they are"
    assert snapshots(lake) == before
    for slot in range(2, 2 + len(UNREADABLE)):
        put(source, slot, events(5, first=1000 + 5 * slot))
    done = ingest(source, lake)
    assert (done.files, done.lines, done.failures) == (len(UNREADABLE), 5 * len(UNREADABLE), [])
    ingest(source, place / "fresh")
    assert dump(lake) == dump(place / "fresh")


@elsewhere_in_proofs
def test_whole_file_replaced_by_a_cut_one(source, lake, place):
    """The rows of the version that is gone go; the file stands in the ledger as unreadable."""
    ingest(source, lake)
    put_bytes(source, 1, (source / key(1)).read_bytes()[:-30])
    assert len(ingest(source, lake).failures) == 1
    ingest(source, place / "fresh")
    assert dump(lake) == dump(place / "fresh")
    assert {row["source_file"] for row in dump(lake)["events"]} == {key(0)}


def test_only_unreadable_files(lake, place):
    """A run in which nothing can be read still writes its ledger, and the answers are empty."""
    put_bytes(place / "raw", 0, b"not gzip")
    assert len(ingest(place / "raw", lake).failures) == 1
    assert set(ledger(lake)) == {key(0)}
    assert not any(answers(lake).values())


SHAPES = {
    "no newline at the end": b"\n".join,
    "a newline at the end": lambda lines: b"\n".join(lines) + b"\n",
    "blank lines": lambda lines: b"\n\n" + b"\n\n  \n\t\n".join(lines) + b"\n\n\n",
    "CRLF": b"\r\n".join,
    "CRLF at the end and blank": lambda lines: b"\r\n" + b"\r\n\r\n".join(lines) + b"\r\n",
    "BOM": lambda lines: b"\xef\xbb\xbf" + b"\n".join(lines),
    "BOM and CRLF": lambda lines: b"\xef\xbb\xbf" + b"\r\n".join(lines) + b"\r\n",
    "spaces around": lambda lines: b"\n".join(b"  " + line + b" \t" for line in lines),
}


@pytest.mark.parametrize("broken", [False, True], ids=["all good", "with a broken line"])
@pytest.mark.parametrize("name", SHAPES)
def test_shapes_of_files(name, broken, tmp_path):
    """However the lines are laid out, they are the same lines; a broken one among them changes nothing for the others."""
    lake = tmp_path / "lake"
    lines = [json.dumps(one).encode() for one in events(20)]
    if broken:
        lines.insert(0, b'{"not": "an event"}')
        lines.insert(11, b"{cut")
        lines.append(b"}")
    put_bytes(tmp_path / "raw", 0, gzip.compress(SHAPES[name](lines)))
    done = ingest(tmp_path / "raw", lake)
    assert (done.lines, done.accepted, done.quarantined) == (20 + 3 * broken, 20, 3 * broken)
    judged = judge_files(tmp_path / "raw")[key(0)]
    found = {(row["line_number"], row["raw"].encode()) for row in dump(lake)["quarantine"]}
    assert found == {(verdict.number, verdict.raw) for verdict in judged if verdict.fate == "quarantined"}
    check(tmp_path / "raw", lake)


EMPTY = {
    "an empty stream": gzip.compress(b""),
    "nothing at all": b"",
    "one newline": gzip.compress(b"\n"),
    "blank lines": gzip.compress(b"\n \r\n\t\n\n"),
}


@everywhere_in_proofs
def test_files_without_lines(source, lake):
    """A file without a single line is ingested, with nothing in it, and is done."""
    for slot, content in enumerate(EMPTY.values(), 2):
        put_bytes(source, slot, content)
    done = ingest(source, lake)
    assert (done.files, done.lines, done.failures) == (6, 100, [])
    entries = ledger(lake)
    for slot, name in enumerate(EMPTY, 2):
        assert (entries[key(slot)]["status"], entries[key(slot)]["lines"]) == ("ingested", 0), name
    assert ingest(source, lake).batches == 0


def test_lake_of_one_empty_file(lake, place):
    """A lake whose only file has no lines has every table, empty, and five empty answers."""
    put(place / "raw", 0, [])
    ingest(place / "raw", lake)
    assert answers(lake) == oracle(lake) == {name: [] for name in QUESTIONS}
    assert len(dump(lake)["ledger"]) == 1


def test_several_gzip_members(lake, place):
    """A file of several gzip streams one after the other is one file, as gzip has it; padding with zeros is allowed."""
    lines = [json.dumps(one).encode() + b"\n" for one in events(10)]
    put_bytes(place / "raw", 0, gzip.compress(b"".join(lines[:5])) + gzip.compress(b"".join(lines[5:])) + bytes(512))
    assert ingest(place / "raw", lake).accepted == 10
    check(place / "raw", lake)


@everywhere_in_proofs
def test_line_of_five_megabytes(source, lake):
    """A very long line is an event like any other, and its file's broken lines are still found."""
    long = event(900, "search", search_query="x" * 5_000_000)
    put(source, 2, [event(901), b"broken", long, event(902)])
    done = ingest(source, lake)
    assert (done.accepted, done.quarantined) == (103, 1)
    assert max(len(row["search_query"] or "") for row in dump(lake)["events"]) == 5_000_000
    check(source, lake)


def test_broken_line_of_five_megabytes(source, lake):
    """A very long line that is no event is quarantined whole."""
    raw = b'{"half": "' + b"y" * 5_000_000
    put(source, 2, [event(901), raw, event(902)])
    done = ingest(source, lake)
    assert (done.accepted, done.quarantined) == (102, 1)
    assert dump(lake)["quarantine"][0]["raw"].encode() == raw


class Vanishing:
    """A source one of whose files is deleted, or replaced, between the listing and the reading."""

    def __init__(self, folder, victim, content=None):
        self.real = open_source(str(folder))
        self.folder, self.victim, self.content = folder, victim, content
        self.name, self.list, self.still_there = self.real.name, self.real.list, self.real.still_there
        self.replace = self.real.replace

    def open(self, file):
        if file.path == self.victim and self.content is None:
            (self.folder / file.path).unlink(missing_ok=True)
        elif file.path == self.victim:
            put(self.folder, file.path, self.content)
        return self.real.open(file)


@everywhere
def test_file_deleted_before_it_is_read(source, lake, place):
    """A file that is gone when its turn comes is left out; the others are ingested."""
    done = ingest(Vanishing(source, key(0)), lake)
    assert (done.files, done.lines, done.failures) == (1, 50, [])
    assert set(ledger(lake)) == {key(1)}
    ingest(source, place / "fresh")
    assert dump(lake) == dump(place / "fresh")


@everywhere_in_proofs
def test_only_file_deleted_before_it_is_read(place, lake):
    """If nothing is left to read, the run ends well and the lake is empty."""
    put(place / "raw", 0, events(5))
    done = ingest(Vanishing(place / "raw", key(0)), lake)
    assert (done.lines, done.failures) == (0, [])
    put(place / "raw", 1, events(5))
    assert ingest(place / "raw", lake).accepted == 5
    assert set(ledger(lake)) == {key(1)}


@elsewhere_in_proofs
def test_replaced_file_deleted_before_it_is_read(source, lake):
    """A known file whose new version is gone before it is read keeps its earlier rows, in every table alike."""
    ingest(source, lake)
    before = dump(lake)
    put(source, 1, events(10, first=400))
    ingest(Vanishing(source, key(1)), lake)
    after = dump(lake)
    assert after == before
    assert answers(lake) == oracle(lake)


@everywhere
def test_file_replaced_before_it_is_read(source, lake, place):
    """A file that is replaced between the listing and its turn is never known by one version and stored by another."""
    ingest(Vanishing(source, key(1), events(7, first=300)), lake)
    ingest(source, lake)
    ingest(source, place / "fresh")
    assert dump(lake) == dump(place / "fresh")
    check(source, lake)


@everywhere_in_proofs
def test_deleted_source_file_keeps_its_rows(source, lake):
    """Raw files expire; what was ingested stays, also when other files arrive."""
    ingest(source, lake)
    (source / key(0)).unlink()
    put(source, 2, events(10, first=100))
    ingest(source, lake)
    assert len(dump(lake)["events"]) == 110
    assert answers(lake) == oracle(lake)


@everywhere_in_proofs
def test_hidden_and_other_files_are_left_alone(source, lake):
    """Names that start with a dot, files still being written and other suffixes are no source files."""
    folder = (source / key(0)).parent
    for name in (".events.jsonl.gz", ".events.jsonl.gz.123.part", "events.jsonl.gz.tmp", "events.csv", "_SUCCESS"):
        (folder / name).write_bytes((source / key(0)).read_bytes())
    put(source, ".hidden/events/events.jsonl.gz", events(5, first=500))
    assert ingest(source, lake).files == 2


def test_dangling_links_are_left_alone(tmp_path):
    """A link to nowhere is no source file."""
    put(tmp_path / "raw", 0, events(5))
    (tmp_path / "raw" / "dangling.jsonl.gz").symlink_to(tmp_path / "nowhere")
    assert ingest(tmp_path / "raw", tmp_path / "lake").files == 1


HOSTILE = (
    "it's/events 'quoted'.jsonl.gz",
    'double "quotes"/a.jsonl.gz',
    "spaces in  names/ b .jsonl.gz",
    "ünï-日本-🛒/c.jsonl.gz",
    "'); DROP TABLE events; --/d.jsonl.gz",
    "per%20cent/hash#/question?/e.jsonl.gz",
    "stars*/[brackets]/{braces}.jsonl.gz",
    "back\\slash/new\nline.jsonl.gz",
    "hour=x/event_time_hour=2025-01-01-00/f.jsonl.gz",
    "l" * 200 + "/" + "m" * 200 + ".jsonl.gz",
)


@everywhere_by_both_in_proofs
def test_hostile_file_names(place, lake):
    """Whatever a file is called, its rows carry that name, and it can be replaced by it."""
    source = place / "raw"
    names = [name for name in HOSTILE if name.isprintable() or isinstance(place, Path)]  # S3 clients refuse the others
    for number, name in enumerate(names):
        put(source, name, [*events(4, first=10 * number), event(10 * number), b"broken"])
    done = ingest(source, lake)
    assert (done.files, done.accepted, done.duplicates, done.quarantined) == (
        len(names),
        4 * len(names),
        len(names),
        len(names),
    )
    assert {row["source_file"] for row in dump(lake)["events"]} == set(names)
    for number, name in enumerate(names):
        put(source, name, [*events(3, first=10 * number + 1), event(10 * number + 2)])
    assert ingest(source, lake).replaced == len(names)
    ingest(source, place / "fresh")
    assert dump(lake) == dump(place / "fresh")
    check(source, lake)


@everywhere_but(
    "name", "it's a lake", "läke 🏞", "lake #1", "what?", "50%20off", "[lake] *", "semi;colon&amp=1", on_s3="50%20off"
)
def test_hostile_lake_names(name, source, place):
    """A lake may stand in a folder of any name."""
    ingest(source, place / name)
    put(source, 1, events(20, first=45))
    ingest(source, place / name)
    check(source, place / name)


@both
def test_money_and_counts_at_their_limits(place, lake):
    """The largest quantity at the largest price is accepted, and its revenue is exact."""
    put(
        place / "raw",
        0,
        [event(number, "purchase", quantity=2**31 - 1, price=9999999999.99, product_id="p_1") for number in range(3)],
    )
    assert ingest(place / "raw", lake).accepted == 3
    check(place / "raw", lake)
