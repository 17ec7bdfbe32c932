"""A source with every kind of file, and its lake."""

import pytest

from tests.behaviour.verify.support import MIDNIGHT, NEXT_HOUR, at
from tests.support import event, events, ingest, key, put


def build(place):
    raw = place / "raw"
    put(raw, 0, [*events(20), *events(2), b"broken", event(3, user_id=None)])
    put(raw, 1, [*events(5), *(at(NEXT_HOUR, n, "purchase") for n in range(10)), b"\xff", b"", event(90)])
    put(raw, 2, [at(MIDNIGHT, n, "search") for n in range(10)])
    put(raw, 3, events(3))
    (raw / key(3)).write_bytes((raw / key(3)).read_bytes()[:40])
    ingest(raw, place / "lake")


@pytest.fixture
def shop(as_built):
    """A source and its lake: three files over three hours and two days, duplicates, broken lines, a cut file."""
    return as_built(build)
