"""Removes a person from a lake: from events, quarantine, gold and history; on request from the raw files as well.

The tables change by one commit like any batch's, together with the list that keeps later ingests from bringing the person
back. The history goes with the same commit, and right after it every file that only the history named. A run that is
killed on the way is finished by the same command.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from shoplake.contract import BOM, parse_line
from shoplake.engines.base import Engine, Gold, Progress
from shoplake.errors import FatalError, TransientError, UsageError
from shoplake.ingestion import pipeline
from shoplake.ingestion.publish import publish_gold, raw_bytes
from shoplake.lake import erasures, ledger, parquet
from shoplake.lake.catalog import Lake
from shoplake.lake.commits import Commit, LostRaceError
from shoplake.lake.erasures import Erased
from shoplake.lake.ledger import Entry
from shoplake.lake.parquet import NewFile
from shoplake.lake.snapshots import DataFile, View
from shoplake.operations.erase import raw_files as rawfiles
from shoplake.operations.erase.raw_files import RawFile
from shoplake.operations.maintain import vacuum as sweep
from shoplake.settings import Settings
from shoplake.sources.base import Source
from shoplake.storage.base import Storage
from shoplake.tables import ACTIVITY_DAILY, ERASURES, EVENTS, GOLD_HOURLY, LEDGER, QUARANTINE, TABLES, Table
from shoplake.text import json_value

MAX_TRIES = 20
ERASE = "erase"
_HOUR = {"minute": 0, "second": 0, "microsecond": 0}


def _silent(*_: object) -> None:
    return


@dataclass(frozen=True)
class EraseRequest:
    """Who is to be erased, and where.

    Attributes:
        user: The user_id.
        lake: The lake.
        source: Where the raw files are; None leaves them out, and they are named by what the tables say.
        engine: What recomputes gold.
        settings: Bounds and threads.
        raw: Whether raw files are rewritten without the person.
        progress: Is told of compressed bytes of raw files that were looked through, and lines.
        note: A sentence worth showing, such as who is being waited for.
        now: The time, UTC with a zone.
        new_id: A new id.
    """

    user: str
    lake: Lake
    source: Source | None
    engine: Callable[[], Engine]
    settings: Settings
    raw: bool = False
    progress: Progress = _silent
    note: Callable[[str], None] = _silent
    now: Callable[[], datetime] = pipeline.Run.now
    new_id: Callable[[], str] = pipeline.Run.new_id


@dataclass
class EraseReceipt:
    """What was done, or for a dry run: what would be. It does not name the person.

    Attributes:
        request: The id of the request.
        at: When it was made, UTC.
        user_hash: The person, as the lake's list of erasures has them; None for a dry run on a lake without a list.
        lake: The lake's place.
        source: The source's place, None if it was left out.
        dry_run: Nothing was changed.
        repeated: The person was on the list already.
        removed: Rows of the person by table.
        hours: Hours of the gold tables that were recomputed.
        raw: The raw files that hold the person, and those that could not be looked through.
        snapshots: Snapshots that were let go.
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
    removed: dict[str, int] = field(default_factory=dict)
    hours: list[datetime] = field(default_factory=list)
    raw: list[RawFile] = field(default_factory=list)
    snapshots: int = 0
    files: int | None = None
    bytes: int | None = None

    @property
    def found(self) -> bool:
        """Whether the lake or a raw file held the person."""
        return any(self.removed.values()) or any(file.lines for file in self.raw)

    @property
    def failed(self) -> list[RawFile]:
        """Raw files that may still hold the person though they should not."""
        return [file for file in self.raw if file.error]

    def as_json(self) -> dict[str, Any]:
        """The receipt as the fixed JSON interface names it."""
        figures = {**vars(self), "found": self.found, "raw": [vars(file) for file in self.raw]}
        return {name: json_value(value) for name, value in figures.items()}


def preview(request: EraseRequest) -> EraseReceipt:
    """What :func:`erase` would do now; changes nothing.

    Raises:
        UsageError: There is no lake, or the id is none.
    """
    _check(request)
    view = request.lake.need().view()
    found = _find(view, request)
    erased = erasures.read(view["erasures"])
    receipt = _receipt(request, view, found, erased, dry_run=True)
    _look_at_raw(request, view, found, receipt)
    return receipt


