"""Which unit is in which variant: by its hash, or by a list that somebody else made."""

from __future__ import annotations

import bisect
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from shoplake.errors import UsageError
from shoplake.lake.reader import OpenLake
from shoplake.settings import WEIGHT
from shoplake.text import is_utf8

_HEX_DIGITS = 13  # 52 bits: whole in a double, and in every engine's BIGINT
_HASHES = 16**_HEX_DIGITS
_GIVEN = "assigned_units"
TABLE = "experiment_units"
"""The units of a list as rows: unit, variant (its position) and, if the list has it, exposed_at."""


@dataclass(frozen=True)
class Listed:
    """A list of units that has been checked.

    Attributes:
        exposed: Whether it says when each unit was first exposed.
        in_hours: Whether all of these times are whole hours.
    """

    exposed: bool
    in_hours: bool


def assign(experiment: str, unit: str, variants: Mapping[str, float]) -> str:
    """The variant of a unit: always the same one, and independent of other experiments.

    Use it where the shop decides what to show; :func:`experiment` recomputes the same variants.

    Args:
        experiment: The experiment's name; another name splits the units differently.
        unit: The user's or session's id.
        variants: Names with their shares, which need not add up to 1.

    Example:
        >>> assign("blue-button", "user-17", {"control": 1, "blue": 1})
        'blue'
    """
    found = hashlib.md5(f"{experiment}:{unit}".encode(), usedforsecurity=False).hexdigest()[:_HEX_DIGITS]
    return list(variants)[bisect.bisect_right(_bounds(variants), int(found, 16))]


def shares_of(text: str, where: str) -> dict[str, float]:
    """The variants with their shares, from a text such as ``control=1,blue=1``.

    Args:
        text: The text; a variant without a share has 1.
        where: What gave it, for the message.

    Raises:
        UsageError: A share is not a number above 0, or a name is there twice.
    """
    try:
        found = {
            name.strip(): WEIGHT.read(share or 1)
            for name, _, share in (part.partition("=") for part in text.split(","))
        }
    except ValueError as error:
        raise UsageError(
            f"{where} {text!r}: a share must be {WEIGHT}", remedy="For example control=1,blue=1."
        ) from error
    if len(found) <= text.count(","):
        raise UsageError(f"{where} {text!r} names a variant twice", remedy="For example control=1,blue=1.")
    return found


def position_sql(name: str, variants: Mapping[str, float]) -> str:
    """The SQL of :func:`assign` over the column ``unit``, which gives the variant's position among the variants."""
    if not is_utf8(name):
        raise UsageError(
            f"the name of the experiment {name!r} is not UTF-8", remedy="Give the name that the shop uses."
        )
    drawn = f"md5({quoted(name + ':')} || unit)"  # compared as a text, which takes two thirds of the time of a number
    cases = "".join(
        f" WHEN {drawn} < '{_digits(bound)}' THEN {position}" for position, bound in enumerate(_bounds(variants))
    )
    return f"CASE{cases} ELSE {len(variants) - 1} END"


def quoted(text: str) -> str:
    """A text as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"


def _digits(bound: int) -> str:
    """What the texts of all hashes below a bound sort before, and no others."""
    return f"{bound:0{_HEX_DIGITS}x}" if bound < _HASHES else "g"


def _bounds(variants: Mapping[str, float]) -> list[int]:
    """Where each variant but the last ends, among the numbers that the hash can give."""
    whole = sum(variants.values())
    return [round(part / whole * _HASHES) for part in accumulate(variants.values())][:-1]


def take_list(opened: OpenLake, assignments: Any, variants: Mapping[str, float]) -> Listed:
    """Check a list of units and make it the rows of :data:`TABLE`, one for each unit, with its first exposure.

    Args:
        opened: The lake.
        assignments: A data frame or Arrow table with the columns unit, variant and, on request, exposed_at.
        variants: Those that the experiment has.

    Raises:
        UsageError: The list cannot be right.
    """
    import duckdb

    opened.register(_GIVEN, assignments)
    try:
        columns = {row[0].lower() for row in opened.sql(f"DESCRIBE {_GIVEN}").fetchall()}
        exposed = "exposed_at" in columns
        times = ", CAST(CAST(exposed_at AS TIMESTAMPTZ) AT TIME ZONE 'UTC' AS TIMESTAMP) AS exposed_at" * exposed
        rows = f"SELECT CAST(unit AS VARCHAR) AS unit, CAST(variant AS VARCHAR) AS variant{times} FROM {_GIVEN}"
        _check(opened, rows, variants, exposed=exposed)
        cases = "".join(f" WHEN {quoted(name)} THEN {position}" for position, name in enumerate(variants))
        first = ", min(exposed_at) AS exposed_at" * exposed
        positions = f"CASE any_value(variant){cases} END"
        units = opened.sql(f"SELECT unit, {positions} AS variant{first} FROM ({rows}) GROUP BY unit").to_arrow_table()
    except duckdb.Error as error:
        raise UsageError(
            f"the assignments cannot be read: {error}",
            remedy="Give the columns unit and variant, and as exposed_at, if there is one, times.",
        ) from error
    opened.register(TABLE, units)
    partly = f"SELECT count(*) FROM {TABLE} WHERE exposed_at <> date_trunc('hour', exposed_at)"
    return Listed(exposed, bool(exposed and not opened.sql(partly).fetchall()[0][0]))


def _check(opened: OpenLake, listed: str, variants: Mapping[str, float], *, exposed: bool) -> None:
    twice = opened.sql(
        f"SELECT unit FROM ({listed}) GROUP BY unit HAVING count(DISTINCT variant) > 1 ORDER BY unit LIMIT 1"
    ).fetchall()
    names = [row[0] for row in opened.sql(f"SELECT DISTINCT variant FROM ({listed}) ORDER BY 1").fetchall()]
    times = "exposed_at" if exposed else "*"
    [(rows, named, timed)] = opened.sql(f"SELECT count(*), count(unit), count({times}) FROM ({listed})").fetchall()
    if rows > named:
        raise UsageError(
            f"{rows - named:,} of {rows:,} assignments have no unit", remedy="Each row names a unit and its variant."
        )
    if rows > timed:
        raise UsageError(
            f"{rows - timed:,} of {rows:,} assignments have no exposed_at",
            remedy="Leave out the units that were not exposed.",
        )
    if twice:
        raise UsageError(f"unit {twice[0][0]!r} is assigned to several variants", remedy="Assign each unit once.")
    strange = [name for name in names if name not in variants]
    if strange:
        raise UsageError(
            f"the assignments name a variant {strange[0]!r} that the experiment does not have",
            remedy=f"Give all variants with their shares; given were {', '.join(variants)}.",
        )
