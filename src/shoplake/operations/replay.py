"""Takes chosen source files in again: a broken contract was mended, a raw object was put right, or one wants to be sure.

The unit is the file. A file that meets the range in time is read again whole, and what the lake holds of it is replaced, so
of a file that straddles an end of the range the rows outside it are replaced by equal ones. No other file's rows are
touched, with one exception that keeps the count right: when a chosen file turns out to be another than before, the files
that hold duplicates of its events are done again too (ADR 0006).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from shoplake.errors import UsageError
from shoplake.ingestion import pipeline
from shoplake.ingestion.plan import Plan
from shoplake.ingestion.report import RunReport
from shoplake.lake import ledger
from shoplake.lake.ledger import Entry
from shoplake.sources import slots
from shoplake.sources.base import SourceFile

AGAIN = "again"
CHANGED = "changed"
NEW = "new"
GONE = "its raw object is not in the source any more; what the lake holds of it stays as it is"


@dataclass(frozen=True)
class Choice:
    """What a replay takes on.

    Attributes:
        files: By path: again (as it is in the lake), changed (its object was replaced meanwhile) or new.
        gone: Files of the lake that were meant, too, but are not in the source any more: they are left as they are.
    """

    files: Mapping[str, str]
    gone: tuple[str, ...]

    @property
    def changed(self) -> list[str]:
        """Those whose raw object is not the one that was ingested: their rows may change, also outside a range."""
        return [path for path, kind in self.files.items() if kind == CHANGED]

    @property
    def refused(self) -> list[dict[str, str]]:
        """The files that are left as they are, with the reason."""
        return [{"file": path, "error": GONE} for path in self.gone]


def choose_range(run: pipeline.Run, start: datetime, end: datetime) -> Choice:
    """The source files that meet a range of time.

    These are ingested files with an accepted event in the range, by the ledger, and others whose five-minute slot, by their
    path, meets it. Files without either are not meant.

    Args:
        run: Where the lake and the source are.
        start: Start of the range, included; UTC with a zone.
        end: End of the range, not included.

    Raises:
        UsageError: The range is empty, or there is no lake.
    """
    low, high = (moment.astimezone(UTC).replace(tzinfo=None) for moment in (start, end))
    if low >= high:
        raise UsageError(
            f"the range from {start.isoformat()} to {end.isoformat()} is empty",
            remedy="The end of a range is not part of it: a day is --from 2025-11-18 --to 2025-11-19.",
        )
    listing, entries = _look(run)
    meant = {path for path in listing.keys() | entries.keys() if _meets(path, entries.get(path), low, high)}
    return _choice(meant, listing, entries)


def choose_files(run: pipeline.Run, names: Sequence[str]) -> Choice:
    """The named source files.

    Args:
        run: Where the lake and the source are.
        names: Paths below the source, as the ledger has them, or paths of this machine or URIs that lead there.

    Raises:
        UsageError: Neither the source nor the lake has such a file; nothing is done then.
    """
    listing, entries = _look(run)
    meant, unknown = set(), []
    for name in names:
        paths = [place.removeprefix(f"{run.source.name}/") for place in (name, str(Path(name).absolute()))]
        found = next((path for path in paths if path in listing or path in entries), None)
        if found is None:
            unknown.append(name)
        else:
            meant.add(found)
    if unknown:
        raise UsageError(
            f"neither the source {run.source.name} nor the lake has {', '.join(unknown)}",
            remedy="Name files by their path below the source, as the ledger has them (column source_file).",
        )
    return _choice(meant, listing, entries)


def preview(run: pipeline.Run, choice: Choice) -> Plan:
    """What the replay would do now; changes nothing."""
    return pipeline.preview(run, only=choice.files)


def replay(run: pipeline.Run, choice: Choice) -> RunReport:
    """Take the chosen files in again; doing it twice gives the same tables.

    Raises:
        ContractError: The breaker stopped a batch; earlier batches of the replay are done, this one changed nothing.
        TransientError: Other runs changed the lake faster than this one could.
        FatalError: The lake cannot be read or written.
    """
    return pipeline.ingest(run, only=choice.files)


def _look(run: pipeline.Run) -> tuple[dict[str, SourceFile], dict[str, Entry]]:
    return {file.path: file for file in run.source.list()}, ledger.read(run.lake.need_view()["ledger"])


def _meets(path: str, entry: Entry | None, low: datetime, high: datetime) -> bool:
    """Whether a file's events, or else its slot, meet the range; the end is not part of it."""
    if entry and entry.min_event_time and entry.max_event_time:
        return entry.min_event_time < high and entry.max_event_time >= low
    slot = slots.slot(path)
    return slot is not None and slot < high and slot + slots.SLOT > low


def _choice(meant: set[str], listing: Mapping[str, SourceFile], entries: Mapping[str, Entry]) -> Choice:
    files = {path: _kind(listing[path], entries.get(path)) for path in sorted(meant) if path in listing}
    return Choice(files, tuple(sorted(meant - files.keys())))


def _kind(file: SourceFile, entry: Entry | None) -> str:
    if entry is None:
        return NEW
    return AGAIN if entry.version == file.version else CHANGED