def erase(request: EraseRequest) -> EraseReceipt:
    """Erase a person; doing it twice changes nothing more.

    Raises:
        UsageError: There is no lake, or the id is none; or raw files are to be rewritten and there is no source.
        TransientError: Other runs changed the lake faster than this one could; nothing was changed.
        FatalError: The lake or the source cannot be read or written; run the same command again.
    """
    _check(request)
    try:
        with request.lake.need().writing(request.note):
            receipt, found, before = _erase_tables(request)
            garbage = sweep.find(request.lake, request.now(), timedelta(0), before)
            sweep.remove(request.lake, garbage)
            receipt.files, receipt.bytes = len(garbage.all), garbage.bytes
        if request.raw:
            _settle(request)
        _look_at_raw(request, request.lake.view(), found, receipt)
        if request.raw:
            _rewrite_raw(request, receipt)
    except OSError as error:
        raise FatalError(
            f"the lake {request.lake.root} or its source cannot be written to: {error.strerror or error}",
            remedy="Check disk space and permissions, then run the same command: it takes up where this run stopped.",
        ) from error
    return receipt


def _check(request: EraseRequest) -> None:
    try:
        request.user.encode()
    except UnicodeEncodeError as error:
        raise UsageError("the user_id is not UTF-8", remedy="No event can have such an id.") from error
    if not request.user:
        raise UsageError("the user_id is empty", remedy="No event can have an empty id. Give --user ID.")
    if request.raw and request.source is None:
        raise UsageError("there is no source whose files could be rewritten", remedy="Give --source DIR.")


# ---------------------------------------------------------------------------------------------------------------- tables


@dataclass(frozen=True)
class _Found:
    """What the tables hold of a person.

    Attributes:
        files: The data files with rows of the person, by table.
        events: The person's events: ``source_file``, ``event_time`` and ``extra``.
        quarantined: The person's quarantined lines: ``source_file`` and ``extra``.
    """

    files: dict[str, list[DataFile]]
    events: list[dict[str, Any]]
    quarantined: list[dict[str, Any]]

    @property
    def hours(self) -> list[datetime]:
        """The hours of the events."""
        return sorted({row["event_time"].replace(**_HOUR) for row in self.events})

    @property
    def lines(self) -> Counter[str]:
        """How many lines of each source file the rows are."""
        return Counter(row["source_file"] for row in [*self.events, *self.quarantined])


def _find(view: View, request: EraseRequest) -> _Found:
    found = _Found(defaultdict(list), [], [])
    with ThreadPoolExecutor(request.settings.threads) as pool:
        for table, rows in ((EVENTS, found.events), (QUARANTINE, found.quarantined)):
            snapshot = view[table.name]
            parts = pool.map(lambda file, table=table: _rows_of(table, file, view, request.user), snapshot.files)
            for file, part in zip(snapshot.files, parts, strict=True):
                if part:
                    found.files[table.name].append(file)
                    rows.extend(part)
    return found


def _rows_of(table: Table, file: DataFile, view: View, user: str) -> list[dict[str, Any]]:
    """What is needed of the person's rows in a data file of events or quarantine."""
    storage = view[table.name].storage
    if table is QUARANTINE:
        rows = parquet.read(table, storage.read(file.path))
        mine = rows.filter(_of(table, rows, user)).to_pylist()
        return [{"source_file": row["source_file"], "extra": parse_line(_raw(row)).extra} for row in mine]
    with storage.open(file.path) as stream:
        mask = _of(table, parquet.read_together(table, [stream], ["user_id"]), user)
        if not pc.any(mask).as_py():
            return []
        stream.seek(0)
        rows = parquet.read_together(table, [stream], ["source_file", "event_time", "extra"])
    return list(rows.filter(mask).to_pylist())


def _of(table: Table, rows: pa.Table, user: str) -> pa.ChunkedArray | pa.Array:
    """Which rows of events or quarantine are the person's."""
    if table is EVENTS:
        return parquet.among(rows.column("user_id"), [user])
    named = [rawfiles.is_about(_raw(row), user) for row in rows.select(["raw", "encoding"]).to_pylist()]
    return pa.array(named, pa.bool_())


def _raw(row: dict[str, Any]) -> bytes:
    return raw_bytes(row["raw"], row["encoding"]).removeprefix(BOM)


