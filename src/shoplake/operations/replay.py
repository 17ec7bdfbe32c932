"""Re-ingests selected source files: the contract was fixed, a raw object was repaired, or somebody wants to be sure.

The unit is the file. A file that overlaps the time range is read again as a whole, and its rows in the lake are replaced;
for a file that extends beyond the range, the rows outside are replaced by equal ones. No other file's rows are touched, with
one exception that keeps the counts right: when a selected file has changed, the files with duplicates of its events are
re-ingested too (ADR 0006).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from shoplake.errors import UsageError
from shoplake.ingestion import discover, pipeline
from shoplake.ingestion.plan import Plan
from shoplake.ingestion.report import RunReport
from shoplake.lake import ledger
from shoplake.lake.ledger import Entry
from shoplake.sources import slots
from shoplake.sources.base import SourceFile

AGAIN = "again"
CHANGED = "changed"
NEW = "new"
GONE = "its raw object is no longer in the source; its rows in the lake stay as they are"


@dataclass(frozen=True)
class Choice:
    """What a replay re-ingests.

    Attributes:
        files: By path: again (the version in the lake), changed (its object was replaced since) or new.
        gone: Selected files of the lake that are no longer in the source: their rows stay as they are.
    """

    files: Mapping[str, str]
    gone: tuple[str, ...]

    @property
    def changed(self) -> list[str]:
        """Those whose raw object is no longer the one that was ingested: their rows may change, even outside a range."""
        return [path for path, kind in self.files.items() if kind == CHANGED]

    @property
    def refused(self) -> list[dict[str, str]]:
        """The files whose rows stay as they are, with the reason."""
        return [{"file": path, "error": GONE} for path in self.gone]


def choose_range(run: pipeline.Run, start: datetime, end: datetime) -> Choice:
    """The source files that overlap a time range.

    These are ingested files whose accepted events, by the ledger, span any of the range, and other files whose five-minute
    slot, by their path, overlaps it. Files with neither are not selected.

    Args:
        run: Where the lake and the source are.
        start: Start of the range (inclusive); UTC with a zone.
        end: End of the range (exclusive).

    Raises:
        UsageError: The range is empty, or there is no lake.
    """
    low, high = (moment.astimezone(UTC).replace(tzinfo=None) for moment in (start, end))
    if low >= high:
        raise UsageError(
            f"the range from {start.isoformat()} to {end.isoformat()} is empty",
            remedy="The end is exclusive: one day is --from 2025-11-18 --to 2025-11-19.",
        )
    listing, entries = _look(run)
    selected = {path for path in listing.keys() | entries.keys() if _overlaps(path, entries.get(path), low, high)}
    return _choice(selected, listing, entries)


def choose_files(run: pipeline.Run, names: Sequence[str]) -> Choice:
    """The named source files.

    Args:
        run: Where the lake and the source are.
        names: Paths below the source, as in the ledger, or local paths or URIs of the same files.

    Raises:
        UsageError: Neither the source nor the lake has such a file.
    """
    listing, entries = _look(run)
    selected, unknown = set(), []
    for name in names:
        paths = [location.removeprefix(f"{run.source.name}/") for location in (name, str(Path(name).absolute()))]
        existing = next((path for path in paths if path in listing or path in entries), None)
        if existing is None:
            unknown.append(name)
        else:
            selected.add(existing)
    if unknown:
        raise UsageError(
            f"neither the source {run.source.name} nor the lake has {', '.join(unknown)}",
            remedy="Name files by their path below the source, as in the ledger's column source_file.",
        )
    return _choice(selected, listing, entries)


def preview(run: pipeline.Run, choice: Choice) -> Plan:
    """What the replay would do now; changes nothing."""
    return pipeline.preview(run, only=choice.files)


def replay(run: pipeline.Run, choice: Choice) -> RunReport:
    """Re-ingest the selected files; doing it twice gives the same tables.

    Raises:
        ContractError: The breaker stopped a batch, which changed nothing; earlier batches of the replay are published.
        TransientError: Other runs changed the lake faster than this one could.
        FatalError: The lake cannot be read or written.
    """
    return pipeline.ingest(run, only=choice.files)


def _look(run: pipeline.Run) -> tuple[dict[str, SourceFile], dict[str, Entry]]:
    view = run.lake.need_view()
    discover.refuse_another(run.source, run.settings, view)
    return {file.path: file for file in run.source.list()}, ledger.read(view["ledger"])


def _overlaps(path: str, entry: Entry | None, low: datetime, high: datetime) -> bool:
    """Whether a file's events, or else its slot, overlap the range, whose end is exclusive."""
    if entry and entry.min_event_time and entry.max_event_time:
        return entry.min_event_time < high and entry.max_event_time >= low
    slot = slots.slot(path)
    return slot is not None and slot < high and slot + slots.SLOT > low


def _choice(selected: set[str], listing: Mapping[str, SourceFile], entries: Mapping[str, Entry]) -> Choice:
    files = {path: _kind(listing[path], entries.get(path)) for path in sorted(selected) if path in listing}
    return Choice(files, tuple(sorted(selected - files.keys())))


def _kind(file: SourceFile, entry: Entry | None) -> str:
    if entry is None:
        return NEW
    return AGAIN if entry.version == file.version else CHANGED
