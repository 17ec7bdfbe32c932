"""The quarantined lines of a lake."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoplake.api.setup import Observer, Place, duckdb_of, lake_of, settled
from shoplake.settings import Settings

if TYPE_CHECKING:
    from shoplake.lake.snapshots import View
    from shoplake.operations.quarantine.contents import Counts, Line
    from shoplake.operations.quarantine.replay import QuarantineReplayReport


class Quarantine:
    """The quarantined lines of a lake; see :func:`quarantine`."""

    def __init__(self, settings: Settings) -> None:
        """Read nothing yet."""
        self._settings = settings
        self._lake = lake_of(settings)
        self._view: View | None = None

    def counts(self) -> Counts:
        """How many lines are quarantined: ``.lines``, ``.by_reason``, ``.by_file``; and the ``.unreadable`` files."""
        from shoplake.operations.quarantine import contents

        return contents.count(self._snapshots())

    def total(self, *, reason: str | None = None, files: Sequence[str] = ()) -> int:
        """How many lines :meth:`lines` gives."""
        from shoplake.operations.quarantine import contents

        view, choice = self._snapshots(), contents.LineFilter(reason, tuple(files))
        contents.check(view, choice)
        return sum(contents.files_of(view, choice).values())

    def lines(self, *, reason: str | None = None, files: Sequence[str] = ()) -> Iterator[Line]:
        """The lines as they came, by file and number: ``.source_file``, ``.line_number``, ``.reasons``, ``.octets``.

        Args:
            reason: Only lines that break this rule, whatever else they break.
            files: Only lines of these source files.

        Raises:
            UsageError: There is no such file or reason.
        """
        from shoplake.operations.quarantine import contents

        view, choice = self._snapshots(), contents.LineFilter(reason, tuple(files))
        contents.check(view, choice)
        return contents.lines(view, choice)

    def replay(
        self,
        *,
        reason: str | None = None,
        files: Sequence[str] = (),
        dry_run: bool = False,
        observer: Observer | None = None,
    ) -> QuarantineReplayReport:
        """Check lines against the current contract and settings again; those that pass become events, exactly once.

        Args:
            reason: Only lines that break this rule, whatever else they break.
            files: Only lines of these source files.
            dry_run: Change nothing, and report what would be done; duplicates count as accepted then.
            observer: Follows the work in lines.

        Returns:
            ``.lines``, ``.accepted``, ``.duplicates``, ``.quarantined``, ``.reasons``, ``.as_json()``.
        """
        from shoplake.operations.quarantine import replay as operation
        from shoplake.operations.quarantine.contents import LineFilter

        watch = observer or Observer()
        run = operation.QuarantineReplay(
            self._lake,
            duckdb_of(self._settings),
            self._settings,
            planned=watch.total,
            progress=watch.advance,
            note=watch.note,
        )
        self._view = None
        return (operation.preview if dry_run else operation.replay)(run, LineFilter(reason, tuple(files)))

    def export(
        self,
        target: str | Path,
        *,
        reason: str | None = None,
        files: Sequence[str] = (),
        raw: bool = False,
        force: bool = False,
    ) -> int:
        """Write lines to a file, all of it or nothing; they stay in quarantine.

        Args:
            target: The file; its folder is created.
            reason: Only lines that break this rule, whatever else they break.
            files: Only lines of these source files.
            raw: Write each line as it came, byte for byte, instead of JSON with its reasons.
            force: Replace an existing file.

        Returns:
            How many lines were written; for none, no file is written.
        """
        from shoplake.operations.quarantine import export as operation
        from shoplake.operations.quarantine.contents import LineFilter

        return operation.export(self._snapshots(), LineFilter(reason, tuple(files)), Path(target), raw=raw, force=force)

    def refresh(self) -> None:
        """Move on to the lake's newest state."""
        self._view = None

    def _snapshots(self) -> View:
        self._view = self._view or self._lake.need_view()
        return self._view


def quarantine(lake: Place = None, **settings: Any) -> Quarantine:
    """The lines that break the contract: count, read, re-check and export them.

    What is read is one state of the lake, that of the first call, until :meth:`Quarantine.refresh` or a replay.

    Args:
        lake: The lake's folder, or s3://BUCKET/PREFIX.
        settings: Settings by name, such as ``max_future_hours=72`` for a replay.

    Example:
        >>> import shoplake
        >>> quarantined = shoplake.quarantine("lake")
        >>> [(count.reason, count.lines) for count in quarantined.counts().by_reason]
        >>> quarantined.replay(reason="future_timestamp").accepted
    """
    return Quarantine(settled(lake, None, settings))
