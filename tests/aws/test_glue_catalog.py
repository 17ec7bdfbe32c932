"""The Glue Data Catalog follows the lake, forward only. PyIceberg's Glue catalog is the independent reader."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from shoplake.aws import glue_catalog
from shoplake.engines.duckdb import DuckDBEngine
from shoplake.errors import FatalError, TransientError, UsageError
from shoplake.generator.files import generate_files
from shoplake.ingestion import pipeline
from shoplake.lake.catalog import Lake
from shoplake.lake.snapshots import View
from shoplake.settings import Settings
from shoplake.sources.open import open_source
from shoplake.tables import TABLES
from tests.aws.support import REGION, START
from tests.support import command

DATABASE = "shoplake_x"


@pytest.fixture
def glue(aws: str) -> Any:
    client = boto3.client("glue")
    client.create_database(DatabaseInput={"Name": DATABASE})
    return client


def states(lake: Lake, raw: Path) -> Iterator[View]:
    """The lake as each of two runs leaves it, with one more file each."""
    for number in (1, 2):
        generate_files(raw, number, (500, 500), START, 7)
        pipeline.ingest(pipeline.Run(lake, open_source(raw), lambda: DuckDBEngine(1), Settings(threads=1)))
        yield lake.view()


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> list[View]:
    """Those states; the mirror takes what a view says and reads no file, so that a folder will do."""
    folder = tmp_path_factory.mktemp("lake")
    return list(states(Lake(folder / "lake"), folder / "raw"))


def rows(aws: str) -> dict[str, int]:
    """The number of rows of each table, as PyIceberg finds them by Glue."""
    from pyiceberg.catalog import load_catalog

    options = {"type": "glue", "glue.endpoint": aws, "glue.region": REGION, "s3.endpoint": aws, "s3.region": REGION}
    catalog = load_catalog("glue", **options)
    return {table.name: catalog.load_table((DATABASE, table.name)).scan().count() for table in TABLES}


def pointer(glue: Any, name: str = "events") -> str:
    return str(glue.get_table(DatabaseName=DATABASE, Name=name)["Table"]["Parameters"]["metadata_location"])


def test_pyiceberg_reads_every_table_by_glue(aws: str, glue: Any, tmp_path: Path):
    boto3.client("s3").create_bucket(Bucket="lake", CreateBucketConfiguration={"LocationConstraint": REGION})
    for number, view in enumerate(states(Lake("s3://lake/lake"), tmp_path), 1):
        glue_catalog.publish(view, DATABASE)
        assert rows(aws) == {table.name: view[table.name].rows for table in TABLES}
        assert rows(aws)["ledger"] == number
    columns = glue.get_table(DatabaseName=DATABASE, Name="quarantine")["Table"]["StorageDescriptor"]["Columns"]
    told = command("publish", "--lake", "s3://lake/lake", "--database", DATABASE)
    assert told.out == f"The tables of {DATABASE} are at version {view.version} of the lake.\n"
    assert {"Name": "reasons", "Type": "array<string>"}.items() <= columns[4].items()


def test_an_older_run_does_not_move_a_pointer_back(glue: Any, views: list[View]):
    glue_catalog.publish(views[1], DATABASE)
    glue_catalog.publish(views[0], DATABASE)
    assert pointer(glue) == views[1]["events"].location


def test_publishing_again_changes_nothing(glue: Any, views: list[View]):
    glue_catalog.publish(views[1], DATABASE)
    before = glue.get_tables(DatabaseName=DATABASE)["TableList"]
    glue_catalog.publish(views[1], DATABASE)
    assert glue.get_tables(DatabaseName=DATABASE)["TableList"] == before
    assert len(glue.get_table_versions(DatabaseName=DATABASE, TableName="events")["TableVersions"]) == 1


class Overtaken:
    """A client of Glue in front of whose first change another run publishes a newer state."""

    def __init__(self, glue: Any, call: str, newer: View) -> None:
        self.glue, self.call = glue, call
        self.newer: View | None = newer

    def __getattr__(self, name: str) -> Any:
        def first(**given: Any) -> Any:
            newer, self.newer = self.newer, None
            if newer is not None:
                glue_catalog.publish(newer, DATABASE, self.glue)
                kind = {"create_table": "AlreadyExistsException", "update_table": "ConcurrentModificationException"}
                answer = {"Error": {"Code": kind[name], "Message": "changed"}}
                raise self.glue.exceptions.ClientError(answer, name)  # moto itself does not compare the version
            return getattr(self.glue, name)(**given)

        return first if name == self.call else getattr(self.glue, name)


@pytest.mark.parametrize("call", ["create_table", "update_table"])
def test_a_run_that_is_overtaken_between_look_and_change_leaves_the_newer_pointer(
    glue: Any, views: list[View], tmp_path: Path, call: str
):
    if call == "update_table":
        first = Lake(tmp_path).create()
        document = first["events"].metadata
        assert document
        document["table-uuid"] = views[0]["events"].uuid
        glue_catalog.publish(first, DATABASE)  # something to update
    glue_catalog.publish(views[0], DATABASE, Overtaken(glue, call, views[1]))
    assert pointer(glue) == views[1]["events"].location


def test_an_update_names_the_version_that_was_looked_at(glue: Any, views: list[View]):
    glue_catalog.publish(views[0], DATABASE)
    asked: list[dict[str, Any]] = []
    glue.meta.events.register("before-parameter-build.glue.UpdateTable", lambda params, **_: asked.append(dict(params)))
    glue_catalog.publish(views[1], DATABASE, glue)
    changed = {table.name for table in TABLES if views[0][table.name].location != views[1][table.name].location}
    assert {change["TableInput"]["Name"] for change in asked} == changed > {"events", "ledger"}
    assert all(change["SkipArchive"] and change["VersionId"] for change in asked)


def test_a_lake_that_was_made_anew_replaces_the_pointers(glue: Any, views: list[View], tmp_path: Path):
    glue_catalog.publish(views[1], DATABASE)
    again = Lake(tmp_path).create()
    assert again.version < views[1].version
    glue_catalog.publish(again, DATABASE)
    assert pointer(glue) == again["events"].location


def test_a_foreign_table_and_a_missing_database_are_told(glue: Any, views: list[View]):
    with pytest.raises(UsageError, match="there is no Glue database nowhere"):
        glue_catalog.publish(views[0], "nowhere")
    glue.create_table(DatabaseName=DATABASE, TableInput={"Name": "events", "Parameters": {}})
    with pytest.raises(UsageError, match="a table events that shoplake did not create"):
        glue_catalog.publish(views[0], DATABASE)


@pytest.mark.parametrize(
    ("refusal", "family"), [("AccessDeniedException", FatalError), ("ThrottlingException", TransientError)]
)
def test_what_glue_refuses_is_told_with_a_remedy(glue: Any, views: list[View], refusal: str, family: type[Exception]):
    class Refuses:
        exceptions = glue.exceptions

        def get_table(self, **_: Any) -> None:
            raise glue.exceptions.ClientError({"Error": {"Code": refusal, "Message": "no"}}, "GetTable")

    with pytest.raises(family, match="publishing to the Glue database shoplake_x"):
        glue_catalog.publish(views[0], DATABASE, Refuses())
