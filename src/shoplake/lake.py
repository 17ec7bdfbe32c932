"""A lake: one folder that holds a catalog and every table, who may write to it, and what readers see of it."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from shoplake import snapshots
from shoplake.errors import FatalError, UsageError
from shoplake.snapshots import View

CATALOG_FILE = "catalog.db"
_LOCK_FILE = ".lock"


class Lake:
    """A lake in a folder of this machine.

    Attributes:
        path: The absolute folder.
    """

    def __init__(self, path: str | Path) -> None:
        """Name a lake; nothing is read or made yet.

        Raises:
            UsageError: The place is a URI of a storage that is not supported, or an existing file.
        """
        text = str(path)
        if "://" in text and not text.startswith("file://"):
            raise UsageError(f"{text} is not a local folder", remedy="A lake is a folder of this machine, for now.")
        self.path = Path(text.removeprefix("file://")).expanduser().absolute()
        if self.path.exists() and not self.path.is_dir():
            raise UsageError(f"the lake {self.path} is a file", remedy="Name a folder; it is made if missing.")

    @property
    def catalog_path(self) -> Path:
        """The SQLite file that names each table's current metadata."""
        return self.path / CATALOG_FILE

    def exists(self) -> bool:
        """Whether anything was ever ingested into it."""
        return self.catalog_path.is_file()

    def need(self) -> Lake:
        """This lake, if it exists.

        Raises:
            UsageError: There is no lake at the path.
        """
        if not self.exists():
            raise UsageError(
                f"there is no lake at {self.path}", remedy=f"Make one: shoplake ingest --source DIR --lake {self.path}"
            )
        return self

    def published(self) -> View:
        """Every table as the last acknowledged batch left it."""
        return snapshots.published(self.need().catalog_path)

    def current(self) -> View:
        """Every table at its newest snapshot, acknowledged or not."""
        return snapshots.current(self.need().catalog_path)

    def unacknowledged(self) -> dict[str, int | None]:
        """The tables that a killed run left ahead of what was acknowledged, with the snapshot to go back to."""
        return snapshots.unacknowledged(self.catalog_path) if self.exists() else {}

    @contextmanager
    def writing(self, waiting: Callable[[str], None] | None = None) -> Iterator[None]:
        """Be the only run that writes to this lake; wait for another one to end.

        The lock is the operating system's: it ends with the process that holds it, however that ends.

        Args:
            waiting: Is told, once, who is being waited for.

        Raises:
            FatalError: The folder cannot be written to.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.path / _LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise FatalError(
                f"the lake {self.path} cannot be written to: {error.strerror}",
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


def _who(holder: str) -> str:
    try:
        return f" (process {json.loads(holder)['pid']})"
    except (ValueError, KeyError, TypeError):
        return ""
