"""Finds a person in raw files, and rewrites raw files without a person: all other lines stay byte for byte."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from isal import igzip

from shoplake.engines.base import Progress
from shoplake.lake import ledger
from shoplake.lake.erasures import people
from shoplake.lake.ledger import Entry
from shoplake.sources.base import Source, SourceFile
from shoplake.sources.lines import GoneError, UnreadableError, line_blocks


@dataclass
class RawFile:
    """A raw file that holds a person, or may hold one.

    Attributes:
        file: Its path below the source.
        lines: Lines about the person.
        rewritten: It was rewritten without them.
        gone: It is not in the source any more.
        error: Why it could not be looked through or rewritten; empty if it could.
    """

    file: str
    lines: int
    rewritten: bool = False
    gone: bool = False
    error: str = ""


def is_about(raw: bytes, user: str) -> bool:
    """Whether a raw line is about a person; most lines are told apart without being read."""
    return (user.encode() in raw or b"\\" in raw) and user in people(raw)


def candidates(listing: Sequence[SourceFile], entries: Mapping[str, Entry], holders: set[str]) -> list[SourceFile]:
    """The raw files that can hold a person. No others can, because every line is accounted for.

    A line of the person is in ``events`` or ``quarantine`` under its file, or was dropped since an erasure, or is a
    duplicate of such a line, in the same file or in one that the ledger links to it. Or nobody has looked at it yet.

    Args:
        listing: What the source holds.
        entries: The ledger.
        holders: Source files of rows of the person.
    """
    holders = holders | {path for path, entry in entries.items() if entry.erased}
    holders |= ledger.dependents(entries, holders)
    return [file for file in listing if file.path in holders or not _is_settled(file, entries.get(file.path))]


def _is_settled(file: SourceFile, entry: Entry | None) -> bool:
    return entry is not None and entry.version == file.version and entry.status != ledger.UNREADABLE


def look_through(
    source: Source, files: Sequence[SourceFile], user: str, threads: int, progress: Progress
) -> list[RawFile]:
    """Those of some raw files that hold a person, with how many lines, or that cannot be read."""

    def one(file: SourceFile) -> RawFile:
        found = RawFile(file.path, 0)
        lines = 0
        try:
            for _, block in line_blocks(source, file) if file.bytes else ():
                lines += len(block)
                found.lines += sum(is_about(line, user) for line in block)
        except UnreadableError as error:
            found.error = f"cannot be looked through: {error}"
        except GoneError:
            found.gone = True
        except OSError as error:
            found.error = f"cannot be read: {error.strerror or error}"
        progress(file.bytes, lines)
        return found

    with ThreadPoolExecutor(threads) as pool:
        return [found for found in pool.map(one, files) if found.lines or found.error]


def rewrite(source: Source, file: SourceFile, user: str, found: RawFile) -> None:
    """Rewrite a raw file without a person's lines, and note in ``found`` how that went."""
    try:
        source.replace(file, _without(source, file, user))
    except (GoneError, FileNotFoundError):
        found.error = "was replaced or removed meanwhile"
    except UnreadableError as error:
        found.error = f"cannot be read any more: {error}"
    else:
        found.rewritten = True


def _without(source: Source, file: SourceFile, user: str) -> bytes:
    content = io.BytesIO()
    separator = b""
    with igzip.GzipFile(fileobj=content, mode="wb", mtime=0) as stream:
        for _, block in line_blocks(source, file):
            kept = [line for line in block if not is_about(line, user)]
            if kept:
                stream.write(separator + b"\n".join(kept))
                separator = b"\n"
    return content.getvalue()
