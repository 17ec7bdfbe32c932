"""Rebuilds a lost or damaged catalog from the newest state of the tables that is whole.

Each metadata document records the state that it was written for: the version, and the document of every table. So a state is
found as it was published or, after a kill right before the swap, as it was about to be; then its files count as ingested, and
if not, the next run ingests them. Either way every event is there once.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from shoplake.errors import FatalError, ShoplakeError, TransientError, UsageError
from shoplake.lake import ledger
from shoplake.lake.catalog import FORMAT, Lake
from shoplake.lake.metadata import STATE, TableMetadata
from shoplake.lake.snapshots import TableSnapshot, View
from shoplake.storage.base import Storage
from shoplake.tables import EVENTS, LEDGER, QUARANTINE, TABLES
from shoplake.text import json_value

_NAMES = frozenset(table.name for table in TABLES)


@dataclass(frozen=True)
class Recovery:
    """What a catalog is rebuilt from.

    Attributes:
        lake: The lake's location.
        damage: What is wrong with its catalog.
        state: The version of the state that is recovered.
        at: When that was written, UTC.
        rows: Rows by table.
        files: Source files in its ledger.
        tables: The metadata documents by table, below the lake.
        passed_over: Newer states, with the reason why each cannot be recovered.
        version: The version that the new catalog gets: above every recorded one.
        before: The catalog's content, None if it is missing.
    """

    lake: str
    damage: str
    state: int
    at: datetime
    rows: dict[str, int]
    files: int
    tables: dict[str, str]
    passed_over: tuple[dict[str, Any], ...]
    version: int
    before: bytes | None

    def as_json(self) -> dict[str, Any]:
        """The recovery as the fixed JSON interface names it."""
        found = {name: value for name, value in vars(self).items() if name != "before"}
        return {name: json_value(value) for name, value in found.items()}


@dataclass(frozen=True)
class _State:
    """A state as a document records it; the time is that of the document."""

    version: int
    updated_ms: int
    tables: tuple[tuple[str, str], ...]


def find(lake: Lake) -> Recovery:
    """The newest whole state of a lake whose catalog is lost or damaged; changes nothing.

    Raises:
        UsageError: The catalog is good, or there is no lake.
        FatalError: No state is whole, the lake is a copy or of another format, or it cannot be read.
    """
    before = lake.storage.read_if_there(lake.catalog_location)
    damage = _damage(lake, before)
    if damage is None:
        raise UsageError(
            f"the catalog of {lake.root} is good", remedy="There is nothing to recover. Check the rest: shoplake verify"
        )
    stored = {file.location for table in TABLES for file in lake.storage.list(f"{lake.root}/{table.name}")}
    documents = _documents(lake, stored)
    if not stored:
        raise UsageError(f"there is no lake at {lake.root}", remedy="Make one: shoplake ingest --help")
    passed_over: list[dict[str, Any]] = []
    states = sorted(_states(documents.values()), key=lambda state: (state.version, state.updated_ms), reverse=True)
    for state in states:
        at = datetime.fromtimestamp(state.updated_ms / 1000, UTC).replace(tzinfo=None)
        try:
            view = _view(lake.storage, state, documents)
            files = _check(view, stored)
        except (ShoplakeError, ValueError, KeyError, TypeError, EOFError, OSError) as error:
            passed_over.append({"state": state.version, "at": json_value(at), "reason": str(error) or repr(error)})
            continue
        rows = {name: table.rows for name, table in view.tables.items()}
        version = states[0].version + 1
        return Recovery(
            lake.root, damage, state.version, at, rows, files, dict(state.tables), tuple(passed_over), version, before
        )
    reasons = "; ".join(f"state {one['state']}: {one['reason']}" for one in passed_over[:3])
    raise FatalError(
        f"no state of {lake.root} is whole ({reasons or 'no metadata document records one'})",
        remedy="Restore the lake from a backup, or ingest its source into a new one.",
    )


def recover(lake: Lake, found: Recovery, note: Callable[[str], None]) -> None:
    """Write the catalog of the state that was found; a damaged one is kept beside it.

    Raises:
        TransientError: The catalog is not as it was when the state was found; nothing was changed.
        FatalError: The lake cannot be written.
    """
    catalog = {
        "format": FORMAT,
        "version": found.version,
        "id": uuid.uuid4().hex,
        "previous": [],
        "tables": found.tables,
    }
    try:
        with lake.lock(note):
            if found.before is not None:
                kept = f"{lake.root}/catalog-damaged-{catalog['id']}.json"
                lake.storage.write(kept, found.before)
            if not lake.storage.swap(lake.catalog_location, found.before, json.dumps(catalog, indent=1).encode()):
                raise TransientError(
                    f"{lake.catalog_location} was written in between", remedy="Look at it again: shoplake status"
                )
            lake.hint()
    except OSError as error:
        raise FatalError(
            f"the lake {lake.root} cannot be written to: {error.strerror or error}",
            remedy="Check disk space and permissions, then run the same command again.",
        ) from error


def _damage(lake: Lake, content: bytes | None) -> str | None:
    """What is wrong with a catalog or a metadata document that it names; None if nothing is.

    Raises:
        FatalError: It is good, but not for this place or this version of shoplake; or it cannot be read.
    """
    if content is None:
        return f"{lake.catalog_location} is missing"
    try:
        catalog = json.loads(content)
        kind, locations = int(catalog["format"]), {**catalog["tables"]}
        int(catalog["version"])
    except (ValueError, KeyError, TypeError) as error:
        why = f"it has no {error.args[0]}" if isinstance(error, KeyError) else str(error)
        return f"{lake.catalog_location} is damaged: {why}"
    if kind == FORMAT and (missing := sorted(_NAMES - locations.keys())):
        return f"{lake.catalog_location} is damaged: it names no {missing[0]}"
    for relative in locations.values() if kind == FORMAT else ():
        location = f"{lake.root}/{relative}"
        document = lake.storage.read_if_there(location)
        if document is None:
            return f"{location} is missing"
        if _parsed(document) is None:
            return f"{location} is damaged"
    lake.view()  # what it refuses now is no damage
    return None


def _parsed(content: bytes) -> TableMetadata | None:
    """A metadata document, None if it is damaged."""
    try:
        document = dict(json.loads(content))
    except (ValueError, TypeError):
        return None
    return cast("TableMetadata", document) if TableMetadata.__required_keys__ <= document.keys() else None


def _documents(lake: Lake, stored: Collection[str]) -> dict[str, TableMetadata]:
    """Every metadata document that can be read, by its place below the lake."""
    places = sorted(location for location in stored if location.endswith(".metadata.json"))
    parsed = zip(places, map(_parsed, lake.storage.read_all(places)), strict=True)
    return {place.removeprefix(f"{lake.root}/"): document for place, document in parsed if document is not None}


def _states(documents: Collection[TableMetadata]) -> Iterator[_State]:
    """The states that documents record, each once, with the time of its newest document."""
    newest: dict[tuple[int, tuple[tuple[str, str], ...]], int] = {}
    for document in documents:
        try:
            recorded = json.loads(document["properties"][STATE])
            key = int(recorded["version"]), tuple(sorted(dict(recorded["tables"]).items()))
        except (ValueError, KeyError, TypeError):
            continue  # written before the first batch, or not by us
        newest[key] = max(newest.get(key, 0), document["last-updated-ms"])
    return (_State(version, updated, tables) for (version, tables), updated in newest.items())


def _view(storage: Storage, state: _State, documents: Mapping[str, TableMetadata]) -> View:
    """The tables of a state."""
    places = dict(state.tables)
    tables = {}
    for table in TABLES:
        document = documents.get(places[table.name])
        if document is None:
            raise FatalError(f"{places[table.name]} is missing or damaged")
        if document["location"] != f"{storage.root}/{table.name}":
            raise FatalError(f"its tables refer to the files of {document['location'].removesuffix(f'/{table.name}')}")
        tables[table.name] = TableSnapshot(table, storage, f"{storage.root}/{places[table.name]}", document)
    return View(tables, None, state.version)


def _check(view: View, stored: Collection[str]) -> int:
    """Refuse a state that lacks files, or whose counts disagree; returns how many source files it has."""
    for table in view.tables.values():
        missing = [file.path for file in table.files if file.path not in stored]
        if missing:
            raise FatalError(f"{missing[0]} is missing")
    entries = ledger.read(view[LEDGER.name]).values()
    for name, lines in (
        (EVENTS.name, sum(entry.accepted for entry in entries)),
        (QUARANTINE.name, sum(entry.quarantined for entry in entries)),
    ):
        rows = sum(file.rows for file in view[name].files)
        if rows != lines:
            raise FatalError(f"{name} has {rows:,} rows where the ledger counts {lines:,}")
    return len(entries)
