"""The totals of millions of units, added up in memory.

DuckDB groups rows by a text quickly while its table of groups fits into the processor's cache, and needs several times as
long, and as much memory, where there are millions of them. Here the texts are sorted once, which makes numbers of them, and
the figures are added up by these. Sums are of integers, so they are the same whichever way they are made.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from shoplake.lake.reader import OpenLake

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    Numbers = NDArray[Any]

_MOST = 1 << 31  # bytes of texts that one Arrow array holds
_UNITS = "units_added_up"


@dataclass(frozen=True)
class Rows:
    """What is added up, as statements whose rows belong together.

    Attributes:
        figures: Give the column unit and, as other columns, what is added up.
        sessions: Give DuckDB's hash of the unit as unit, and session_id; none where sessions are not counted.
        population: Give unit, and other columns that each of its units has one value of; without any, all units that have
            figures are the population.
        variant: SQL over unit for a column of this name; empty where the population has it.
    """

    figures: Sequence[str]
    sessions: Sequence[str] = ()
    population: Sequence[str] = ()
    variant: str = ""


def add_up(opened: OpenLake, asked: Rows, salt: str) -> pa.Table | None:
    """The totals of each unit of the population, ordered by the units' bytes; zeros for a unit without rows.

    Args:
        opened: The lake.
        asked: What is added up.
        salt: Whatever is the lake's own, for the keys of users and sessions (:mod:`shoplake.engines.unit_keys`).

    Returns:
        unit, variant, the columns of the population and of the figures and, where they are counted, sessions. None where it
        cannot be done: numbers too large for 64 bits, texts too long together, units that share a hash. DuckDB can.
    """
    import numpy as np
    import pyarrow as pa

    from shoplake.engines.texts import ranked

    with ThreadPoolExecutor(1) as pool:  # NumPy and the compiled library work without the GIL, beside DuckDB
        keys = [pool.submit(_keys, _rows(opened, statement), salt) for statement in asked.sessions]
        counting = pool.submit(_users_of_sessions, keys) if keys else None
        known = _Columns.read(opened, asked.population)
        figures = _Columns.read(opened, asked.figures)
        texts = [*known.units, *figures.units]
        if not texts or sum(text.nbytes for text in texts) >= _MOST or not figures.fits:
            return None
        every, people = pa.concat_arrays(texts), sum(map(len, known.units))
        del texts, known.units, figures.units
        ranks, firsts = ranked(every)
        units = every.take(pa.array(firsts))
        del every, firsts
        counted = pool.submit(_of_units, _of_each(opened, units, "hash(unit)"), counting) if counting else None
        columns = {name: _added(ranks[:people], parts, len(units)) for name, parts in known.parts.items()}
        columns |= {name: _added(ranks[people:], parts, len(units)) for name, parts in figures.parts.items()}
        chosen = np.zeros(len(units), bool)
        chosen[ranks[:people]] = True
        del ranks, known, figures
        columns |= {"variant": _of_each(opened, units, asked.variant)} if asked.variant else {}
        sessions = counted.result() if counted else None
    if counted and sessions is None:
        return None
    columns |= {} if sessions is None else {"sessions": sessions}
    if asked.population:
        units, columns = units.filter(pa.array(chosen)), {name: column[chosen] for name, column in columns.items()}
    return _table(units, columns)


class _Part(NamedTuple):
    """Some rows of a column.

    Attributes:
        rows: How many.
        places: Those that are not 0; None where most are not.
        numbers: Of these, or of all.
    """

    rows: int
    places: Numbers | None
    numbers: Numbers

    @classmethod
    def of(cls, numbers: Numbers) -> Self:
        """From all numbers."""
        import numpy as np

        places = np.flatnonzero(numbers)
        if len(places) > len(numbers) / 4:
            return cls(len(numbers), None, numbers)
        return cls(len(numbers), places.astype(np.int32), numbers[places])  # as of purchases


@dataclass
class _Columns:
    """Rows that were read: texts as Arrow has them, numbers as small as they can be."""

    units: list[pa.StringArray] = field(default_factory=list)
    parts: dict[str, list[_Part]] = field(default_factory=dict)
    bounds: dict[str, int] = field(default_factory=dict)

    @property
    def fits(self) -> bool:
        """Whether every sum of a column is an integer of 64 bits."""
        return all(bound < 1 << 63 for bound in self.bounds.values())

    @classmethod
    def read(cls, opened: OpenLake, statements: Sequence[str]) -> Self:
        """The rows of some statements: of each, the first column has the units."""
        import pyarrow as pa

        found = cls()
        for statement in statements:
            rows = _rows(opened, statement)
            found.units.append(pa.concat_arrays([pa.array([], pa.string()), *rows.column("unit").chunks]))
            for name in rows.column_names[1:]:
                parts = found.parts.setdefault(name, [])
                for chunk in rows.column(name).chunks:
                    numbers, largest = _integers(chunk)
                    found.bounds[name] = found.bounds.get(name, 0) + largest * len(numbers)
                    parts.append(_Part.of(_small(numbers)))
        return found


def _rows(opened: OpenLake, statement: str) -> pa.Table:
    with opened.reading():
        return opened.sql(statement).to_arrow_table()


def _integers(chunk: pa.Array) -> tuple[Numbers, int]:
    """The numbers of a column, decimals without their point, and the largest; 2**63 if one is missing, below 0 or beyond."""
    import numpy as np
    import pyarrow as pa

    if chunk.null_count:
        return np.zeros(len(chunk), np.int64), 1 << 63
    if not pa.types.is_decimal(chunk.type):
        numbers = chunk.to_numpy()
    else:  # two words of 64 bits, the lower one first
        words = np.frombuffer(chunk.buffers()[1], np.int64)[2 * chunk.offset :][: 2 * len(chunk)]
        if words[1::2].any():
            return words[::2], 1 << 63
        numbers = words[::2]
    return numbers, int(numbers.max(initial=0)) if numbers.min(initial=0) >= 0 else 1 << 63


def _added(ranks: Numbers, parts: Sequence[_Part], count: int) -> Numbers:
    """The sum of a column for each unit."""
    import numpy as np

    found, start = np.zeros(count, np.int64), 0
    for part in parts:
        units = ranks[start : start + part.rows]
        units = units if part.places is None else units[part.places]
        np.add.at(found, units.astype(np.int64), part.numbers.astype(np.int64))  # six times as fast as with other types
        start += part.rows
    return _small(found)


def _small(numbers: Numbers) -> Numbers:
    """Integers not below 0, with as few bytes as the largest one needs."""
    import numpy as np

    return numbers.astype(np.min_scalar_type(int(numbers.max(initial=0))))


_Keys = tuple["Numbers", "Numbers", "Numbers"]


def _keys(rows: pa.Table, salt: str) -> _Keys:
    """Of each row three quarters of the session's key, and the user's hash.

    That two sessions of one user share 96 bits has a chance below 1 in 10**20, even if each of ten million users has ten.
    """
    import numpy as np

    from shoplake.engines import unit_keys

    found: list[_Keys] = []
    for batch in rows.to_batches():
        session = unit_keys.of(batch.column("session_id"), salt)
        found.append((session.high, session.low.astype(np.uint32), batch.column("unit").to_numpy()))
    return _joined(found)


def _joined(parts: list[_Keys]) -> _Keys:
    """The parts as one, which are given up one column after the other: together they would need twice the memory."""
    import numpy as np

    none = (np.empty(0, np.uint64), np.empty(0, np.uint32), np.empty(0, np.uint64))
    columns = [list(column) for column in zip(none, *parts, strict=True)]
    parts.clear()
    high, low, users = (np.concatenate(columns.pop(0)) for _ in range(len(columns)))
    return high, low, users


def _users_of_sessions(keys: list[Future[_Keys]]) -> Numbers:
    """The user's hash for each session of a user, sorted."""
    parts = [part.result() for part in keys]
    keys.clear()
    high, low, users = _joined(parts)
    found: Numbers = users[_once(high, low, users)]
    del high, low, users
    found.sort()
    return found


