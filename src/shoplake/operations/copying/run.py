"""Copies one version of a lake to another place: a folder or a prefix on S3, whichever the lake itself is in.

What is immutable is sent under its own name, so that a copy which was stopped goes on where it was, and one that is there is
brought up to date. The catalog comes last: until then there is no lake at the place, or still the one of the copy before.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from shoplake.engines.base import Progress, ignore
from shoplake.errors import FatalError, MissingFileError, TransientError, UsageError
from shoplake.lake import parquet
from shoplake.lake.catalog import COPYING, FORMAT, Lake, above
from shoplake.lake.metadata import DOCUMENT, history_id
from shoplake.lake.notes import ACKNOWLEDGED, DEMO, Note
from shoplake.lake.snapshots import View, may_be_written, owner
from shoplake.lake.transact import writing
from shoplake.operations.copying import plan
from shoplake.operations.copying.plan import Route, TableContents, Transfer
from shoplake.storage.base import StoredFile
from shoplake.tables import EVENTS, TABLES
from shoplake.text import json_value

COPY_OF = "copy_of"
"""In the catalog of a copy: the lake. A change of the copy's own leaves it out."""

_ATTEMPTS = 5
_SENDERS = 8
_BYTES_AT_ONCE = 512 << 20
# As long as maintenance keeps files that a reader may have opened.
_GRACE = timedelta(hours=24)
_LEFT_BEHIND = re.compile(rf"(.*/)?\.[^/]*$|{COPYING}\.json|$")


@dataclass(frozen=True)
class CopyRequest:
    """What is to be copied.

    Attributes:
        lake: The lake.
        dest: Where the copy shall be.
        now: The time, UTC with a zone.
        progress: Called with the bytes and the files that were sent; from several threads.
        planned: Called with the bytes to send, and again where a newer version has to be copied.
        note: Called with a sentence worth showing.
    """

    lake: Lake
    dest: Lake
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    progress: Progress = ignore
    planned: Callable[[int], None] = ignore
    note: Callable[[str], None] = ignore


@dataclass(frozen=True)
class CopyReport:
    """What was copied, or for a dry run: what would be.

    Attributes:
        lake: The lake's location.
        dest: The copy's.
        version: The version of the lake that the copy has.
        tables: Files, rows and bytes of each table.
        sent: Files that were sent.
        sent_bytes: Their size.
        there: Files that were there already.
        removed: Files that the copy before had and this one has no more.
        up_to_date: The copy had this version already; nothing was changed.
        dry_run: Nothing was changed.
    """

    lake: str
    dest: str
    version: int
    tables: dict[str, dict[str, int]] = field(default_factory=dict)
    sent: int = 0
    sent_bytes: int = 0
    there: int = 0
    removed: int = 0
    up_to_date: bool = False
    dry_run: bool = False

    def as_json(self) -> dict[str, Any]:
        """The figures as the fixed JSON interface names them."""
        return vars(self).copy()


def preview(request: CopyRequest) -> CopyReport:
    """What :func:`copy` would do now; changes nothing.

    Raises:
        ShoplakeError: As for :func:`copy`.
    """
    view = request.lake.need_view_to_copy()
    return _Copy(request, view).preview()


def copy(request: CopyRequest) -> CopyReport:
    """Copy the newest version of a lake. Safe beside runs, maintenance and readers of both places.

    Raises:
        UsageError: There is no lake, or the place is not one for a copy of it.
        TransientError: The lake's files were removed during each attempt to copy a version.
        FatalError: The lake is damaged, or one of the places cannot be read or written.
    """
    view = request.lake.need_view_to_copy()
    _Copy(request, view).base()  # refuses a place before anything is made there
    with writing(request.dest, request.note):
        for _ in range(_ATTEMPTS):
            try:
                return _Copy(request, view).run()
            except MissingFileError as error:
                if not request.lake.changed_since(view):
                    raise
                request.note(f"another run removed a file that was to be copied ({error}); copying the newer version")
                view = request.lake.need_view_to_copy()
    raise TransientError(
        f"{request.lake.root} could not be copied: other runs removed files of each of {_ATTEMPTS} versions",
        remedy="Run the same command again: files that were sent are not sent again.",
    )


