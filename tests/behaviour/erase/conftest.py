"""Raw files with a person, and the tables of those without."""

import pytest

from tests.behaviour.erase.support import files, write
from tests.support import accepted, answers, dump, five_answers, ingest, judge_files


@pytest.fixture
def raw(place):
    write(place / "raw", files())
    return place / "raw"


@pytest.fixture
def lake(place):
    return place / "lake"


@pytest.fixture(scope="session")
def truth(tmp_path_factory):
    """The tables of a lake that ingested the raw files without the person."""
    folder = tmp_path_factory.mktemp("without")
    write(folder / "raw", files(), without=True)
    ingest(folder / "raw", folder / "lake")
    tables = dump(folder / "lake")
    assert five_answers(accepted(judge_files(folder / "raw"))) == answers(folder / "lake")
    return tables
