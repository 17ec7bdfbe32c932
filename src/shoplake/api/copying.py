"""A lake at another place: backup, restore, from a laptop to the cloud."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoplake.api.setup import Observer, Place, lake_of, settled

if TYPE_CHECKING:
    from shoplake.operations import copying


def copy(lake: Place, dest: Place, *, dry_run: bool = False, observer: Observer | None = None) -> copying.CopyReport:
    """Copy the newest version of a lake to another place, as a lake that works there.

    A copy that was stopped goes on where it was, and one that is there is brought up to date by what is new. Safe beside
    runs, maintenance and readers; the copy has the current snapshot of each table alone.

    Args:
        lake: The lake's folder, or s3://BUCKET/PREFIX; also one that was moved there as files.
        dest: The folder or prefix of the copy: empty, or an earlier copy of the lake that nothing else has changed.
        dry_run: Change nothing, and report what would be copied.
        observer: Follows the work in bytes and files.

    Returns:
        ``.version``, ``.tables`` (files, rows and bytes of each), ``.sent``, ``.sent_bytes``, ``.there``, ``.removed``,
        ``.up_to_date``, ``.as_json()``.

    Raises:
        UsageError: There is no lake, or the place is not one for a copy of it.
        TransientError: Other runs removed files of the version that was being copied, several times.
        FatalError: The lake is damaged, or one of the places cannot be read or written.

    Example:
        >>> import shoplake
        >>> shoplake.copy("lake", "s3://my-bucket/backup").version
    """
    from shoplake.lake.catalog import Lake
    from shoplake.operations import copying as operation

    watch = observer or Observer()
    request = operation.CopyRequest(
        lake_of(settled(lake, None, {})),
        Lake(str(dest)),
        planned=watch.total,
        progress=watch.advance,
        note=watch.note,
    )
    return (operation.preview if dry_run else operation.copy)(request)
