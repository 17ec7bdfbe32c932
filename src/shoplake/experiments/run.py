"""Experiments: which unit (a user or a session) is in which variant, and how the variants compare."""

from __future__ import annotations

import bisect
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoplake.errors import UsageError
from shoplake.experiments.statistics import Comparison, compare, sample_ratio
from shoplake.lake.catalog import Lake
from shoplake.lake.hours import start_of_hour
from shoplake.lake.reader import OpenLake
from shoplake.settings import CONFIDENCE, DAYS, WEIGHT
from shoplake.text import as_datetime

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

SAMPLE_RATIO_ALPHA = 0.001
_HEX_DIGITS = 13  # 52 bits: whole in a double, and in every engine's BIGINT
_HASHES = 16**_HEX_DIGITS
_COUNTS = ("page_views", "add_to_carts", "removes_from_cart", "purchases", "searches", "events", "revenue")
_ASSIGNED = "assigned_units"
_LISTED = f"SELECT CAST(unit AS VARCHAR) AS unit, CAST(variant AS VARCHAR) AS variant FROM {_ASSIGNED}"


@dataclass(frozen=True)
class Metric:
    """A metric: a sum over the units divided by another sum over them.

    Both are SQL over the totals of one unit within the window: page_views, add_to_carts, removes_from_cart, purchases,
    searches, events, revenue, and sessions where the unit is a user.

    Attributes:
        name: Its name in the results.
        numerator: For example ``revenue``, or ``purchases > 0`` for a share.
        denominator: For example ``page_views``; ``1`` gives the mean per unit.
    """

    name: str
    numerator: str
    denominator: str = "1"


METRICS = {
    "user": (
        Metric("conversion", "purchases > 0"),
        Metric("revenue_per_user", "revenue"),
        Metric("sessions_per_user", "sessions"),
        Metric("purchases_per_view", "purchases", "page_views"),
    ),
    "session": (
        Metric("conversion", "purchases > 0"),
        Metric("revenue_per_session", "revenue"),
        Metric("purchases_per_view", "purchases", "page_views"),
    ),
}


@dataclass(frozen=True)
class Experiment:
    """The result of an experiment.

    Attributes:
        name: Its name.
        unit: user or session.
        start: Start of the window (inclusive), UTC.
        end: End of the window (exclusive).
        units: Units by variant, the control first: those that were active, or all that the assignments list.
        sample_ratio_p_value: Of the chi-squared test that the units split as intended.
        confidence: Confidence level of the intervals.
        comparisons: Every metric of every variant against the control.
    """

    name: str
    unit: str
    start: datetime
    end: datetime
    units: dict[str, int]
    sample_ratio_p_value: float
    confidence: float
    comparisons: tuple[Comparison, ...]

    @property
    def sample_ratio_mismatch(self) -> bool:
        """Whether the units split so far from the intended shares that the comparisons cannot be trusted."""
        return self.sample_ratio_p_value < SAMPLE_RATIO_ALPHA

    def as_json(self) -> dict[str, Any]:
        """Everything, as values of JSON."""
        return asdict(self) | {
            "start": self.start.isoformat(),
            "end": self.end.isoformat(),
            "sample_ratio_mismatch": self.sample_ratio_mismatch,
            "comparisons": [asdict(one) for one in self.comparisons],
        }


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


