"""``shoplake erase`` removes a person, so that the lake is as if the person's lines had never been in the raw files."""

import gzip
import io
import json
from collections import Counter
from pathlib import Path

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shoplake.lake import Lake
from tests.support import (
    accepted,
    answers,
    command,
    dump,
    event,
    events,
    five_answers,
    ingest,
    judge_files,
    key,
    oracle,
    put,
)

PERSON = "u_7f3c-victim"
LATE = "2025-11-16T03:04:05Z"


def mine(number, event_type="page_view", **changes):
    """An event of the person; what they looked for and where they went is as personal as their id."""
    if event_type == "search":
        changes = {"search_query": f"secret of {PERSON}"} | changes
    return event(number, event_type, **({"user_id": PERSON, "session_id": f"s_{PERSON}"} | changes))


def tagged(lines, *, person):
    """Lines with whether they are about the person."""
    return [(line, person) for line in lines]


def files():
    """Raw files by slot: tagged lines. The person is in three of them; all fates, duplicates inside and across files."""
    bad = event(70, "purchase", price="free", user_id="u_2")
    broken_mine = [
        mine(71, "purchase", price="free"),
        json.dumps(mine(72)).encode()[:-9],
        json.dumps(mine(73)).encode() + b"\xff",
        json.dumps(event(74) | {"user_id": None, "customer": PERSON}).encode(),
        json.dumps(event(75) | {"user_id": [PERSON]}).encode(),
    ]
    return {
        0: [
            *tagged(events(20), person=False),
            (mine(100), True),
            (mine(100), True),
            (mine(101, "search"), True),
            (bad, False),
            *tagged(broken_mine, person=True),
            (b"", False),
            (mine(102, "purchase", price=12.5, quantity=3), True),
            (b"broken", False),
        ],
        1: [
            (mine(100), True),
            (event(3), False),
            *tagged(events(20, first=20), person=False),
            (mine(103, timestamp=LATE), True),
            (mine(104) | {"device": "phone", "beta": 1}, True),
            (event(105) | {"device": "tablet"}, False),
            (event(106, session_id=f"s_{PERSON}"), False),
        ],
        2: tagged(events(10, first=40), person=False),
        15: [(mine(200, timestamp="2025-11-18T15:15:00Z", product_id="p_only", category="rare"), True)],
    }


def write(source, slots, *, without=False):
    """The raw files, with or without the person's lines."""
    for slot, lines in slots.items():
        put(source, slot, [line for line, about in lines if not (without and about)])


def lines_of_person(slots):
    return Counter({key(slot): sum(about for _, about in lines) for slot, lines in slots.items()})


@pytest.fixture
def raw(tmp_path):
    write(tmp_path / "raw", files())
    return tmp_path / "raw"


@pytest.fixture
def lake(tmp_path):
    return tmp_path / "lake"


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    """The tables of a lake that ingested the raw files without the person."""
    folder = tmp_path_factory.mktemp("without")
    write(folder / "raw", files(), without=True)
    ingest(folder / "raw", folder / "lake")
    tables = dump(folder / "lake")
    assert five_answers(accepted(judge_files(folder / "raw"))) == answers(folder / "lake")
    return tables


def erase(lake, *words, user=PERSON):
    told = command("erase", "--user", user, "--lake", lake, "--yes", "--format", "json", *words)
    assert (told.code, told.err) == (0, "")
    return told.json


def plain(tables, *, numbers=True):
    """Tables as they are compared: without the list itself, bytes of raw files, and maybe the numbers of lines."""
    left_out = {"quarantine": () if numbers else ("line_number",), "ledger": ("bytes",)}
    return {
        name: sorted(
            ({column: value for column, value in row.items() if column not in left_out.get(name, ())} for row in rows),
            key=repr,
        )
        for name, rows in tables.items()
        if name != "erasures"
    }


def as_without(lake, truth, slots):
    """The lake is as if the person had never been there, but for the counts of the erased lines."""
    found, due = plain(dump(lake), numbers=False), plain(truth, numbers=False)
    persons = lines_of_person(slots)
    rows = zip(found.pop("ledger"), due.pop("ledger"), strict=True)
    assert found == due
    for row, other in rows:
        gone = persons[row["source_file"]]
        assert row["lines"] == row["accepted"] + row["duplicates"] + row["quarantined"] + row["erased"]
        assert row["lines"] == other["lines"] + gone
        assert row["duplicates"] + row["erased"] == other["duplicates"] + gone
        same = row.keys() - {"lines", "erased", "duplicates", "duplicates_of"}
        assert {name: row[name] for name in same} == {name: other[name] for name in same}
    assert answers(lake) == oracle(lake)


def places_of(text, lake):
    """The files of a lake that hold a text, looked for in their bytes and in all that can be decoded from them."""
    return sorted(path.name for path in lake.rglob("*") if path.is_file() and text in _all_of(path))


def _all_of(path: Path) -> str:
    content = path.read_bytes()
    parts = [content.decode("latin-1"), content.decode("utf-8", "replace")]
    if path.suffix == ".parquet":
        file = pq.ParquetFile(io.BytesIO(content))
        parts += [repr(file.read(columns=[name]).to_pylist()) for name in file.schema_arrow.names]
        parts.append(repr(file.metadata.to_dict()))
        # Dictionary pages may hold texts that no row has: read them as they are.
        texts = [field.name for field in file.schema_arrow if pa.types.is_string(field.type)]
        read = pq.ParquetFile(io.BytesIO(content), read_dictionary=texts).read()
        for column in read.columns:
            parts += [repr(chunk.dictionary.to_pylist()) for chunk in column.chunks if hasattr(chunk, "dictionary")]
    elif path.suffix == ".avro":
        parts.append(repr(list(fastavro.reader(io.BytesIO(content)))))
    return "\n".join(parts)


def clean(lake, raw=None):
    told = command("verify", "--lake", lake, *(("--source", raw) if raw else ()), "--format", "json")
    assert [one for check in told.json["checks"] for one in check["differences"]] == []
    assert told.code == 0


# ---------------------------------------------------------------------------------------------------------------- tables


def test_as_if_the_person_had_never_been(raw, lake, truth):
    """After an erasure the tables are those of the raw files without the person, and verify agrees."""
    ingest(raw, lake)
    assert places_of(PERSON, lake)
    receipt = erase(lake, "--source", raw)
    as_without(lake, truth, files())
    clean(lake, raw)
    assert receipt["removed"] == {"events": 6, "quarantine": 5, "user_hourly": 3}
    assert receipt["hours"] == ["2025-11-16T03:00:00Z", "2025-11-18T14:00:00Z", "2025-11-18T15:00:00Z"]
    assert {one["file"]: one["lines"] for one in receipt["raw"]} == +lines_of_person(files())
    assert not any(one["rewritten"] for one in receipt["raw"])


def test_no_byte_of_the_lake_holds_the_person(raw, lake):
    """No file of the lake holds the id, or what the person looked for, in its bytes, values, statistics or dictionaries."""
    slots = files()
    slots[1] = [row for row in slots[1] if row[0] != event(106, session_id=f"s_{PERSON}")]
    write(raw, slots)
    ingest(raw, lake)
    put(raw, 2, [*events(10, first=40), mine(300)])
    ingest(raw, lake)
    put(raw, 2, events(10, first=40))
    ingest(raw, lake)
    receipt = erase(lake)
    assert places_of(PERSON, lake) == []
    assert receipt["snapshots"] >= 10
    assert receipt["files"] >= 10
    assert all(table.snapshot_count <= 1 for table in Lake(lake).view().tables.values())
    clean(lake)
