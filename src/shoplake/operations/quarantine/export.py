"""Gives quarantined lines back, as JSON Lines with their reasons or as the bytes that came."""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path

from shoplake.errors import FatalError, UsageError
from shoplake.lake.snapshots import View
from shoplake.operations.quarantine import held
from shoplake.operations.quarantine.held import Line, LineFilter
from shoplake.storage.atomic import replacing


def export(view: View, choice: LineFilter, target: Path, *, raw: bool, force: bool) -> int:
    """Write the chosen lines into a file, all of it or nothing.

    Args:
        view: The lake.
        choice: Which lines.
        target: The file; its folder is made.
        raw: Write the bytes of each line exactly as they came, instead of JSON.
        force: Whether an existing file is replaced.

    Returns:
        How many lines were written; for none, no file is written.

    Raises:
        UsageError: The file is there already, or nobody knows the chosen file or reason.
        FatalError: It cannot be written.
    """
    held.check(view, choice)
    taken = UsageError(f"{target} is there already", remedy="Name another file, or replace it: --force")
    if target.exists() and not force:
        raise taken
    lines = held.lines(view, choice)
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
        raise taken from None
    except OSError as error:
        raise FatalError(
            f"{target} cannot be written: {error.strerror or error}", remedy="Check disk space and permissions."
        ) from error
    return number


def _as_json(line: Line) -> bytes:
    """All in ASCII: nothing in a hostile line can end the line or steer a terminal."""
    return json.dumps(line._asdict()).encode("ascii")
