"""A lake: one folder that holds a catalog and every table, who may write to it, and what readers see of it."""

from __future__ import annotations

import fcntl
import json
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shoplake import iceberg
from shoplake.errors import FatalError, UsageError
from shoplake.snapshots import TableSnapshot, View
from shoplake.storage import LocalStorage
from shoplake.tables import TABLES

CATALOG_FILE = "catalog.json"
_LOCK_FILE = ".lock"
_FORMAT = 1


class Lake:
    """A lake in a folder of this machine.

    ``catalog.json`` names the metadata document of every table. A batch becomes visible by one atomic swap of that file,
    which happens only if nobody else swapped it in between.

    Attributes:
        storage: Where its files are.
    """

    def __init__(self, root: str | Path) -> None:
        """Name a lake; nothing is read or made yet.

        Raises:
            UsageError: The place is a URI of a storage that is not supported, or an existing file.
        """
        self.storage = LocalStorage(root)

    @property
    def root(self) -> str:
        """Its location."""
        return self.storage.root

    def need(self) -> Lake:
        """This lake, if it exists.

        Raises:
            UsageError: There is no lake at the place.
        """
        if self.storage.read_if_there(self._catalog) is None:
            raise UsageError(
                f"there is no lake at {self.root}", remedy=f"Make one: shoplake ingest --source DIR --lake {self.root}"
            )
        return self

    def catalog(self) -> bytes | None:
        """What names the state of every table: another text after every change, None where there is no lake."""
        return self.storage.read_if_there(self._catalog)

    def view(self) -> View:
        """Every table as the last batch left it; all empty where there is no lake yet.

        Raises:
            FatalError: The catalog or a table's metadata is damaged or missing.
        """
        content = self.storage.read_if_there(self._catalog)
        if content is None:
            return View({table.name: TableSnapshot(table, self.storage, None, {}) for table in TABLES}, None, 0)
        try:
            catalog = json.loads(content)
            version, locations = int(catalog["version"]), dict(catalog["tables"])
        except (ValueError, KeyError, TypeError) as error:
            raise FatalError(
                f"the catalog {self._catalog} is damaged: {error}", remedy="Restore it from a backup of the lake."
            ) from error
        if catalog["format"] != _FORMAT:
            raise FatalError(
                f"the catalog {self._catalog} has format {catalog['format']}, this version reads {_FORMAT}",
                remedy="Use the version of shoplake that wrote it, or a newer one.",
            )
        tables = {}
        for table in TABLES:
            location = f"{self.root}/{locations[table.name]}" if table.name in locations else None
            tables[table.name] = TableSnapshot(table, self.storage, location, self._metadata(location))
        return View(tables, content, version)

    def create(self) -> View:
        """The lake's view; makes an empty lake where there is none.

        Raises:
            FatalError: There are data files but no catalog.
        """
        view = self.view()
        if view.catalog is None:
            if any((self.storage.folder / table.name / "data").exists() for table in TABLES):
                raise FatalError(
                    f"{self.root} holds data but no {CATALOG_FILE}", remedy="Restore it from a backup of the lake."
                )
            locations = {}
            for table in TABLES:
                locations[table.name] = f"{self.root}/{table.name}/metadata/00000-{uuid.uuid4()}.metadata.json"
                metadata = iceberg.new_table(table, f"{self.root}/{table.name}")
                self.storage.write(locations[table.name], json.dumps(metadata).encode())
            self.swap(view, locations)  # a race is won by either: the lake is there then
            view = self.view()
        return view

    def swap(self, base: View, metadata: Mapping[str, str]) -> bytes | None:
        """Make a new state of all tables visible at once, if the lake is still as it was.

        Args:
            base: What the new state was made from.
            metadata: Locations of new metadata documents, by table; the other tables stay as in ``base``.

        Returns:
            The new catalog, or None if somebody else changed the lake since ``base`` was read.
        """
        locations = {name: table.location for name, table in base.tables.items() if table.location} | dict(metadata)
        catalog = {
            "format": _FORMAT,
            "version": base.version + 1,
            "id": uuid.uuid4().hex,
            "tables": {name: location.removeprefix(f"{self.root}/") for name, location in locations.items()},
        }
        content = json.dumps(catalog, indent=1).encode()
        return content if self.storage.swap(self._catalog, base.catalog, content) else None

    @contextmanager
    def writing(self, waiting: Callable[[str], None] | None = None) -> Iterator[None]:
        """Be the only run of this machine that writes to this lake; wait for another one to end.

        It saves the work that the loser of a race would do for nothing; what keeps the tables right is the swap. The lock
        is the operating system's: it ends with the process that holds it, however that ends.

        Args:
            waiting: Is told, once, who is being waited for.

        Raises:
            FatalError: The folder cannot be written to.
        """
        try:
            self.storage.folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.storage.folder / _LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise FatalError(
                f"the lake {self.root} cannot be written to: {error.strerror}",
                remedy="Check the folder's permissions and that its disk is not mounted read-only.",
            ) from error
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if waiting:
                    holder = os.read(lock, 200).decode("utf-8", "replace") or "{}"
                    waiting(f"another run{_who(holder)} is writing to this lake; waiting for it to end")
                fcntl.flock(lock, fcntl.LOCK_EX)
            os.ftruncate(lock, 0)
            os.pwrite(lock, json.dumps({"pid": os.getpid()}).encode(), 0)
            yield
        finally:
            os.close(lock)

    @property
    def _catalog(self) -> str:
        return f"{self.root}/{CATALOG_FILE}"

    def _metadata(self, location: str | None) -> dict[str, Any]:
        if location is None:
            return {}
        try:
            return dict(json.loads(self.storage.read(location)))
        except ValueError as error:
            raise FatalError(
                f"{location} is damaged: {error}", remedy="Restore it from a backup of the lake."
            ) from error


def _who(holder: str) -> str:
    try:
        return f" (process {json.loads(holder)['pid']})"
    except (ValueError, KeyError, TypeError):
        return ""
