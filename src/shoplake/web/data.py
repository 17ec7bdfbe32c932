"""What the dashboard shows, as JSON: the five answers over some days, and the health of the lake."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import duckdb

from shoplake import __version__, contract, queries
from shoplake.errors import FatalError, UsageError
from shoplake.health import status
from shoplake.lake.catalog import Lake
from shoplake.lake.hours import start_of_hour
from shoplake.lake.reader import OpenLake
from shoplake.lake.snapshots import View
from shoplake.settings import Settings
from shoplake.sources import slots
from shoplake.sources.base import Source
from shoplake.text import json_value
from shoplake.web import counts
from shoplake.web.counts import Chosen

# What the page shows of the slots, and of the lines that were quarantined for one reason.
SHOWN_SLOTS = timedelta(hours=24)
SAMPLES = 3
_SAMPLE_LENGTH = 600

_REASONS = "SELECT reason, count(*) FROM (SELECT unnest(reasons) AS reason FROM quarantine) GROUP BY reason"
_SAMPLES = f"""
WITH newest AS (
    SELECT reason, source_file, line_number
    FROM (SELECT unnest(reasons) AS reason, source_file, line_number, arrived_at FROM quarantine)
    QUALIFY row_number() OVER (PARTITION BY reason ORDER BY arrived_at DESC, source_file DESC, line_number) <= {SAMPLES}
)
SELECT newest.reason, q.source_file, q.line_number, q.encoding, length(q.raw), substr(q.raw, 1, {_SAMPLE_LENGTH})
FROM newest JOIN quarantine AS q ON q.source_file = newest.source_file AND q.line_number = newest.line_number
ORDER BY newest.reason, q.arrived_at DESC, q.source_file DESC, q.line_number
"""
_FILES = "SELECT source_file, status, accepted FROM ledger ORDER BY source_file"


@dataclass(frozen=True)
class Shop:
    """What a dashboard shows.

    Attributes:
        lake: The lake.
        source: Where its files come from, to tell what is waiting; None if not given.
        settings: The freshness objective and the number of threads.
    """

    lake: Lake
    source: Source | None
    settings: Settings


def catalog(lake: Lake) -> str:
    """A short text that differs after every change of the lake; empty if there is no lake."""
    return _short(lake.storage.read_if_there(lake.catalog_location))


def answers(shop: Shop, since: date | None, until: date | None, chosen: Chosen = Chosen()) -> dict[str, Any]:  # noqa: B008
    """The five answers over a range of days.

    Args:
        shop: The lake to ask.
        since: The first day, UTC; None for the lake's first.
        until: The last day (inclusive); None for the lake's last.
        chosen: The part of the shop; users and sessions are always those of all products, which gold does not tell apart.

    Returns:
        ``catalog`` (the state of the lake that answered), ``days`` (the first and the last day of the lake, None in an empty
        one), ``since`` and ``until``, ``answers`` with name, number, question, columns and rows of each; ``before``, the
        figures of the period before; ``choices``, the products and categories to choose from; ``events`` and ``units``, the
        rows that would have to be read to count searches, and users and sessions.

    Raises:
        ShoplakeError: There is no lake, or it is damaged.
    """
    with OpenLake(shop.lake, shop.settings.threads, since, until) as lake:
        found = [_ask(lake, query, chosen) for query in queries.five()]
        span = _days(lake.view)
        shown = _shown(span, since, until)
        return {
            "lake": shop.lake.root,
            "shoplake": __version__,
            "catalog": _short(lake.view.catalog),
            "days": json_value(span),
            "since": json_value(since),
            "until": json_value(until),
            "product": chosen.product,
            "category": chosen.category,
            "answers": found,
            "before": counts.before(shop, *shown, span[0], chosen) if shown and span else None,
            "choices": counts.choices(lake),
            "events": counts.rows_of(lake.view, shown, counts.SEARCHES) if shown else 0,
            "units": counts.rows_of(lake.view, shown, counts.DISTINCT) if shown else 0,
        }


def health(shop: Shop, now: datetime) -> dict[str, Any]:
    """The state of the lake as in ``shoplake status --format json``, with its slots and quarantined lines.

    Args:
        shop: The lake to look at.
        now: The time, UTC with a zone.

    Returns:
        The status, and also: ``catalog``; ``slots``: each five minutes of the newest 24 hours with its number of files and
        accepted events; ``reasons``: each reason of quarantined lines with its meaning, its lines and some of them.

    Raises:
        ShoplakeError: There is no lake, or it is damaged.
    """
    state = status.read(shop.lake, shop.source, shop.settings, now)
    with OpenLake(shop.lake, shop.settings.threads) as lake:
        return state.as_json() | {
            "catalog": _short(lake.view.catalog),
            "now": json_value(now.astimezone(UTC)),
            "slots": json_value(_slots(_rows(lake, _FILES)[1])),
            "reasons": _reasons(lake),
        }


def days(since: str, until: str) -> tuple[date | None, date | None]:
    """The first and the last day of a request; an empty text leaves it open.

    Raises:
        UsageError: One of them is not a day, or the last is before the first.
    """
    first, last = _day(since), _day(until)
    if first and last and first > last:
        raise UsageError(f"{first} is after {last}", remedy="Give the earlier day first.")
    return first, last


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise UsageError(f"{text[:40]!r} is not a day", remedy="Write it like 2025-11-18.") from error


def _ask(lake: OpenLake, query: queries.NamedQuery, chosen: Chosen) -> dict[str, Any]:
    columns, rows = _rows(lake, chosen.of(lake, query.sql) if "FROM product_hourly" in query.sql else query.sql)
    return {
        "name": query.name,
        "number": query.number,
        "question": query.question,
        "columns": columns,
        "rows": [[json_value(value) for value in row] for row in rows],
    }


def _rows(lake: OpenLake, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    try:
        with lake.reading():
            relation = lake.sql(sql)
            return list(relation.columns), relation.fetchall()
    except duckdb.Error as error:
        raise FatalError(
            f"a data file of the lake cannot be read: {error}",
            remedy="See which one, and what is left of it: shoplake verify",
        ) from error


def _short(content: bytes | None) -> str:
    return hashlib.sha256(content).hexdigest()[:16] if content else ""


def _days(view: View) -> tuple[date, date] | None:
    """The first and the last day of a lake, from the statistics of its files."""
    files = view["activity_daily"].files
    if not files:
        return None
    return min(file.lower["event_date"] for file in files), max(file.upper["event_date"] for file in files)


def _shown(span: tuple[date, date] | None, since: date | None, until: date | None) -> tuple[date, date] | None:
    """The days that a request is about; None where there are none."""
    first, last = (since or span[0], until or span[1]) if span else (date.max, date.min)
    return (first, last) if first <= last else None


def _slots(rows: Iterable[tuple[str, str, int]]) -> list[dict[str, Any]]:
    """The slots of the latest hours up to the newest file, including those without a file."""
    found: dict[datetime, dict[str, int]] = {}
    for path, verdict, events in rows:
        start = slots.slot(path)
        if start:
            slot = found.setdefault(start, {"files": 0, "unreadable": 0, "events": 0})
            slot["files"] += 1
            slot["unreadable"] += verdict == "unreadable"
            slot["events"] += events
    if not found:
        return []
    first, last = min(found), max(found)
    begin = max(first, start_of_hour(last) - SHOWN_SLOTS + timedelta(hours=1))
    many = (last - begin) // slots.SLOT + 1
    nothing = {"files": 0, "unreadable": 0, "events": 0}
    return [{"slot": at, **found.get(at, nothing)} for at in (begin + number * slots.SLOT for number in range(many))]


def _reasons(lake: OpenLake) -> list[dict[str, Any]]:
    meanings = {rule.code: rule.meaning for rule in contract.RULES}
    samples: dict[str, list[dict[str, Any]]] = {}
    for reason, file, line, encoding, length, raw in _rows(lake, _SAMPLES)[1]:
        cut = length > _SAMPLE_LENGTH
        samples.setdefault(reason, []).append(
            {"file": file, "line": line, "encoding": encoding, "raw": raw, "cut": cut}
        )
    counted = sorted(_rows(lake, _REASONS)[1], key=lambda row: (-row[1], row[0]))
    return [
        {"reason": reason, "meaning": meanings.get(reason, ""), "lines": lines, "samples": samples.get(reason, [])}
        for reason, lines in counted
    ]
