"""The faults of generated files: what they do to the stream of clean lines, and the truth about the result."""

from __future__ import annotations

import json
import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path

from shoplake.generator.broken_lines import BROKEN_LINES
from shoplake.generator.events import CHUNK_LINES, SLOT, gzip_file, render

_RESENT_FROM_FIRST = 20_000
_LATE_MS = (60 * 60 * 1000, 3 * 24 * 60 * 60 * 1000)


@dataclass(frozen=True)
class Faults:
    """What goes wrong in generated files: fractions of a file's events, and files by their index.

    A fraction above 0 touches at least one line of every file (resent lines: of every file but the first).

    Attributes:
        late_fraction: Valid events whose time is 1 hour to 3 days before the file's slot.
        duplicate_fraction: Exact copies of valid lines of the same file, anywhere after them.
        cross_duplicate_fraction: Exact copies of valid lines of the previous file.
        malformed_fraction: Lines that break the contract, cycling through all kinds.
        blank_fraction: Empty lines, which are not counted as lines.
        cut_gzip: Files whose gzip stream is truncated: unreadable.
        not_gzip: Files that contain a server's response under a ``.gz`` name: unreadable.
        empty: Files with a valid gzip stream of zero bytes.
        crlf: Files whose lines end with carriage return and line feed.
        bom: Files that begin with a UTF-8 byte order mark; a reader is expected to skip it.

    Raises:
        ValueError: A fraction outside 0..1, or one file that would be cut, not gzip and empty at once.
    """

    late_fraction: float = 0.0
    duplicate_fraction: float = 0.0
    cross_duplicate_fraction: float = 0.0
    malformed_fraction: float = 0.0
    blank_fraction: float = 0.0
    cut_gzip: frozenset[int] = frozenset()
    not_gzip: frozenset[int] = frozenset()
    empty: frozenset[int] = frozenset()
    crlf: frozenset[int] = frozenset()
    bom: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        """Refuse faults that cannot be produced."""
        for name, value in asdict(self).items():
            if name.endswith("_fraction") and not 0 <= value <= 1:
                raise ValueError(f"{name} must be between 0 and 1, got {value}")
        if twice := self.cut_gzip & self.not_gzip | self.cut_gzip & self.empty | self.not_gzip & self.empty:
            raise ValueError(f"a file can only be one of cut, not gzip and empty; see index {min(twice)}")

    @classmethod
    def demo(cls) -> Faults:
        """Return the faults of an ordinary bad day; every file stays readable."""
        return cls(
            late_fraction=0.002, duplicate_fraction=0.001, cross_duplicate_fraction=0.0005, malformed_fraction=0.001
        )

    @classmethod
    def heavy(cls) -> Faults:
        """Return every kind of fault.

        A file of 1,000 events has every kind of broken line; the files at indexes 2 to 6 are faulty as a whole.
        """
        return cls(
            late_fraction=0.02,
            duplicate_fraction=0.02,
            cross_duplicate_fraction=0.01,
            malformed_fraction=0.08,
            blank_fraction=0.01,
            cut_gzip=frozenset({2}),
            crlf=frozenset({3}),
            empty=frozenset({4}),
            bom=frozenset({5}),
            not_gzip=frozenset({6}),
        )

    def unreadable(self, index: int) -> bool:
        """Return whether the file at this index cannot be read completely."""
        return index in self.cut_gzip or index in self.not_gzip


@dataclass(frozen=True)
class Expected:
    """What an exact pipeline makes of a file, if the files are ingested in order of their paths.

    Attributes:
        lines: Lines to account for: accepted + duplicates + quarantined; 0 for a file that is unreadable or empty.
        accepted: Lines that become events.
        duplicates: Exact copies of a line accepted before, in this file or the previous one.
        quarantined: Lines that break the contract.
        quarantined_by_reason: Lines per reason code; a line with several reasons counts under each.
        late_events: Accepted events made late; a copy of one is a duplicate.
        late_hours: Those events per hour of their own time (UTC), as ``2025-11-18T13``.
        blank_lines: Empty lines, not part of ``lines``.
        unreadable: Whether the whole file has to be set aside.
    """

    lines: int = 0
    accepted: int = 0
    duplicates: int = 0
    quarantined: int = 0
    quarantined_by_reason: dict[str, int] = field(default_factory=dict)
    late_events: int = 0
    late_hours: dict[str, int] = field(default_factory=dict)
    blank_lines: int = 0
    unreadable: bool = False


@dataclass(frozen=True)
class Job:
    """A file to write, below ``out`` under ``key``; ``previous_events`` is 0 for the first file."""

    out: Path
    key: str
    index: int
    scheduled: datetime
    events: int
    previous_events: int
    seed: int
    profile: str
    faults: Faults | None


