"""Writes generated source files to a folder; on request with faults, and with the truth about each file.

The arguments determine every byte; the number of processes changes only the speed.
"""

from __future__ import annotations

import json
import math
import os
import random
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

from shoplake.generator.events import CHUNK_LINES, PROFILES, SLOT, event_count, gzip_file, object_key, render

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

MANIFEST_NAME = "faults-manifest.json"
PROCESSES_PAY_FROM = 200_000
"""Total number of events below which starting processes takes longer than the work."""
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
        not_gzip: Files that contain plain text under a ``.gz`` name: unreadable.
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
class GeneratedFile:
    """A file as written.

    Attributes:
        path: Its location.
        key: Its path relative to the output folder, which is its object key in a bucket.
        scheduled: Start of its five minutes (UTC).
        events: Lines written, without blank ones; of a cut file, those written before it was cut.
        bytes: Size on disk.
        expected: The truth about the file; without faults every line is accepted.
    """

    path: Path
    key: str
    scheduled: datetime
    events: int
    bytes: int
    expected: Expected


@dataclass(frozen=True)
class _Job:
    """A file to write; ``previous_events`` is 0 for the first file."""

    out: Path
    index: int
    scheduled: datetime
    events: int
    previous_events: int
    seed: int
    profile: str
    faults: Faults | None


def generate_files(  # noqa: PLR0913 - one argument per property of the data; all but the first six by name
    out: Path,
    files: int,
    events_per_file: tuple[int, int],
    start: datetime,
    seed: int,
    profile: str = "realistic",
    *,
    faults: Faults | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[GeneratedFile]:
    """Write source files for consecutive five-minute slots; each appears under its name only when complete.

    With faults, ``out/faults-manifest.json`` records the truth about the files of this call. A file is first written under a
    temporary name that starts with a dot; existing files with the same keys are replaced, others stay.

    Args:
        out: Folder that contains ``events/``; created if missing.
        files: Number of files, at least 1; file i is of the slot start + 5 min * i.
        events_per_file: Fewest and most events per file; within them, the time of day decides.
        start: Start of the first slot, with a zone.
        seed: Any integer.
        profile: ``realistic`` or ``uniform``.
        faults: What should go wrong; None for nothing.
        workers: Number of processes; None uses one per CPU if there is enough work.
        progress: Called in this process after each file, with the events done and the total.

    Returns:
        The files in order of their slots.

    Raises:
        ValueError: An argument is out of range; nothing has been written.
        OSError: A file could not be written; its temporary file was deleted, and finished files stay.
    """
    if files < 1:
        raise ValueError(f"files must be at least 1, got {files}")
    if profile not in PROFILES:
        raise ValueError(f"profile must be one of {', '.join(PROFILES)}, got {profile!r}")
    if workers is not None and workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    slots = [start + SLOT * index for index in range(files)]
    counts = [event_count(seed, slot, *events_per_file) for slot in slots]
    jobs = [
        _Job(out, index, slot.astimezone(UTC).replace(microsecond=0), events, previous, seed, profile, faults)
        for index, (slot, events, previous) in enumerate(zip(slots, counts, [0, *counts], strict=False))
    ]
    written, done, total = [], 0, sum(counts)
    for file, events in zip(_run(jobs, workers), counts, strict=True):
        written.append(file)
        done += events
        if progress:
            progress(done, total)
    if faults:
        _store(out / MANIFEST_NAME, [_manifest(written, seed, profile, faults)])
    return written


def _run(jobs: list[_Job], workers: int | None) -> Iterator[GeneratedFile]:
    if workers is None:
        workers = (os.cpu_count() or 1) if sum(job.events for job in jobs) >= PROCESSES_PAY_FROM else 1
    workers = min(workers, len(jobs))
    if workers == 1:
        yield from map(_write, jobs)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_write, jobs)


def _write(job: _Job) -> GeneratedFile:
    key = object_key(job.scheduled)
    path = job.out / key
    chunks = render(job.scheduled, job.events, job.seed, job.profile)
    if job.faults is None:
        everything = Expected(lines=job.events, accepted=job.events)
        return GeneratedFile(path, key, job.scheduled, job.events, _store(path, gzip_file(chunks)), everything)
    faulty = _FaultyFile(job, job.faults)
    size = _store(path, faulty.content(chunks))
    return GeneratedFile(path, key, job.scheduled, faulty.lines_written, size, faulty.expected())


def _store(path: Path, chunks: Iterable[bytes]) -> int:
    """Write the chunks so that the file appears complete or not at all; return its size in bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            size = sum(map(file.write, chunks))
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return size


def _manifest(files: list[GeneratedFile], seed: int, profile: str, faults: Faults) -> bytes:
    rows = [{"path": file.key, **asdict(file.expected)} for file in files]
    counted = ("lines", "accepted", "duplicates", "quarantined", "late_events", "blank_lines")
    reasons: Counter[str] = Counter()
    for row in rows:
        reasons.update(row["quarantined_by_reason"])
    totals = {name: sum(row[name] for row in rows) for name in counted}
    settings = {name: sorted(value) if isinstance(value, frozenset) else value for name, value in vars(faults).items()}
    document = {
        "seed": seed,
        "profile": profile,
        "faults": settings,
        "totals": {**totals, "quarantined_by_reason": dict(sorted(reasons.items()))},
        "files": rows,
    }
    return json.dumps(document, indent=2).encode() + b"\n"


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines of chunks, which end between lines."""
    for chunk in chunks:
        yield from chunk.removeprefix(b"\n").split(b"\n")


