"""Mirrors a lake in the Glue Data Catalog: each table's pointer follows ``catalog.json``.

``catalog.json`` remains the source of truth. A run updates Glue after each batch, and once more at its end, which makes up for
a run that was killed before it could. Pointers only move forward (docs/adr/0013-aws.md).
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
    """Move each table's pointer forward to that of a view; the ledger's after those of the rows that it accounts for.

    Args:
        view: The lake after a commit.
        database: The Glue database; it exists.
        client: A Glue client; created if None.

    Raises:
        UsageError: The database does not exist, or has a table of the same name that shoplake did not create.
        TransientError: Other runs kept changing the tables.
        FatalError: Glue refused.
    """
    glue = client or clients.client("glue")
    with clients.explained(f"publishing to the Glue database {database}"):
        for table in TABLES:
            snapshot = view[table.name]
            if snapshot.location:
                _move(glue, database, snapshot, view.version)


def _move(glue: Any, database: str, snapshot: TableSnapshot, version: int) -> None:
    """Move one pointer unless it is already there or further; Glue itself refuses a change that lost a race."""
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
        f"other runs keep changing table {name} of the Glue database {database}",
        remedy="The lake itself is unaffected. Run this again later.",
    )


def _find(glue: Any, database: str, name: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = glue.get_table(DatabaseName=database, Name=name)["Table"]
    except glue.exceptions.EntityNotFoundException as error:
        if "atabase" in str(error) and name not in str(error):
            raise UsageError(
                f"there is no Glue database {database}",
                remedy="The stack creates it (shoplake deploy); or: aws glue create-database --database-input Name=...",
            ) from error
        return None
    if VERSION not in found.get("Parameters", {}):
        raise UsageError(
            f"the Glue database {database} has a table {name} that shoplake did not create",
            remedy="Give another database, or drop that table.",
        )
    return found


def _is_as_new(found: dict[str, Any], snapshot: TableSnapshot, version: int) -> bool:
    """Whether Glue has this state or a later one; the table of a recreated lake is not a later state."""
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