def _once(high: Numbers, low: Numbers, users: Numbers) -> Numbers:
    """One of the rows of each session of a user, as flags. Most sessions are over within an hour, and have one row alone."""
    import numpy as np

    order, tied = _nearly_sorted(high)
    rows = order[tied]
    del order, tied
    rows = rows[np.argsort(high[rows])]
    keys = [column[rows] for column in (users, low, high)]
    alike = _alike(keys)
    if (_alike(keys[2:]) & ~alike).any():  # several users have it
        order = np.lexsort(keys)
        rows, alike = rows[order], _alike([column[order] for column in keys])
    once = np.ones(len(high), bool)
    once[rows[alike]] = False
    return once


def _alike(columns: Sequence[Numbers]) -> Numbers:
    """Which rows are like the one before them."""
    import numpy as np

    found = np.ones(len(columns[0]), bool)
    found[:1] = False
    for column in columns:
        found[1:] &= column[1:] == column[:-1]
    return found


def _nearly_sorted(keys: Numbers) -> tuple[Numbers, Numbers]:
    """The order of keys by their first bits, and which of them, in that order, share these with others.

    Numbers that end with their places are sorted in a fifth of the time that sorting places by keys takes.
    """
    import numpy as np

    bits = np.uint64(max(len(keys) - 1, 1).bit_length())
    places = np.uint64(1) << bits
    packed = keys >> bits  # in place from here on: new memory takes as long as the numbers
    packed <<= bits
    packed |= np.arange(len(keys), dtype=np.uint64)
    packed.sort()
    alike = (packed[1:] ^ packed[:-1]) < places
    tied = np.zeros(len(keys), bool)
    tied[1:] = alike
    tied[:-1] |= alike
    packed &= places - np.uint64(1)
    return packed.view(np.int64), tied


