"""What an erasure is asked to do, and the receipt that it gives for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shoplake.engines.base import Engine, Progress, ignore
from shoplake.errors import UsageError
from shoplake.ingestion import pipeline
from shoplake.lake.catalog import Lake
from shoplake.operations.erase.people import People
from shoplake.operations.erase.raw_files import RawFile
from shoplake.settings import Settings
from shoplake.sources.base import Source
from shoplake.text import json_value


@dataclass(frozen=True)
class EraseRequest:
    """Who is to be erased, and where.

    Attributes:
        people: Who.
        lake: The lake.
        source: Where the raw files are; None leaves them out, and the receipt names them by what the tables say.
        engine: Recomputes gold.
        settings: Bounds and threads.
        raw: Whether raw files are rewritten without them.
        progress: Called with the compressed bytes and the lines of raw files that were searched.
        note: Called with a sentence worth showing, such as which run is being waited for.
        now: The time, UTC with a zone.
        new_id: A new id.
    """

    people: People
    lake: Lake
    source: Source | None
    engine: Callable[[], Engine]
    settings: Settings
    raw: bool = False
    progress: Progress = ignore
    note: Callable[[str], None] = ignore
    now: Callable[[], datetime] = pipeline.Run.now
    new_id: Callable[[], str] = pipeline.Run.new_id

    def check(self) -> None:
        """Refuse what no erasure can do.

        Raises:
            UsageError: No event can have such an id, there are too many, or raw files are to be rewritten without a source.
        """
        self.people.check()
        if self.raw and self.source is None:
            raise UsageError("rewriting raw files needs a source", remedy="Give --source DIR.")


@dataclass(frozen=True)
class ErasedPerson:
    """What an erasure found of one person, who is not named.

    Attributes:
        user_hash: The person, as the lake's list of erasures records them; None for a dry run on a lake without a list.
        repeated: The person was on the list already.
        events: Their events.
        quarantine: Quarantined lines about them; one may be about several people.
    """

    user_hash: str | None
    repeated: bool
    events: int
    quarantine: int


@dataclass
class EraseReceipt:
    """What was done, or for a dry run: what would be. It does not name the people.

    Attributes:
        request: The id of the request.
        at: When it was made, UTC.
        user_hash: The person, if it is one: see :class:`ErasedPerson`.
        lake: The lake's location.
        source: The source's location, None if it was left out.
        dry_run: Nothing was changed.
        repeated: All of them were on the list already.
        people: What was found of each, in the order in which they were given.
        removed: Their rows by table.
        mentions: Rows of other people that contain one of the ids, by table; they stay.
        hours: Hours of the gold tables that were recomputed.
        raw: The raw files that contain the people, and those that could not be searched.
        snapshots: Snapshots that were expired.
        files: Files of the lake that were removed, None for a dry run.
        bytes: Their size, likewise.
    """

    request: str
    at: datetime
    user_hash: str | None
    lake: str
    source: str | None
    dry_run: bool
    repeated: bool = False
    people: list[ErasedPerson] = field(default_factory=list)
    removed: dict[str, int] = field(default_factory=dict)
    mentions: dict[str, int] = field(default_factory=dict)
    hours: list[datetime] = field(default_factory=list)
    raw: list[RawFile] = field(default_factory=list)
    snapshots: int = 0
    files: int | None = None
    bytes: int | None = None

    @property
    def found(self) -> bool:
        """Whether the lake or a raw file contained any of them."""
        return any(self.removed.values()) or any(file.lines for file in self.raw)

    @property
    def failed(self) -> list[RawFile]:
        """Raw files that may still contain them though they should not."""
        return [file for file in self.raw if file.error]

    def as_json(self) -> dict[str, Any]:
        """The receipt as the fixed JSON interface names it."""
        figures = {
            **vars(self),
            "found": self.found,
            "people": [vars(person) for person in self.people],
            "raw": [vars(file) for file in self.raw],
        }
        return {name: json_value(value) for name, value in figures.items()}
