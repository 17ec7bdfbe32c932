"""The write side of a lake: creates its tables and commits data files to them, through PyIceberg.

One operation serves every table: *replace the rows of these keys by these files*, atomically, and only if the table is
still at the snapshot that the run started from. Importing this module costs most of a second; only runs that have
something to commit do.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.conversions import from_bytes
from pyiceberg.exceptions import CommitFailedException, ValidationException
from pyiceberg.expressions import AlwaysTrue, BooleanExpression, In
from pyiceberg.io.pyarrow import (
    compute_statistics_plan,
    data_file_statistics_from_parquet_metadata,
    parquet_path_to_id_mapping,
)
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import DayTransform, HourTransform, MonthTransform, Transform
from pyiceberg.types import (
    DateType,
    DecimalType,
    DoubleType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    NestedField,
    StringType,
    TimestampType,
)

from shoplake import parquet
from shoplake.errors import TransientError
from shoplake.lake import Lake
from shoplake.parquet import NewFile
from shoplake.snapshots import BATCH, CATALOG_NAME, NAMESPACE, local_path
from shoplake.tables import BY_NAME, TABLES, Table

if TYPE_CHECKING:
    from pyiceberg.table import Table as IcebergTable

_TYPES: dict[str, IcebergType] = {
    "string": StringType(),
    "int": IntegerType(),
    "long": LongType(),
    "double": DoubleType(),
    "timestamp": TimestampType(),
    "date": DateType(),
}
_TRANSFORMS: dict[str, Transform[Any, Any]] = {
    "hour": HourTransform(),
    "day": DayTransform(),
    "month": MonthTransform(),
}


class Commits:
    """The tables of one lake, as one run sees and changes them.

    Each table is read from the catalog once, so that a commit by anybody else in between makes this run's commit fail.
    """

    def __init__(self, lake: Lake) -> None:
        """Open the lake's tables, and make those that are missing."""
        self._lake = lake
        lake.path.mkdir(parents=True, exist_ok=True)
        self._catalog = SqlCatalog(
            CATALOG_NAME,
            # Quoted twice: once for SQLite's own URI, once for the URL around it.
            uri=f"sqlite:///file:{quote(quote(str(lake.catalog_path)))}?uri=true",
            warehouse=str(lake.path),
            init_catalog_tables=str(not lake.exists()).lower(),
        )
        self._catalog.create_namespace_if_not_exists(NAMESPACE)
        self._tables = {table.name: self._open(table) for table in TABLES}

    def undo(self, tables: Mapping[str, int | None]) -> None:
        """Take tables back to an earlier snapshot; None empties a table that had none.

        What a killed run had committed but never acknowledged goes: its source files are done again if they are still
        there, and nothing of them stays behind if they are not. Only for a run that holds the lake's lock.
        """
        for name, snapshot_id in tables.items():
            iceberg = self._tables[name]
            if snapshot_id is None:
                everything = {local_path(file.file_path) for file in self._files(iceberg, AlwaysTrue())}
                self.replace(BY_NAME[name], (), (), {BATCH: "undo"}, merge=everything)
            else:
                with iceberg.manage_snapshots() as changes:
                    changes.rollback_to_snapshot(snapshot_id)

    def snapshot_id(self, name: str) -> int | None:
        """The newest snapshot of a table, None before its first commit."""
        snapshot = self._tables[name].current_snapshot()
        return None if snapshot is None else snapshot.snapshot_id

    def new_path(self, table: Table, partition: str) -> Path:
        """A path for a new data file of a table; nothing is made there."""
        return Path(local_path(self._tables[table.name].location())) / "data" / partition / f"{uuid.uuid4()}.parquet"

    def replace(
        self,
        table: Table,
        keys: Collection[Any],
        new: Sequence[NewFile],
        properties: dict[str, str],
        *,
        merge: Collection[str] = (),
    ) -> set[Any]:
        """Replace all rows of the given keys by the given files, in one commit, or do nothing if nothing would change.

        Data files that hold only such rows are dropped by their statistics; files that also hold others are rewritten
        without them.

        Args:
            table: The table.
            keys: Values of the table's key column whose rows go.
            new: Files with the rows that come.
            properties: Recorded in the snapshot's summary.
            merge: Paths of small files whose rows are part of ``new``: they go whole.

        Returns:
            The partition values (as the transform gives them) of the files that lost rows.

        Raises:
            TransientError: The table was changed by another writer since this run opened it.
        """
        iceberg = self._tables[table.name]
        removed, kept = self._stale(table, keys, merge) if keys else ([], [])
        if merge:
            removed += [file for file in self._files(iceberg, AlwaysTrue()) if local_path(file.file_path) in merge]
        if not removed and not new and not kept:
            return set()
        additions = [self._data_file(iceberg, file) for file in (*kept, *new)]
        try:
            with iceberg.transaction() as transaction:
                producer = transaction.update_snapshot(snapshot_properties=properties)
                with producer.overwrite() if removed else producer.merge_append() as snapshot:
                    for file in removed:
                        snapshot.delete_data_file(file)
                    for file in additions:
                        snapshot.append_data_file(file)
        except (CommitFailedException, ValidationException) as error:
            raise TransientError(
                f"table {table.name} was changed by another writer during the run: {error}",
                remedy="Run the same command again: it plans anew from what is there now.",
            ) from error
        return {file.partition[0] for file in removed}

    def _open(self, table: Table) -> IcebergTable:
        column, transform = table.partition
        schema = _schema(table)
        return self._catalog.create_table_if_not_exists(
            (NAMESPACE, table.name),
            schema,
            location=str(self._lake.path / table.name),
            partition_spec=PartitionSpec(
                PartitionField(
                    schema.find_field(column).field_id, 1000, _TRANSFORMS[transform], f"{column}_{transform}"
                )
            ),
            properties={
                "format-version": "2",
                "write.parquet.compression-codec": "zstd",
                # Bounds of what files are found by, and of nothing else: manifests of a month stay quick to read.
                "write.metadata.metrics.default": "none",
                f"write.metadata.metrics.column.{column}": "full",
                f"write.metadata.metrics.column.{table.key}": "full",
                # A retried append after a lost race would count twice: the run plans anew instead.
                "commit.retry.num-retries": "0",
                "commit.manifest-merge.enabled": "true",
                "commit.manifest.min-count-to-merge": "20",
                "write.metadata.delete-after-commit.enabled": "true",
                "write.metadata.previous-versions-max": "20",
                "comment": table.grain,
            },
        )

    def _files(self, iceberg: IcebergTable, where: BooleanExpression) -> list[DataFile]:
        return [task.file for task in iceberg.scan(row_filter=where).plan_files()]

    def _stale(
        self, table: Table, keys: Collection[Any], merge: Collection[str]
    ) -> tuple[list[DataFile], list[NewFile]]:
        iceberg = self._tables[table.name]
        where: BooleanExpression = In(table.key, [_literal(key) for key in keys])  # type: ignore[arg-type, call-arg]
        field = iceberg.schema().find_field(table.key)
        values = pa.array(list(keys), parquet.arrow_schema(table).field(table.key).type)
        removed, kept = [], []
        for file in self._files(iceberg, where):
            if local_path(file.file_path) in merge:
                continue
            low, high = (bounds.get(field.field_id) for bounds in (file.lower_bounds, file.upper_bounds))
            if low is not None and low == high and _python(field.field_type, low) in keys:
                removed.append(file)
                continue
            rows = pq.read_table(local_path(file.file_path), schema=parquet.arrow_schema(table))
            rest = rows.filter(pc.invert(pc.is_in(rows.column(table.key), values)))
            if rest.num_rows < rows.num_rows:
                removed.append(file)
                if rest.num_rows:
                    folder = Path(local_path(file.file_path)).parent.name
                    kept.append(parquet.write(table, rest, self.new_path(table, folder)))
        return removed, kept

    def _data_file(self, iceberg: IcebergTable, file: NewFile) -> DataFile:
        schema = iceberg.schema()
        statistics = data_file_statistics_from_parquet_metadata(
            parquet_metadata=file.metadata,
            stats_columns=compute_statistics_plan(schema, iceberg.properties),
            parquet_column_mapping=parquet_path_to_id_mapping(schema),
        )
        return DataFile.from_args(
            content=DataFileContent.DATA,
            file_path=file.path,
            file_format=FileFormat.PARQUET,
            partition=statistics.partition(iceberg.spec(), schema),
            file_size_in_bytes=file.bytes,
            sort_order_id=None,
            spec_id=iceberg.spec().spec_id,
            equality_ids=None,
            key_metadata=None,
            **statistics.to_serialized_dict(),
        )


def _schema(table: Table) -> Schema:
    nested = len(table.columns)
    fields = []
    for field_id, column in enumerate(table.columns, 1):
        decimal = re.fullmatch(r"decimal\((\d+),(\d+)\)", column.type)
        if decimal:
            kind: IcebergType = DecimalType(int(decimal[1]), int(decimal[2]))
        elif column.type == "list<string>":
            nested += 1
            kind = ListType(element_id=nested, element=StringType(), element_required=False)
        else:
            kind = _TYPES[column.type]
        fields.append(NestedField(field_id, column.name, kind, required=False, doc=column.doc))
    return Schema(*fields)


def _literal(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value


def _python(kind: IcebergType, value: bytes) -> Any:
    decoded = from_bytes(kind, value)  # type: ignore[arg-type]
    if isinstance(kind, TimestampType):
        return pa.scalar(decoded, pa.timestamp("us")).as_py()
    if isinstance(kind, DateType):
        return pa.scalar(decoded, pa.date32()).as_py()
    return decoded