def _erase_tables(request: EraseRequest) -> tuple[EraseReceipt, _Found, set[str]]:
    """Erase by one commit; also returns the files that the lake and its history named before."""
    for _ in range(MAX_TRIES):
        view = request.lake.view()
        try:
            found = _find(view, request)
            erased = erasures.read(view["erasures"])
            receipt = _receipt(request, view, found, erased, dry_run=False)
            before = {location for table in view.tables.values() for location in sweep.named(table)}
            _commit(request, view, found, erased, receipt)
        except Exception:
            if request.lake.view().catalog == view.catalog:
                raise
            request.note("another run changed the lake meanwhile; planning anew")
            continue
        return receipt, found, before
    raise TransientError(
        f"after {MAX_TRIES} tries nobody was erased",
        remedy="Other runs change the lake all the time. Run it again later.",
    )


def _receipt(request: EraseRequest, view: View, found: _Found, erased: Erased, *, dry_run: bool) -> EraseReceipt:
    user_hash = erased.hash(request.user)
    receipt = EraseReceipt(
        request.new_id(),
        request.now().replace(tzinfo=None),
        None if dry_run and not erased else user_hash,
        request.lake.root,
        request.source.name if request.source else None,
        dry_run,
        repeated=user_hash in erased.hashes,
        removed={"events": len(found.events), "quarantine": len(found.quarantined), "user_hourly": len(found.hours)},
        hours=found.hours,
    )
    changed = set() if receipt.repeated else {ERASURES.name}
    if found.lines:
        changed |= {*found.files, LEDGER.name}
    if found.events:
        changed |= {ACTIVITY_DAILY.name, *(table.name for table in GOLD_HOURLY)}
    for table in TABLES:
        kept = 0 if table.name in changed else 1
        receipt.snapshots += max(view[table.name].snapshot_count - kept, 0)
    return receipt


def _commit(request: EraseRequest, view: View, found: _Found, erased: Erased, receipt: EraseReceipt) -> None:
    now = receipt.at
    with Commit(request.lake, view, now, {"shoplake.operation": ERASE, "shoplake.request": receipt.request}) as commit:
        for table in (EVENTS, QUARANTINE):
            files = found.files[table.name]
            new = [_without(commit, table, file, request) for file in files]
            commit.replace(table, (), [one for one in new if one], merge={file.path for file in files})
        after = commit.staged()
        if found.events:
            publish_gold(commit, _gold(request.engine(), found.hours, after, commit), found.hours)
        if found.lines:
            entries = _entries(view, after, found)
            ledger.write(commit, entries.keys(), entries, now)
        erasures.add(commit, erased, request.user, receipt.request, now)
        commit.forget_history()
        commit.publish()


def _without(commit: Commit, table: Table, file: DataFile, request: EraseRequest) -> NewFile | None:
    """A data file without the person's rows; None if there are no others."""
    rows = parquet.read_together(table, [request.lake.storage.read(file.path)])
    rest = rows.filter(pc.invert(_of(table, rows, request.user)))
    return commit.write(table, file.lower[table.partition[0]], rest, ()) if rest.num_rows else None


def _gold(engine: Engine, hours: Collection[datetime], after: View, commit: Commit) -> Gold:
    """Gold of some hours, recomputed a day at a time."""
    days: dict[date, list[datetime]] = defaultdict(list)
    for hour in hours:
        days[hour.date()].append(hour)
    parts = [engine.gold([], some, after, commit) for some in days.values()]
    return Gold(
        {table.name: [file for part in parts for file in part.hourly[table.name]] for table in GOLD_HOURLY},
        frozenset(days),
        [file for part in parts for file in part.daily],
    )


def _entries(view: View, after: View, found: _Found) -> dict[str, Entry]:
    """The ledger's entries of the touched source files: what was accepted or quarantined is erased.

    Lines that were dropped as duplicates of the person's events are not known one by one: they stay counted as duplicates.
    """
    accepted = Counter(row["source_file"] for row in found.events)
    quarantined = Counter(row["source_file"] for row in found.quarantined)
    extras: dict[str, list[str | None]] = defaultdict(list)
    for row in [*found.events, *found.quarantined]:
        extras[row["source_file"]].append(row["extra"])
    entries = ledger.read(view["ledger"])
    spans = _spans(after, sorted(accepted))
    changed = {}
    for path, lines in found.lines.items():
        entry = entries.get(path)
        if entry is None:
            continue  # a damaged lake, as verify says; the rows go all the same
        keys = erasures.without_keys(json.loads(entry.unknown_keys or "{}"), extras[path])
        first, last = (
            spans.get(path, (None, None)) if path in accepted else (entry.min_event_time, entry.max_event_time)
        )
        changed[path] = replace(
            entry,
            accepted=entry.accepted - accepted[path],
            quarantined=entry.quarantined - quarantined[path],
            erased=entry.erased + lines,
            unknown_keys=json.dumps(keys, ensure_ascii=False) if keys else None,
            min_event_time=first,
            max_event_time=last,
        )
    return changed


