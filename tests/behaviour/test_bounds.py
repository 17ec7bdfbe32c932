"""What is too long, too large or no gzip costs its own line or its own file, on either path of reading."""

import gc
import gzip
import json
import time
import tracemalloc
from datetime import datetime

import pyarrow as pa
import pytest

import shoplake
from shoplake.engines.base import CheckRequest
from shoplake.engines.duckdb import DuckDBEngine
from shoplake.lake.erasures import Erased
from shoplake.parsing import FIRST_BYTES
from shoplake.settings import DEFAULT_BOUNDS
from shoplake.sources.local import LocalSource
from tests.support import as_line, both_in_proofs, dump, event, events, ingest, key, ledger, proofs, put, put_bytes

LATEST = datetime(2030, 1, 1)  # noqa: DTZ001 - times of the lake are UTC without a zone
LONGEST_LINE = DEFAULT_BOUNDS.line_bytes


@pytest.fixture(params=["native", "sql"], autouse=True)
def path(request, monkeypatch):
    """The path of reading."""
    monkeypatch.setenv("SHOPLAKE_NATIVE", "1" if request.param == "native" else "0")


def long_event(size):
    """A line of exactly this many bytes that would meet the contract."""
    start = b'{"x": "'
    raw = b'", ' + json.dumps(event(7)).encode()[1:]
    return start + b"y" * (size - len(start) - len(raw)) + raw


@both_in_proofs
@pytest.mark.parametrize("bound", [1024, 5000, 300_000])
def test_another_bound_of_lines(tmp_path, bound):
    """It is a setting: a line of this length is read, wherever blocks of the file end, a longer one is quarantined."""
    lines_ = [*events(9), *(long_event(size) for _ in range(5) for size in (bound, bound + 1)), *events(9, first=20)]
    put(tmp_path / "raw", 0, lines_)
    report = ingest(tmp_path / "raw", tmp_path / "lake", max_line_bytes=bound)
    assert (report.accepted, report.duplicates, report.reasons) == (19, 4, {"line_too_long": 5})
    kept = lines_[10][: min(FIRST_BYTES, bound + 1)].decode()
    rows = dump(tmp_path / "lake")["quarantine"]
    assert {row["raw"] for row in rows} == {f"{kept} ... [{bound + 1} bytes in all]"}
    assert shoplake.verify(tmp_path / "lake", tmp_path / "raw", max_line_bytes=bound).ok
    (difference,) = shoplake.verify(tmp_path / "lake", tmp_path / "raw").differences
    assert "no longer than max_line_bytes allows" in difference.message
    assert difference.remedy.endswith(f"shoplake replay --files {key(0)}")


def test_an_erased_persons_raw_file_keeps_its_longest_lines(tmp_path):
    """A line over the bound is searched to its end, and one of somebody else stays as it is in the raw file."""
    long, of_them = (long_event(20_000), long_event(20_000).replace(b'"u_0"', b'"u_gone"'))
    put(tmp_path / "raw", 0, [long, of_them, *events(3)])
    ingest(tmp_path / "raw", tmp_path / "lake", max_line_bytes=1024)
    shoplake.erase("u_gone", tmp_path / "lake", tmp_path / "raw", raw=True, max_line_bytes=1024)
    content = gzip.decompress((tmp_path / "raw" / key(0)).read_bytes())
    assert content == b"\n".join([long, *map(as_line, events(3))])


def test_a_line_at_the_bound(tmp_path):
    """A line of the bound's length is read; of a longer one quarantine keeps the first bytes and the length."""
    lines_ = [long_event(LONGEST_LINE), event(1), long_event(LONGEST_LINE + 1), event(2)]
    put(tmp_path / "raw", 0, lines_)
    report = ingest(tmp_path / "raw", tmp_path / "lake")
    assert (report.accepted, report.reasons) == (3, {"line_too_long": 1})
    (row,) = dump(tmp_path / "lake")["quarantine"]
    first = lines_[2][:FIRST_BYTES].decode()
    assert (row["line_number"], row["raw"]) == (3, f"{first} ... [{LONGEST_LINE + 1} bytes in all]")


