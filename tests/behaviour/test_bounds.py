"""What is too long, too large or no gzip costs its own line or its own file, on either path of reading."""

import gzip
import json
import time

import pytest

from shoplake.contract import LONGEST_LINE
from shoplake.parsing import FIRST_BYTES
from shoplake.sources import lines
from tests.support import dump, event, events, ingest, key, ledger, put, put_bytes


@pytest.fixture(params=["native", "sql"], autouse=True)
def path(request, monkeypatch):
    """The path of reading."""
    monkeypatch.setenv("SHOPLAKE_NATIVE", "1" if request.param == "native" else "0")


def long_event(size):
    """A line of exactly this many bytes that would meet the contract."""
    start = b'{"x": "'
    raw = b'", ' + json.dumps(event(7)).encode()[1:]
    return start + b"y" * (size - len(start) - len(raw)) + raw


def test_a_line_at_the_bound(tmp_path):
    """A line of the bound's length is read; of a longer one quarantine keeps the first bytes and the length."""
    lines_ = [long_event(LONGEST_LINE), event(1), long_event(LONGEST_LINE + 1), event(2)]
    put(tmp_path / "raw", 0, lines_)
    report = ingest(tmp_path / "raw", tmp_path / "lake")
    assert (report.accepted, report.reasons) == (3, {"line_too_long": 1})
    (row,) = dump(tmp_path / "lake")["quarantine"]
    first = lines_[2][:FIRST_BYTES].decode()
    assert (row["line_number"], row["raw"]) == (3, f"{first} ... [{LONGEST_LINE + 1} bytes in all]")


@pytest.mark.parametrize("octets", [b"\0", b"\xff", b"{", "é".encode()])
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


def test_a_file_over_the_bound_is_set_aside(tmp_path, monkeypatch):
    """It is recorded with its reason, and its neighbour is taken in."""
    monkeypatch.setattr(lines, "LARGEST_FILE", 100_000)
    put(tmp_path / "raw", 0, [*events(3), b" " * 100_000])
    put(tmp_path / "raw", 1, events(3, first=10))
    assert ingest(tmp_path / "raw", tmp_path / "lake").accepted == 3
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
