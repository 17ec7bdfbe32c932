"""Whom an erasure is about: their ids, and how the rows and raw lines are found that are theirs or mention them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shoplake.errors import UsageError
from shoplake.lake import erasures
from shoplake.text import count, is_utf8

MOST_PEOPLE = 10_000
_PATTERN = 8_000  # characters of one pattern: of longer ones RE2 gives up its automaton, and becomes ten times as slow
_LONG = 2_000  # bytes of an id that is searched for by itself
_NOT_IN_A_WORD = "[^0-9A-Za-z]"


@dataclass(frozen=True)
class People:
    """The people that one erasure is about.

    Attributes:
        ids: Their ids, each once.
    """

    ids: tuple[str, ...]

    def check(self) -> None:
        """Refuse ids that no event can have, and too many of them.

        Raises:
            UsageError: With the reason. It does not name the id.
        """
        if not self.ids:
            raise UsageError("no user_id is given", remedy="Give --user ID or --users-file FILE.")
        if len(self.ids) > MOST_PEOPLE:
            raise UsageError(
                f"{count(len(self.ids), 'id')} are too many for one erasure",
                remedy=f"Give at most {MOST_PEOPLE:,} at a time.",
            )
        if "" in self.ids:
            raise UsageError("the user_id is empty", remedy="No event can have an empty id. Give --user ID.")
        if not all(map(is_utf8, self.ids)):
            raise UsageError("the user_id is not UTF-8", remedy="No event can have such an id.")

    def places(self, users: pa.ChunkedArray) -> npt.NDArray[np.int64]:
        """The place among the ids of each user of a column, with or without a dictionary; -1 for other people."""
        ids = pa.array(self.ids, pa.string())
        found = [np.empty(0, np.int64)]
        for chunk in users.chunks:
            if pa.types.is_dictionary(chunk.type):
                places = pc.take(pc.index_in(chunk.dictionary, ids), chunk.indices)
            else:
                places = pc.index_in(chunk, ids)
            found.append(places.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64))
        return np.concatenate(found)

    def named_in(self, raw: bytes) -> frozenset[str]:
        """Those whom a raw line is about, by the rule of :func:`shoplake.lake.erasures.people`."""
        return self._set.intersection(erasures.people(raw))

    def owning(self, lines: Sequence[bytes]) -> dict[int, frozenset[str]]:
        """The raw lines that are about any of them, by position; most lines are ruled out without being parsed."""
        if not lines:
            return {}
        raw = pa.array(lines, pa.large_binary())
        suspects = pc.or_(self._containing(raw, words=False), pc.match_substring(raw, "\\"))
        owners = ((place, self.named_in(lines[place])) for place in np.flatnonzero(suspects).tolist())
        return {place: people for place, people in owners if people}

    def mentioned_in(self, texts: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
        """Which of some texts contain an id with no ASCII letter or digit right before or after it; None is none."""
        return pc.fill_null(self._containing(texts.cast(pa.large_binary()), words=True), False)  # noqa: FBT003 - Arrow's

    def _containing(self, texts: pa.Array | pa.ChunkedArray, *, words: bool) -> pa.Array | pa.ChunkedArray:
        found = None
        for pattern in self._patterns:
            whole = f"(?:^|{_NOT_IN_A_WORD})(?:{pattern})(?:{_NOT_IN_A_WORD}|$)" if words else pattern
            mask = pc.match_substring_regex(texts, f"(?s){whole}")
            found = mask if found is None else pc.or_(found, mask)
        for user in self._long:
            mask = pc.match_substring(texts, user)
            found = mask if found is None else pc.or_(found, mask)
        return found

    @cached_property
    def _set(self) -> frozenset[str]:
        return frozenset(self.ids)

    @cached_property
    def _long(self) -> tuple[str, ...]:
        return tuple(user for user in self.ids if len(user.encode()) > _LONG)

    @cached_property
    def _patterns(self) -> tuple[str, ...]:
        return tuple(self._packed())

    def _packed(self) -> Iterator[str]:
        """Regular expressions over bytes that together match every id that is not long."""
        pattern: list[str] = []
        size = 0
        for user in self.ids:
            if user in self._long:
                continue
            escaped = "".join(
                chr(byte) if chr(byte).isascii() and chr(byte).isalnum() else f"\\x{byte:02x}" for byte in user.encode()
            )
            if pattern and size + len(escaped) > _PATTERN:
                yield "|".join(pattern)
                pattern, size = [], 0
            pattern.append(escaped)
            size += len(escaped)
        if pattern:
            yield "|".join(pattern)
