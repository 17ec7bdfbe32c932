"""The seam between a run and what computes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from shoplake.engines.quarantined import QuarantinedLines
from shoplake.lake.erasures import Erased
from shoplake.lake.parquet import NewFile
from shoplake.lake.snapshots import TableSnapshot, View
from shoplake.sources.base import Source, SourceFile
from shoplake.tables import Table

if TYPE_CHECKING:
    import pyarrow as pa

UNAVAILABLE = "cannot be read now"
"""How the reason begins where a file may be readable later."""

Progress = Callable[[int, int], None]
"""Is told of finished work: compressed bytes read, lines judged."""


def ignore(*_: object) -> None:
    """A callback for callers that do not want to be told."""


class Output(Protocol):
    """Takes the data files of a batch; no table names them before the batch is committed."""

    def write(self, table: Table, partition: date, rows: pa.Table, *, keys: bytes | None = None) -> NewFile:
        """Write rows that all lie in the partition of the given value; may be called from several threads.

        Args:
            table: Their table.
            partition: A value of the partitioned column.
            rows: The rows.
            keys: Their units, to lie beside the file (see :mod:`shoplake.engines.unit_keys`).
        """
        ...

    def adopt(self, files: Iterable[NewFile]) -> None:
        """Take on data files of the batch that the engine wrote by itself."""
        ...


@dataclass(frozen=True)
class CheckRequest:
    """What an engine is to read and judge.

    Attributes:
        source: Where the files are.
        files: Which; at least one.
        latest: The latest time that an event may have.
        erased: Whose lines are kept nowhere.
        progress: Is told of finished work.
        whole: Whether all files have to be read. If not, the engine may stop after some when it holds a great deal.
        arrival: With it the engine may write quarantined lines of new files by itself.
    """

    source: Source
    files: Sequence[SourceFile]
    latest: datetime
    erased: Erased
    progress: Progress = ignore
    whole: bool = True
    arrival: Arrival | None = None


@dataclass(frozen=True)
class Arrival:
    """What the rows of ``quarantine`` say of the files that are new in a batch.

    Attributes:
        batch: The batch's id.
        at: When it happens, UTC without a zone.
        paths: The source files that the lake does not know yet.
    """

    batch: str
    at: datetime
    paths: frozenset[str]


@dataclass(frozen=True)
class WrittenLines:
    """Quarantined lines of a source file that an executor wrote by itself, since they were many.

    Attributes:
        files: Data files of ``quarantine`` that hold them.
        lines: How many they are.
        reasons: How many have each reason.
    """

    files: tuple[NewFile, ...]
    lines: int
    reasons: Counter[str]


@dataclass(frozen=True)
class CheckedFile:
    """One source file, read and judged; lines about erased people are gone.

    Attributes:
        file: The file.
        lines: Its lines that are not blank.
        quarantined: Those that break the contract, but for ``written``.
        written: Those of them that the engine wrote by itself, instead of all in ``quarantined``.
        erased: Those about erased people, of which nothing else is kept.
        error: Why it could not be read whole (then it has no lines), or None.
        gone: It was deleted before it could be read.
        unavailable: It could not be read now, for a reason that may pass: nothing is known about it.
        seconds: Time that reading and checking took.
        unknown_keys: In how many lines each key stands that the contract does not know.
        present: How many accepted lines have a value in each column, duplicates included.
        duplicates: Lines known to be equal to an event that comes first; their rows are gone already.
        duplicates_of: The other source files that hold those events.
        rows: The engine's own handle on the rows that remain.
    """

    file: SourceFile
    lines: int = 0
    quarantined: QuarantinedLines = QuarantinedLines()  # noqa: RUF009 - it is never changed
    erased: int = 0
    error: str | None = None
    gone: bool = False
    unavailable: bool = False
    seconds: float = 0.0
    unknown_keys: dict[str, int] = field(default_factory=dict)
    present: dict[str, int] = field(default_factory=dict)
    duplicates: int = 0
    duplicates_of: frozenset[str] = frozenset()
    rows: Any = None
    written: WrittenLines | None = None

    @property
    def broken(self) -> int:
        """How many lines break the contract."""
        return self.written.lines if self.written else len(self.quarantined)

    @property
    def reasons(self) -> Counter[str]:
        """How many lines have each reason; a line may have several."""
        return self.written.reasons if self.written else self.quarantined.by_reason()


@dataclass(frozen=True)
class DedupedFile(CheckedFile):
    """A checked file without its duplicates: all that its ledger entry tells is known.

    Attributes:
        accepted: Rows that remain.
        hours: Starts of the hours that they lie in.
        min_event_time: The earliest of them, None without any.
        max_event_time: The latest.
    """

    accepted: int = 0
    hours: frozenset[datetime] = frozenset()
    min_event_time: datetime | None = None
    max_event_time: datetime | None = None


class Deduped(NamedTuple):
    """A batch without its duplicates.

    Attributes:
        files: In the order of the checked ones.
        conflicts: Pairs of a path of the batch and a stored one that comes after it by name, yet holds its event. The
            batch's row is dropped all the same; doing both files again, together, makes the result independent of the
            order of arrival.
    """

    files: list[DedupedFile]
    conflicts: frozenset[tuple[str, str]]


@dataclass(frozen=True)
class GoldRequest:
    """What gold an engine is to compute.

    Attributes:
        files: The batch, whose rows replace all stored ones of the same paths; may be empty.
        hours: The hours to compute; at least one.
        base: What the lake holds.
        grown: Those of the hours that lose no stored row, on days all of whose hours in the batch are such: their gold may
            be that of the batch's rows added to what is stored. All others are recomputed whole.
    """

    files: Sequence[DedupedFile]
    hours: Collection[datetime]
    base: View
    grown: frozenset[datetime] = frozenset()


@dataclass(frozen=True)
class Gold:
    """New gold: for every hourly table its files, for the daily table its rows.

    Attributes:
        hourly: Files by table name, each with the rows of one hour.
        parts: The hours whose files of users and sessions add to the stored ones; all others take their place.
        days: The days that ``daily`` speaks of.
        daily: Files of ``activity_daily``.
    """

    hourly: dict[str, list[NewFile]]
    parts: frozenset[datetime]
    days: frozenset[date]
    daily: list[NewFile]


class Engine(Protocol):
    """What computes a batch. It writes data files but commits nothing."""

    @property
    def name(self) -> str:
        """Its name in the ledger."""
        ...

    def check(self, request: CheckRequest) -> list[CheckedFile]:
        """Read files, judge every line, keep the accepted rows at hand; drop and count the lines about erased people.

        Returns:
            What became of each that was read, in their order; of the first at least.
        """
        ...

    def dedupe(self, checked: Sequence[CheckedFile], stored: TableSnapshot | None) -> Deduped:
        """Drop rows equal to an earlier one: inside a file, across the batch (the first path keeps it), and stored ones.

        Args:
            checked: The batch, in the order of the paths.
            stored: The ``events`` of the lake, where the batch is compared with them; rows of the batch's own paths in them
                do not count.
        """
        ...

    def discard(self, files: Sequence[CheckedFile]) -> None:
        """Remove what was written for these files, which will not be published."""
        ...

    def write_events(self, files: Sequence[DedupedFile], output: Output) -> list[NewFile]:
        """Write the accepted rows, or hand over what is written: data files of one hour each."""
        ...

    def gold(self, request: GoldRequest, output: Output) -> Gold:
        """Compute every gold table for some hours and their days, and write it.

        Does not read what is replaced whole: data files of the batch's paths alone, and gold files of the given hours alone,
        unless they have only grown. So what cannot be read can be written again.
        """
        ...


class ArrowEngine(Engine, Protocol):
    """An engine whose handle on the accepted rows is an Arrow table in this process: rows can be handed to it as well.

    Replaying the quarantine needs that, since it assembles a file from its stored events and the lines that now pass. The
    handle of the Spark engine is data files that its executors wrote, so it reads source files only and is no such engine.
    """

    def judge(self, lines: Sequence[tuple[int, bytes]], latest: datetime) -> tuple[pa.Table, QuarantinedLines]:
        """Judge single lines of one file.

        Args:
            lines: Each by its number and its bytes.
            latest: The latest time that an event may have.

        Returns:
            Rows like those of :meth:`check`, and the lines that break the contract.
        """
        ...
