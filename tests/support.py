"""What the tests share: raw files, runs, the rows of a lake, and judges written without the code under test.

The judge and the five answers stand on json, decimal and datetime alone. They are written from the contract's words
(DESIGN, section 2), so that a mistake in the SQL cannot hide in a copy of itself.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import shoplake
from shoplake import pipeline, queries
from shoplake.cli.main import main
from shoplake.discover import Source, open_source
from shoplake.engines.duckdb import DuckDBEngine
from shoplake.lake import Lake
from shoplake.reports import RunReport
from shoplake.settings import Settings
from tests.s3.path import S3Path

Place = Path | S3Path
everywhere = pytest.mark.parametrize(
    "place",
    [pytest.param("tmp_path", id="local"), pytest.param("s3_place", id="s3", marks=pytest.mark.s3)],
    indirect=True,
)
START = datetime(2025, 11, 18, 14, tzinfo=UTC)
SLOT = timedelta(minutes=5)
RUN_DEPENDENT = {"ledger": {"arrived_at", "batch", "seconds", "version"}, "quarantine": {"arrived_at", "batch"}}
QUESTIONS = ("conversion_funnel", "hourly_revenue", "top_products", "category_performance", "user_activity")

# ------------------------------------------------------------------------------------------------------------ raw files


def key(slot: int) -> str:
    """The path of the file of a slot of five minutes, counted from START."""
    at = START + slot * SLOT
    return f"events/{at:year=%Y/month=%m/day=%d/hour=%H/minute=%M}/events-{at:%Y%m%d-%H%M%S}.jsonl.gz"


def event(number: int = 0, event_type: str = "page_view", **changes: Any) -> dict[str, Any]:
    """A valid event; another number is another event, a change sets a field."""
    amount = event_type in ("add_to_cart", "remove_from_cart", "purchase")
    search = event_type == "search"
    at = START + timedelta(milliseconds=137 * number)
    return {
        "timestamp": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "user_id": f"u_{number % 7}",
        "session_id": f"s_{number}",
        "event_type": event_type,
        "product_id": None if search else f"p_{number % 3}",
        "quantity": 1 + number % 3 if amount else None,
        "price": 19.99 if amount else None,
        "category": None if search else "books",
        "search_query": "yoga mat" if search else None,
    } | changes


def events(count: int, first: int = 0) -> list[dict[str, Any]]:
    """Valid events of all types in turn, all different."""
    types = ("page_view", "add_to_cart", "remove_from_cart", "purchase", "search")
    return [event(number, types[number % len(types)]) for number in range(first, first + count)]


def as_line(line: Mapping[str, Any] | bytes) -> bytes:
    """A raw line: bytes as they are, an event as the starter writes it."""
    return line if isinstance(line, bytes) else json.dumps(line).encode()


def put(
    source: Place,
    where: int | str,
    lines: Iterable[Mapping[str, Any] | bytes],
    *,
    newline: bytes = b"\n",
    bom: bool = False,
) -> str:
    """Write lines as one source file, without a newline at its end as the starter does.

    Args:
        source: The source folder.
        where: A slot, or a path below the source.
        lines: Events, or bytes for lines that are no events.
        newline: What stands between the lines.
        bom: Whether the file begins with a byte order mark.

    Returns:
        Its path below the source.
    """
    return put_bytes(
        source, where, gzip.compress((b"\xef\xbb\xbf" if bom else b"") + newline.join(map(as_line, lines)), 1)
    )


def put_bytes(source: Place, where: int | str, content: bytes) -> str:
    """Write a source file's bytes as they are; returns its path below the source."""
    name = key(where) if isinstance(where, int) else where
    path = source / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return name


# ----------------------------------------------------------------------------------------------------------------- runs


def prepare(source: Place | Source, lake: Place, *, threads: int = 2, **settings: Any) -> pipeline.Run:
    """A run that is ready to be done or previewed."""
    source = open_source(str(source)) if isinstance(source, Path | S3Path) else source
    return pipeline.Run(Lake(str(lake)), source, lambda: DuckDBEngine(threads), Settings(threads=threads, **settings))


def ingest(source: Place | Source, lake: Place, **settings: Any) -> RunReport:
    """Take in what is new."""
    return pipeline.ingest(prepare(source, lake, **settings))