def experiment(  # noqa: PLR0913 - one argument per decision of an experiment
    lake: OpenLake | str | Path,
    name: str,
    *,
    variants: Mapping[str, float] | None = None,
    unit: str = "user",
    start: date | None = None,
    end: date | None = None,
    metrics: Sequence[Metric] | None = None,
    assignments: Any = None,
    cuped: timedelta | None = None,
    confidence: float = 0.95,
) -> Experiment:
    """Compare the variants of an experiment, over the units that were active while it ran, or over a list of them.

    Args:
        lake: An open lake, or its location.
        name: The experiment's name, as given to :func:`assign`.
        variants: Names with their shares, the control first; control and treatment, evenly, by default.
        unit: The unit of randomization: user or session.
        start: Start of the window (inclusive), a day or a whole hour in UTC; by default the lake's first hour, or with
            ``cuped`` that much later.
        end: End of the window (exclusive), likewise; by default after the lake's last hour.
        metrics: What to compare; by default :data:`METRICS`.
        assignments: If the variants were not assigned by :func:`assign`: a data frame or Arrow table with the columns ``unit``
            and ``variant``. Every unit in it counts, with zeros if it did nothing; units that are not in it are left out.
        cuped: Reduce variance with what the units did in this time before the start.
        confidence: Confidence level of the intervals.

    Raises:
        UsageError: The variants cannot be compared, for example because a variant has fewer than two units.

    Example:
        >>> result = shoplake.experiment("lake", "blue-button", variants={"control": 1, "blue": 1})
        >>> [(one.metric, one.difference, one.low, one.high) for one in result.comparisons]
    """
    shares = dict(variants or {"control": 1, "treatment": 1})
    _check(unit, shares, confidence, cuped)
    if isinstance(lake, OpenLake):
        opened, ours = lake, None
    else:
        opened = ours = OpenLake(Lake(lake))
    try:
        window = _window(opened, start, end, cuped)
        chosen = tuple(metrics or METRICS[unit])
        if assignments is not None:
            opened.register(_ASSIGNED, assignments)
            units = f"SELECT unit, any_value(variant) AS variant FROM ({_LISTED}) GROUP BY unit"
            _check_assignments(opened, shares, f"({_totals(unit, window)}) JOIN ({units}) USING (unit)")
        else:
            units = f"SELECT unit, {_variant_sql(name, shares)} AS variant FROM ({_totals(unit, window)})"
        now = _values(opened, unit, units, window, chosen)
        before = _values(opened, unit, units, (window[0] - cuped, window[0]), chosen) if cuped else None
    finally:
        if ours:
            ours.close()
    members = {variant: now["variant"] == variant for variant in shares}
    found = {variant: int(those.sum()) for variant, those in members.items()}
    few = min(found, key=lambda variant: found[variant])
    if found[few] < 2:
        raise UsageError(
            f"variant {few!r} has {found[few]} {'active units' if assignments is None else 'units'} between {window[0]} and"
            f" {window[1]}",
            remedy="Check the name, the window and the variants of the experiment.",
        )
    comparisons: list[Comparison] = []
    for position, metric in enumerate(chosen):
        earlier = None if before is None else _pair(before, position)
        comparisons += compare(metric.name, members, _pair(now, position), earlier, confidence)
    return Experiment(name, unit, *window, found, sample_ratio(found, shares), confidence, tuple(comparisons))


def _pair(columns: dict[str, Any], position: int) -> tuple[Numbers, Numbers]:
    return columns[f"above{position}"], columns[f"below{position}"]


def _values(
    opened: OpenLake, unit: str, units: str, window: tuple[datetime, datetime], metrics: Sequence[Metric]
) -> dict[str, Any]:
    """The variant of every unit, and the numerators and denominators of all metrics within a time.

    A unit that did nothing in that time has totals of 0.
    """
    import duckdb
    import numpy as np

    names = [*_COUNTS, "sessions"] if unit == "user" else _COUNTS
    totals = ", ".join(f"coalesce({name}, 0) AS {name}" for name in names)
    ratios = ", ".join(
        f"coalesce(CAST(({text}) AS DOUBLE), 0) AS {side}{position}"
        for position, metric in enumerate(metrics)
        for side, text in (("above", metric.numerator), ("below", metric.denominator))
    )
    rows = f"SELECT unit, variant, {totals} FROM ({units}) LEFT JOIN ({_totals(unit, window)}) USING (unit)"
    try:
        found = opened.sql(f"SELECT variant, {ratios} FROM ({rows}) ORDER BY unit").fetchnumpy()
    except duckdb.Error as error:
        raise UsageError(
            f"a metric is not valid SQL over the totals of a unit: {error}", remedy="See help(Metric)."
        ) from error
    columns = {name: np.asarray(np.ma.getdata(column)) for name, column in found.items()}
    for position, metric in enumerate(metrics):
        bad = sum(int((~np.isfinite(side)).sum()) for side in _pair(columns, position))
        if bad:
            raise UsageError(
                f"metric {metric.name} is not a finite number for {bad:,} of {len(columns['variant']):,} units:"
                f" {metric.numerator} / {metric.denominator}",
                remedy='A ratio is given by its two sums: Metric("basket", "revenue", "purchases"), not "revenue / purchases".',
            )
    return columns


def _totals(unit: str, window: tuple[datetime, datetime]) -> str:
    sums = ", ".join(f"sum({name}) AS {name}" for name in _COUNTS)
    within = f"event_hour >= TIMESTAMP '{window[0]}' AND event_hour < TIMESTAMP '{window[1]}'"
    if unit == "session":
        return f"SELECT session_id AS unit, {sums} FROM session_hourly WHERE {within} GROUP BY session_id"
    users = f"SELECT user_id AS unit, {sums} FROM user_hourly WHERE {within} GROUP BY user_id"
    sessions = "SELECT user_id AS unit, count(DISTINCT session_id) AS sessions FROM session_hourly"
    return f"SELECT * FROM ({users}) LEFT JOIN ({sessions} WHERE {within} GROUP BY user_id) USING (unit)"


