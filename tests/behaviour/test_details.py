"""What the contract page says under "Details", on either path of reading."""

import gzip
import json
from datetime import datetime

import pytest

from shoplake.contract import DETAILS
from tests.support import as_line, dump, event, events, ingest, key, ledger, put, put_bytes


@pytest.fixture(params=["native", "sql"], autouse=True)
def path(request, monkeypatch):
    """The path of reading."""
    monkeypatch.setenv("SHOPLAKE_NATIVE", "1" if request.param == "native" else "0")


def test_the_page_has_these_details():
    """A detail more needs a test more."""
    assert len(DETAILS) == 4


def test_identifiers(tmp_path):
    """Any text is one but the empty one; numbers, true and false are texts."""
    fine = [" ", "\t", "null", True, False, 0, 1.50, -7, "{", "[]"]
    lines = [json.dumps(event(number, user_id=value)) for number, value in enumerate([*fine, "", {}, []])]
    put(tmp_path / "raw", 0, [line.replace("1.5,", "1.50,").encode() for line in lines])
    report = ingest(tmp_path / "raw", tmp_path / "lake")
    assert report.reasons == {"missing_user_id": 1, "bad_user_id": 2}
    users = {row["user_id"] for row in dump(tmp_path / "lake")["events"]}
    assert users == {" ", "\t", "null", "true", "false", "0", "1.50", "-7", "{", "[]"}


def test_times(tmp_path):
    """Only the extended form, in capitals, with a point and real seconds."""
    wrong = [
        *("20251118T142345Z", "2025-11-18t14:23:45Z", "2025-11-18T14:23:45z", "2025-11-18T14:23:45,5Z"),
        *("2025-11-18T14:23:60Z", "2025-11-18T24:00:00Z", "2025-W47-2T14:23:45Z", "2025-322T14:23:45Z"),
    ]
    put(tmp_path / "raw", 0, [*events(9), *(event(number, timestamp=text) for number, text in enumerate(wrong, 20))])
    report = ingest(tmp_path / "raw", tmp_path / "lake")
    assert (report.accepted, report.reasons) == (9, {"bad_timestamp": len(wrong)})


@pytest.mark.parametrize("apart", [True, False])
def test_less_than_a_microsecond(tmp_path, apart):
    """Events that differ below it are equal, in one file and in two; the digits are dropped, not rounded."""
    texts = ["2025-11-18T14:23:45.123456Z", "2025-11-18T14:23:45.1234569Z", "2025-11-18T14:23:45.123456999Z"]
    lines = [event(1, timestamp=text) for text in texts]
    for slot, some in enumerate([[line] for line in lines] if apart else [lines]):
        put(tmp_path / "raw", slot, some)
    report = ingest(tmp_path / "raw", tmp_path / "lake")
    assert (report.accepted, report.duplicates) == (1, 2)
    (row,) = dump(tmp_path / "lake")["events"]
    assert row["event_time"] == datetime(2025, 11, 18, 14, 23, 45, 123456)  # noqa: DTZ001 - UTC without a zone


def test_gzip_streams(tmp_path):
    """Two in a row are one file, even with a line across both; gzip in gzip and other bytes behind set the file aside."""
    content = b"\n".join(map(as_line, events(9)))
    put_bytes(tmp_path / "raw", 0, gzip.compress(content[:300]) + gzip.compress(content[300:]))
    put_bytes(tmp_path / "raw", 1, gzip.compress(gzip.compress(content)))
    put_bytes(tmp_path / "raw", 2, gzip.compress(content) + b"more")
    assert ingest(tmp_path / "raw", tmp_path / "lake").accepted == 9
    errors = {path: row["error"] for path, row in ledger(tmp_path / "lake").items()}
    assert errors == {
        key(0): None,
        key(1): "gzipped twice: what it inflates to is gzip again",
        key(2): "bytes that are not gzip follow the gzip stream",
    }
