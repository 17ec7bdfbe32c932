"""A lake's catalog: what reading it costs, and how to tell whether it changed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from shoplake.errors import FatalError, UsageError
from shoplake.lake import Lake
from shoplake.tables import TABLES
from tests.support import command


class Reads:
    """A lake that counts the files it reads."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lake = Lake(root)
        self.names: list[str] = []
        real = self.lake.storage.read_if_there

        def read_if_there(location: str) -> Any:
            self.names.append(Path(location).name)
            return real(location)

        monkeypatch.setattr(self.lake.storage, "read_if_there", read_if_there)


def test_a_view_that_must_exist_reads_the_catalog_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Lake(tmp_path).create()
    reads = Reads(tmp_path, monkeypatch)
    reads.lake.need_view()
    assert reads.names.count("catalog.json") == 1
    assert len(reads.names) == 1 + len(TABLES)


def test_a_view_that_must_exist_is_a_usage_error_where_there_is_no_lake(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no lake at"):
        Lake(tmp_path / "none").need_view()
    assert not (tmp_path / "none").exists()


def test_the_catalog_alone_says_whether_a_lake_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = Lake(tmp_path).view()
    reads = Reads(tmp_path, monkeypatch)
    assert not reads.lake.changed_since(empty)
    made = Lake(tmp_path).create()
    assert reads.lake.changed_since(empty)
    assert not reads.lake.changed_since(made)
    Lake(tmp_path).swap(made, {})
    assert reads.lake.changed_since(made)
    assert reads.names == ["catalog.json"] * 4


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"null", b'{"format-version": 2}'])
def test_a_damaged_metadata_document_is_an_error_that_names_it(tmp_path: Path, content: bytes) -> None:
    place = Path(str(Lake(tmp_path).create()["events"].location))
    place.write_bytes(content)
    with pytest.raises(FatalError, match=f"{place.name} is damaged"):
        Lake(tmp_path).view()


def test_a_copied_lake_is_refused(tmp_path: Path) -> None:
    """Its tables refer to the files of the original, which an erasure through the copy would delete."""
    lake = Lake(tmp_path / "lake")
    lake.create()
    shutil.copytree(tmp_path / "lake", tmp_path / "copy")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(FatalError, match="is a copy, or was moved") as refused:
        Lake(tmp_path / "copy").view()
    assert str(tmp_path / "lake") in refused.value.remedy
    for words in (("ingest", "--source", tmp_path), ("erase", "--user", "u", "--yes"), ("maintain",), ("query", "1")):
        assert command(*words, "--lake", tmp_path / "copy").code == 1
    assert {
        path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.name != ".lock"
    } == before
    (tmp_path / "lake").rename(tmp_path / "gone")
    (tmp_path / "copy").rename(tmp_path / "lake")
    assert lake.view().catalog, "moved back to where it was"