class _Copy:
    """One attempt, at one version."""

    def __init__(self, request: CopyRequest, view: View) -> None:
        self._request, self._view = request, view
        self._lake, self._dest = request.lake, request.dest
        self._route = Route(self._lake.storage, plan.origin_of(view), self._dest.root)
        self._catalog: dict[str, Any] = json.loads(view.catalog or b"{}")
        self._note = Note(self._dest, COPYING)

    # ------------------------------------------------------------------------------------------------- what is there now

    def base(self) -> View | None:
        """The copy before, None if there is none.

        Raises:
            UsageError: The place is not one for a copy of this lake.
        """
        mine, other = self._lake.root, self._dest.root
        if mine == other or mine.startswith(f"{other}/") or other.startswith(f"{mine}/"):
            raise self._refused(f"{other} and the lake {mine} lie in one another")
        theirs = self._dest.view()
        if theirs.catalog is None:
            if self._begun() not in (None, self._view[EVENTS.name].uuid):
                raise self._refused(f"a copy of another lake to {other} was stopped")
            if lake := above(other):
                raise self._refused(f"{other} is inside the lake {lake}")
            if self._begun() is None and (file := self._first_file()):
                raise self._refused(f"{other} has files, but no lake: {file}, for one")
            return None
        if theirs[EVENTS.name].uuid != self._view[EVENTS.name].uuid:
            raise self._refused(f"{other} is another lake")
        if COPY_OF not in json.loads(theirs.catalog):
            raise self._refused(f"{other} is not a copy of {mine}, or was changed since by runs of its own")
        if theirs.version > self._view.version:
            raise self._refused(
                f"{other} is a copy of version {theirs.version:,}, and {mine} has version {self._view.version:,}"
            )
        return theirs

    def _refused(self, why: str) -> UsageError:
        return UsageError(f"{why}; nothing was copied", remedy="Choose an empty place for the copy.")

    def _begun(self) -> str | None:
        """The id of the lake of which a copy to the place was begun."""
        return self._note.read(lambda note: str(note["id"]))

    def _first_file(self) -> str | None:
        """A file at the place; not a hidden one, as locks are, nor what a copy that had only begun may have left."""
        root = f"{self._dest.root}/"
        found = (file.location for file in self._dest.storage.list(self._dest.root) if file.location.startswith(root))
        return next((place for place in found if not _LEFT_BEHIND.match(place, len(root))), None)

    def _stored(self) -> Iterable[StoredFile]:
        """Every file that is or was one of the copy's."""
        root = self._dest.root
        found = (file for table in TABLES for file in self._dest.storage.list(f"{root}/{table.name}"))
        return (file for file in found if may_be_written(file.location, root))

    def _is_current(self, base: View | None) -> bool:
        return bool(base and base.catalog and json.loads(base.catalog)["id"] == self._catalog["id"])

    # ---------------------------------------------------------------------------------------------------------- the work

    def preview(self) -> CopyReport:
        base = self.base()
        if self._is_current(base):
            return self._report([], up_to_date=True, dry_run=True)
        tables = self._contents()
        transfers, todo = self._transfers(tables, {file.location: file for file in self._stored()})
        return self._report(tables, **_sent(transfers, todo), dry_run=True)

    def run(self) -> CopyReport:
        base = self.base()
        if self._is_current(base):
            return self._report([], up_to_date=True)
        if base is None and self._begun() is None:
            begun = {"lake": self._lake.root, "id": self._view[EVENTS.name].uuid, "run": uuid.uuid4().hex}
            self._note.change(dict, lambda _: begun)
        tables = self._contents()
        stored = {file.location: file for file in self._stored()}
        transfers, todo = self._transfers(tables, stored)
        self._send(todo, stored)
        needed = {each.dest: each.bytes for each in transfers}
        documents = self._write_metadata(tables, stored, needed)
        self._check(needed)
        self._publish(base, documents)
        removed = self._clean_up(base, stored, needed)
        return self._report(tables, **_sent(transfers, todo), removed=removed)

    def _contents(self) -> list[TableContents]:
        return [plan.contents(self._route, self._view[table.name]) for table in TABLES]

    def _transfers(
        self, tables: list[TableContents], stored: Mapping[str, StoredFile]
    ) -> tuple[list[Transfer], list[Transfer]]:
        """What the copy takes, and what of it is not there yet."""
        transfers = plan.transfers(self._route, tables)
        return transfers, [
            each for each in transfers if each.dest not in stored or stored[each.dest].bytes != each.bytes
        ]

    def _send(self, todo: list[Transfer], stored: dict[str, StoredFile]) -> None:
        """Send files, several at once; of a large one few others are in memory beside it."""
        self._request.planned(sum(each.bytes for each in todo))
        largest = max((each.bytes for each in todo), default=1)
        senders = max(1, min(_SENDERS, _BYTES_AT_ONCE // max(largest, 1)))

        def send(transfer: Transfer) -> None:
            content = self._lake.storage.read(transfer.source)
            _check_file(transfer, content)
            self._put(transfer.dest, content, stored)
            self._request.progress(transfer.bytes, 1)

        pool = ThreadPoolExecutor(senders, thread_name_prefix="shoplake-copy")
        try:
            for _ in pool.map(send, todo):
                pass
        finally:
            pool.shutdown(cancel_futures=True)

    def _put(self, location: str, content: bytes, stored: dict[str, StoredFile]) -> None:
        """Write a file; one that a copy which was killed left behind, cut short, makes room."""
        if location in stored:
            if stored[location].bytes == len(content):
                return
            self._dest.storage.delete([location])
        self._dest.storage.write(location, content)

    def _write_metadata(
        self, tables: list[TableContents], stored: dict[str, StoredFile], needed: dict[str, int]
    ) -> dict[str, str]:
        """Write manifests, their lists and the documents; returns the documents by table, below the copy."""
        number = {each.table.name: each.metadata["last-sequence-number"] for each in tables}
        places = {name: f"{name}/metadata/{last:05d}-{uuid.uuid4()}{DOCUMENT}" for name, last in number.items()}
        state = json.dumps({"version": self._view.version, "tables": places})
        for contents in tables:
            files, manifest_list = plan.manifest_files(self._route, contents)
            document = plan.document(self._route, contents, manifest_list, state)
            files[f"{self._dest.root}/{places[contents.table.name]}"] = json.dumps(document).encode()
            for location, content in files.items():
                self._put(location, content, stored)
                needed[location] = len(content)
        return places

    def _check(self, needed: dict[str, int]) -> None:
        """Refuse to publish a copy that is not whole."""
        there = {file.location: file.bytes for file in self._stored()}
        wrong = sorted(location for location, size in needed.items() if there.get(location) != size)
        if wrong:
            raise FatalError(
                f"{len(wrong):,} files of the copy are not there as they were sent, such as {wrong[0]}",
                remedy="Run the same command again. Does anything else write to that place?",
            )

    def _publish(self, base: View | None, documents: dict[str, str]) -> None:
        """Take over the notes, and make the copy visible."""
        for name in (ACKNOWLEDGED, DEMO):
            self._copy_note(name)
        catalog = {
            "format": FORMAT,
            "version": self._view.version,
            "id": self._catalog["id"],
            "previous": self._catalog.get("previous", []),
            "tables": documents,
            COPY_OF: {"lake": self._lake.root, "at": json_value(self._request.now())},
        }
        content = json.dumps(catalog, indent=1).encode()
        if not self._dest.storage.swap(self._dest.catalog_location, base.catalog if base else None, content):
            raise TransientError(
                f"{self._dest.catalog_location} was written in between; the copy was not published",
                remedy="Does anything else write to that place? Look at it: shoplake status",
            )
        self._dest.hint()
        self._note.remove()

    def _copy_note(self, name: str) -> None:
        here, there = (f"{lake.root}/{name}.json" for lake in (self._lake, self._dest))
        content = self._lake.storage.read_if_there(here)
        before = self._dest.storage.read_if_there(there)
        if content is None:
            Note(self._dest, name).remove()
        elif content != before:
            self._dest.storage.swap(there, before, content)

    def _clean_up(self, base: View | None, stored: dict[str, StoredFile], needed: dict[str, int]) -> int:
        """Remove what the copy has no more: at once if the lake's history was expired, as an erasure does, else after a day."""
        at_once = base is None or any(
            history_id(base[table.name].metadata) != history_id(self._view[table.name].metadata) for table in TABLES
        )
        before = self._request.now() - _GRACE
        gone = [
            location
            for location, file in stored.items()
            if location not in needed
            and not location.endswith("version-hint.text")
            and (at_once or (owner(location) not in needed and file.modified < before))
        ]
        self._dest.storage.delete(gone)
        return len(gone)

    def _report(self, tables: list[TableContents], **figures: Any) -> CopyReport:
        counts = {
            each.table.name: {"files": len(each.entries), "rows": each.rows, "bytes": each.bytes} for each in tables
        }
        return CopyReport(self._lake.root, self._dest.root, self._view.version, counts, **figures)


def _sent(transfers: Sequence[Transfer], todo: Sequence[Transfer]) -> dict[str, int]:
    """How much of a copy is sent, and how much is there already."""
    return {
        "sent": len(todo),
        "sent_bytes": sum(each.bytes for each in todo),
        "there": len(transfers) - len(todo),
    }


def _check_file(transfer: Transfer, content: bytes) -> None:
    """Refuse a file that is not as the lake's metadata records it."""
    wrong = f"{len(content):,} bytes instead of {transfer.bytes:,}" if len(content) != transfer.bytes else ""
    if not wrong and transfer.rows is not None:
        with parquet.reading(transfer.source):
            rows = pq.ParquetFile(pa.BufferReader(content)).metadata.num_rows
        wrong = f"{rows:,} rows instead of {transfer.rows:,}" if rows != transfer.rows else ""
    if wrong:
        raise FatalError(
            f"the file {transfer.source} has {wrong}; the copy was not published",
            remedy="See what is damaged, and what is left of it: shoplake verify",
        )
