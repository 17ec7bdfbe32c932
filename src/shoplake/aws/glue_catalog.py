"""The Glue Data Catalog as a mirror of a lake: each table's pointer follows what ``catalog.json`` names.

The lake's truth stays in ``catalog.json``. A run tells Glue after each batch, and at its end once more, which repairs what
a run that was killed left untold. Pointers only move forward (docs/adr/0013-aws.md).
"""

from __future__ import annotations

from typing import Any

from shoplake.aws import clients
from shoplake.errors import TransientError, UsageError
from shoplake.lake.snapshots import TableSnapshot, View
from shoplake.lake.types import column_type
from shoplake.tables import TABLES, Table

VERSION = "shoplake.version"
UUID = "shoplake.table-uuid"
_TRIES = 10
_MOVED = {"ConcurrentModificationException", "VersionMismatchException", "AlreadyExistsException"}


def publish(view: View, database: str, client: Any | None = None) -> None:
    """Move each table's pointer forward to where a view has it; the ledger's after those of the rows that it tells of.

    Args:
        view: The lake as a commit left it.
        database: The Glue database; it exists.
        client: A client of Glue; one is made by default.

    Raises:
        UsageError: The database is missing, or it has a table of the same name that is not shoplake's.
        TransientError: Others changed the tables all the time.
        FatalError: Glue refused.
    """
    glue = client or clients.client("glue")
    with clients.explained(f"publishing to the Glue database {database}"):
        for table in TABLES:
            snapshot = view[table.name]
            if snapshot.location:
                _move(glue, database, snapshot, view.version)


def _move(glue: Any, database: str, snapshot: TableSnapshot, version: int) -> None:
    """Move one pointer, unless it is there already, or further; Glue itself refuses a change that another one preceded."""
    name = snapshot.table.name
    for _ in range(_TRIES):
        found = _find(glue, database, name)
        if found and _is_as_new(found, snapshot, version):
            return
        previous = found["Parameters"]["metadata_location"] if found else None
        new = _table_input(snapshot, version, previous)
        try:
            if found:
                glue.update_table(
                    DatabaseName=database, TableInput=new, SkipArchive=True, VersionId=found.get("VersionId", "0")
                )
            else:
                glue.create_table(DatabaseName=database, TableInput=new)
        except glue.exceptions.ClientError as error:
            if clients.code(error) not in _MOVED:
                raise
        else:
            return
    raise TransientError(
        f"others change table {name} of the Glue database {database} all the time",
        remedy="The lake itself is as it should be. Run again later.",
    )


def _find(glue: Any, database: str, name: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = glue.get_table(DatabaseName=database, Name=name)["Table"]
    except glue.exceptions.EntityNotFoundException as error:
        if "atabase" in str(error) and name not in str(error):
            raise UsageError(
                f"there is no Glue database {database}",
                remedy="The stack makes it (shoplake deploy); or: aws glue create-database --database-input Name=...",
            ) from error
        return None
    if VERSION not in found.get("Parameters", {}):
        raise UsageError(
            f"the Glue database {database} has a table {name} that shoplake did not make",
            remedy="Give another database, or drop that table.",
        )
    return found


def _is_as_new(found: dict[str, Any], snapshot: TableSnapshot, version: int) -> bool:
    """Whether Glue has this or a later state; a table of a lake that was made anew is not a later state of it."""
    parameters = found["Parameters"]
    if parameters["metadata_location"] == snapshot.location:
        return True
    return parameters.get(UUID) == snapshot.uuid and int(parameters[VERSION]) >= version


def _table_input(snapshot: TableSnapshot, version: int, previous: str | None) -> dict[str, Any]:
    table = snapshot.table
    parameters = {
        "table_type": "ICEBERG",
        "metadata_location": str(snapshot.location),
        VERSION: str(version),
        UUID: snapshot.uuid,
    }
    if previous:
        parameters["previous_metadata_location"] = previous
    return {
        "Name": table.name,
        "Description": table.grain,
        "TableType": "EXTERNAL_TABLE",
        "Parameters": parameters,
        "StorageDescriptor": {"Location": snapshot.folder, "Columns": _columns(table)},
    }


def _columns(table: Table) -> list[dict[str, str]]:
    return [
        {"Name": column.name, "Type": column_type(column.type).hive, "Comment": column.doc} for column in table.columns
    ]
