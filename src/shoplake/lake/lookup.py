"""Which data files of a table have rows of given keys."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from shoplake.lake import parquet
from shoplake.lake.snapshots import DataFile, TableSnapshot


class KeyLookup:
    """Finds data files by the values of their table's key; remembers what it read of a file."""

    def __init__(self) -> None:
        """Nothing is read yet."""
        self._answers: dict[tuple[str, tuple[Any, ...]], bool] = {}

    def files(self, base: TableSnapshot, keys: Collection[Any], besides: Collection[str] = ()) -> list[DataFile]:
        """The data files that have rows of the given keys.

        Statistics rule most files in or out; of the others the key column is read.

        Args:
            base: The table.
            keys: Values of its key column.
            besides: Paths of files to leave out.
        """
        column, wanted = base.table.key, sorted(keys)
        if not wanted:
            return []
        candidates = base.within(wanted[0], wanted[-1]) if column == base.table.partition[0] else base.files
        return [
            file
            for file in candidates
            if file.path not in besides and file.may_hold(column, wanted) and self._has(base, file, wanted)
        ]

    def _has(self, base: TableSnapshot, file: DataFile, keys: Sequence[Any]) -> bool:
        import pyarrow.compute as pc

        column = base.table.key
        if file.lower[column] == file.upper[column]:
            return True
        question = file.path, tuple(keys)
        if question not in self._answers:
            with parquet.reading(file.path), base.storage.open(file.path) as stream:
                values = parquet.read_together(base.table, [stream], [column]).column(column)
            self._answers[question] = bool(pc.any(parquet.among(values, keys)).as_py())
        return self._answers[question]