def _of_each(opened: OpenLake, units: pa.StringArray, expression: str) -> Numbers:
    """An expression of SQL over unit, of each of some units."""
    import pyarrow as pa

    opened.register(_UNITS, pa.table({"unit": units}))
    found: Numbers = _rows(opened, f"SELECT {expression} AS found FROM {_UNITS}").column("found").to_numpy()
    opened.register(_UNITS, pa.table({"unit": pa.array([], pa.string())}))
    return found


def _of_units(keys: Numbers, sessions: Future[Numbers]) -> Numbers | None:
    """How many sessions each unit has, by its hash; None where two units share one, or a session is of none of them."""
    import numpy as np

    users = sessions.result()
    if not len(users):
        return np.zeros(len(keys), np.uint8)
    order, tied = _nearly_sorted(keys)
    few = order[tied]
    order[tied] = few[np.argsort(keys[few])]
    keys = keys[order]
    places = np.searchsorted(users, keys, side="right")
    counts = _small(np.diff(places, prepend=0))
    places -= counts  # where the sessions of each begin; those of a unit without any may end the array
    foreign = users.take(places, mode="clip") != keys
    foreign &= counts > 0
    if (keys[1:] == keys[:-1]).any() or foreign.any() or counts.sum(dtype=np.int64) < len(users):
        return None
    found = np.empty_like(counts)
    found[order] = counts
    return found


def _table(units: pa.StringArray, columns: dict[str, Numbers]) -> pa.Table:
    """As Arrow has them, money as the decimals that it is of."""
    import pyarrow as pa

    from shoplake.engines.aggregates import money

    return pa.table(
        {"unit": units, **{name: money(column) if name == "revenue" else column for name, column in columns.items()}}
    )
