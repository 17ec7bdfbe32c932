"""Compaction: which files to merge, as a pure function of a view and the time, and the merging of one group of files.

The unit is the partition: an hour of ``events``, a day of the hourly gold tables and of ``quarantine``, a month of
``activity_daily`` and of the ledger. While it is open, every batch adds files to it; once it is closed, few do.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from shoplake.lake import parquet
from shoplake.lake.commits import Commit
from shoplake.lake.metadata import partition_folder, partition_value
from shoplake.lake.parquet import NewFile
from shoplake.lake.snapshots import DataFile, TableSnapshot, View
from shoplake.storage.base import Storage
from shoplake.tables import TABLES, Table

TARGET_BYTES = 256 * 1024 * 1024
TARGET_ROWS = 8 << 20
_MOST_SMALL_FILES = 8


@dataclass(frozen=True, eq=False)
class Group:
    """Files of one closed partition that are merged into one.

    Attributes:
        table: The table.
        day: The day of the partition's first row.
        files: The files.
    """

    table: Table
    day: date
    files: tuple[DataFile, ...]

    @property
    def paths(self) -> set[str]:
        """The paths of the files."""
        return {file.path for file in self.files}

    @property
    def partition(self) -> str:
        """The name of the partition's folder."""
        return partition_folder(self.table, self.files[0].lower[self.table.partition[0]])

    @property
    def bytes(self) -> int:
        """Their size."""
        return sum(file.bytes for file in self.files)


def plan(view: View, now: datetime, closed_after: timedelta) -> dict[date, list[Group]]:
    """The groups worth merging, by the day of their partition's first row.

    Args:
        view: The lake.
        now: The time, UTC without a zone.
        closed_after: A partition is closed when it ended at least this long ago.
    """
    days: dict[date, list[Group]] = defaultdict(list)
    for table in TABLES:
        column = table.partition[0]
        first_open = partition_value(table, now - closed_after)
        partitions: dict[int, list[DataFile]] = defaultdict(list)
        for file in view[table.name].files:
            partitions[partition_value(table, file.lower[column])].append(file)
        for number, files in sorted(partitions.items()):
            if number < first_open:
                first = min(file.lower[column] for file in files)
                day = first.date() if isinstance(first, datetime) else first
                days[day] += [Group(table, day, part) for part in _bins(files) if _is_worth_merging(part)]
    return {day: days[day] for day in sorted(days) if days[day]}


def is_current(group: Group, view: View) -> bool:
    """Whether a view still refers to all files of a group, so that no other run has replaced rows of it."""
    snapshot: TableSnapshot = view[group.table.name]
    column = group.table.partition[0]
    low = min(file.lower[column] for file in group.files)
    high = max(file.upper[column] for file in group.files)
    return group.paths <= {file.path for file in snapshot.within(low, high)}


def merge(group: Group, storage: Storage, commit: Commit) -> NewFile:
    """Write the rows of a group's files as one file, in the order that prunes best for queries."""
    table = group.table
    with parquet.reading(f"{group.files[0].path}, or one that is merged with it,"):
        rows = parquet.read_together(table, (storage.read(file.path) for file in group.files))
    return commit.write(table, group.files[0].lower[table.partition[0]], rows, table.merged_sort)


def _bins(files: Sequence[DataFile]) -> Iterator[tuple[DataFile, ...]]:
    """Packs files into bins of the target size, smallest first; a large file gets a bin of its own."""
    packed: list[DataFile] = []
    size = rows = 0
    for file in sorted(files, key=lambda file: (file.bytes, file.path)):
        size, rows = size + file.bytes, rows + file.rows
        if packed and (size > TARGET_BYTES or rows > TARGET_ROWS):
            yield tuple(packed)
            packed, size, rows = [], file.bytes, file.rows
        packed.append(file)
    yield tuple(packed)


def _is_worth_merging(files: Sequence[DataFile]) -> bool:
    """A small file is not merged into a large one, which would be rewritten over and over, until there are several."""
    size = sum(file.bytes for file in files)
    alike = max(file.bytes for file in files) <= 0.75 * size
    return len(files) > 1 and (alike or len(files) >= _MOST_SMALL_FILES)
