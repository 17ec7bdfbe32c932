"""Removes people from a lake: from events, quarantine, gold and history; on request from the raw files as well.

The tables change by one commit like any batch's, together with the list that keeps later ingests from bringing them
back. That commit also expires the history, and every file that only the history referenced is deleted right after it. The
same command finishes a run that was killed part-way.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from shoplake.contract import TOO_LONG
from shoplake.errors import FatalError
from shoplake.ingestion import discover, pipeline
from shoplake.ingestion.publish import publish_gold
from shoplake.lake import erasures, ledger, retention
from shoplake.lake.commits import Commit
from shoplake.lake.erasures import Erased
from shoplake.lake.snapshots import View
from shoplake.lake.transact import transact
from shoplake.operations.erase import raw_files, rewrite, rows
from shoplake.operations.erase.raw_files import RawFile
from shoplake.operations.erase.receipt import ErasedPerson, EraseReceipt, EraseRequest
from shoplake.operations.erase.rows import PersonRows
from shoplake.operations.maintain import vacuum
from shoplake.operations.quarantine import contents
from shoplake.operations.quarantine.contents import LineFilter
from shoplake.tables import ACTIVITY_DAILY, ERASURES, EVENTS, GOLD_HOURLY, LEDGER, QUARANTINE, TABLES

ERASE = "erase"


def preview(request: EraseRequest) -> EraseReceipt:
    """What :func:`erase` would do now; changes nothing.

    Raises:
        UsageError: There is no lake, or no event can have such an id.
    """
    request.check()
    view = request.lake.need_view()
    found = _find(view, request)
    receipt = _receipt(request, view, found, erasures.read(view["erasures"]), dry_run=True)
    _search_raw_files(request, view, found, receipt)
    return receipt


def erase(request: EraseRequest) -> EraseReceipt:
    """Erase people, all by one commit; doing it twice changes nothing more.

    Raises:
        UsageError: There is no lake, no event can have such an id, or raw files are to be rewritten and there is no source.
        TransientError: Other runs changed the lake faster than this one could; nothing was changed.
        FatalError: The lake or the source cannot be read or written; run the same command again.
    """
    request.check()
    if request.raw and request.source:
        discover.refuse_another(request.source, request.settings, request.lake.need_view())
    try:
        with request.lake.need().lock(request.note):
            receipt, found, before = _erase_tables(request)
            orphans = vacuum.find(request.lake, request.now(), timedelta(0), before)
            vacuum.remove(request.lake, orphans)
            receipt.files, receipt.bytes = len(orphans.all), orphans.bytes
        if request.raw:
            _reingest_marked(request)
        _search_raw_files(request, request.lake.view(), found, receipt)
        if request.raw:
            _rewrite_raw_files(request, receipt)
    except OSError as error:
        raise FatalError(
            f"cannot write to the lake {request.lake.root} or its source: {error.strerror or error}",
            remedy="Check disk space and permissions, then run the same command: it resumes where this run stopped.",
        ) from error
    return receipt


# ---------------------------------------------------------------------------------------------------------------- tables


def _find(view: View, request: EraseRequest) -> PersonRows:
    return rows.find(view, request.people, request.settings.threads)


def _erase_tables(request: EraseRequest) -> tuple[EraseReceipt, PersonRows, set[str]]:
    """Erase by one commit; also returns the files that the lake and its history named before."""

    def erase_from(view: View) -> tuple[EraseReceipt, PersonRows, set[str]]:
        found = _find(view, request)
        erased = erasures.read(view["erasures"])
        receipt = _receipt(request, view, found, erased, dry_run=False)
        before = {location for table in view.tables.values() for location in vacuum.referenced(table)}
        _commit(request, view, found, erased, receipt)
        return receipt, found, before

    return transact(request.lake, erase_from, doing="erase people", note=request.note)


def _receipt(request: EraseRequest, view: View, found: PersonRows, erased: Erased, *, dry_run: bool) -> EraseReceipt:
    ids, known = request.people.ids, bool(erased) or not dry_run
    hashes = [erased.hash(user) for user in ids]
    people = [
        ErasedPerson(user_hash if known else None, user_hash in erased.hashes, int(events), found.lines_of[user])
        for user, user_hash, events in zip(ids, hashes, found.events_of, strict=True)
    ]
    receipt = EraseReceipt(
        request.new_id(),
        request.now().replace(tzinfo=None),
        people[0].user_hash if len(people) == 1 else None,
        request.lake.root,
        request.source.name if request.source else None,
        dry_run,
        repeated=all(person.repeated for person in people),
        people=people,
        removed={
            "events": found.accepted.total(),
            "quarantine": found.quarantined.total(),
            "user_hourly": found.user_hours,
        },
        mentions=found.mentions,
        hours=sorted(retention.open_hours(view, found.hours)),
    )
    changed = set() if receipt.repeated else {ERASURES.name}
    if found.lines:
        changed |= {*found.files, LEDGER.name}
    if receipt.hours:
        changed |= {ACTIVITY_DAILY.name, *(table.name for table in GOLD_HOURLY)}
    for table in TABLES:
        kept = 0 if table.name in changed else 1
        receipt.snapshots += max(len(view[table.name].history) - kept, 0)
    return receipt


def _commit(request: EraseRequest, view: View, found: PersonRows, erased: Erased, receipt: EraseReceipt) -> None:
    now, storage = receipt.at, request.lake.storage
    with Commit(request.lake, view, now, {"shoplake.operation": ERASE, "shoplake.request": receipt.request}) as commit:
        for table in (EVENTS, QUARANTINE):
            files = found.files[table.name]
            new = [rewrite.without_people(commit, table, file, request.people, storage) for file in files]
            commit.replace(table, (), [file for file in new if file], merge={file.path for file in files})
        after = commit.staged()
        if hours := sorted(retention.open_hours(view, found.hours)):
            publish_gold(commit, rewrite.gold(request.engine(), hours, after, commit), hours)
        if found.lines:
            entries = rewrite.ledger_entries(view, after, found)
            ledger.write(commit, entries.keys(), entries, now)
        erasures.add(commit, erased, request.people.ids, receipt.request, now)
        commit.expire_snapshots()
        commit.publish()


# ------------------------------------------------------------------------------------------------------------- raw files


def _search_raw_files(request: EraseRequest, view: View, found: PersonRows, receipt: EraseReceipt) -> None:
    """Find the raw files that contain the people; without a source, go by what the tables say of them."""
    lines = found.lines
    if request.source is None:
        receipt.raw = [RawFile(path, number) for path, number in sorted(lines.items())]
        return
    listing = request.source.list()
    shortened = contents.files_of(view, LineFilter(reason=TOO_LONG))  # which may be about anybody
    suspects = raw_files.candidates(listing, ledger.read(view["ledger"]), {*lines, *shortened})
    receipt.raw = raw_files.search(request.source, suspects, request.people, request.settings, request.progress)
    listed = {file.path for file in listing}
    receipt.raw += [RawFile(path, number, gone=True) for path, number in sorted(lines.items()) if path not in listed]


def _rewrite_raw_files(request: EraseRequest, receipt: EraseReceipt) -> None:
    """Rewrite the raw files that contain the people, and ingest them again, which changes no other row.

    The ledger marks them first: from then on the next batch, whoever runs it, ingests these files again, whether they have been
    rewritten by then or not. A kill at any point neither loses nor doubles anything.
    """
    source = request.source
    concerned = {file.file: file for file in receipt.raw if file.lines and not file.gone}
    if source is None or not concerned:
        return
    files = [file for file in source.list() if file.path in concerned]
    for path in concerned.keys() - {file.path for file in files}:
        concerned[path].gone = True
    with request.lake.lock(request.note):
        _announce(request, {file.path: file.version for file in files})
        for file in files:
            raw_files.rewrite(source, file, request.people, request.settings, concerned[file.path])
    _reingest_marked(request)


def _announce(request: EraseRequest, versions: dict[str, str]) -> None:
    """Mark files in the ledger as rewritten; those of which it has another version are due anyway."""

    def mark(view: View) -> None:
        now = request.now().replace(tzinfo=None)
        entries = {
            path: replace(entry, status=ledger.REWRITTEN)
            for path, entry in ledger.read(view["ledger"]).items()
            if versions.get(path) == entry.version and entry.status == ledger.INGESTED
        }
        if entries:
            with Commit(request.lake, view, now, {"shoplake.operation": ERASE}) as commit:
                ledger.write(commit, entries.keys(), entries, now)
                commit.publish()

    transact(request.lake, mark, doing="note in the ledger which raw files are rewritten", note=request.note)


def _reingest_marked(request: EraseRequest) -> None:
    """Re-ingest the files that the ledger marks for it, and no others."""
    assert request.source is not None  # noqa: S101 - as asked for
    settings = replace(request.settings, max_quarantine_rate=1.0)
    watchers = pipeline.Watchers(note=request.note)
    run = pipeline.Run(
        request.lake, request.source, request.engine, settings, watchers, now=request.now, new_id=request.new_id
    )
    pipeline.ingest(run, only=())
