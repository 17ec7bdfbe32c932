"""What the tests of erasure share: raw files with and without a person, and looks into every byte of a lake."""

import base64
import io
import json
from collections import Counter
from pathlib import Path

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq

from tests.s3.path import S3Path
from tests.support import answers, command, dump, event, events, key, oracle, put

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
        3: [(event(310), False), (mine(102, "purchase", price=12.5, quantity=3), True)],  # a duplicate alone
        15: [(mine(200, timestamp="2025-11-18T15:15:00Z", product_id="p_only", category="rare"), True)],
    }


def write(source, slots, *, without=False):
    """The raw files, with or without the person's lines."""
    for slot, lines in slots.items():
        put(source, slot, [line for line, about in lines if not (without and about)])


def lines_of_person(slots):
    return Counter({key(slot): sum(about for _, about in lines) for slot, lines in slots.items()})


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
    found = [path for path in lake.rglob("*") if isinstance(path, S3Path) or path.is_file()]
    return sorted(path.name for path in found if text in _all_of(path))


def _all_of(path: Path | S3Path) -> str:
    content = path.read_bytes()
    parts = [content.decode("latin-1"), content.decode("utf-8", "replace")]
    if path.name.endswith(".parquet"):
        file = pq.ParquetFile(io.BytesIO(content))
        parts += [repr(file.read(columns=[name]).to_pylist()) for name in file.schema_arrow.names]
        parts.append(repr(file.metadata.to_dict()))
        if "encoding" in file.schema_arrow.names:
            rows = file.read(columns=["raw", "encoding"]).to_pylist()
            parts += [repr(base64.b64decode(row["raw"])) for row in rows if row["encoding"] == "base64"]
        # Dictionary pages may hold texts that no row has: read them as they are.
        texts = [field.name for field in file.schema_arrow if pa.types.is_string(field.type)]
        read = pq.ParquetFile(io.BytesIO(content), read_dictionary=texts).read()
        for column in read.columns:
            parts += [repr(chunk.dictionary.to_pylist()) for chunk in column.chunks if hasattr(chunk, "dictionary")]
    elif path.name.endswith(".avro"):
        parts.append(repr(list(fastavro.reader(io.BytesIO(content)))))
    return "\n".join(parts)


def clean(lake, raw=None):
    told = command("verify", "--lake", lake, *(("--source", raw) if raw else ()), "--format", "json")
    assert [one for check in told.json["checks"] for one in check["differences"]] == []
    assert told.code == 0


def rewritten(raw, lake):
    return erase(lake, "--source", raw, "--raw")