@pytest.mark.parametrize("octets", [b"\0", "é".encode(), *proofs(b"\xff", b"{")])
def test_an_endless_line(tmp_path, octets):
    """A line that takes up the whole file is read in time that grows with its length alone."""
    put_bytes(tmp_path / "raw", 0, gzip.compress(octets * (96_000_000 // len(octets)), 1))
    put(tmp_path / "raw", 1, events(3))
    started = time.process_time()
    report = ingest(tmp_path / "raw", tmp_path / "lake", max_quarantine_rate=1.0)
    assert (report.accepted, report.reasons) == (3, {"line_too_long": 1})
    assert time.process_time() - started < 10
    (row,) = dump(tmp_path / "lake")["quarantine"]
    assert len(row["raw"]) < 2 * FIRST_BYTES


def test_endless_white_space_is_a_blank_line(tmp_path):
    """However long a blank line is, it is none, and the lines behind it keep their numbers."""
    put(tmp_path / "raw", 0, [event(1), b" " * (LONGEST_LINE + 5), b"broken", event(2)])
    report = ingest(tmp_path / "raw", tmp_path / "lake")
    assert (report.lines, report.accepted) == (3, 2)
    assert [row["line_number"] for row in dump(tmp_path / "lake")["quarantine"]] == [3]


@both_in_proofs
def test_a_file_over_the_bound_is_set_aside(tmp_path):
    """It is recorded with its reason, and its neighbour is taken in; with a higher bound it can be ingested as well."""
    put(tmp_path / "raw", 0, [*events(3), b" " * 100_000])
    put(tmp_path / "raw", 1, events(3, first=10))
    assert ingest(tmp_path / "raw", tmp_path / "lake", max_file_bytes=100_000).accepted == 3
    assert shoplake.verify(tmp_path / "lake", tmp_path / "raw", max_file_bytes=100_000).ok
    (difference,) = shoplake.verify(tmp_path / "lake", tmp_path / "raw").differences
    assert (difference.what, difference.where) == ("readable", key(0))
    assert ledger(tmp_path / "lake")[key(0)]["error"] == "too large: it inflates to more than 100.0 kB"


def test_a_file_that_was_gzipped_twice(tmp_path):
    """It is set aside, and the reason says so."""
    put_bytes(tmp_path / "raw", 0, gzip.compress(gzip.compress(b"\n".join(b"{}" for _ in range(9)))))
    ingest(tmp_path / "raw", tmp_path / "lake")
    assert ledger(tmp_path / "lake")[key(0)]["error"] == "gzipped twice: what it inflates to is gzip again"


@pytest.mark.parametrize("size", [3, 5000])
def test_bytes_behind_the_gzip_stream(tmp_path, size):
    """A file that goes on with something else is set aside, and the reason says so."""
    name = put(tmp_path / "raw", 0, events(size))
    with (tmp_path / "raw" / name).open("ab") as file:
        file.write(b"trailing")
    ingest(tmp_path / "raw", tmp_path / "lake")
    assert ledger(tmp_path / "lake")[name]["error"] == "bytes that are not gzip follow the gzip stream"


@pytest.mark.parametrize("alone", [True, False])
def test_a_byte_order_mark_and_blank_lines(tmp_path, alone):
    """They count the same whatever lies beside the file."""
    put_bytes(tmp_path / "raw", 0, gzip.compress(b"\xef\xbb\xbf\n\n  \n"))
    if not alone:
        put(tmp_path / "raw", 1, events(3))
    ingest(tmp_path / "raw", tmp_path / "lake", max_quarantine_rate=1.0)
    entry = ledger(tmp_path / "lake")[key(0)]
    assert (entry["lines"], entry["quarantined"]) == (1, 1)


def test_memory_of_bad_lines(tmp_path):
    """While a batch is being read, a line that breaks the contract costs a fraction of its bytes."""
    lines = [json.dumps(event(number) | {"user_id": None}).encode() for number in range(20_000)]
    put(tmp_path / "raw", 0, lines)
    source = LocalSource(tmp_path / "raw")
    engine = DuckDBEngine(1)
    engine.check(CheckRequest(source, source.list(), LATEST, Erased("")))  # what is imported is not counted
    gc.collect()
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    (checked,) = engine.check(CheckRequest(source, source.list(), LATEST, Erased("")))
    gc.collect()
    held = tracemalloc.get_traced_memory()[0] + pa.total_allocated_bytes() - before
    tracemalloc.stop()
    assert [line.raw for line in checked.quarantined] == lines
    assert held < 0.3 * sum(map(len, lines))


def test_memory_of_unknown_keys(tmp_path):
    """While a batch is being read, a value that many lines have under a key that is not known is in memory once."""
    extra = json.dumps({"user-agent": "Mozilla/5.0 " * 8})
    lines = [json.dumps(event(number) | json.loads(extra)).encode() for number in range(2_000)]
    put(tmp_path / "raw", 0, lines)
    source = LocalSource(tmp_path / "raw")
    (checked,) = DuckDBEngine(1).check(CheckRequest(source, source.list(), LATEST, Erased("")))
    column = checked.rows.column("extra")
    assert column.to_pylist() == [extra] * len(lines)
    assert column.nbytes < 10 * len(lines)
