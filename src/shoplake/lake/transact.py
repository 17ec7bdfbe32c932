"""The one way to change a lake: work from what it holds now, publish, and begin again if another run was first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from shoplake.errors import FatalError, MissingFileError, TransientError
from shoplake.lake.catalog import Lake
from shoplake.lake.commits import LostRaceError
from shoplake.lake.snapshots import View

_T = TypeVar("_T")

ATTEMPTS = 20


def transact(
    lake: Lake,
    change: Callable[[View], _T],
    *,
    doing: str,
    note: Callable[[str], None],
    start: View | None = None,
) -> _T:
    """Apply a change that ends with a commit, again from the newest view whenever another run committed first.

    Args:
        lake: The lake.
        change: Plans from a view, writes and publishes; what it returns is returned. It may be called several times, so
            it keeps nothing of an attempt that raised.
        doing: What the change does, for the message that gives up: "publish the batch".
        note: Receives a sentence for each lost race.
        start: The view of the first attempt; the newest one by default.

    Raises:
        TransientError: Other runs committed first, every time; the last race that was lost is its cause.
        MissingFileError: The lake names a file that is not there, and no other run has changed the lake since.
        Exception: Whatever else the change raises.
    """
    lost: LostRaceError | None = None
    for _ in range(ATTEMPTS):
        view = start or lake.view()
        start = None
        try:
            with _removed_by_others(lake, view):
                return change(view)
        except LostRaceError as error:
            lost = error
            note(f"{error}; planning again")
    raise TransientError(
        f"could not {doing}: other runs changed the lake during each of {ATTEMPTS} attempts",
        remedy="Nothing of it was kept. Run the same command again later.",
    ) from lost


@contextmanager
def writing(lake: Lake, note: Callable[[str], None]) -> Iterator[None]:
    """A block that changes a lake: it holds the lake's lock, and says what to do when the storage refuses a write.

    Args:
        lake: The lake.
        note: Is told, once, which run is being waited for.

    Raises:
        FatalError: There is no room or no permission.
    """
    try:
        with lake.lock(note):
            yield
    except OSError as error:
        raise unwritable(lake, error) from error


def unwritable(lake: Lake, error: OSError) -> FatalError:
    """What to tell when the lake's storage refuses a write."""
    return FatalError(
        f"the lake {lake.root} cannot be written to: {error.strerror or error}",
        remedy="Check disk space and permissions, then run the same command again: it continues where this run stopped.",
    )


@contextmanager
def _removed_by_others(lake: Lake, view: View) -> Iterator[None]:
    """A missing file is a lost race if the lake has changed since the view: an erasure removes old files at once."""
    try:
        yield
    except MissingFileError as error:
        if lake.changed_since(view):
            raise LostRaceError(f"another run removed a file that was being read ({error})") from error
        raise
