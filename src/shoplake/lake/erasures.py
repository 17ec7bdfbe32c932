"""The people who were erased from a lake, as keyed hashes of their ids, and whether a line is about one of them."""

from __future__ import annotations

import hmac
import json
import re
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pyarrow as pa

from shoplake.lake import parquet
from shoplake.lake.commits import Commit
from shoplake.lake.snapshots import TableSnapshot
from shoplake.parsing import BOM, parse_line
from shoplake.tables import ERASURES

_SALT_BYTES = 32
_QUOTES = re.compile(rb"[\"']")
_COARSE = re.compile(rb"[\s,;|\"'`]+")
_FINE = re.compile(rb"[\s,;|\"'`=&:/?#<>(){}\[\]\\]+")
_STRING = re.compile(rb'"((?:[^"\\]|\\.)*)', re.DOTALL)


@dataclass(frozen=True)
class Erased:
    """Who was erased; false if no one was.

    Attributes:
        salt: The key of the hashes, in hexadecimal digits.
        hashes: The people.
    """

    salt: str
    hashes: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        """Whether anyone was erased."""
        return bool(self.hashes)

    def hash(self, user_id: str) -> str:
        """The keyed hash of a person's id."""
        return hmac.digest(bytes.fromhex(self.salt), user_id.encode(), "sha256").hex()

    def among(self, users: Iterable[str]) -> set[str]:
        """The users among these who were erased."""
        key, hashes = bytes.fromhex(self.salt), self.hashes
        return {user for user in users if hmac.digest(key, user.encode(), "sha256").hex() in hashes}

    def named_in(self, raw: bytes) -> bool:
        """Whether a raw line is about an erased person."""
        return any(self.hash(user) in self.hashes for user in people(raw))


def read(erasures: TableSnapshot) -> Erased:
    """Who was erased from a lake; for an empty list this makes the salt."""
    rows = [row for file in erasures.files for row in _rows(erasures, file.path).to_pylist()]
    salt = rows[0]["salt"] if rows else secrets.token_hex(_SALT_BYTES)
    return Erased(salt, frozenset(row["user_hash"] for row in rows))


def add(commit: Commit, erased: Erased, user_ids: Iterable[str], request: str, now: datetime) -> Erased:
    """Put people on the list, in one file with the others of the month; no change if they are all on it already.

    Args:
        commit: What the list becomes visible with.
        erased: The list before.
        user_ids: The people.
        request: The id of the request.
        now: The time, UTC without a zone.
    """
    hashes = {erased.hash(user_id) for user_id in user_ids} - erased.hashes
    if not hashes:
        return erased
    stored = commit.base[ERASURES.name]
    listed = [
        {"user_hash": user_hash, "salt": erased.salt, "erased_at": now, "request": request}
        for user_hash in sorted(hashes)
    ]
    month = [file.path for file in stored.files if f"{file.lower['erased_at']:%Y-%m}" == f"{now:%Y-%m}"]
    new = pa.Table.from_pylist(listed, schema=parquet.arrow_schema(ERASURES))
    rows = pa.concat_tables([*(_rows(stored, path) for path in month), new])
    commit.replace(ERASURES, (), [commit.write(ERASURES, now, rows)], merge=month)
    return replace(erased, hashes=erased.hashes | hashes)


def of_person(erasures: TableSnapshot, user_id: str) -> list[dict[str, Any]]:
    """The rows of a lake's list about one person: at most one."""
    user_hash = read(erasures).hash(user_id)
    rows = (row for file in erasures.files for row in _rows(erasures, file.path).to_pylist())
    return [row for row in rows if row["user_hash"] == user_hash]


def people(raw: bytes) -> set[str]:
    """Whom a raw line is about: its user_id or, if that cannot be read, every text in quotes.

    If the line is not JSON, also every word. A word ends at whatever may stand around an id in some other format:
    ``user_id=u_17&...``, ``2025-11-18;u_17;...``.
    """
    parsed = parse_line(raw.removeprefix(BOM))
    user = parsed.fields["user_id"]
    if user and not user.startswith(("{", "[")):
        return {user}
    found = set(_quoted(raw))
    return found if parsed.problem is None else found | set(_words(raw.removeprefix(BOM)))


def without_keys(counts: dict[str, int], extras: Iterable[str | None]) -> dict[str, int]:
    """How many lines have each unknown key, leaving out some lines.

    Args:
        counts: With all lines.
        extras: The unknown keys of the lines to leave out, as JSON objects; None for none.
    """
    removed = Counter(key for extra in extras if extra for key in json.loads(extra))
    return {key: number - removed[key] for key, number in counts.items() if number > removed[key]}


def _rows(erasures: TableSnapshot, path: str) -> pa.Table:
    with parquet.reading(path):
        return parquet.read(ERASURES, erasures.storage.read(path))


def _words(raw: bytes) -> Iterator[str]:
    """The words of a line that may be anything, cut by two rules, since an id may contain what the finer one cuts at."""
    for piece in {*_COARSE.split(raw), *_FINE.split(raw)}:
        with suppress(UnicodeDecodeError):
            yield piece.decode()


def _quoted(raw: bytes) -> Iterator[str]:
    """The texts in quotes: as JSON reads them, and after any quote, since the line may be anything."""
    for piece in {*raw.split(b'"')[1:], *_QUOTES.split(raw)[1:], *_STRING.findall(raw)}:
        try:
            text = json.loads(b'"' + piece + b'"', strict=False)
            text.encode()
        except ValueError:  # half an escape, half a character, or not UTF-8
            continue
        yield text
