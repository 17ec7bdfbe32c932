"""A lake that cannot be written or read is an error in words."""

import shutil

from tests.behaviour.cli.support import tells
from tests.support import events, put


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