class Told(NamedTuple):
    """How a command ended and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its output, read."""
        return json.loads(self.out)


def command(*words: object) -> Told:
    """Call the command line in this process."""
    out, err, argv = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["shoplake", *map(str, words)]
    code: Any = 0
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as end:
        code = end.code or 0
    finally:
        sys.argv = argv
    return Told(code, out.getvalue(), err.getvalue())


def data_files(lake: Place, table: str) -> dict[str, tuple[Any, Any]]:
    """A table's data files by path, with the smallest and the largest key that each holds."""
    snapshot = Lake(str(lake)).view()[table]
    return {file.path: (file.lower[snapshot.table.key], file.upper[snapshot.table.key]) for file in snapshot.files}


def dump(lake: Place) -> dict[str, list[dict[str, Any]]]:
    """Every published row of every table, sorted, without the columns that say when and by which run it came."""
    with shoplake.open(str(lake), threads=2) as opened:
        return {name: _rows(opened, name) for name in opened.tables}


def _rows(opened: Any, name: str) -> list[dict[str, Any]]:
    relation = opened.sql(f"SELECT * FROM {name}")
    columns = list(relation.columns)
    left_out = RUN_DEPENDENT.get(name, set())
    rows = [
        {column: value for column, value in zip(columns, row, strict=True) if column not in left_out}
        for row in relation.fetchall()
    ]
    return sorted(rows, key=repr)


def snapshots(lake: Place) -> dict[str, int | None]:
    """The newest snapshot of every table."""
    return {name: table.snapshot_id for name, table in Lake(str(lake)).view().tables.items()}


def ledger(lake: Place) -> dict[str, dict[str, Any]]:
    """The ledger's rows by source file."""
    return {row["source_file"]: row for row in dump(lake)["ledger"]}


def answers(lake: Place) -> dict[str, list[tuple[Any, ...]]]:
    """The five answers from the gold tables."""
    with shoplake.open(str(lake), threads=2) as opened:
        return {name: opened.query(name).fetchall() for name in QUESTIONS}


def oracle(lake: Place) -> dict[str, list[tuple[Any, ...]]]:
    """The five answers from the events, by grading/queries.sql."""
    with shoplake.open(str(lake), threads=2) as opened:
        return {query.name: opened.sql(query.sql).fetchall() for query in queries.oracle()}


# ---------------------------------------------------------------------------------------------------------------- judge


class Event(NamedTuple):
    """An accepted event; ``time`` is UTC without a zone."""

    time: datetime
    user: str
    session: str
    type: str
    product: str | None
    category: str | None
    quantity: int | None
    price: Decimal | None
    search: str | None


@dataclass(frozen=True)
class Verdict:
    """The fate of one line (accepted, duplicate or quarantined) and why."""

    number: int
    raw: bytes
    fate: str
    reasons: frozenset[str] = frozenset()
    event: Event | None = None
    unknown: dict[str, Any] | None = None


_PRODUCT_TYPES = {"page_view", "add_to_cart", "remove_from_cart", "purchase"}
_AMOUNT_TYPES = _PRODUCT_TYPES - {"page_view"}
_ALL_TYPES = _PRODUCT_TYPES | {"search"}
_TIME = re.compile(
    r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?(?:Z|([+-])(\d{2})(?::?(\d{2}))?)?", re.ASCII
)
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)


def judge(lines: Iterable[bytes], seen: set[Event] | None = None) -> list[Verdict]:
    """Judge the raw lines of one file.

    Args:
        lines: The physical lines without their newline.
        seen: Events of earlier files, when duplicates across files count; is added to.
    """
    seen = set() if seen is None else seen
    verdicts = []
    for number, raw in enumerate(lines, 1):
        if not raw.strip():
            continue
        reasons, found = judge_line(raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw)
        if reasons:
            verdicts.append(Verdict(number, raw, "quarantined", frozenset(reasons)))
        elif found in seen:
            verdicts.append(Verdict(number, raw, "duplicate", event=found))
        else:
            assert found is not None
            seen.add(found)
            verdicts.append(Verdict(number, raw, "accepted", event=found, unknown=_unknown(raw)))
    return verdicts