def _spans(view: View, paths: Sequence[str]) -> dict[str, tuple[datetime, datetime]]:
    """The earliest and the latest event of some source files."""
    spans: dict[str, tuple[datetime, datetime]] = {}
    for file in view["events"].files:
        if not file.may_hold("source_file", paths):
            continue
        for path, first, last in _spans_in(file, view["events"].storage):
            known = spans.get(path, (first, last))
            spans[path] = min(known[0], first), max(known[1], last)
    return spans


def _spans_in(file: DataFile, storage: Storage) -> list[tuple[str, datetime, datetime]]:
    if file.lower["source_file"] == file.upper["source_file"]:
        return [(file.lower["source_file"], file.lower["event_time"], file.upper["event_time"])]
    with storage.open(file.path) as stream:
        rows = parquet.read_together(EVENTS, [stream], ["source_file", "event_time"])
    spans = rows.group_by("source_file").aggregate([("event_time", "min"), ("event_time", "max")])
    return [(row["source_file"], row["event_time_min"], row["event_time_max"]) for row in spans.to_pylist()]


# ------------------------------------------------------------------------------------------------------------- raw files


def _look_at_raw(request: EraseRequest, view: View, found: _Found, receipt: EraseReceipt) -> None:
    """Find the raw files that hold the person; without a source, by what the tables say of them."""
    lines = found.lines
    if request.source is None:
        receipt.raw = [RawFile(path, number) for path, number in sorted(lines.items())]
        return
    listing = request.source.list()
    entries = ledger.read(view["ledger"])
    candidates = rawfiles.candidates(listing, entries, set(lines))
    receipt.raw = rawfiles.look_through(
        request.source, candidates, request.user, request.settings.threads, request.progress
    )
    there = {file.path for file in listing}
    receipt.raw += [RawFile(path, number, gone=True) for path, number in sorted(lines.items()) if path not in there]


def _rewrite_raw(request: EraseRequest, receipt: EraseReceipt) -> None:
    """Rewrite the raw files that hold the person, and take them in again, which is no news.

    First the ledger says so: from then on the next batch, whoever's it is, does these files again, whether they were
    rewritten by then or not. Nothing can be lost or doubled by a kill on the way.
    """
    source = request.source
    held = {file.file: file for file in receipt.raw if file.lines and not file.gone}
    if source is None or not held:
        return
    files = [file for file in source.list() if file.path in held]
    for path in held.keys() - {file.path for file in files}:
        held[path].gone = True
    with request.lake.writing(request.note):
        _announce(request, {file.path: file.version for file in files})
        for file in files:
            rawfiles.rewrite(source, file, request.user, held[file.path])
    _settle(request)


def _announce(request: EraseRequest, versions: dict[str, str]) -> None:
    """Mark files in the ledger as rewritten; those of which it has another version are news already."""
    for _ in range(MAX_TRIES):
        view = request.lake.view()
        now = request.now().replace(tzinfo=None)
        entries = {
            path: replace(entry, status=ledger.REWRITTEN)
            for path, entry in ledger.read(view["ledger"]).items()
            if versions.get(path) == entry.version and entry.status == ledger.INGESTED
        }
        if not entries:
            return
        with Commit(request.lake, view, now, {"shoplake.operation": ERASE}) as commit:
            ledger.write(commit, entries.keys(), entries, now)
            try:
                commit.publish()
            except LostRaceError:
                continue
            return
    raise TransientError(
        f"after {MAX_TRIES} tries the raw files were still not rewritten",
        remedy="Other runs change the lake all the time. Run the same command again later.",
    )


def _settle(request: EraseRequest) -> None:
    """Do the files again that the ledger says are to be done again, and no others."""
    assert request.source is not None  # noqa: S101 - as asked for
    settings = replace(request.settings, max_quarantine_rate=1.0)
    watchers = pipeline.Watchers(note=request.note)
    run = pipeline.Run(
        request.lake, request.source, request.engine, settings, watchers, now=request.now, new_id=request.new_id
    )
    pipeline.ingest(run, only=())
