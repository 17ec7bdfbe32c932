"""A folder as storage: what is on the disk when it says so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shoplake.storage.local import LocalStorage


@pytest.fixture
def synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, list[str]]]:
    """What was brought to the disk: its inode, and the names of all files that were there by then."""
    found: list[tuple[int, list[str]]] = []
    real = os.fsync

    def fsync(handle: int) -> None:
        found.append((os.fstat(handle).st_ino, sorted(path.name for path in tmp_path.rglob("*") if path.suffix)))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    return found


def test_a_swap_outlives_a_power_cut(tmp_path: Path, synced: list[tuple[int, list[str]]]) -> None:
    """The new content is on the disk before it gets its name, and the folder with that name before the swap says yes."""
    storage, place = LocalStorage(tmp_path), tmp_path / "catalog.json"
    assert storage.swap(str(place), None, b"one")
    contents, folder = synced
    inode, [name] = contents
    assert inode == place.stat().st_ino
    assert name.startswith(".catalog.json.")
    assert folder == (tmp_path.stat().st_ino, ["catalog.json"])


def test_a_written_file_is_on_the_disk(tmp_path: Path, synced: list[tuple[int, list[str]]]) -> None:
    """A data file is whole before anything can name it."""
    LocalStorage(tmp_path).write(str(tmp_path / "data" / "a.parquet"), b"rows")
    assert synced == [((tmp_path / "data" / "a.parquet").stat().st_ino, ["a.parquet"])]


def test_a_swap_needs_the_old_content(tmp_path: Path) -> None:
    """Whoever saw another state than the present one changes nothing."""
    storage, place = LocalStorage(tmp_path), str(tmp_path / "catalog.json")
    assert storage.swap(place, None, b"one")
    assert not storage.swap(place, None, b"two")
    assert not storage.swap(place, b"other", b"two")
    assert storage.read(place) == b"one"
    assert storage.swap(place, b"one", b"two")
    assert storage.read(place) == b"two"
