"""What a lake says of its raw lines, against the independent judge; and the smallest file that shows a disagreement.

Nothing here knows an engine: a :data:`Runner` takes a source folder into a lake.
"""

from __future__ import annotations

import base64
import gzip
import json
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.judge import LATEST, Number, Verdict, fates, judge_files
from tests.support import dump, key, put_bytes

Runner = Callable[[Path, Path], Any]
"""Takes all files of a source folder (the first) into a lake (the second)."""


def disagreements(raw: Path, lake: Path, latest: datetime = LATEST) -> dict[str, list[str]]:
    """By source file, what the tables of a lake say otherwise than the judge.

    Args:
        raw: The source.
        lake: The lake, all of the source taken in.
        latest: The latest time that an event may have.
    """
    tables, judged = dump(lake), judge_files(raw, latest)
    entries = {row["source_file"]: row for row in tables["ledger"]}
    quarantined: dict[str, dict[int, Any]] = defaultdict(dict)
    for row in tables["quarantine"]:
        line = base64.b64decode(row["raw"]) if row["encoding"] == "base64" else row["raw"].encode()
        quarantined[row["source_file"]][row["line_number"]] = (line, sorted(row["reasons"]))
    events: dict[str, Counter[Any]] = defaultdict(Counter)
    for *fields, path, extra in (row.values() for row in tables["events"]):
        kept = None if extra is None else _read(extra)
        events[path][(*fields, kept and _plain(kept))] += 1
    found = {
        path: [
            *_of_quarantine(quarantined[path], verdicts),
            *_of_events(events[path], verdicts),
            *_of_ledger(entries.get(path, {}), verdicts),
        ]
        for path, verdicts in judged.items()
    }
    return {path: differences for path, differences in found.items() if differences}


def _of_quarantine(found: dict[int, Any], verdicts: Sequence[Verdict]) -> list[str]:
    due = {one.number: (one.raw, sorted(one.reasons)) for one in verdicts if one.fate == "quarantined"}
    return [
        f"line {number}: quarantine has {_short(found.get(number))} instead of {_short(due.get(number))}"
        for number in sorted(found.keys() | due.keys())
        if found.get(number) != due.get(number)
    ]


def _of_events(found: Counter[Any], verdicts: Sequence[Verdict]) -> list[str]:
    due: Counter[Any] = Counter()
    for one in verdicts:
        if one.fate == "accepted" and one.event:
            kept = {name: value for name, value in (one.unknown or {}).items() if value is not None}
            due[(*one.event, _plain(kept) if kept else None)] += 1
    return [
        *(f"events has, and should not have: {_short(row)}" for row in found - due),
        *(f"events lacks: {_short(row)}" for row in due - found),
    ]


def _of_ledger(entry: dict[str, Any], verdicts: Sequence[Verdict]) -> list[str]:
    due: dict[str, Any] = dict(fates(verdicts))
    found = {name: entry.get(name) for name in due}
    due["keys"] = Counter(name for one in verdicts for name in one.unknown or ())
    found["keys"] = json.loads(entry.get("unknown_keys") or "{}")
    return [] if found == due else [f"ledger has {_short(found)} instead of {_short(due)}"]


def _read(text: str) -> Any:
    return json.loads(text, parse_int=Number, parse_float=Number, object_pairs_hook=lambda pairs: dict(reversed(pairs)))


def _plain(value: Any) -> Any:
    """A JSON value that equals another if they are the same value: numbers by what they are worth."""
    if isinstance(value, Number):
        mantissa, _, exponent = value.lower().partition("e")
        return ("number", Decimal(value) if len(exponent) < 10 else (mantissa, exponent))
    if isinstance(value, dict):
        return ("object", tuple(sorted((name, _plain(one)) for name, one in value.items())))
    if isinstance(value, list):
        return ("array", tuple(_plain(one) for one in value))
    return (type(value).__name__, value)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 700 else f"{text[:340]} ... {text[-340:]}"


def smallest(first: Sequence[bytes], lines: Sequence[bytes], run: Runner, latest: datetime) -> str:
    """A message with the smallest file that still shows a disagreement: fewer lines first, then fewer bytes of each.

    Args:
        first: Lines that stay.
        lines: The other lines of a file that shows one.
        run: What takes it in.
        latest: The latest time that an event may have.
    """

    def differs(some: Sequence[bytes]) -> list[str]:
        with tempfile.TemporaryDirectory() as folder:
            raw, lake = Path(folder, "raw"), Path(folder, "lake")
            path = put_bytes(raw, 0, gzip.compress(b"\n".join([*first, *some]), 1))
            run(raw, lake)
            return disagreements(raw, lake, latest).get(path, [])

    if not differs(lines):
        return f"{len(lines)} lines of {key(0)} disagree only beside the other files"
    kept = _fewest(list(lines), differs)
    for at, line in enumerate(kept):
        octets = [line[one : one + 1] for one in range(len(line))]
        before, after = kept[:at], kept[at + 1 :]
        kept[at] = b"".join(_fewest(octets, lambda some, b=before, a=after: differs([*b, b"".join(some), *a])))  # type: ignore[misc]
    return "\n".join([*(_short(line) for line in kept), *(f"    {one}" for one in differs(kept))])


def _fewest(items: list[bytes], differs: Callable[[Sequence[bytes]], list[str]]) -> list[bytes]:
    """Leave out all that can be left out, in ever smaller pieces."""
    size = len(items) // 2
    while size:
        at = 0
        while at < len(items):
            shorter = items[:at] + items[at + size :]
            if differs(shorter):
                items = shorter
            else:
                at += size
        size //= 2
    return items
