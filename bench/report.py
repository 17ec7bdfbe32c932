"""Says what a workload found: JSON for programs, a Markdown table for RESULTS.md."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

_PACKAGES = ("shoplake", "duckdb", "chdb", "chdb-core", "polars", "pyspark", "pyarrow", "pyiceberg", "isal")


@dataclass(frozen=True)
class Bar:
    """A figure that the project promises, and what it came to; both in the same unit."""

    what: str
    limit: float
    value: float

    @property
    def met(self) -> bool:
        """Whether the promise holds."""
        return self.value <= self.limit


@dataclass
class Findings:
    """What a workload found.

    Attributes:
        workload: Its name.
        header: Column names of its table.
        rows: The table.
        figures: Everything measured, for the JSON.
        notes: Sentences that belong under the table.
        bars: What was promised; judged at full size only.
    """

    workload: str
    header: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)

    def markdown(self, *, full_size: bool) -> str:
        """The table with its notes and bars."""
        lines = [f"| {' | '.join(row)} |" for row in (self.header, *self.rows)]
        lines.insert(1, f"| --- |{' ---: |' * (len(self.header) - 1)}")
        notes = [f"- {note}" for note in self.notes]
        for bar in self.bars:
            verdict = ("met" if bar.met else "**not met**") if full_size else "not judged: not at full size"
            notes.append(f"- bar: {bar.what} at most {bar.limit:g}: {bar.value:.2f}, {verdict}")
        return "\n".join([*lines, "", *notes])

    def save(self, folder: Path, arguments: dict[str, Any]) -> Path:
        """Write the JSON."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.workload}.json"
        bars = [{"what": bar.what, "limit": bar.limit, "value": bar.value, "met": bar.met} for bar in self.bars]
        document = {
            "workload": self.workload,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "arguments": arguments,
            "machine": machine(),
            "versions": versions(),
            "commit": commit(),
            "figures": self.figures,
            "notes": self.notes,
            "bars": bars,
        }
        path.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
        return path


def machine() -> dict[str, Any]:
    """What it ran on, and how busy that was."""
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8")
        model = next(line.split(":")[1].strip() for line in text.splitlines() if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.processor() or platform.machine()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return {
        "cpus": os.cpu_count(),
        "cpu": model,
        "memory_gib": round(memory, 1),
        "system": platform.platform(),
        "load_1_5_15": [round(load, 2) for load in os.getloadavg()],
    }


def versions() -> dict[str, str]:
    """Python and the packages that matter."""
    found = {"python": sys.version.split()[0]}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "missing"
    return found


def commit() -> str:
    """The commit that was measured, with a + where files differ from it."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--exclude=*"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


def heading() -> str:
    """One line that says what was measured, where and when."""
    on, used = machine(), versions()
    packages = ", ".join(f"{name} {used[name]}" for name in ("duckdb", "chdb-core", "polars", "pyspark"))
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, commit {commit()}, {on['cpus']} x {on['cpu']}, {on['memory_gib']} GiB,"
        f" Python {used['python']}, {packages}; load before: {on['load_1_5_15'][0]}"
    )
