"""One lake: opened, looked at, verified, maintained, and cleared of people."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from shoplake.api.setup import Observer, Place, duckdb_of, lake_of, settled, source_of, utc
from shoplake.errors import UsageError
from shoplake.settings import SHARE, Range

if TYPE_CHECKING:
    from shoplake.health.status import Status
    from shoplake.lake.gaps import Acknowledged
    from shoplake.lake.reader import OpenLake
    from shoplake.operations import erase as erasure
    from shoplake.operations import maintain as maintenance
    from shoplake.operations import recover as recovery
    from shoplake.operations import verify as verification
    from shoplake.operations.person import PersonReport

_HOURS = 876_000


def open(  # noqa: A001 - read as shoplake.open(lake)
    lake: Place = None,
    *,
    threads: int | None = None,
    since: date | None = None,
    until: date | None = None,
    start: date | None = None,
    end: date | None = None,
    at: date | int | None = None,
    allow_external: bool = False,
) -> OpenLake:
    """Open a lake for reading.

    What is read is one consistent state: every table as the last batch left it at the moment of opening. Open the lake again
    to see later batches, or call :meth:`OpenLake.refresh`.

    Args:
        lake: The lake's folder, or s3://BUCKET/PREFIX.
        threads: Threads to use; one per core by default.
        since: The first day (UTC) of events and gold tables to see; all by default.
        until: The last day, inclusive. ``ledger`` and ``quarantine`` are always complete.
        start: Instead of ``since``, a time or a day to start at, UTC unless it has an offset: a whole hour. Of a day that such
            a range cuts, ``activity_daily`` counts the users and sessions of the hours inside it, and ``sessions`` has what
            they did in these.
        end: Where that range ends (exclusive).
        at: An earlier version of the lake to read, all tables together: the one of that time (UTC unless it has an offset), or
            the one that made the snapshot with this id. ``lake.versions`` lists those that are left.
        allow_external: Let statements read and write other files, attach databases and change DuckDB's settings. By default
            they only read, and only the lake.

    Raises:
        UsageError: There is no lake at that place, it no longer keeps that version, or the range is empty.
        FatalError: The lake is damaged.

    Example:
        >>> import shoplake
        >>> lake = shoplake.open("lake")
        >>> lake.complete_until
        datetime.datetime(2025, 11, 18, 15, 0)
        >>> lake.query("conversion_funnel").df()
        >>> lake.sql("SELECT count(*) FROM events WHERE event_type = 'purchase'").fetchall()
    """
    from shoplake.lake.reader import OpenLake, Window

    chosen = settled(lake, None, {"threads": threads})
    window = Window.hours(utc(start) if start else None, utc(end) if end else None)
    if window and (since or until):
        raise UsageError("a range is given twice", remedy="Give start and end, or since and until.")
    version = at if isinstance(at, int) or at is None else utc(at)
    return OpenLake(
        lake_of(chosen), chosen.threads, since, until, window=window, at=version, allow_external=allow_external
    )


def status(lake: Place = None, source: Place = None, **settings: Any) -> Status:
    """Tell whether a lake is fresh and complete, what failed, what is waiting and what to do about it.

    Args:
        lake: The lake's folder, or s3://BUCKET/PREFIX.
        source: The folder or prefix of its raw files, to tell which of them are waiting.
        settings: Settings by name, such as ``freshness_minutes=30``.

    Returns:
        ``.verdict`` (ok, warning or failed), ``.checks``, ``.tables``, ``.ledger``, ``.as_json()`` and more.

    Raises:
        UsageError: There is no lake, or no source, at that place.

    Example:
        >>> import shoplake
        >>> [check.remedy for check in shoplake.status("lake").checks if check.verdict != "ok"]
    """
    from shoplake.health import status as states

    chosen = settled(lake, source, settings)
    return states.read(lake_of(chosen), source_of(chosen), chosen, datetime.now(UTC))


def acknowledge(start: date, end: date, reason: str | None, lake: Place = None) -> Acknowledged | None:
    """Acknowledge every gap within a range of time, so that :func:`status` no longer warns about it.

    Args:
        start: Start of the range, a time or a day; UTC unless it has an offset.
        end: End of the range (exclusive).
        reason: Why no file is missed there; None takes back what was acknowledged within the range.
        lake: The lake's folder, or s3://BUCKET/PREFIX.

    Returns:
        What is acknowledged now, in whole slots; None if it was taken back.

    Raises:
        UsageError: There is no lake, the range is empty, or there is nothing to take back.

    Example:
        >>> from datetime import datetime
        >>> shoplake.acknowledge(datetime(2025, 11, 18, 2), datetime(2025, 11, 18, 4), "the shop was closed", "lake")
    """
    from shoplake.lake import gaps

    place = lake_of(settled(lake, None, {}))
    place.need_view()  # a lake that is damaged, or was copied as files, gets no note
    low, high = utc(start), utc(end)
    if reason is not None:
        return gaps.acknowledge(place, low, high, reason, datetime.now(UTC))
    gaps.withdraw(place, low, high)
    return None


def verify(
    lake: Place = None,
    source: Place = None,
    *,
    sample: float = 1.0,
    seed: int | None = None,
    lines: int = 1000,
    allow_gone: bool = False,
    repair: bool = False,
    observer: Observer | None = None,
    **settings: Any,
) -> verification.VerifyReport:
    """Recount a lake from its raw objects and from every table, and compare everything with the ledger.

    Args:
        lake: The lake's folder, or s3://BUCKET/PREFIX.
        source: The folder or prefix of its raw objects; without one they are not checked.
        sample: The share of hours, days and files to check, above 0; 1 checks all of them.
        seed: Chooses that share; by default the lake's version does.
        lines: How many lines of each raw object are judged again and looked up in the tables.
        allow_gone: Whether ingested raw objects may be gone, because of a retention rule.
        repair: Whether to rebuild hours and days of gold that differ from the events.
        observer: Follows the work in bytes and rows.
        settings: Settings by name, such as ``threads=2``.

    Returns:
        ``.ok``, ``.differences`` (each with ``where``, ``message`` and ``remedy``), ``.checks``, ``.notes``, ``.as_json()``.

    Raises:
        UsageError: There is no lake, or no source, at that place.

    Example:
        >>> import shoplake
        >>> shoplake.verify("lake", "raw").ok
        True
    """
    from shoplake.operations import verify as operation

    SHARE.check(sample, "sample")
    chosen, watch = settled(lake, source, settings), observer or Observer()
    request = operation.VerifyRequest(
        lake_of(chosen),
        source_of(chosen),
        duckdb_of(chosen),
        chosen.threads,
        share=sample,
        seed=seed,
        lines=lines,
        allow_gone=allow_gone,
        repair=repair,
        bounds=chosen.bounds,
        planned=watch.total,
        progress=watch.advance,
        note=watch.note,
    )
    return operation.verify(request)


def maintain(
    lake: Place = None,
    *,
    closed_after: timedelta = timedelta(hours=2),
    older_than: timedelta = timedelta(hours=24),
    dry_run: bool = False,
    observer: Observer | None = None,
    **settings: Any,
) -> maintenance.MaintenanceReport:
    """Merge the small files of closed hours, days and months, and delete files that are no longer referred to.

    Safe beside runs and readers.

    Args:
        lake: The lake's folder, or s3://BUCKET/PREFIX.
        closed_after: An hour, day or month is closed when it ended this long ago.
        older_than: Unreferenced files are deleted when they were written this long ago; at least one hour.
        dry_run: Change nothing, and report what would be done.
        observer: Follows the work in bytes and files.
        settings: Settings by name, such as ``keep_days=90``.

    Returns:
        ``.merged`` by table, ``.expired`` rows by table, ``.removed``, ``.as_json()``.
    """
    from shoplake.operations import maintain as operation

    hour = timedelta(hours=1)
    Range(0, _HOURS).check(closed_after / hour, "closed_after, in hours,")
    Range(1, _HOURS).check(older_than / hour, "older_than, in hours,")
    watch = observer or Observer()
    chosen = settled(lake, None, settings)
    request = operation.MaintenanceRequest(
        lake_of(chosen),
        closed_after,
        older_than,
        chosen.keep_days,
        planned=watch.total,
        progress=watch.advance,
        note=watch.note,
    )
    return (operation.preview if dry_run else operation.maintain)(request)


def recover(lake: Place = None, *, dry_run: bool = False, observer: Observer | None = None) -> recovery.Recovery:
    """Rebuild a lost or damaged catalog from the newest state of the tables that is whole; it does not ask.

    Args:
        lake: The lake's folder, or s3://BUCKET/PREFIX.
        dry_run: Change nothing, and report what would be recovered.
        observer: Is told who is being waited for.

    Returns:
        ``.damage``, ``.state`` (its version), ``.at``, ``.rows`` by table, ``.passed_over``, ``.as_json()``.

    Raises:
        UsageError: The catalog is good, or there is no lake at that place.
        FatalError: No state of the lake is whole.
    """
    from shoplake.operations import recover as operation

    place = lake_of(settled(lake, None, {}))
    found = operation.find(place)
    if not dry_run:
        operation.recover(place, found, (observer or Observer()).note)
    return found


def erase(
    user: str | Iterable[str],
    lake: Place = None,
    source: Place = None,
    *,
    raw: bool = False,
    dry_run: bool = False,
    observer: Observer | None = None,
    **settings: Any,
) -> erasure.EraseReceipt:
    """Remove people from the tables and from their history. This cannot be undone, and it does not ask.

    Args:
        user: The person's user_id, or those of several people, whom one commit erases.
        lake: The lake's folder, or s3://BUCKET/PREFIX.
        source: The folder or prefix of its raw files, to find those that name the people.
        raw: Whether to rewrite those files without their lines.
        dry_run: Change nothing, and report what would be done.
        observer: Follows the search of raw files in compressed bytes and lines.
        settings: Settings by name, such as ``threads=2``.

    Returns:
        The receipt: ``.found``, ``.removed`` by table, ``.people``, ``.mentions`` (rows of others that stay), ``.raw``
        (files), ``.failed``, ``.as_json()``.

    Raises:
        UsageError: There is no lake, or no source, at that place.

    Example:
        >>> import shoplake
        >>> shoplake.erase("u_81234", "lake", "raw", dry_run=True).removed
    """
    from shoplake.operations import erase as operation

    chosen, watch = settled(lake, source, settings), observer or Observer()
    people = operation.People(tuple(dict.fromkeys([user] if isinstance(user, str) else user)))
    request = operation.EraseRequest(
        people,
        lake_of(chosen),
        source_of(chosen),
        duckdb_of(chosen),
        chosen,
        raw=raw,
        progress=watch.advance,
        note=watch.note,
    )
    return (operation.preview if dry_run else operation.erase)(request)


def person(user: str, lake: Place = None) -> PersonReport:
    """Collect all that a lake holds of one person, for a request for access; changes nothing.

    Args:
        user: The person's user_id.
        lake: The lake's folder, or s3://BUCKET/PREFIX.

    Returns:
        ``.found``, ``.tables`` (rows by table), ``.source_files``, ``.mentions`` (rows of others with the id), ``.as_json()``.

    Raises:
        UsageError: There is no lake at that place, or no event can have such an id.

    Example:
        >>> import shoplake
        >>> len(shoplake.person("u_81234", "lake").tables["events"])
    """
    from shoplake.operations import person as operation

    chosen = settled(lake, None, {})
    return operation.person(user, lake_of(chosen), chosen.threads, datetime.now(UTC).replace(tzinfo=None))
