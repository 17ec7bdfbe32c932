"""Metrics for monitoring: one JSON line for each run, and gauges as OpenMetrics text.

Runs write files, because only a run knows how it ended and how long it took; ``status`` prints the lake's state, because that
changes without a run: it ages. Every metric is a gauge, of the last run or of the present state. Counters would need a place
to live between runs, and the ledger keeps the totals anyway. The text is also valid in the older Prometheus format, which
the node exporter's textfile collector reads.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from shoplake.errors import FatalError
from shoplake.health.status import Status
from shoplake.health.verdicts import Verdict
from shoplake.ingestion.report import RunReport
from shoplake.storage.atomic import replacing
from shoplake.text import json_value


@dataclass(frozen=True)
class RunRecord:
    """How one run ended.

    Attributes:
        at: When it ended, UTC with a zone.
        lake: The lake.
        source: The source.
        report: What it did before it ended.
        error: Why it failed; None if it did not.
    """

    at: datetime
    lake: str
    source: str
    report: RunReport
    error: str | None = None

    def as_line(self) -> str:
        """One JSON document, without a newline."""
        head = {
            "at": json_value(self.at),
            "ok": self.error is None,
            "error": self.error,
            "lake": self.lake,
            "source": self.source,
        }
        return json.dumps(head | self.report.as_json(), ensure_ascii=False)


@dataclass
class Gauge:
    """One metric family of type gauge.

    Attributes:
        name: Ends with the unit, where there is one.
        help: What it measures.
        unit: A base unit (seconds, bytes), or empty.
        samples: Labels and value.
    """

    name: str
    help: str
    unit: str = ""
    samples: list[tuple[dict[str, str], float]] = field(default_factory=list)


def text(gauges: Sequence[Gauge]) -> str:
    """Gauges as OpenMetrics text."""
    lines = []
    for gauge in gauges:
        if not gauge.samples:
            continue
        lines.append(f"# TYPE {gauge.name} gauge")
        if gauge.unit:
            lines.append(f"# UNIT {gauge.name} {gauge.unit}")
        lines.append(f"# HELP {gauge.name} {_escaped(gauge.help)}")
        for labels, value in gauge.samples:
            named = ",".join(f'{name}="{_escaped(content)}"' for name, content in labels.items())
            lines.append(f"{gauge.name}{{{named}}} {value!r}")
    return "\n".join([*lines, "# EOF", ""])


def of_run(record: RunRecord) -> list[Gauge]:
    """The gauges of a run."""
    done, lake = record.report, {"lake": record.lake}

    def gauge(name: str, doc: str, value: float, unit: str = "") -> Gauge:
        return Gauge(f"shoplake_last_run_{name}", doc, unit, [(lake, value)])

    fates = {
        "accepted": done.accepted,
        "duplicate": done.duplicates,
        "quarantined": done.quarantined,
        "erased": done.erased,
    }
    return [
        gauge("success", "1 if the last run succeeded, 0 if it failed.", float(record.error is None)),
        gauge("timestamp_seconds", "When the last run ended, in Unix time.", record.at.timestamp(), "seconds"),
        gauge("duration_seconds", "Wall time of the last run.", done.seconds, "seconds"),
        gauge("files", "Source files that the last run ingested.", done.files),
        gauge("unreadable_files", "Source files that the last run found unreadable.", len(done.failures)),
        gauge("replaced_files", "Source files that the last run re-ingested because they had changed.", done.replaced),
        gauge("batches", "Batches that the last run committed.", done.batches),
        gauge("hours", "Hours of the gold tables that the last run published.", done.hours),
        gauge("read_bytes", "Compressed bytes that the last run read.", done.bytes, "bytes"),
        Gauge(
            "shoplake_last_run_lines",
            "Lines of the last run, by fate.",
            samples=[({**lake, "fate": fate}, lines) for fate, lines in fates.items()],
        ),
        Gauge(
            "shoplake_last_run_quarantine_reasons",
            "Quarantined lines of the last run, by reason; a line can have several.",
            samples=[({**lake, "reason": code}, lines) for code, lines in sorted(done.reasons.items())],
        ),
    ]


def of_status(state: Status) -> list[Gauge]:
    """The gauges of a lake's state."""
    lake = {"lake": state.lake}

    def gauge(name: str, doc: str, value: float | None, unit: str = "") -> Gauge:
        return Gauge(f"shoplake_{name}", doc, unit, [] if value is None else [(lake, value)])

    def gauges(name: str, doc: str, label: str, values: dict[str, int], unit: str = "") -> Gauge:
        return Gauge(f"shoplake_{name}", doc, unit, [({**lake, label: key}, value) for key, value in values.items()])

    ledger, waiting = state.ledger, state.waiting or {}
    fates = {"accepted": "accepted", "duplicate": "duplicates", "quarantined": "quarantined", "erased": "erased"}
    return [
        gauges(
            "check_ok",
            "1 if the check of this name is ok, 0 on a warning or a failure; absent if it is unknown.",
            "check",
            {
                check.name: int(check.verdict == Verdict.OK)
                for check in state.checks
                if check.verdict != Verdict.UNKNOWN
            },
        ),
        gauges(
            "check_failed",
            "1 if the check of this name failed, which makes status --check exit with 1.",
            "check",
            {check.name: int(check.verdict == Verdict.FAILED) for check in state.checks},
        ),
        gauge("newest_arrival_timestamp_seconds", "When the newest file was ingested, in Unix time.",
            _unix(state.newest_arrival), "seconds"),
        gauge("newest_event_timestamp_seconds", "Time of the newest event, in Unix time.",
            _unix(state.newest_event), "seconds"),
        gauge("last_failure_timestamp_seconds", "When the last run failed, in Unix time; absent if it did not.",
            _unix(state.last_failure.at if state.last_failure else None), "seconds"),
        gauge("freshness_objective_seconds", "How old the newest arrival may become.",
            state.objective_minutes * 60, "seconds"),
        gauge("source_files", "Source files in the ledger.", ledger["files"]),
        gauge("unreadable_files", "Source files that are unreadable.", ledger["unreadable"]),
        gauge("reopened_files", "Source files to be re-ingested.", state.reopened),
        gauge("waiting_files", "Source files waiting for the next run.", waiting.get("files")),
        gauge("waiting_bytes", "Their compressed size.", waiting.get("bytes"), "bytes"),
        gauge("gap_slots", "Five-minute slots without a file between the first and the last.", state.gap_slots),
        gauges("lines", "Lines of all source files, by fate.", "fate",
             {fate: ledger[key] for fate, key in fates.items()}),
        gauges("table_rows", "Rows of a table.", "table",
             {name: figures["rows"] for name, figures in state.tables.items()}),
        gauges("table_files", "Data files of a table.", "table",
             {name: figures["files"] for name, figures in state.tables.items()}),
        gauges("table_size_bytes", "Size of a table's data files.", "table",
             {name: figures["bytes"] for name, figures in state.tables.items()}, "bytes"),
    ]  # fmt: skip


def replace_file(path: Path, gauges: Sequence[Gauge]) -> None:
    """Write gauges to a file, which contains a complete document at any moment.

    Raises:
        FatalError: It cannot be written.
    """
    try:
        with replacing(path) as stream:
            stream.write(text(gauges).encode())
    except OSError as error:
        raise _unwritable(path, error) from error


def append_line(path: Path, record: RunRecord) -> None:
    """Add a run to a file of JSON lines, in one write.

    Raises:
        FatalError: It cannot be written.
    """
    try:
        with path.open("ab", buffering=0) as stream:
            stream.write(record.as_line().encode() + b"\n")
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> FatalError:
    return FatalError(
        f"the metrics file {path} cannot be written: {error.strerror or error}",
        remedy="The lake itself is unaffected. Check the folder, its permissions and disk space.",
    )


def _unix(moment: datetime | None) -> float | None:
    return None if moment is None else moment.replace(tzinfo=UTC).timestamp()


def _escaped(content: str) -> str:
    return content.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
