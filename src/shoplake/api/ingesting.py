"""Runs: what is new is ingested, and chosen files are ingested again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoplake.api.setup import Observer, Place, prepare, settled, utc, watchers
from shoplake.errors import UsageError

if TYPE_CHECKING:
    from shoplake.ingestion.plan import Plan
    from shoplake.ingestion.report import RunReport
    from shoplake.operations.replay import Choice


def preview(source: Place = None, lake: Place = None, **settings: Any) -> Plan:
    """What :func:`ingest` would ingest now; changes nothing.

    Args:
        source: The folder of raw files, or s3://BUCKET/PREFIX.
        lake: The lake: a folder or prefix too.
        settings: As for :func:`ingest`.

    Returns:
        ``.batches`` with their ``.files`` (``path``, ``bytes``), ``.files`` (how many), ``.bytes``, ``.known``.
    """
    from shoplake.ingestion import pipeline

    return pipeline.preview(prepare(settled(lake, source, settings)))


def ingest(
    source: Place = None,
    lake: Place = None,
    *,
    set_aside: Sequence[str | Path] = (),
    observer: Observer | None = None,
    **settings: Any,
) -> RunReport:
    """Ingest everything that is new in the source, with exactly-once effect.

    Args:
        source: The folder of raw files, or s3://BUCKET/PREFIX.
        lake: The lake, a folder or prefix too; it is created if missing.
        set_aside: Files that would be ingested now, by their path below the source: they are not read, but set aside as
            unreadable, until their object changes or :func:`replay` names them.
        observer: Follows the work in compressed bytes and lines.
        settings: Settings by name, such as ``threads=2`` or ``engine="spark"``; the environment and ``shoplake.toml`` give
            the others.

    Returns:
        ``.files``, ``.lines``, ``.accepted``, ``.duplicates``, ``.quarantined``, ``.as_json()`` and more.

    Raises:
        ShoplakeError: With the message of the command line, and its ``remedy``. What was published before it stays.

    Example:
        >>> import shoplake
        >>> shoplake.ingest("raw", "lake").files
        12
    """
    from shoplake.operations import upkeep

    return upkeep.ingest(prepare(settled(lake, source, settings), watchers(observer), set_aside=set_aside))


@dataclass(frozen=True)
class ReplayReport:
    """What :func:`replay` did, or with ``dry_run`` would do.

    Attributes:
        choice: The source files that were meant, each with its kind: again, changed or new.
        plan: With ``dry_run`` the batches, else None.
        run: What was done, as :func:`ingest` reports it; with ``dry_run`` None.
    """

    choice: Choice
    plan: Plan | None = None
    run: RunReport | None = None

    @property
    def ok(self) -> bool:
        """Whether every file that was meant was replayed, or can be."""
        return not self.choice.gone and not (self.run and self.run.failures)

    def as_json(self) -> dict[str, Any]:
        """The report as the fixed JSON interface names it."""
        exceptions = {"changed": self.choice.changed, "refused": self.choice.refused}
        if self.run:
            return self.run.as_json() | exceptions
        batches = self.plan.batches if self.plan else ()
        return {
            "files": sum(len(batch.files) for batch in batches),
            "bytes": sum(file.bytes for batch in batches for file in batch.files),
            "batches": [
                [{"path": file.path, "bytes": file.bytes, "kind": self._kind(file.path)} for file in batch.files]
                for batch in batches
            ],
        } | exceptions

    def _kind(self, path: str) -> str:
        return self.choice.files.get(path, "again")  # of a file that has to follow a changed one


def replay(
    source: Place = None,
    lake: Place = None,
    *,
    start: date | None = None,
    end: date | None = None,
    files: Sequence[str | Path] = (),
    dry_run: bool = False,
    observer: Observer | None = None,
    **settings: Any,
) -> ReplayReport:
    """Ingest chosen source files again, in place of what the lake holds of them. Doing it twice changes nothing.

    Give either a range, which takes every file with an event in it (or, of files not ingested yet, with its slot in it), or
    the files themselves.

    Args:
        source: The folder of raw files, or s3://BUCKET/PREFIX.
        lake: The lake, a folder or prefix too.
        start: Start of the range, a time or a day; UTC unless it has an offset.
        end: End of the range (exclusive).
        files: Source files, by their path below the source.
        dry_run: Change nothing, and report what would be done.
        observer: Follows the work in compressed bytes and lines.
        settings: As for :func:`ingest`.

    Raises:
        UsageError: It is not clear which files are meant, or one of them is unknown; nothing is done then.
        ShoplakeError: As for :func:`ingest`.
    """
    from shoplake.operations import replay as operation

    run = prepare(settled(lake, source, settings), watchers(observer))
    if files and start is None and end is None:
        choice = operation.choose_files(run, [str(file) for file in files])
    elif start is not None and end is not None and not files:
        choice = operation.choose_range(run, utc(start), utc(end))
    else:
        raise UsageError("which files?", remedy="Give both the start and the end of a range (--from, --to), or files.")
    if dry_run:
        return ReplayReport(choice, plan=operation.preview(run, choice))
    return ReplayReport(choice, run=operation.replay(run, choice))
