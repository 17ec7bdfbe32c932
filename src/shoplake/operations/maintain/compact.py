"""Compaction: which files to merge, as a pure function of a view and the time, and the merging of one group of files.

The unit is the partition: an hour of ``events``, a day of the hourly gold tables and of ``quarantine``, a month of
``activity_daily`` and of the ledger. While it is open, every batch adds files to it; once it is closed, few do.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from shoplake.engines import unit_keys
from shoplake.engines.part_sums import add_up_hour
from shoplake.lake import parquet
from shoplake.lake.commits import Commit
from shoplake.lake.metadata import partition_folder, partition_value
from shoplake.lake.parquet import NewFile
from shoplake.lake.parts import in_parts
from shoplake.lake.snapshots import DataFile, TableSnapshot, View
from shoplake.storage.base import Storage
from shoplake.tables import TABLES, UNIT_TABLES, Table

TARGET_BYTES = 256 * 1024 * 1024
TARGET_ROWS = 8 << 20
TARGET_UNITS = 4 << 20
"""Rows of a table of users or sessions: each has a text of its own, and eight million took 2.5 GB to merge, more than an
ingest takes."""
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
                days[day] += [Group(table, day, part) for part in _bins(table, files) if _is_worth_merging(part)]
    return {day: days[day] for day in sorted(days) if days[day]}


def plan_parts(view: View) -> list[Group]:
    """The hours of users and sessions whose parts are worth adding up, oldest first: those that are followed by another.

    Of the newest two days alone, so that what a run reads does not grow with the age of the lake; :func:`plan` has all.
    """
    found = []
    for table in UNIT_TABLES:
        files = view[table.name].newest(2)
        newest = max((file.upper[table.key] for file in files), default=None)
        for some in _sharing_hours(files):
            first, last = some[0].lower[table.key], max(file.upper[table.key] for file in some)
            if first == last != newest and _is_worth_merging(some):
                found.append(Group(table, first.date(), tuple(some)))
    return sorted(found, key=lambda group: group.files[0].lower[group.table.key])


def is_current(group: Group, view: View) -> bool:
    """Whether a view still refers to all files of a group, so that no other run has replaced rows of it."""
    snapshot: TableSnapshot = view[group.table.name]
    column = group.table.partition[0]
    low = min(file.lower[column] for file in group.files)
    high = max(file.upper[column] for file in group.files)
    return group.paths <= {file.path for file in snapshot.within(low, high)}


def merge(group: Group, storage: Storage, commit: Commit) -> NewFile:
    """Write the rows of a group's files as one file, in the order that prunes best for queries."""
    table, base = group.table, commit.base[group.table.name]
    day, keys = group.files[0].lower[table.partition[0]], None
    contents = (storage.read(file.path) for file in group.files)
    with parquet.reading(f"{group.files[0].path}, or one that is merged with it,"):
        if table.unit is None:
            rows = parquet.read_together(table, contents)
        else:
            rows = _units(table, [parquet.read(table, content) for content in contents], in_parts(group.files))
            keys = unit_keys.of(pc.unique(rows.column(table.unit)), base.uuid).in_order().encoded(base.uuid)
    return commit.write(table, day, rows, table.merged_sort, keys=keys)


def _units(table: Table, files: list[pa.Table], split: Collection[datetime]) -> pa.Table:
    """The rows of several files of users or sessions, the parts of each hour added up."""
    pieces = []
    for hour in sorted(split):
        this = pa.scalar(hour, pa.timestamp("us"))
        parts = [rows.filter(pc.equal(rows.column(table.key), this)) for rows in files]
        if parts := [rows for rows in parts if rows.num_rows]:
            pieces.append(add_up_hour(table, parts))
    schema = parquet.arrow_schema(table).remove_metadata()
    for rows in files:
        whole = rows.filter(pc.invert(parquet.among(rows.column(table.key), split))) if split else rows
        pieces.append(whole.cast(schema))
    return pa.concat_tables(pieces)


def _bins(table: Table, files: Sequence[DataFile]) -> Iterator[tuple[DataFile, ...]]:
    """Packs files into bins of the target size, smallest first; what is larger gets a bin of its own.

    The parts of an hour stay together, and such a table goes by the hours: only parts have hours in common afterwards.
    """
    most_rows = TARGET_UNITS if table.unit else TARGET_ROWS
    if table.unit:
        together = _sharing_hours(files)
    else:
        together = [[file] for file in sorted(files, key=lambda file: (file.bytes, file.path))]
    packed: list[DataFile] = []
    size = rows = 0
    for some in together:
        more, more_rows = sum(file.bytes for file in some), sum(file.rows for file in some)
        size, rows = size + more, rows + more_rows
        if packed and (size > TARGET_BYTES or rows > most_rows):
            yield tuple(packed)
            packed, size, rows = [], more, more_rows
        packed += some
    yield tuple(packed)


def _sharing_hours(files: Sequence[DataFile]) -> list[list[DataFile]]:
    """Groups of files that have hours in common, in the order of the hours."""
    groups: list[list[DataFile]] = []
    for file in sorted(files, key=lambda file: (file.lower["event_hour"], file.path)):
        if groups and file.lower["event_hour"] <= max(one.upper["event_hour"] for one in groups[-1]):
            groups[-1].append(file)
        else:
            groups.append([file])
    return groups


def _is_worth_merging(files: Sequence[DataFile]) -> bool:
    """A small file is not merged into a large one, which would be rewritten over and over, until there are several."""
    size = sum(file.bytes for file in files)
    alike = max(file.bytes for file in files) <= 0.75 * size
    return len(files) > 1 and (alike or len(files) >= _MOST_SMALL_FILES)
