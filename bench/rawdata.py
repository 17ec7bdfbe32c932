"""Makes the raw files of the workloads, once: ``python bench/rawdata.py FOLDER SPEC``, a process of its own.

The measuring process imports nothing heavy and has no other children: both would show in what it measures.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

SEED = 42


@dataclass(frozen=True)
class Spec:
    """A set of raw files.

    Attributes:
        start: Time of the first file, ISO 8601 with a zone.
        files: How many.
        events: Events of each.
        profile: uniform or realistic.
        minutes: From one file to the next: 5 fills every slot, 60 makes one file an hour.
    """

    start: str
    files: int
    events: int
    profile: str
    minutes: int = 5


def ensure(folder: Path, spec: Spec) -> Path:
    """The folder with exactly these files; made if they are not there yet."""
    marker = folder.with_name(f"{folder.name}.json")  # outside: the contenders read all that is inside
    wanted = {**asdict(spec), "seed": SEED, "generator": _generator()}
    if not marker.is_file() or json.loads(marker.read_text("utf-8")) != wanted:
        print(f"making {spec.files:,} raw files of {spec.events:,} events in {folder}", file=sys.stderr)
        marker.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        subprocess.run([sys.executable, __file__, str(folder), json.dumps(asdict(spec))], check=True)
        marker.write_text(json.dumps(wanted), "utf-8")
    return folder


def files(folder: Path) -> list[Path]:
    """The raw files of a folder, in the order of their names."""
    return sorted(folder.rglob("*.jsonl.gz"))


def link(folder: Path, *sources: Path, first: int | None = None) -> Path:
    """A source folder made of hard links to the files of others, or to the first few of each (same times, no second copy)."""
    shutil.rmtree(folder, ignore_errors=True)
    for source in sources:
        for file in files(source)[:first]:
            target = folder / file.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.hardlink_to(file)
    return folder


def _generator() -> str:
    source = Path(__file__).parents[1] / "src" / "shoplake" / "generator" / "events.py"
    return hashlib.sha256(source.read_bytes()).hexdigest()[:16]


def _make(folder: Path, spec: Spec) -> None:
    from shoplake.generator.files import generate_files

    start, span = datetime.fromisoformat(spec.start), (spec.events, spec.events)
    if spec.minutes == 5:
        generate_files(folder, spec.files, span, start, SEED, spec.profile)
        return
    for number in range(spec.files):
        generate_files(folder, 1, span, start + number * timedelta(minutes=spec.minutes), SEED, spec.profile, workers=1)


if __name__ == "__main__":
    _make(Path(sys.argv[1]), Spec(**json.loads(sys.argv[2])))
