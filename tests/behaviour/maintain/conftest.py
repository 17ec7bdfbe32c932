"""A source with many small files, and its lake."""

import shutil

import pytest

from tests.behaviour.maintain.support import NEXT_DAY, some
from tests.support import ingest, put


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """A source and its lake: six files in each of two hours and two in an hour of the next day, each its own batch."""
    folder = tmp_path_factory.mktemp("shop")
    for slot in (*range(0, 24, 2), NEXT_DAY, NEXT_DAY + 1):
        put(folder / "raw", slot, some(slot))
    ingest(folder / "raw", folder / "lake", batch_bytes=1)
    shutil.copytree(folder, folder / "kept")
    return folder


@pytest.fixture
def shop(built):
    """The source and its lake, as they were built: at the same place, since a lake's files name each other by their places."""
    for name in ("raw", "lake"):
        shutil.rmtree(built / name)
        shutil.copytree(built / "kept" / name, built / name)
    return built
