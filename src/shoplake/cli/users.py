"""The ids of people that a command takes: from an option, or many of them from a file, which no process list shows."""

from __future__ import annotations

import codecs
import sys
from pathlib import Path

from shoplake.errors import UsageError

_MOST_BYTES = 16 << 20


def given(user: str | None, users_file: str | None) -> tuple[str, ...]:
    """The ids that ``--user`` or ``--users-file`` gives, each once.

    Args:
        user: An id.
        users_file: A file with an id on each line, ``-`` for standard input.

    Raises:
        UsageError: Neither or both are given, or the file is not such a file.
    """
    if (user is None) == (users_file is None):
        raise UsageError(
            "give either --user or --users-file", remedy="--user ID for one person, --users-file FILE for many."
        )
    if users_file is None:
        return (user or "",)
    name = "standard input" if users_file == "-" else users_file
    ids = parse(_content(users_file), name)
    if not ids:
        raise UsageError(f"{name} contains no ids", remedy="Write one user_id on each line.")
    return ids


def parse(content: bytes, name: str) -> tuple[str, ...]:
    """The ids of a file, in their order and each once; blank lines and a byte order mark at the start do not count.

    Args:
        content: The file's bytes.
        name: What messages call the file.

    Raises:
        UsageError: The file is too large, or a line is not UTF-8 or may not be meant as an id as it stands.
    """
    if len(content) > _MOST_BYTES:
        raise UsageError(
            f"{name} is larger than {_MOST_BYTES >> 20} MB", remedy="Write one user_id on each line, and nothing else."
        )
    ids: dict[str, None] = {}
    for number, line in enumerate(content.removeprefix(codecs.BOM_UTF8).split(b"\n"), 1):
        try:
            user = line.removesuffix(b"\r").decode()
        except UnicodeDecodeError as error:
            raise UsageError(f"line {number:,} of {name} is not UTF-8", remedy="Save the file as UTF-8.") from error
        if not user.strip():
            continue
        if user != user.strip() or not user.isprintable():
            raise UsageError(
                f"line {number:,} of {name} has spaces around the id, or control characters",
                remedy="Remove them. If they are part of the id, give it by itself: --user ID.",
            )
        ids[user] = None
    return tuple(ids)


def _content(users_file: str) -> bytes:
    if users_file == "-":
        return sys.stdin.buffer.read(_MOST_BYTES + 1)
    try:
        with Path(users_file).open("rb") as stream:
            return stream.read(_MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{users_file} cannot be read: {error.strerror}", remedy="Check its path.") from error
