"""What a copy of one version of a lake consists of: its files by where they go, and its metadata with other paths."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

from shoplake.errors import FatalError
from shoplake.lake import manifests, metadata
from shoplake.lake.manifests import DATA, DELETED, ManifestEntry, ManifestFile
from shoplake.lake.metadata import Snapshot, TableMetadata
from shoplake.lake.snapshots import TableSnapshot, View, keys_location
from shoplake.storage.base import Storage
from shoplake.tables import TABLES, UNIT_TABLES, Table


@dataclass(frozen=True)
class Route:
    """From where to where a lake is copied.

    Attributes:
        storage: Where it is.
        origin: The root that its own paths name: another one if it was moved there.
        dest: The root of the copy.
    """

    storage: Storage
    origin: str
    dest: str

    def here(self, location: str) -> str:
        """Where a file is that the lake's metadata names."""
        return f"{self.storage.root}/{self._below(location)}"

    def there(self, location: str) -> str:
        """Where the copy has it."""
        return f"{self.dest}/{self._below(location)}"

    def _below(self, location: str) -> str:
        place = location.removeprefix("file://")
        if not place.startswith(f"{self.origin}/"):
            raise FatalError(
                f"{location} is outside the lake {self.origin}, which refers to it",
                remedy="Such a lake cannot be copied. Ingest its source into an empty folder.",
            )
        return place.removeprefix(f"{self.origin}/")


@dataclass(frozen=True)
class Transfer:
    """A file that the copy has as it is.

    Attributes:
        source: Where it is.
        dest: Where it goes.
        bytes: Its size.
        rows: Its rows; None if it is no data file.
    """

    source: str
    dest: str
    bytes: int
    rows: int | None = None


@dataclass(frozen=True)
class TableContents:
    """One table of the version.

    Attributes:
        table: Its declaration.
        metadata: Its document.
        snapshot: Its current snapshot, None for a table that never had a commit.
        manifests: Those of the snapshot that name live files, each with these files.
    """

    table: Table
    metadata: TableMetadata
    snapshot: Snapshot | None
    manifests: tuple[tuple[ManifestFile, list[ManifestEntry]], ...]

    @cached_property
    def entries(self) -> list[ManifestEntry]:
        """Its live files."""
        return [entry for _, entries in self.manifests for entry in entries]

    @property
    def rows(self) -> int:
        """Its rows."""
        return sum(entry["data_file"]["record_count"] for entry in self.entries)

    @property
    def bytes(self) -> int:
        """The size of its data files."""
        return sum(entry["data_file"]["file_size_in_bytes"] for entry in self.entries)


def origin_of(view: View) -> str:
    """The root that a lake's own paths name."""
    name = TABLES[0].name
    return view[name].folder.removesuffix(f"/{name}")


def contents(route: Route, snapshot: TableSnapshot) -> TableContents:
    """A table of the version, read from its manifests.

    Raises:
        MissingFileError: Another run has removed a manifest, or the lake is damaged.
        FatalError: The lake is damaged, or refers to files outside it.
    """
    document, table = snapshot.metadata, snapshot.table
    if document is None:
        raise FatalError(f"the lake names no table {table.name}", remedy="Find out what is lost: shoplake verify")
    if snapshot.snapshot is None:
        return TableContents(table, document, None, ())
    place = route.here(snapshot.snapshot["manifest-list"])
    found = []
    for manifest in manifests.read_manifest_list(route.storage.read(place), place):
        path = route.here(manifest["manifest_path"])
        if manifest["content"] != DATA:
            raise FatalError(
                f"table {table.name} has row-level delete files, which shoplake never writes",
                remedy="Rewrite the table's data files with the engine that made them.",
            )
        entries = manifests.read_manifest(route.storage.read(path), path)
        live = [entry for entry in entries if entry["status"] != DELETED]
        if live:
            found.append((manifest, live))
    whole = TableContents(table, document, snapshot.snapshot, tuple(found))
    if whole.rows != snapshot.rows:
        raise FatalError(
            f"the manifests of {table.name} list {whole.rows:,} rows, but its snapshot records {snapshot.rows:,}",
            remedy="See what is damaged: shoplake verify",
        )
    return whole


def transfers(route: Route, tables: list[TableContents]) -> list[Transfer]:
    """Every file that is sent as it is: data files, and the keys of units that lie beside them."""
    return [transfer for contents in tables for transfer in _transfers(route, contents)]


def _transfers(route: Route, contents: TableContents) -> Iterator[Transfer]:
    folder = f"{route.storage.root}/{contents.table.name}/data"
    sizes = {file.location: file.bytes for file in route.storage.list(folder)} if contents.table in UNIT_TABLES else {}
    for entry in contents.entries:
        file = entry["data_file"]
        here, there = route.here(file["file_path"]), route.there(file["file_path"])
        yield Transfer(here, there, file["file_size_in_bytes"], file["record_count"])
        keys = keys_location(here)
        if keys in sizes:
            yield Transfer(keys, keys_location(there), sizes[keys])


def manifest_files(route: Route, contents: TableContents) -> tuple[dict[str, bytes], str | None]:
    """The manifests of the copy and their list, by location, and which of them is the list.

    They are named by what is in them: the same version gives the same files, so that a copy which was stopped goes on,
    and one that is brought up to date sends what is new alone.
    """
    if contents.snapshot is None:
        return {}, None
    folder, table = f"{route.dest}/{contents.table.name}/metadata", contents.table
    document = contents.metadata | {"location": f"{route.dest}/{table.name}"}
    files: dict[str, bytes] = {}
    listed: list[ManifestFile] = []
    for manifest, entries in contents.manifests:
        moved = [
            entry | {"data_file": entry["data_file"] | {"file_path": route.there(entry["data_file"]["file_path"])}}
            for entry in entries
        ]
        marker = hashlib.sha256(PurePosixPath(manifest["manifest_path"]).name.encode()).digest()[:16]
        content = manifests.write_manifest(table, document, moved, marker)
        path = f"{folder}/{_digest(content)}-m0.avro"
        files[path] = content
        without_deleted: ManifestFile = {**manifest, "deleted_files_count": 0, "deleted_rows_count": 0}
        listed.append({**without_deleted, "manifest_path": path, "manifest_length": len(content)})
    snapshot = contents.snapshot
    ids = snapshot["snapshot-id"], None, snapshot["sequence-number"]
    content = manifests.write_manifest_list(listed, *ids, marker=hashlib.sha256(str(ids).encode()).digest()[:16])
    place = f"{folder}/snap-{snapshot['snapshot-id']}-0-{_digest(content)}.avro"
    return files | {place: content}, place


def document(route: Route, contents: TableContents, manifest_list: str | None, state: str) -> TableMetadata:
    """The metadata document of a table of the copy: the version alone, without the snapshots before it."""
    moved = metadata.current_alone(contents.metadata) | {"location": f"{route.dest}/{contents.table.name}"}
    if contents.snapshot is not None and manifest_list is not None:
        snapshot = contents.snapshot | {"manifest-list": manifest_list}
        snapshot.pop("parent-snapshot-id", None)
        moved |= {"snapshots": [snapshot]}
    return metadata.with_state(moved, state)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]
