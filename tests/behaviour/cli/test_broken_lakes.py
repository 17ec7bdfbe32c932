"""A lake that cannot be written or read is an error in words."""

import json
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest

import shoplake
from shoplake.errors import FatalError
from shoplake.lake import Lake
from tests.behaviour.cli.support import tells
from tests.support import command, events, put


def test_unwritable_lake(call, tmp_path):
    """A lake that cannot be made is an error with exit code 1 or 2 and what to do."""
    put(tmp_path / "raw", 0, events(3))
    (tmp_path / "file").touch()
    result = call("ingest", "--source", tmp_path / "raw", "--lake", tmp_path / "file" / "lake")
    assert result.code in (1, 2)
    tells(result, result.code)


def test_damaged_lake(call, tmp_path):
    """A lake whose catalog or files are damaged is an error with exit code 1, not a traceback."""
    put(tmp_path / "raw", 0, events(3))
    words = ("--lake", tmp_path / "lake")
    assert call("ingest", "--source", tmp_path / "raw", *words).code == 0
    catalog = (tmp_path / "lake" / "catalog.json").read_bytes()
    for damage in (b"no catalog at all", b"", b"[]", b"{}", catalog[: len(catalog) // 2]):
        (tmp_path / "lake" / "catalog.json").write_bytes(damage)
        tells(call("query", *words), 1)
        tells(call("status", *words), 1)
    (tmp_path / "lake" / "catalog.json").write_bytes(catalog)
    shutil.rmtree(tmp_path / "lake" / "user_hourly")
    tells(call("query", *words), 1)


def test_missing_data_file(call, tmp_path):
    """A data file that somebody deleted is an error with a message, not a traceback."""
    put(tmp_path / "raw", 0, events(3))
    words = ("--lake", tmp_path / "lake")
    assert call("ingest", "--source", tmp_path / "raw", *words).code == 0
    for path in (tmp_path / "lake" / "events").rglob("*.parquet"):
        path.unlink()
    tells(call("query", "--sql", "SELECT * FROM events", *words), 1)


def files_in(lake):
    """The files of a lake but for its lock and the note of the last failure."""
    aside = (".lock", "last-failure.json")
    return {path: path.read_bytes() for path in lake.rglob("*") if path.is_file() and path.name not in aside}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A source and its lake of two runs; the tests damage one file of it and put it back."""
    folder = tmp_path_factory.mktemp("whole")
    for slot in range(2):
        put(folder / "raw", slot, [*events(6, first=10 * slot), b"broken"])
        assert command("ingest", "--source", folder / "raw", "--lake", folder / "lake").code == 0
    put(folder / "raw", 2, events(20))  # duplicates of both
    return folder


@contextmanager
def damaged(path, content):
    """A file with other bytes, or without any file, meanwhile."""
    before = path.read_bytes()
    path.unlink() if content is None else path.write_bytes(content)
    try:
        yield
    finally:
        path.write_bytes(before)


READING = (("query",), ("status",))
WRITING = (("ingest",), ("erase", "--user", "u_1", "--yes"), ("quarantine", "replay"), ("maintain",))


def refuses(folder, *commands):
    """Every command ends with one message and leaves every file of the lake as it is."""
    lake = folder / "lake"
    before = files_in(lake)
    for words in commands:
        source = ("--source", folder / "raw") if words[0] in {"ingest", "status"} else ()
        result = command(*words, "--lake", lake, *source)
        assert "LINE 1" not in result.err  # the engine's own pointer into SQL that nobody wrote
        tells(
            result,
            1,
            "damaged" if "damaged" in result.err else "cannot be read" if "cannot" in result.err else "missing",
        )
    assert files_in(lake) == before


CATALOGS = {
    "null": lambda _: None,
    "a list": lambda _: [],
    "nothing": lambda _: {},
    "no format": lambda catalog: {key: value for key, value in catalog.items() if key != "format"},
    "no id": lambda catalog: {key: value for key, value in catalog.items() if key != "id"},
    "no tables": lambda catalog: catalog | {"tables": {}},
    "tables of another kind": lambda catalog: catalog | {"tables": []},
    "a table less": lambda catalog: catalog | {"tables": dict(list(catalog["tables"].items())[1:])},
    "a table without a place": lambda catalog: catalog | {"tables": dict.fromkeys(catalog["tables"])},
    "a version that is no number": lambda catalog: catalog | {"version": "7"},
    "ids that are none": lambda catalog: catalog | {"previous": [1]},
}


@pytest.mark.parametrize("name", CATALOGS)
def test_a_damaged_catalog(whole, name):
    """It is named, never taken for an empty lake, and no run goes on."""
    path = whole / "lake" / "catalog.json"
    with damaged(path, json.dumps(CATALOGS[name](json.loads(path.read_bytes()))).encode()):
        refuses(whole, *READING, *WRITING)


METADATA = {
    "null": lambda _: None,
    "a list": lambda _: [],
    "nothing": lambda _: {},
    "snapshots": lambda document: document | {"snapshots": None},
    "a snapshot": lambda document: document | {"snapshots": [{}]},
    "a snapshot's summary": lambda document: (
        document | {"snapshots": [snapshot | {"summary": None} for snapshot in document["snapshots"]]}
    ),
    "properties": lambda document: document | {"properties": []},
    "a property": lambda document: document | {"properties": document["properties"] | {"more": 5}},
    "location": lambda document: document | {"location": 5},
}


@pytest.mark.parametrize("name", METADATA)
def test_a_damaged_metadata_document(whole, name):
    """It is named, whatever part of it is of another kind."""
    catalog = json.loads((whole / "lake" / "catalog.json").read_bytes())
    path = whole / "lake" / catalog["tables"]["ledger"]
    with damaged(path, json.dumps(METADATA[name](json.loads(path.read_bytes()))).encode()):
        refuses(whole, *READING, *WRITING)


@pytest.mark.parametrize("name", ["snap-*", "*-m*.avro"])
@pytest.mark.parametrize("part", [0, 0.2, 0.5, 0.9])
def test_a_cut_manifest(whole, name, part):
    """A manifest or a manifest list that is cut is named."""
    table = Lake(str(whole / "lake")).view()["events"]
    path = Path(table.history[-1]["manifest-list"] if name == "snap-*" else table.manifests[0]["manifest_path"])
    content = path.read_bytes()
    with damaged(path, content[: int(part * len(content))]):
        refuses(whole, ("query", "--sql", "SELECT count(*) FROM events"), ("erase", "--user", "u_1", "--yes"))


@pytest.mark.parametrize("left", [None, 0, 100, -20])
@pytest.mark.parametrize("table", ["events", "ledger", "quarantine", "user_hourly"])
def test_a_damaged_data_file(whole, table, left):
    """A data file that is missing or cut is named by every command that needs it; the run that meets it changes nothing."""
    needing: dict[str, list[tuple[str, ...]]] = {
        "events": [("query", "--sql", "SELECT * FROM events"), ("ingest",), ("erase", "--user", "u_1", "--yes")],
        "ledger": [("status",), ("ingest",), ("erase", "--user", "u_1", "--yes"), ("quarantine", "replay")],
        "quarantine": [("quarantine", "show"), ("quarantine", "replay"), ("erase", "--user", "u_1", "--yes")],
        "user_hourly": [("query", "--sql", "SELECT * FROM user_hourly")],
    }
    path = Path(Lake(str(whole / "lake")).view()[table].files[0].path)
    with damaged(path, None if left is None else path.read_bytes()[:left]):
        refuses(whole, *needing[table])


@pytest.mark.parametrize("left", [None, 100])
def test_a_damaged_data_file_in_python(whole, left):
    """In a block that reads, the error is one of shoplake's own and names the file, also where the lake was open before."""
    path = Path(Lake(str(whole / "lake")).view()["user_hourly"].files[-1].path)
    with shoplake.open(str(whole / "lake")) as opened:
        rows = opened.sql("SELECT * FROM user_hourly")
        content = None if left is None else path.read_bytes()[:left]
        with damaged(path, content), pytest.raises(FatalError, match=path.name), opened.reading():
            rows.fetchall()
