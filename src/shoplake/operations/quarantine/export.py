"""Exports quarantined lines, as JSON Lines with their reasons or as the bytes that arrived."""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path

from shoplake.errors import FatalError, UsageError
from shoplake.lake.catalog import around
from shoplake.lake.snapshots import View
from shoplake.operations.quarantine import contents
from shoplake.operations.quarantine.contents import Line, LineFilter
from shoplake.storage.atomic import replacing


def export(view: View, chosen: LineFilter, target: Path, *, raw: bool, force: bool) -> int:
    """Write quarantined lines to a file, all of them or none.

    Args:
        view: The lake.
        chosen: Which lines.
        target: The file; its folder is created.
        raw: Write the bytes of each line exactly as they arrived, instead of JSON.
        force: Whether an existing file is replaced.

    Returns:
        How many lines were written; if none, no file is written.

    Raises:
        UsageError: The file exists already or would be in a lake, or the source file or reason is unknown.
        FatalError: It cannot be written.
    """
    contents.check(view, chosen)
    if lake := around(target):
        raise UsageError(
            f"{target} is inside the lake {lake}, and would be one of its files", remedy="Name another place."
        )
    exists = UsageError(f"{target} already exists", remedy="Name another file, or replace it: --force")
    if target.exists() and not force:
        raise exists
    lines = contents.lines(view, chosen)
    first = next(lines, None)
    if first is None:
        return 0
    number = 0
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target, existing=force) as stream:
            for number, line in enumerate(chain((first,), lines), 1):  # noqa: B007 - counts
                stream.write((line.octets if raw else _as_json(line)) + b"\n")
    except FileExistsError:
        raise exists from None
    except OSError as error:
        raise FatalError(
            f"{target} cannot be written: {error.strerror or error}", remedy="Check disk space and permissions."
        ) from error
    return number


def _as_json(line: Line) -> bytes:
    """All in ASCII: nothing in a hostile line can end the line or control a terminal."""
    return json.dumps(line._asdict()).encode("ascii")