class FaultyFile:
    """The faults of a file: chosen first, then applied to the stream of clean lines and counted."""

    def __init__(self, job: Job, faults: Faults) -> None:
        self.job = job
        self.faults = faults
        self.late, self.broken = _altered(job.seed, job.index, job.events, faults)
        rng = random.Random(f"{job.seed}|copies|{job.index}")
        self.copied: defaultdict[int, list[int]] = defaultdict(list)  # line -> where its copies go
        self.inserted: defaultdict[int, list[bytes]] = defaultdict(list)  # line -> what follows it
        valid = [line for line in range(job.events) if line not in self.broken]
        repeated = rng.choices(valid, k=_count(faults.duplicate_fraction, job.events)) if valid else []
        for line in repeated:
            self.copied[line].append(rng.randrange(line, job.events))
        resent = self._resent(rng)
        self.blank_lines = _count(faults.blank_fraction, job.events)
        for extra in [*resent, *[b""] * self.blank_lines]:
            self.inserted[rng.randrange(job.events)].append(extra)
        self.lines_written = 0 if job.index in faults.empty else job.events + len(repeated) + len(resent)
        lost = job.index - 1 in faults.empty or faults.unreadable(job.index - 1)
        self.duplicates = len(repeated) + (0 if lost else len(resent))
        self.rng = rng
        self.late_hours: Counter[str] = Counter()

    def _resent(self, rng: random.Random) -> list[bytes]:
        """Return lines of the previous file that are unaltered there."""
        job, events = self.job, self.job.previous_events
        wanted = _count(self.faults.cross_duplicate_fraction, events)
        if not wanted:
            return []
        late, broken = _altered(job.seed, job.index - 1, events, self.faults)
        unaltered = [line for line in range(min(events, _RESENT_FROM_FIRST)) if line not in late and line not in broken]
        chosen = set(rng.sample(unaltered, min(wanted, len(unaltered))))
        if not chosen:
            return []
        earlier = _lines(render(job.scheduled - SLOT, events, job.seed, job.profile))
        return [line for number, line in enumerate(islice(earlier, max(chosen) + 1)) if number in chosen]

    def content(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the bytes of the file."""
        text = self._text(chunks)
        if self.job.index in self.faults.not_gzip:
            yield b"HTTP/1.1 502 Bad Gateway\r\n\r\n"
            yield from text
        elif self.job.index in self.faults.cut_gzip:
            whole = b"".join(gzip_file(text))
            yield whole[: len(whole) * 6 // 10]
        else:
            yield from gzip_file(text)

    def _text(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        if self.job.index in self.faults.empty:
            return
        newline = b"\r\n" if self.job.index in self.faults.crlf else b"\n"
        lines = self._faulty(_lines(chunks))
        before = b"\xef\xbb\xbf" if self.job.index in self.faults.bom else b""
        while batch := list(islice(lines, CHUNK_LINES)):
            yield before + newline.join(batch)
            before = newline

    def _faulty(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        for number, clean in enumerate(lines):
            line = clean
            if number in self.broken:
                line = BROKEN_LINES[self.broken[number]].apply(clean)
            elif number in self.late:
                line = self._made_late(clean)
            yield line
            for place in self.copied.get(number, ()):
                self.inserted[place].append(line)
            yield from self.inserted.pop(number, ())

    def _made_late(self, line: bytes) -> bytes:
        moment = self.job.scheduled - timedelta(milliseconds=self.rng.randint(*_LATE_MS))
        self.late_hours[f"{moment:%Y-%m-%dT%H}"] += 1
        event = json.loads(line)
        if event["timestamp"].endswith("Z"):
            event["timestamp"] = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        else:
            event["timestamp"] = moment.isoformat(timespec="microseconds")
        return json.dumps(event).encode()

    def expected(self) -> Expected:
        """Return the truth; call it once the content has been consumed."""
        if self.faults.unreadable(self.job.index):
            return Expected(unreadable=True)
        if self.job.index in self.faults.empty:
            return Expected()
        reasons: Counter[str] = Counter()
        for kind in self.broken.values():
            reasons.update(BROKEN_LINES[kind].reasons)
        return Expected(
            lines=self.lines_written,
            accepted=self.lines_written - self.duplicates - len(self.broken),
            duplicates=self.duplicates,
            quarantined=len(self.broken),
            quarantined_by_reason=dict(sorted(reasons.items())),
            late_events=len(self.late),
            late_hours=dict(sorted(self.late_hours.items())),
            blank_lines=self.blank_lines,
        )


def _count(fraction: float, events: int) -> int:
    return math.ceil(round(fraction * events, 6))


def _altered(seed: int, index: int, events: int, faults: Faults) -> tuple[frozenset[int], dict[int, int]]:
    """Choose the lines of a file that become late, and those that get broken with the kind of each."""
    rng = random.Random(f"{seed}|altered|{index}")
    broken = _count(faults.malformed_fraction, events)
    late = min(_count(faults.late_fraction, events), events - broken)
    chosen = rng.sample(range(events), broken + late)
    kinds = {line: (index * broken + turn) % len(BROKEN_LINES) for turn, line in enumerate(chosen[:broken])}
    return frozenset(chosen[broken:]), kinds


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines of chunks, which end between lines."""
    for chunk in chunks:
        yield from chunk.removeprefix(b"\n").split(b"\n")
