"""A lake: one folder or S3 prefix with a catalog and every table, who may write to it, and what readers see of it."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from shoplake.errors import FatalError, ShoplakeError, TransientError, UnknownOutcomeError, UsageError
from shoplake.lake import documents
from shoplake.lake.metadata import DOCUMENT, hint_location, new_table
from shoplake.lake.snapshots import TableSnapshot, View
from shoplake.storage.open import open_storage
from shoplake.storage.uris import SCHEME, is_s3, split
from shoplake.tables import TABLES

CATALOG_FILE = "catalog.json"
FORMAT = 2
"""Of a lake: the catalog, the tables with their columns, and what the ledger records; see docs/concepts/compatibility.md."""
COPYING = "copying"
"""The name of the note at a place to which a lake is being copied."""
_PREVIOUS = 50


def around(path: Path) -> Path | None:
    """The folder of the lake that a path of this machine names or lies in, also of one that lost its catalog; None outside."""
    place = Path(os.path.realpath(path))  # unlike Path.resolve, it takes a loop of links as it is
    return next((folder for folder in (place, *place.parents) if _is_lake(folder)), None)


def above(root: str) -> str | None:
    """The lake that a lake's place would lie in; None if there is none."""
    if not is_s3(root):
        lake = around(Path(root).parent)
        return None if lake is None else str(lake)
    bucket, prefix = split(root)
    parts = prefix.split("/") if prefix else []
    parents = ["/".join([f"{SCHEME}{bucket}", *parts[:depth]]) for depth in reversed(range(len(parts)))]
    return next(filter(_has_catalog, parents), None)


def _has_catalog(place: str) -> bool:
    with suppress(ShoplakeError):  # which we may not look at
        return Lake(place).exists()
    return False


def _is_lake(folder: Path) -> bool:
    return os.path.isdir(folder / "ledger" / "metadata")  # noqa: PTH112 - Path.is_dir raises where reading is forbidden


