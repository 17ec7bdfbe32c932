"""A source whose files hold lines of the future and broken ones, and its lake."""

import pytest

from tests.behaviour.quarantine.support import EARLY, ahead, ingest_at
from tests.support import as_line, event, events, put


@pytest.fixture(autouse=True)
def _apart(own_data_files):
    """These tests are about what a replay leaves alone."""


@pytest.fixture
def source(place):
    return place / "raw"


@pytest.fixture
def lake(place):
    return place / "lake"


def build(place):
    source = place / "raw"
    put(source, 0, [*events(10), *(ahead(n, "purchase") for n in range(5)), ahead(3, "purchase"), b"broken"])
    put(source, 1, [*events(10, first=20), ahead(2, "purchase"), ahead(9), event(3, "purchase")])
    put(source, 2, [*events(10, first=40), ahead(4, user_id=""), b"\xff"])
    put(source, 3, [ahead(2, "purchase"), ahead(11), as_line(ahead(12)).replace(b"u_5", b"\xff")])
    ingest_at(EARLY, source, place / "lake")


@pytest.fixture
def shop(own_data_files, as_built):
    """Four files that arrived early: lines of the future, some twice, in one file and across files; broken lines."""
    place = as_built(build)
    return place / "raw", place / "lake"