def _variant_sql(name: str, variants: Mapping[str, float]) -> str:
    """The SQL of :func:`assign` over the column ``unit``."""
    drawn = f"CAST('0x' || substr(md5({_quoted(name + ':')} || unit), 1, {_HEX_DIGITS}) AS BIGINT)"
    *firsts, last = variants
    cases = "".join(
        f" WHEN {drawn} < {bound} THEN {_quoted(variant)}"
        for variant, bound in zip(firsts, _bounds(variants), strict=False)
    )
    return f"CASE{cases} ELSE {_quoted(last)} END"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _bounds(variants: Mapping[str, float]) -> list[int]:
    """Where each variant but the last ends, among the numbers that the hash can give."""
    whole = sum(variants.values())
    return [round(part / whole * _HASHES) for part in accumulate(variants.values())][:-1]


def _window(
    opened: OpenLake, start: date | None, end: date | None, cuped: timedelta | None
) -> tuple[datetime, datetime]:
    """The window of an experiment; with CUPED it begins later than the lake, so that there is a time before it."""
    first, last = opened.sql("SELECT min(event_hour), max(event_hour) FROM user_hourly").fetchall()[0]
    if first is None:
        raise UsageError("the lake has no events", remedy="Ingest some first: shoplake ingest --help")
    before = cuped or timedelta(0)
    window = (
        _hour(start, "start") if start else first + before,
        _hour(end, "end") if end else last + timedelta(hours=1),
    )
    if cuped and (window[0] <= first or (start is None and window[0] >= window[1])):
        raise UsageError(
            f"CUPED needs a time before the window, and the lake has only {first} to {last + timedelta(hours=1)}",
            remedy="Give a start that is later than the lake's first hour, and fewer days for CUPED, or leave it out.",
        )
    if window[0] >= window[1]:
        raise UsageError(
            f"the start {window[0]} is not before the end {window[1]}", remedy="Give a window of at least an hour."
        )
    return window


def _hour(day_or_hour: date, what: str) -> datetime:
    moment = as_datetime(day_or_hour)
    moment = moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    if moment != start_of_hour(moment):
        raise UsageError(
            f"the {what} {moment} is not a whole hour", remedy="The tables of users and sessions are by the hour."
        )
    return moment


def _check(unit: str, variants: Mapping[str, float], confidence: float, cuped: timedelta | None) -> None:
    if unit not in METRICS:
        raise UsageError(f"there is no unit {unit!r}", remedy=f"Known: {', '.join(METRICS)}.")
    if len(variants) < 2:
        raise UsageError("an experiment needs at least two variants", remedy="Give all of them, with their shares.")
    for share in variants.values():
        WEIGHT.check(share, "the share of a variant")
    CONFIDENCE.check(confidence, "confidence")
    if cuped is not None:
        DAYS.check(cuped / timedelta(days=1), "cuped, in days,")
        if cuped % timedelta(hours=1):
            raise UsageError(f"cuped={cuped} must be a whole number of hours", remedy="For example timedelta(days=7).")


def _check_assignments(opened: OpenLake, variants: Mapping[str, float], active: str) -> None:
    """Refuse a list that cannot be right.

    Args:
        opened: The lake.
        variants: Those that the experiment has.
        active: The units of the list that were active during it, as rows of SQL.
    """
    import duckdb

    try:
        twice = opened.sql(
            f"SELECT unit FROM ({_LISTED}) GROUP BY unit HAVING count(DISTINCT variant) > 1 ORDER BY unit LIMIT 1"
        ).fetchall()
        names = [row[0] for row in opened.sql(f"SELECT DISTINCT variant FROM ({_LISTED}) ORDER BY 1").fetchall()]
        [(rows, named)] = opened.sql(f"SELECT count(*), count(unit) FROM ({_LISTED})").fetchall()
        [(found,)] = opened.sql(f"SELECT count(*) FROM {active}").fetchall()
    except duckdb.Error as error:
        raise UsageError(
            f"the assignments cannot be read: {error}", remedy="Give the columns unit and variant."
        ) from error
    if rows > named:
        raise UsageError(
            f"{rows - named:,} of {rows:,} assignments have no unit", remedy="Each row names a unit and its variant."
        )
    if twice:
        raise UsageError(f"unit {twice[0][0]!r} is assigned to several variants", remedy="Assign each unit once.")
    strange = [name for name in names if name not in variants]
    if strange:
        raise UsageError(
            f"the assignments name a variant {strange[0]!r} that the experiment does not have",
            remedy=f"Give all variants with their shares; given were {', '.join(variants)}.",
        )
    if not found:
        raise UsageError(
            f"none of the {rows:,} assigned units was active during the experiment",
            remedy="Are they the ids of the lake's users, or of its sessions (--unit session)?",
        )