def judge_files(source: Place) -> dict[str, list[Verdict]]:
    """Judge every file of a source, in the order of the paths; unreadable files have no lines."""
    seen: set[Event] = set()
    found = {}
    files: list[Any] = list(source.rglob("*.jsonl.gz"))
    for path in sorted(files, key=lambda file: file.relative_to(source).as_posix()):
        try:
            content = gzip.decompress(path.read_bytes())
        except (OSError, EOFError):
            content = b""
        found[path.relative_to(source).as_posix()] = judge(content.split(b"\n"), seen)
    return found


def accepted(files: Mapping[str, list[Verdict]]) -> list[Event]:
    """The accepted events of judged files."""
    return [verdict.event for verdicts in files.values() for verdict in verdicts if verdict.fate == "accepted"]  # type: ignore[misc]


def fates(verdicts: Iterable[Verdict]) -> dict[str, int]:
    """The figures that the ledger must show for a file."""
    count = Counter(verdict.fate for verdict in verdicts)
    return {
        "lines": count.total(),
        "accepted": count["accepted"],
        "duplicates": count["duplicate"],
        "quarantined": count["quarantined"],
    }


def judge_line(raw: bytes) -> tuple[set[str], Event | None]:
    """The reasons against one line, or its event."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return {"invalid_utf8"}, None
    try:
        value = json.loads(text, parse_float=Decimal, object_pairs_hook=_first_wins)
        text_again = json.dumps(value, ensure_ascii=False, default=str)
        text_again.encode()  # half a surrogate pair is no text
    except ValueError:
        return {"malformed_json"}, None
    if not isinstance(value, dict):
        return {"malformed_json"}, None
    return _judge_fields(value)


def _unknown(raw: bytes) -> dict[str, Any] | None:
    """The keys of a valid line that are none of the contract's, with their values."""
    value = json.loads(raw.decode("utf-8-sig"), object_pairs_hook=_first_wins)
    return {name: value[name] for name in value if name not in event()} or None


def _first_wins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        found.setdefault(name, value)
    return found


def _judge_fields(value: dict[str, Any]) -> tuple[set[str], Event | None]:
    reasons: set[str] = set()
    kind = value.get("event_type")
    typed: dict[str, Any] = {}

    def look(name: str, due: set[str], convert: Any, code: str) -> None:
        given = value.get(name)
        typed[name] = None
        if due != _ALL_TYPES and (not isinstance(kind, str) or kind not in _ALL_TYPES):
            return  # what an unknown type should carry, nobody knows
        if due != _ALL_TYPES and kind not in due:
            if given is not None:
                reasons.add(f"unexpected_{name}")
        elif given is None or (given == "" and name != "search_query"):
            reasons.add(f"missing_{name}")
        else:
            typed[name] = convert(given)
            if typed[name] is None:
                reasons.add(code)

    look("timestamp", _ALL_TYPES, _as_time, "bad_timestamp")
    if typed["timestamp"] and typed["timestamp"] > _LATEST:
        reasons.add("future_timestamp")
    look("user_id", _ALL_TYPES, _as_identifier, "bad_user_id")
    look("session_id", _ALL_TYPES, _as_identifier, "bad_session_id")
    look("event_type", _ALL_TYPES, lambda given: given if given in _ALL_TYPES_LIST else None, "unknown_event_type")
    look("product_id", _PRODUCT_TYPES, _as_identifier, "bad_product_id")
    look("category", _PRODUCT_TYPES, _as_identifier, "bad_category")
    look("quantity", _AMOUNT_TYPES, _as_quantity, "bad_quantity")
    look("price", _AMOUNT_TYPES, _as_price, "bad_price")
    look("search_query", {"search"}, _as_text, "never")
    return (reasons, None) if reasons else (reasons, Event(*typed.values()))


_ALL_TYPES_LIST = sorted(_ALL_TYPES)  # a list can be asked about values that have no hash


_LATEST = datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=24)


def _as_text(given: Any) -> str:
    return given if isinstance(given, str) else json.dumps(given, ensure_ascii=False, default=str)


def _as_identifier(given: Any) -> str | None:
    text = _as_text(given)
    return None if text.startswith(("{", "[")) else text


