"""Files: each one that the lake's view refers to is there and as recorded; one that nothing refers to is an orphan."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shoplake.errors import FatalError, MissingFileError
from shoplake.lake import manifests, parquet
from shoplake.lake.catalog import CATALOG_FILE
from shoplake.lake.hours import hours_between
from shoplake.lake.metadata import Snapshot, hint_location
from shoplake.lake.snapshots import DataFile, TableSnapshot, View, may_be_written, owner
from shoplake.operations.verify.report import FROM_BACKUP, REBUILD, Audit, Note, replay
from shoplake.operations.verify.sample import Sample
from shoplake.storage.base import Storage, StoredFile
from shoplake.tables import ACTIVITY_DAILY, EVENTS, GOLD_HOURLY, QUARANTINE, TABLES, Table
from shoplake.text import count

_T = TypeVar("_T")

GOLD = (*GOLD_HOURLY, ACTIVITY_DAILY)
YOUNG = timedelta(hours=1)
_FIRST_ORPHANS = 20
_DAMAGED = (FatalError, ValueError, LookupError, TypeError, EOFError, OSError, struct.error, zlib.error)


@dataclass
class Inventory:
    """The data files of a view, and which of them cannot be read.

    Attributes:
        files: The live data files of each table, as far as its manifests can be read.
        damaged: Paths of data files that are missing or cannot be read.
    """

    root: str
    files: dict[str, list[DataFile]] = field(default_factory=dict)
    damaged: set[str] = field(default_factory=set)

    def usable(self, table: Table) -> list[DataFile]:
        """The data files of a table that can be read."""
        return [file for file in self.files.get(table.name, []) if file.path not in self.damaged]

    def broken(self, table: Table) -> list[DataFile]:
        """The data files of a table that cannot be read."""
        return [file for file in self.files.get(table.name, []) if file.path in self.damaged]

    def short(self, location: str) -> str:
        """A location as it is below the lake."""
        return location.removeprefix("file://").removeprefix(f"{self.root}/")


def hours_of(file: DataFile, column: str) -> list[datetime]:
    """The hours that a data file of an hourly table spans."""
    return hours_between(file.lower[column], file.upper[column])


def remedy_for(table: Table, file: DataFile) -> str:
    """What repairs a data file that is not as it should be."""
    if table in GOLD:
        return REBUILD
    if table in {EVENTS, QUARANTINE}:
        ends = [path for path in (file.lower.get(table.key), file.upper.get(table.key)) if path is not None]
        if ends and ends[0] == ends[-1]:
            return replay(ends[:1])
        return "Re-ingest all source files whose rows it contains: shoplake replay" + (
            f" (from {ends[0]} to {ends[-1]})" if ends else ""
        )
    return FROM_BACKUP


class Files:
    """Examines every file of a lake."""

    def __init__(self, view: View, storage: Storage, sample: Sample, threads: int, now: datetime) -> None:
        """List the lake.

        Args:
            view: The view to examine.
            storage: Where the lake is.
            sample: Which footers to read; presence and size are checked for every file.
            threads: How many footers to read at once.
            now: The time, UTC with a zone, to tell how old an orphan is.
        """
        self.inventory = Inventory(storage.root)
        self.files = Audit("files", "files are there and as recorded", "files")
        self.history = Audit("history", "files of older snapshots are there", "snapshots")
        self._view, self._storage, self._sample, self._threads, self._now = view, storage, sample, threads, now
        self._listing = {file.location: file for file in storage.list(storage.root)}
        self._referenced: set[str] = {f"{storage.root}/{CATALOG_FILE}"}
        self._referenced |= {hint_location(table.folder) for table in view.tables.values()}
        self._manifests: dict[str, list[str]] = {}

    def look(self) -> list[Note]:
        """Fill the inventory and both audits; returns notes."""
        for table in TABLES:
            self._table(self._view[table.name])
        self._data_files()
        for table in TABLES:
            self._history(self._view[table.name])
        return self._orphans()

    def lost(self) -> bool:
        """Whether a file is missing: maintenance may have removed it during this verification."""
        return any(found.what == "missing" for found in self.files.differences + self.history.differences)

    def unreadable(self, table: Table, file: DataFile, why: str) -> None:
        """Note a data file that turned out to be unreadable."""
        self.inventory.damaged.add(file.path)
        where = self.inventory.short(file.path)
        message = f"a data file of {table.name} cannot be read: {why}"
        self.files.differs("unreadable", where, message, remedy_for(table, file), table=table.name)

    # ------------------------------------------------------------------------------------------------------ current state

    def _table(self, snapshot: TableSnapshot) -> None:
        name = snapshot.table.name
        files: list[DataFile] = []
        self.inventory.files[name] = files
        if snapshot.location is None:
            self.files.differs("unnamed", CATALOG_FILE, f"the catalog has no table {name}", FROM_BACKUP, table=name)
            return
        self._there(snapshot.location, f"the metadata document of {name}")
        try:
            listed = snapshot.manifests
        except _DAMAGED as error:
            self._broken(_manifest_list(snapshot) or snapshot.location, f"the manifest list of {name}", name, error)
            return
        if snapshot.snapshot is None:
            return
        self._there(snapshot.snapshot["manifest-list"], f"the manifest list of {name}")
        complete = True
        for manifest in listed:
            path = manifest["manifest_path"]
            try:
                found = snapshot.files_of(manifest)
            except _DAMAGED as error:
                self._broken(path, f"a manifest of {name}", name, error)
                complete = False
                continue
            self._there(path, f"a manifest of {name}", manifest["manifest_length"])
            files += found
        totals = (len(files), sum(file.rows for file in files), sum(file.bytes for file in files))
        recorded = (snapshot.file_count, snapshot.rows, snapshot.bytes)
        if complete and totals != recorded:
            self.files.differs(
                "totals",
                self.inventory.short(snapshot.location),
                f"the manifests of {name} list {_totals(totals)}, but its snapshot records {_totals(recorded)}",
                FROM_BACKUP,
                table=name,
            )

    def _there(self, location: str, kind: str, size: int | None = None) -> None:
        """A metadata file of the table is there, with its size; its content was read already or is not needed."""
        found = self._find(location)
        self.files.checked += 1
        where = self.inventory.short(location)
        if found is None:
            self.files.differs("missing", where, f"{kind} is missing", FROM_BACKUP)
        elif size is not None and found.bytes != size:
            self.files.differs("changed", where, f"{kind} has {found.bytes:,} bytes instead of {size:,}", FROM_BACKUP)

    def _broken(self, location: str, kind: str, table: str, error: Exception) -> None:
        missing = self._find(location) is None
        self.files.checked += 1
        self.files.differs(
            "missing" if missing else "unreadable",
            self.inventory.short(location),
            f"{kind} is missing" if missing else f"{kind} cannot be read: {error}",
            FROM_BACKUP,
            table=table,
        )

    def _find(self, location: str) -> StoredFile | None:
        location = location.removeprefix("file://")
        self._referenced.add(location)
        return self._listing.get(location)

    def _data_files(self) -> None:
        all_files = [(table, file) for table in TABLES for file in self.inventory.files[table.name]]
        chosen = self._sample.of("data files", {file.path for _, file in all_files})
        footers = self._footers([(table, file) for table, file in all_files if file.path in chosen])
        for table, file in all_files:
            if file.path in chosen:
                self.files.checked += 1
            else:
                self.files.skipped += 1
            self._data_file(table, file, footers.get(file.path))

    def _footers(self, files: list[tuple[Table, DataFile]]) -> dict[str, _Footer]:
        with ThreadPoolExecutor(self._threads) as pool:
            read = pool.map(lambda pair: _footer(self._storage, *pair), files)
            return {file.path: footer for (_, file), footer in zip(files, read, strict=True)}

    def _data_file(self, table: Table, file: DataFile, footer: _Footer | None) -> None:
        where, remedy = self.inventory.short(file.path), remedy_for(table, file)
        found = self._find(file.path)
        of = {"table": table.name}
        if found is None:
            self.inventory.damaged.add(file.path)
            message = f"a data file of {table.name} with {count(file.rows, 'row')} is missing"
            self.files.differs("missing", where, message, remedy, **of)
            return
        wrong = []
        if found.bytes != file.bytes:
            wrong.append(f"{found.bytes:,} bytes instead of {file.bytes:,}")
        if not {table.key, table.partition[0]} <= file.lower.keys() & file.upper.keys():
            wrong.append("no bounds recorded")
            self.inventory.damaged.add(file.path)
        if footer is not None and footer.error:
            self.inventory.damaged.add(file.path)
            message = f"a data file of {table.name} cannot be read: {'; '.join([*wrong, footer.error])}"
            self.files.differs("unreadable", where, message, remedy, **of)
            return
        if footer is not None:
            if footer.rows != file.rows:
                wrong.append(f"{count(footer.rows, 'row')} instead of {file.rows:,}")
            wrong += [
                f"{name} from {low} to {high}, outside the recorded bounds {file.lower[name]} to {file.upper[name]}"
                for name, (low, high) in footer.bounds.items()
                if name in file.lower and not (file.lower[name] <= low and high <= file.upper[name])
            ]
        if wrong:
            message = f"a data file of {table.name} is not as recorded: {'; '.join(wrong)}"
            self.files.differs("changed", where, message, remedy, **of)

    # ------------------------------------------------------------------------------------------------ history and orphans

    def _history(self, snapshot: TableSnapshot) -> None:
        if snapshot.metadata is None:
            return
        for document in snapshot.metadata["metadata-log"]:
            self._past(document["metadata-file"], f"an earlier metadata document of {snapshot.table.name}")
        current = snapshot.metadata["current-snapshot-id"]
        for kept in snapshot.history:
            self.history.checked += kept["snapshot-id"] != current
            for path in self._data_files_of(kept, snapshot.table.name):
                self._past(path, f"a data file of an earlier snapshot of {snapshot.table.name}")

    def _data_files_of(self, snapshot: Snapshot, table: str) -> Iterator[str]:
        listing, kind = snapshot["manifest-list"], f"the manifest list of an earlier snapshot of {table}"
        self._past(listing, kind)
        for manifest in self._read(listing, kind, manifests.read_manifest_list):
            path = manifest["manifest_path"]
            if path not in self._manifests:
                kind = f"a manifest of an earlier snapshot of {table}"
                self._past(path, kind)
                self._manifests[path] = [
                    entry["data_file"]["file_path"]
                    for entry in self._read(path, kind, manifests.read_manifest)
                    if entry["status"] != manifests.DELETED
                ]
                yield from self._manifests[path]

    def _read(self, location: str, kind: str, parse: Callable[[bytes], list[_T]]) -> list[_T]:
        if self._find(location) is None:
            return []
        try:
            return parse(self._storage.read(location))
        except _DAMAGED as error:
            where = self.inventory.short(location)
            if where not in {difference.where for difference in self.files.differences}:
                self.history.differs("unreadable", where, f"{kind} cannot be read: {error}", _EXPIRE)
            return []

    def _past(self, location: str, kind: str) -> None:
        current = location.removeprefix("file://") in self._referenced
        if self._find(location) is None and not current:
            self.history.differs("missing", self.inventory.short(location), f"{kind} is missing", _EXPIRE)

    def _orphans(self) -> list[Note]:
        orphans = [
            file
            for location, file in sorted(self._listing.items())
            if owner(location) not in self._referenced
            and not location.rpartition("/")[2].startswith(".")
            and may_be_written(location, self._storage.root)
        ]
        if not orphans:
            return []
        young = [file for file in orphans if self._now - file.modified < YOUNG]
        size = sum(file.bytes for file in orphans)
        message = f"{_files(len(orphans))} ({size:,} bytes) that no kept snapshot refers to"
        if young:
            message += f"; {len(young):,} of them younger than an hour, possibly of a run in progress"
        return [
            Note(
                "orphans",
                f"{message}; shoplake maintain removes them after a day",
                {
                    "files": len(orphans),
                    "bytes": size,
                    "young_files": len(young),
                    "young_bytes": sum(file.bytes for file in young),
                    "first": [self.inventory.short(file.location) for file in orphans[:_FIRST_ORPHANS]],
                },
            )
        ]


_EXPIRE = "Only time travel to that snapshot is lost; the snapshot expires after at most 100 more batches."


@dataclass(frozen=True)
class _Footer:
    """What a data file says about itself, or why it cannot be read."""

    rows: int = 0
    bounds: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    error: str = ""


def _footer(storage: Storage, table: Table, file: DataFile) -> _Footer:
    try:
        with storage.open(file.path) as stream:
            footer = pq.read_metadata(stream)
            missing = set(table.column_names) - set(footer.schema.to_arrow_schema().names)
            if missing:
                return _Footer(error=f"it lacks column {', '.join(sorted(missing))}")
            return _Footer(footer.num_rows, _bounds(table, footer, stream) if footer.num_rows else {})
    except MissingFileError:
        return _Footer(error="it is missing")
    except (pa.ArrowException, *_DAMAGED) as error:
        return _Footer(error=str(error))


def _bounds(table: Table, footer: pq.FileMetaData, stream: Any) -> dict[str, tuple[Any, Any]]:
    try:
        return parquet.bounds(table, footer)
    except (AttributeError, TypeError):  # a column chunk without statistics
        names = list(dict.fromkeys((table.key, table.partition[0])))
        stream.seek(0)
        rows = parquet.read(table, stream, names)
        ends = {name: pc.min_max(rows.column(name)) for name in names}
        return {name: (both["min"].as_py(), both["max"].as_py()) for name, both in ends.items()}


def _manifest_list(snapshot: TableSnapshot) -> str:
    """The location of the manifest list, empty if the metadata does not say."""
    try:
        return str(snapshot.snapshot["manifest-list"]) if snapshot.snapshot else ""
    except _DAMAGED:
        return ""


def _totals(figures: Collection[int]) -> str:
    files, rows, size = figures
    return f"{_files(files)} with {count(rows, 'row')} and {count(size, 'byte')}"


def _files(number: int) -> str:
    return f"{number:,} file" if number == 1 else f"{number:,} files"
