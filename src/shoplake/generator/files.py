"""Writes generated source files to a folder; on request with faults, and with the truth about each file.

The arguments determine every byte; the number of processes changes only the speed.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from multiprocessing import get_context
from typing import TYPE_CHECKING

from shoplake.generator.events import HIGH, LOW, PROFILES, SLOT, event_count, gzip_file, object_key, render
from shoplake.generator.faults import Expected, Faults, FaultyFile, Job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

LAYOUTS = ("hive", "flat")
"""How files are named: in folders by their time, as in the bucket, or all in one folder, with the time in their name."""
MANIFEST_NAME = "faults-manifest.json"
PROCESSES_PAY_FROM = 200_000
"""Total number of events below which starting processes takes longer than the work."""


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


def generate_files(  # noqa: PLR0913 - one argument per property of the data; all but the first six by name
    out: Path,
    files: int,
    events_per_file: tuple[int, int],
    start: datetime,
    seed: int,
    profile: str = "realistic",
    *,
    layout: str = "hive",
    faults: Faults | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[GeneratedFile]:
    """Write source files for consecutive five-minute slots; each appears under its name only when complete.

    With faults, ``out/faults-manifest.json`` records the truth about the files of this call. A file is first written under a
    temporary name that starts with a dot; existing files with the same keys are replaced, others stay.

    Args:
        out: Folder that contains ``events/`` or, with the flat layout, the files themselves; created if missing.
        files: Number of files, at least 1; file i is of the slot start + 5 min * i.
        events_per_file: Fewest and most events per file; within them, the time of day decides.
        start: Start of the first slot, with a zone.
        seed: Any integer.
        profile: ``realistic`` or ``uniform``.
        layout: One of :data:`LAYOUTS`.
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
    if layout not in LAYOUTS:
        raise ValueError(f"layout must be one of {', '.join(LAYOUTS)}, got {layout!r}")
    if workers is not None and workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    slots = [start + SLOT * index for index in range(files)]
    counts = [event_count(seed, slot, *events_per_file, profile) for slot in slots]
    jobs = [
        Job(
            out,
            _key(slot, layout),
            index,
            slot.astimezone(UTC).replace(microsecond=0),
            events,
            previous,
            seed,
            profile,
            faults,
        )
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


def make_object(
    scheduled: datetime, seed: int, profile: str = "realistic", low: int = LOW, high: int = HIGH
) -> tuple[str, int, Iterator[bytes]]:
    """Return a slot's key, number of events and gzip stream; asked twice, it answers the same."""
    events = event_count(seed, scheduled, low, high, profile)
    return object_key(scheduled), events, gzip_file(render(scheduled, events, seed, profile))


def _run(jobs: list[Job], workers: int | None) -> Iterator[GeneratedFile]:
    if workers is None:
        workers = (os.cpu_count() or 1) if sum(job.events for job in jobs) >= PROCESSES_PAY_FROM else 1
    workers = min(workers, len(jobs))
    if workers == 1:
        yield from map(_write, jobs)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_write, jobs)


def _key(scheduled: datetime, layout: str) -> str:
    key = object_key(scheduled)
    return key if layout == "hive" else key.rpartition("/")[2]


def _write(job: Job) -> GeneratedFile:
    key, path = job.key, job.out / job.key
    chunks = render(job.scheduled, job.events, job.seed, job.profile)
    if job.faults is None:
        everything = Expected(lines=job.events, accepted=job.events)
        return GeneratedFile(path, key, job.scheduled, job.events, _store(path, gzip_file(chunks)), everything)
    faulty = FaultyFile(job, job.faults)
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
