"""Both runners of the stack, the function for arrivals and the Glue job with Spark, in turn on one lake on a real S3 server."""

import json

import boto3
import pytest

from infra import grade
from shoplake.aws import arrival
from shoplake.lake.catalog import Lake
from tests.aws.support import DATABASE, Context, arrival_environment
from tests.aws.support import emulator as emulated
from tests.spark.test_parity import tables
from tests.support import (
    accepted,
    answers,
    dump,
    events,
    five_answers,
    ingest,
    judge_files,
    ledger,
    oracle,
    proof,
    put,
)

pytestmark = pytest.mark.s3


@pytest.fixture
def emulator():
    with emulated() as url:
        yield url


@pytest.fixture
def take_turns(session, glue, s3_place, s3_url, emulator):
    """A runner for each: takes in what is new in the source, and returns what it says of its run."""
    grade.reset(emulator)

    def function():
        return arrival.handle({"detail-type": "Object Created", "detail": {"object": {"key": "any"}}}, Context())

    def job():
        said = glue("--source", s3_place / "raw", "--lake", s3_place / "lake", "--database", DATABASE)
        assert said[-1] == "job committed"
        return json.loads(said[-2])

    with pytest.MonkeyPatch.context() as patch:  # of its own: it ends before the place does
        for name, value in arrival_environment(s3_place, s3_url, emulator, 2048).items():
            patch.setenv(name, value)
        boto3.client("glue").create_database(DatabaseInput={"Name": DATABASE})
        yield function, job


def published(lake):
    """Whether the Data Catalog's tables are at the lake's newest state."""
    listed = boto3.client("glue").get_tables(DatabaseName=DATABASE)["TableList"]
    pointers = {table["Name"]: table["Parameters"]["metadata_location"] for table in listed}
    return pointers == {name: table.location for name, table in Lake(str(lake)).view().tables.items()}


def steps(raw):
    """What comes before each turn: new files, duplicates and broken lines, a late file, a replaced one."""
    yield put(raw, 0, [*events(30), b"broken"]), put(raw, 1, events(30, first=20))
    yield (put(raw, 14, events(30, first=50)),)
    yield put(raw, 0, events(25)), put(raw, 2, events(30, first=90))  # the first replaced
    yield (put(raw, 15, [*events(10, first=130), b"broken"]),)


@proof
def test_the_runners_take_turns(take_turns, s3_place, tmp_path):
    """Every row, the ledger and the answers are those of one engine alone in a folder; nothing is read twice."""
    function, job = take_turns
    raw, lake, alone = s3_place / "raw", s3_place / "lake", tmp_path / "lake"
    turns = ((function, job), (job, function)) * 2
    for _, _, (runner, other) in zip(steps(raw), steps(tmp_path / "raw"), turns, strict=True):
        expected = ingest(tmp_path / "raw", alone, engine="duckdb")
        done = runner()
        assert (done["files"], done["lines"]) == (expected.files, expected.lines)
        assert tables(lake) == tables(alone)
        assert published(lake)
        assert (other()["files"], other()["lines"]) == (0, 0)
    assert answers(lake) == oracle(lake) == five_answers(accepted(judge_files(tmp_path / "raw")))
    rows = ledger(lake)
    assert {row["engine"] for row in rows.values()} == {"duckdb", "spark"}
    assert len(rows) == len(dump(lake)["ledger"]) == 5
    for row in rows.values():
        assert row["lines"] == sum(row[name] for name in ("accepted", "duplicates", "quarantined", "erased"))