def _as_quantity(given: Any) -> int | None:
    text = given if isinstance(given, str) else str(given) if type(given) is int else ""
    if not re.fullmatch(r"[1-9][0-9]*", text):
        return None
    return int(text) if int(text) <= 2**31 - 1 else None


def _as_price(given: Any) -> Decimal | None:
    if isinstance(given, bool) or not isinstance(given, int | Decimal | str) or not _NUMBER.fullmatch(str(given)):
        return None
    try:
        exact = Decimal(str(given))
        price = exact.quantize(Decimal("0.01"), ROUND_HALF_UP)
    except InvalidOperation:
        return None
    return price if exact >= 0 and price <= Decimal("9999999999.99") else None


def _as_time(given: Any) -> datetime | None:
    found = _TIME.fullmatch(given) if isinstance(given, str) else None
    if not found:
        return None
    minute, second, fraction, sign, hours, minutes = found.groups()
    try:
        moment = datetime.fromisoformat(f"{minute}:{second or '00'}.{(fraction or '').ljust(6, '0')[:6]}")
        if sign:
            if int(hours) > 23 or int(minutes or 0) > 59:
                return None
            offset = timedelta(hours=int(hours), minutes=int(minutes or 0))
            moment = moment - offset if sign == "+" else moment + offset
    except (ValueError, OverflowError):
        return None
    return moment if moment.year >= 1970 else None


# ----------------------------------------------------------------------------------------------------------- the answers


def five_answers(found: Iterable[Event]) -> dict[str, list[tuple[Any, ...]]]:
    """The five answers, counted one event at a time."""
    found = list(found)
    return {
        "conversion_funnel": _funnel(found),
        "hourly_revenue": _revenue(found),
        "top_products": _top(found),
        "category_performance": _categories(found),
        "user_activity": _activity(found),
    }


def _by_product(found: list[Event]) -> dict[str, tuple[str, Counter[str]]]:
    products: dict[str, tuple[str, Counter[str]]] = {}
    for one in found:
        if one.product is not None and one.category is not None:
            category, count = products.get(one.product, (one.category, Counter()))
            count[one.type] += 1
            products[one.product] = (min(category, one.category), count)
    return products


def _funnel(found: list[Event]) -> list[tuple[Any, ...]]:
    rows = []
    for product, (category, count) in _by_product(found).items():
        views, carts, bought = (count[name] for name in ("page_view", "add_to_cart", "purchase"))
        rates = (_rate(carts, views), _rate(bought, carts), _rate(bought, views))
        rows.append((product, category, views, carts, bought, *rates))
    return sorted(rows, key=lambda row: (-row[2], row[0]))


def _rate(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _revenue(found: list[Event]) -> list[tuple[Any, ...]]:
    hours: dict[datetime, list[Any]] = defaultdict(lambda: [Decimal(0), 0, 0])
    for one in found:
        if one.type == "purchase" and one.price is not None and one.quantity is not None:
            hour = hours[one.time.replace(minute=0, second=0, microsecond=0)]
            hour[0] += one.price * one.quantity
            hour[1] += 1
            hour[2] += one.quantity
    return [(hour, *hours[hour]) for hour in sorted(hours)]


def _top(found: list[Event]) -> list[tuple[Any, ...]]:
    seen = [(product, category, count["page_view"]) for product, (category, count) in _by_product(found).items()]
    return sorted((row for row in seen if row[2]), key=lambda row: (-row[2], row[0]))[:10]


def _categories(found: list[Event]) -> list[tuple[Any, ...]]:
    groups: dict[tuple[Any, str], Counter[str]] = defaultdict(Counter)
    for one in found:
        groups[one.time.date(), "(none)" if one.type == "search" else str(one.category)][one.type] += 1
    types = ("page_view", "add_to_cart", "remove_from_cart", "purchase", "search")
    return [(*group, groups[group].total(), *(groups[group][name] for name in types)) for group in sorted(groups)]


def _activity(found: list[Event]) -> list[tuple[Any, ...]]:
    days: dict[Any, list[Event]] = defaultdict(list)
    for one in found:
        days[one.time.date()].append(one)
    return [
        (day, len({one.user for one in days[day]}), len({one.session for one in days[day]}), len(days[day]))
        for day in sorted(days)
    ]
