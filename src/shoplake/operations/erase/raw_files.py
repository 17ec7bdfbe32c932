"""Finds people in raw files, and rewrites raw files without them: all other lines stay byte for byte."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from shoplake.engines.base import Progress
from shoplake.lake import ledger
from shoplake.lake.ledger import Entry
from shoplake.operations.erase.people import People
from shoplake.settings import Bounds, Settings
from shoplake.sources.base import Source, SourceFile
from shoplake.sources.formats import deflating
from shoplake.sources.lines import GoneError, UnreadableError, line_blocks


@dataclass
class RawFile:
    """A raw file that contains people who are erased, or may contain them.

    Attributes:
        file: Its path below the source.
        lines: Lines about them.
        rewritten: It was rewritten without them.
        gone: It is no longer in the source.
        error: Why it could not be searched or rewritten; empty if it could.
    """

    file: str
    lines: int
    rewritten: bool = False
    gone: bool = False
    error: str = ""


def candidates(listing: Sequence[SourceFile], entries: Mapping[str, Entry], owners: set[str]) -> list[SourceFile]:
    """The raw files that can contain the people. No others can, because every line is accounted for.

    A line of theirs is in ``events`` or ``quarantine`` under its file, or was dropped after an erasure, or is a
    duplicate of such a line, in the same file or in one that the ledger links to it. Or its file has not been ingested yet.
    Or it was too long, so that quarantine has only its first bytes.

    Args:
        listing: What the source contains.
        entries: The ledger.
        owners: Source files of their rows, and of lines that were too long.
    """
    owners = owners | {path for path, entry in entries.items() if entry.erased}
    owners |= ledger.dependents(entries, owners)
    return [file for file in listing if file.path in owners or not _is_settled(file, entries.get(file.path))]


def _is_settled(file: SourceFile, entry: Entry | None) -> bool:
    return entry is not None and entry.version == file.version and entry.status != ledger.UNREADABLE


def search(
    source: Source, files: Sequence[SourceFile], people: People, settings: Settings, progress: Progress
) -> list[RawFile]:
    """Search raw files; returns those that contain the people, with how many lines, and those that cannot be read."""

    def search_one(file: SourceFile) -> RawFile:
        record = RawFile(file.path, 0)
        lines = 0
        try:
            for _, block in line_blocks(source, file, _whole_lines(settings)) if file.bytes else ():
                lines += len(block)
                record.lines += len(people.owning(block))
        except UnreadableError as error:
            record.error = f"could not be searched: {error}"
        except GoneError:
            record.gone = True
        except OSError as error:
            record.error = f"could not be read: {error.strerror or error}"
        progress(file.bytes, lines)
        return record

    with ThreadPoolExecutor(settings.threads) as pool:
        return [record for record in pool.map(search_one, files) if record.lines or record.error]


def rewrite(source: Source, file: SourceFile, people: People, settings: Settings, record: RawFile) -> None:
    """Rewrite a raw file without some people's lines, and enter the outcome in ``record``."""
    try:
        source.replace(file, _without(source, file, people, settings))
    except (GoneError, FileNotFoundError):
        record.error = "was replaced or removed in the meantime"
    except UnreadableError as error:
        record.error = f"can no longer be read: {error}"
    else:
        record.rewritten = True


def _without(source: Source, file: SourceFile, people: People, settings: Settings) -> bytes:
    with source.open(file) as stream:
        head = stream.read(4)
    content = io.BytesIO()
    separator = b""
    with deflating(content, head) as stream:
        for _, block in line_blocks(source, file, _whole_lines(settings)):
            gone = people.owning(block)
            kept = [line for place, line in enumerate(block) if place not in gone]
            if kept:
                stream.write(separator + b"\n".join(kept))
                separator = b"\n"
    return content.getvalue()


def _whole_lines(settings: Settings) -> Bounds:
    """No bound but that of a file: a person may be at the end of the longest line, and what stays must stay whole."""
    return Bounds(settings.max_file_bytes, settings.max_file_bytes)