class _FaultyFile:
    """The faults of a file: chosen first, then applied to the stream of clean lines and counted."""

    def __init__(self, job: _Job, faults: Faults) -> None:
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


@dataclass(frozen=True)
class BrokenLine:
    """A way to break a line, and the reason codes that the contract gives for it.

    Attributes:
        name: What was done, for people.
        reasons: Reason codes.
        event_type: The valid event that it starts from; time, user and session stay those of the line replaced.
        changes: Values to set; ``ABSENT`` takes the key away.
        mangle: What happens to the finished line's bytes.
    """

    name: str
    reasons: tuple[str, ...]
    event_type: str = "purchase"
    changes: dict[str, Any] = field(default_factory=dict)
    mangle: Callable[[bytes], bytes] = bytes

    def apply(self, line: bytes) -> bytes:
        """Return the broken line that takes a valid line's place."""
        event = json.loads(line)
        event.update(event_type=self.event_type, **_VALID[self.event_type])
        event.update(self.changes)
        return self.mangle(json.dumps({key: value for key, value in event.items() if value is not ABSENT}).encode())


ABSENT: Any = object()
_PRODUCT = {"product_id": "p_1001", "category": "electronics", "search_query": None}
_VALID: dict[str, dict[str, Any]] = {
    "purchase": {**_PRODUCT, "quantity": 2, "price": 19.99},
    "page_view": {**_PRODUCT, "quantity": None, "price": None},
    "search": {"product_id": None, "category": None, "quantity": None, "price": None, "search_query": "yoga mat"},
}


def _broken_lines() -> tuple[BrokenLine, ...]:
    mangled: tuple[tuple[str, Callable[[bytes], bytes]], ...] = (
        ("cut line", lambda line: line[: len(line) * 6 // 10]),
        ("not JSON", lambda _: b"upstream connect error, reset before headers"),
        ("array", lambda line: json.dumps(list(json.loads(line).values())).encode()),
        ("bare string", lambda _: b'"page_view"'),
        ("bare number", lambda _: b"42"),
        ("two objects", lambda line: line + line),
    )
    kinds = [BrokenLine(name, ("malformed_json",), mangle=mangle) for name, mangle in mangled]
    kinds.append(BrokenLine("invalid UTF-8", ("invalid_utf8",), mangle=lambda line: line.replace(b"u_", b"u_\xff", 1)))
    starts = {"event_type": "page_view", "search_query": "search"}
    for name in ("timestamp", "user_id", "session_id", "event_type", *_VALID["purchase"]):
        for how, value in (("absent", ABSENT), ("null", None), ("empty", "")):
            if (name, how) != ("search_query", "empty"):
                start = starts.get(name, "purchase")
                kinds.append(BrokenLine(f"{name} {how}", (f"missing_{name}",), start, {name: value}))
    wrong: tuple[tuple[str, str, str, tuple[Any, ...]], ...] = (
        (
            "bad_timestamp",
            "purchase",
            "timestamp",
            ("yesterday", "2025-13-45T25:61:61Z", "18/11/2025 14:23", 1763475825),
        ),
        ("unknown_event_type", "page_view", "event_type", ("teleport", "PAGE_VIEW")),
        ("bad_quantity", "purchase", "quantity", (0, -1, 2.5, "many")),
        ("bad_price", "purchase", "price", (-1.0, "free", 1e10)),
        ("unexpected_product_id", "search", "product_id", ("p_1001",)),
        ("unexpected_category", "search", "category", ("electronics",)),
        ("unexpected_quantity", "search", "quantity", (1,)),
        ("unexpected_quantity", "page_view", "quantity", (1,)),
        ("unexpected_price", "search", "price", (19.99,)),
        ("unexpected_price", "page_view", "price", (19.99,)),
        ("unexpected_search_query", "page_view", "search_query", ("yoga mat",)),
        ("unexpected_search_query", "purchase", "search_query", ("yoga mat",)),
    )
    for reason, start, name, values in wrong:
        kinds += [BrokenLine(f"{start} with {name} {value}", (reason,), start, {name: value}) for value in values]
    several = ("missing_user_id", "bad_quantity", "bad_price")
    kinds.append(BrokenLine("several", several, changes={"user_id": None, "quantity": 0, "price": -1.0}))
    random.Random("kinds").shuffle(kinds)
    return tuple(kinds)


BROKEN_LINES = _broken_lines()
"""Every kind of broken line, in the order in which files cycle through them."""