class Lake:
    """A lake in a folder of this machine or on S3.

    ``catalog.json`` names the metadata document of every table. A batch becomes visible by one atomic swap of that file,
    which succeeds only if no one else has swapped it in between.

    Attributes:
        storage: Where its files are.
    """

    def __init__(self, root: str | Path) -> None:
        """Name a lake; nothing is read or created yet.

        Raises:
            UsageError: The place is a URI of a storage that is not supported, or an existing file; or it is on S3 and the
                package or the settings for S3 are missing.
        """
        self.storage = open_storage(root)

    @property
    def root(self) -> str:
        """Its location."""
        return self.storage.root

    def need(self) -> Lake:
        """This lake, if it exists.

        Raises:
            UsageError: There is no lake at the place.
        """
        if not self.exists():
            raise self._missing()
        return self

    def need_view(self) -> View:
        """The view of a lake that exists.

        Raises:
            UsageError: There is no lake at the place.
            FatalError: The catalog or a table's metadata is damaged or missing.
        """
        view = self.view()
        if view.catalog is None:
            raise self._missing()
        return view

    def need_view_to_copy(self) -> View:
        """The view of a lake that exists, or was moved to the place as files: its paths may name another place.

        Raises:
            UsageError: There is no lake at the place.
            FatalError: The catalog or a table's metadata is damaged or missing.
        """
        view = self._view(moved=True)
        if view.catalog is None:
            raise self._missing()
        return view

    def changed_since(self, view: View) -> bool:
        """Whether the lake is no longer as a view shows it; reads the catalog alone.

        Raises:
            ShoplakeError: The catalog cannot be read.
        """
        return self.storage.read_if_there(self.catalog_location) != view.catalog

    def exists(self) -> bool:
        """Whether there is a lake at the place."""
        return self.storage.read_if_there(self.catalog_location) is not None

    def view(self) -> View:
        """Every table as the last batch left it; all empty where there is no lake yet.

        Raises:
            FatalError: The catalog or a table's metadata is damaged or missing.
        """
        return self._view(moved=False)

    def _view(self, *, moved: bool) -> View:
        content = self.storage.read_if_there(self.catalog_location)
        if content is None:
            return View({table.name: TableSnapshot(table, self.storage, None, None) for table in TABLES}, None, 0)
        names = tuple(table.name for table in TABLES)
        catalog = documents.read_catalog(self.catalog_location, content, FORMAT, names)
        places = {name: f"{self.root}/{catalog['tables'][name]}" for name in names}
        contents = dict(zip(places, self.storage.read_all(list(places.values())), strict=True))
        tables = {}
        for table in TABLES:
            place = places[table.name]
            metadata = documents.read_metadata(place, contents[table.name])
            if metadata["location"] != f"{self.root}/{table.name}" and not moved:
                raise self._copied(metadata["location"].removesuffix(f"/{table.name}"))
            documents.check_columns(place, metadata, table)
            tables[table.name] = TableSnapshot(table, self.storage, place, metadata)
        return View(tables, content, catalog["version"])

    def create(self) -> View:
        """The lake's view; creates an empty lake where there is none.

        Raises:
            FatalError: There are data files but no catalog.
        """
        view = self.view()
        if view.catalog is not None:
            return view
        data = any(True for table in TABLES for _ in self.storage.list(f"{self.root}/{table.name}/data"))
        if (
            data and self.storage.read_if_there(self.catalog_location) is None
        ):  # another run may just have created the lake
            raise FatalError(
                f"{self.root} holds data but no {CATALOG_FILE}",
                remedy=self._unfinished() or f"Rebuild it: shoplake recover --lake {self.root}",
            )
        locations = {}
        for table in TABLES:
            locations[table.name] = f"{self.root}/{table.name}/metadata/00000-{uuid.uuid4()}{DOCUMENT}"
            metadata = new_table(table, f"{self.root}/{table.name}")
            self.storage.write(locations[table.name], json.dumps(metadata).encode())
        self.swap(view, locations)  # whoever wins a race, the lake exists then
        return self.view()

    def swap(self, base: View, metadata: Mapping[str, str]) -> bytes | None:
        """Make a new state of all tables visible at once, if the lake has not changed.

        Args:
            base: What the new state was made from.
            metadata: Locations of new metadata documents, by table; the other tables stay as in ``base``.

        Returns:
            The new catalog, or None if someone else changed the lake since ``base`` was read.

        Raises:
            UnknownOutcomeError: The storage did not respond: the new state may be visible, or may still become so.
        """
        before = json.loads(base.catalog) if base.catalog else {}
        catalog = {
            "format": FORMAT,
            "version": base.version + 1,
            "id": uuid.uuid4().hex,
            "previous": [before["id"], *before.get("previous", [])][:_PREVIOUS] if before else [],
            "tables": self._tables(base, metadata),
        }
        content = json.dumps(catalog, indent=1).encode()
        if self.storage.swap(self.catalog_location, base.catalog, content) or self._is_built_upon(str(catalog["id"])):
            self.hint()
            return content
        return None

    def hint(self) -> None:
        """Name each table's newest metadata in its ``version-hint.text``, where that costs nothing: in a folder.

        It is for readers that know no catalog, such as DuckDB's ``iceberg_scan``, and nothing of ours reads it. It follows
        the swap, so after a crash it may name the state before, until the next change of the lake; what that state refers
        to is still there.
        """
        with suppress(ShoplakeError, OSError):
            self.storage.hint(self._hints)

    def _hints(self) -> dict[str, bytes]:
        content = self.storage.read_if_there(self.catalog_location)
        tables = json.loads(content)["tables"] if content else {}
        hints = {hint_location(f"{self.root}/{name}"): Path(place).name for name, place in tables.items()}
        return {location: name.removesuffix(DOCUMENT).encode() for location, name in hints.items()}

    def state(self, base: View, metadata: Mapping[str, str]) -> str:
        """What the documents of a new state record of it, as JSON: its version and the documents of all tables.

        Args:
            base: What it was made from.
            metadata: Locations of new metadata documents, by table.
        """
        return json.dumps({"version": base.version + 1, "tables": self._tables(base, metadata)})

    def _tables(self, base: View, metadata: Mapping[str, str]) -> dict[str, str]:
        """The documents of all tables, below the lake."""
        locations = {name: table.location for name, table in base.tables.items() if table.location} | dict(metadata)
        return {name: location.removeprefix(f"{self.root}/") for name, location in locations.items()}

    def _is_built_upon(self, catalog_id: str) -> bool:
        """Whether the catalog descends from the given one: its swap succeeded, its response got lost, and others followed."""
        try:
            now = self.storage.read_if_there(self.catalog_location)
        except TransientError as error:
            raise UnknownOutcomeError(
                f"no response to the swap of {self.catalog_location}", remedy=error.remedy
            ) from error
        try:
            return now is not None and catalog_id in json.loads(now).get("previous", [])
        except (ValueError, AttributeError):
            return False  # damaged; the next read reports that

    def lock(self, waiting: Callable[[str], None] | None = None) -> AbstractContextManager[None]:
        """Be the only run that writes to this lake, where the storage has locks; wait for another one to end.

        It saves the work that the loser of a race would do for nothing: two runs at once cost 1.1 times the CPU
        of one with it, 2.1 times without (docs/adr/0018). What keeps the tables right is the swap. On S3 there is no lock.

        Args:
            waiting: Is told, once, who is being waited for.

        Raises:
            FatalError: The folder cannot be written to.
        """
        return self.storage.lock(waiting)

    @property
    def catalog_location(self) -> str:
        """The location of the catalog, the one file that is ever replaced."""
        return f"{self.root}/{CATALOG_FILE}"

    def _copied(self, origin: str) -> FatalError:
        return FatalError(
            f"the lake {self.root} is a copy, or was moved: its tables still refer to the files of {origin}",
            remedy=f"Use {origin}, or move it back there: through a copy, an ingest or an erasure would change the original."
            f" To have a lake at another place, copy it with its paths: shoplake copy {self.root} DEST",
        )

    def _missing(self) -> UsageError:
        return UsageError(
            f"there is no lake at {self.root}",
            remedy=self._unfinished() or f"Make one: shoplake ingest --source DIR --lake {self.root}",
        )

    def _unfinished(self) -> str:
        """What to do about a copy to this place that was stopped; an empty string if there was none."""
        note = self.storage.read_if_there(f"{self.root}/{COPYING}.json")
        with suppress(ValueError, KeyError, TypeError):
            return f"A copy was stopped. Finish it: shoplake copy {json.loads(note or b'')['lake']} {self.root}"
        return ""
