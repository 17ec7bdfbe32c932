"""The contract once more, in plain Python: what becomes of each raw line, and why.

It uses gzip, json, decimal and datetime alone and imports nothing from shoplake. It is written from the contract's words
(docs/reference/contract.md; docs/engine-quirks.md, "The contract, on every engine"), so that a mistake in the SQL cannot
hide in a copy of itself.
"""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any, NamedTuple


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
    """The fate of one line (accepted, duplicate or quarantined) and why.

    ``unknown`` holds the keys that are none of the contract's, with their values.
    """

    number: int
    raw: bytes
    fate: str
    reasons: frozenset[str] = frozenset()
    event: Event | None = None
    unknown: dict[str, Any] | None = None


class Number(str):
    """A JSON number as it was written."""

    __slots__ = ()


FIELDS = (
    *("timestamp", "user_id", "session_id", "event_type", "product_id"),
    *("category", "quantity", "price", "search_query"),
)
LATEST = datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=24)
DEEPEST = 100
_PRODUCT_TYPES = {"page_view", "add_to_cart", "remove_from_cart", "purchase"}
_AMOUNT_TYPES = _PRODUCT_TYPES - {"page_view"}
_ALL_TYPES = _PRODUCT_TYPES | {"search"}
_TIME = re.compile(
    r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?(?:Z|([+-])(\d{2})(?::?(\d{2}))?)?", re.ASCII
)
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_CENT = Decimal("0.01")


def judge(lines: Iterable[bytes], seen: set[Event] | None = None, latest: datetime = LATEST) -> list[Verdict]:
    """Judge the raw lines of one file.

    Args:
        lines: The physical lines without their newline.
        seen: Events of earlier files, when duplicates across files count; is added to.
        latest: The latest time that an event may have.
    """
    seen = set() if seen is None else seen
    verdicts = []
    for number, raw in enumerate(lines, 1):
        if not raw.strip():
            continue
        reasons, found, unknown = judge_line(raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw, latest)
        if reasons:
            verdicts.append(Verdict(number, raw, "quarantined", frozenset(reasons), unknown=unknown))
        elif found in seen:
            verdicts.append(Verdict(number, raw, "duplicate", event=found, unknown=unknown))
        else:
            assert found is not None
            seen.add(found)
            verdicts.append(Verdict(number, raw, "accepted", event=found, unknown=unknown))
    return verdicts


def judge_files(source: Any, latest: datetime = LATEST) -> dict[str, list[Verdict]]:
    """Judge every file of a source (a path or what acts as one), in the order of their names; unreadable ones are empty."""
    seen: set[Event] = set()
    found = {}
    for path in sorted(source.rglob("*.jsonl.gz"), key=lambda file: file.relative_to(source).as_posix()):
        try:
            content = gzip.decompress(path.read_bytes())
        except (OSError, EOFError):
            content = b""
        found[path.relative_to(source).as_posix()] = judge(content.split(b"\n"), seen, latest)
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


def judge_line(raw: bytes, latest: datetime = LATEST) -> tuple[set[str], Event | None, dict[str, Any] | None]:
    """The reasons against one line, or its event; and the unknown keys of a line that is an object."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return {"invalid_utf8"}, None, None
    if _depth(text) > DEEPEST:
        return {"malformed_json"}, None, None
    try:
        value = json.loads(
            text, parse_int=Number, parse_float=Number, parse_constant=_refuse, object_pairs_hook=_first_wins
        )
        _as_text(value).encode()  # half a surrogate pair is no text
    except ValueError:
        return {"malformed_json"}, None, None
    if not isinstance(value, dict):
        return {"malformed_json"}, None, None
    unknown = {name: value[name] for name in value if name not in FIELDS} or None
    return *_judge_fields(value, latest), unknown


def _depth(text: str) -> int:
    """How deep brackets are nested, those in texts left out."""
    depth = deepest = 0
    for mark in re.findall(r'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', text, re.DOTALL):
        depth += (mark in "[{") - (mark in "]}")
        deepest = max(deepest, depth)
    return deepest


def _refuse(name: str) -> Any:
    raise ValueError(name)


def _first_wins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        found.setdefault(name, value)
    return found


def _judge_fields(value: dict[str, Any], latest: datetime) -> tuple[set[str], Event | None]:
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
    if typed["timestamp"] and typed["timestamp"] > latest:
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


def _as_text(given: Any) -> str:
    """A text as it is; all else as JSON without white space, numbers as they were written."""
    if isinstance(given, str):
        return str(given)
    if isinstance(given, list):
        return "[" + ",".join(map(_as_json, given)) + "]"
    if isinstance(given, dict):
        return "{" + ",".join(f"{_as_json(name)}:{_as_json(value)}" for name, value in given.items()) + "}"
    return json.dumps(given)


def _as_json(given: Any) -> str:
    if isinstance(given, str) and not isinstance(given, Number):
        return json.dumps(given, ensure_ascii=False)
    return _as_text(given)


def _as_identifier(given: Any) -> str | None:
    return None if isinstance(given, dict | list) else _as_text(given)


def _as_quantity(given: Any) -> int | None:
    if not isinstance(given, str) or not re.fullmatch(r"[1-9][0-9]{0,9}", given):
        return None
    return int(given) if int(given) <= 2**31 - 1 else None


def _as_price(given: Any) -> Decimal | None:
    """Half a cent and more is a cent; what is negative before rounding is negative."""
    if not isinstance(given, str) or not _NUMBER.fullmatch(given):
        return None
    mantissa, _, exponent = given.lower().partition("e")
    negative, digits = mantissa.startswith("-"), mantissa.lstrip("-").replace(".", "").lstrip("0")
    if not digits:
        return Decimal("0.00")
    if negative or len(exponent.lstrip("+-0")) > 6:
        return Decimal("0.00") if exponent.startswith("-") and not negative else None
    exact = Decimal(mantissa).scaleb(int(exponent or 0), Context(prec=len(mantissa) + 1))
    if exact >= Decimal("1e10"):
        return None
    price = exact.quantize(_CENT, ROUND_HALF_UP, Context(prec=len(mantissa) + 20))
    return price if price <= Decimal("9999999999.99") else None


def _as_time(given: Any) -> datetime | None:
    found = _TIME.fullmatch(given) if isinstance(given, str) and not isinstance(given, Number) else None
    if not found:
        return None
    minute, second, fraction, sign, hours, minutes = found.groups()
    try:
        moment = datetime.strptime(f"{minute}:{second or '00'}", "%Y-%m-%dT%H:%M:%S")  # noqa: DTZ007 - UTC without a zone
        moment = moment.replace(microsecond=int((fraction or "").ljust(6, "0")[:6]))
        if sign:
            if int(hours) > 23 or int(minutes or 0) > 59:
                return None
            offset = timedelta(hours=int(hours), minutes=int(minutes or 0))
            moment = moment - offset if sign == "+" else moment + offset
    except (ValueError, OverflowError):
        return None
    return moment if moment.year >= 1970 else None
