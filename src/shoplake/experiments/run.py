"""An experiment: how its variants compare, over the units that were active while it ran or over a list of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from shoplake.errors import UsageError
from shoplake.experiments import activity as reading
from shoplake.experiments.activity import Activity, Values
from shoplake.experiments.assignment import Listed, position_sql, take_list
from shoplake.experiments.corrections import CORRECTIONS, HOLM
from shoplake.experiments.metrics import METRICS, Metric, chosen
from shoplake.experiments.sequential import TUNED_TO
from shoplake.experiments.statistics import Comparison, Method, compare, corrected, sample_ratio
from shoplake.experiments.window import settle
from shoplake.lake.catalog import Lake
from shoplake.lake.reader import OpenLake
from shoplake.settings import CONFIDENCE, DAYS, UNITS, WEIGHT

SAMPLE_RATIO_ALPHA = 0.001
BREAKDOWNS = ("day", "cumulative", "category")
_MOST_CATEGORIES = 20


@dataclass(frozen=True)
class Part:
    """A part of an experiment: one day, the time until the end of a day, or one category.

    Attributes:
        name: The day in ISO 8601, or the category.
        units: Units by variant.
        comparisons: As of the experiment; none if a variant has fewer than two units in this part.
    """

    name: str
    units: dict[str, int]
    comparisons: tuple[Comparison, ...]


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
        correction: How the p-values are corrected for each other.
        sequential: Whether intervals and p-values are valid however often one looks.
        left_out: Units of the list that were exposed too late to count.
        breakdowns: Its parts, by ``day``, ``cumulative`` or ``category``, as far as they were asked for.
    """

    name: str
    unit: str
    start: datetime
    end: datetime
    units: dict[str, int]
    sample_ratio_p_value: float
    confidence: float
    comparisons: tuple[Comparison, ...]
    correction: str = HOLM
    sequential: bool = False
    left_out: int = 0
    breakdowns: dict[str, tuple[Part, ...]] = field(default_factory=dict)

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
            "breakdowns": {by: [asdict(part) for part in parts] for by, parts in self.breakdowns.items()},
        }

    def report(self) -> str:
        """The result as one page of HTML that loads nothing: sample ratio, intervals, and what breakdowns there are."""
        from shoplake.experiments.report import page

        return page(self)


@dataclass(frozen=True)
class _Question:
    """What an experiment asks, once it is settled."""

    opened: OpenLake
    shares: dict[str, float]
    activity: Activity
    metrics: tuple[Metric, ...]
    cuped: timedelta | None
    method: Method
    correction: str


def experiment(  # noqa: PLR0913 - one argument per decision of an experiment
    lake: OpenLake | str | Path,
    name: str,
    *,
    variants: Mapping[str, float] | None = None,
    unit: str = "user",
    start: date | None = None,
    end: date | None = None,
    metrics: Sequence[Metric | str] | None = None,
    assignments: Any = None,
    within: timedelta | None = None,
    cuped: timedelta | None = None,
    winsorize: float | None = None,
    confidence: float = 0.95,
    correction: str = HOLM,
    sequential: bool | float = False,
    by: Sequence[str] = (),
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
        metrics: What to compare: metrics, their names, or definitions such as ``"basket=revenue / purchases"``; by default
            :data:`METRICS` and those in ``shoplake.toml``.
        assignments: If the variants were not assigned by :func:`assign`: a data frame or Arrow table with the columns ``unit``
            and ``variant``. Every unit in it counts, with zeros if it did nothing; units that are not in it are left out.
            With a column ``exposed_at`` only what a unit did from its first exposure on counts, to the microsecond.
        within: With ``exposed_at``, only what a unit did in this time after its exposure counts, and units for which that
            time is not over by the end are left out.
        cuped: Reduce variance with what the units did in this time before the start.
        winsorize: Reduce values of a unit beyond this percentile, as a share such as 0.99, to it; of all variants together,
            among the values that are not 0.
        confidence: Confidence level of the intervals.
        correction: How p-values are corrected for several comparisons: holm, benjamini-hochberg or none.
        sequential: Give intervals and p-values that are valid however often one looks: True, or the number of units at which
            they are to be narrowest.
        by: Breakdowns to add: day, cumulative (always valid at every look) or category.

    Raises:
        UsageError: The variants cannot be compared, for example because a variant has fewer than two units.

    Example:
        >>> result = shoplake.experiment("lake", "blue-button", variants={"control": 1, "blue": 1})
        >>> [(one.metric, one.difference, one.low, one.high) for one in result.comparisons]
    """
    shares = dict(variants or {"control": 1, "treatment": 1})
    check_variants(unit, shares, cuped, within)
    _check_choices(correction, by)
    method = _method(confidence, winsorize, sequential)
    with opened_lake(lake) as opened:
        window = settle(opened, start, end, cuped)
        listed = None if assignments is None else take_list(opened, assignments, shares)
        if within is not None and not (listed and listed.exposed):
            raise UsageError(
                "a time after the exposure needs the times of exposure", remedy="Give assignments with exposed_at."
            )
        position = "variant" if listed else position_sql(name, shares)
        activity = Activity(unit, position, window, listed, within, window.end)
        asked = _Question(opened, shares, activity, chosen(unit, metrics), cuped, method, correction)
        if listed:
            _need_activity(asked)
        return _result(asked, name, by)


@contextmanager
def opened_lake(lake: OpenLake | str | Path) -> Iterator[OpenLake]:
    """An open lake as it is, or the one at a place, which is closed afterwards."""
    if isinstance(lake, OpenLake):
        yield lake
        return
    ours = OpenLake(Lake(lake))
    try:
        yield ours
    finally:
        ours.close()


def _result(asked: _Question, name: str, by: Sequence[str]) -> Experiment:
    values, activity = _read(asked), asked.activity
    units = _counted(asked, values)
    few = min(units, key=lambda variant: units[variant])
    if units[few] < 2:
        kind = "units" if activity.listed and not activity.exposed else "active units"
        raise UsageError(
            f"variant {few!r} has {units[few]} {'exposed units' if activity.exposed else kind} between"
            f" {activity.window.start} and {activity.window.end}",
            remedy="Check the name, the window and the variants of the experiment.",
        )
    comparisons = _comparisons(asked, values)
    del values  # breakdowns read their own
    missing = {metric.name for metric in asked.metrics} - {one.metric for one in comparisons}
    if missing:
        raise UsageError(
            f"metric {min(missing)} has no value for any unit of a variant", remedy="Its quantile leaves out NULL."
        )
    return Experiment(
        name=name,
        unit=activity.unit,
        start=activity.window.start,
        end=activity.window.end,
        units=units,
        sample_ratio_p_value=sample_ratio(units, asked.shares),
        confidence=asked.method.confidence,
        comparisons=corrected(comparisons, asked.correction, asked.method.confidence),
        correction=asked.correction,
        sequential=asked.method.tuned_to is not None,
        left_out=reading.count_units(asked.opened, replace(activity, listed=Listed(exposed=False, in_hours=True)))
        - sum(units.values())
        if activity.exposed
        else 0,
        breakdowns={kind: _breakdown(asked, kind) for kind in by},
    )


def _breakdown(asked: _Question, by: str) -> tuple[Part, ...]:
    """The parts of an experiment. Those by day or category are corrected together; each day of the growing time alone."""
    activity = asked.activity
    if by == "category":
        names = reading.categories(asked.opened, activity.window, _MOST_CATEGORIES)
        parts = [_part(replace(asked, activity=replace(activity, category=name)), name) for name in names]
        return _corrected_together(asked, parts)
    days = activity.window.days()
    if by == "day":
        each = [(replace(asked, activity=activity.during(day)), f"{day.start:%Y-%m-%d}") for day in days]
        return _corrected_together(asked, [_part(*one) for one in each])
    method = asked.method if asked.method.tuned_to else replace(asked.method, tuned_to=TUNED_TO)
    grown = [(replace(activity.window, end=day.end), f"{day.start:%Y-%m-%d}") for day in days]
    return tuple(
        _corrected_together(asked, [_part(replace(asked, activity=until, method=method), name)])[0]
        for window, name in grown
        for until in [replace(activity, window=window, complete_by=window.end)]
    )


def _part(asked: _Question, name: str) -> Part:
    values = _read(asked)
    units = _counted(asked, values)
    return Part(name, units, tuple(_comparisons(asked, values)) if min(units.values()) > 1 else ())


def _corrected_together(asked: _Question, parts: Sequence[Part]) -> tuple[Part, ...]:
    every = [one for part in parts for one in part.comparisons]
    rows = iter(corrected(every, asked.correction, asked.method.confidence))
    return tuple(replace(part, comparisons=tuple(next(rows) for _ in part.comparisons)) for part in parts)


_Read = tuple[Values, Values | None]


def _read(asked: _Question) -> _Read:
    """What the units did in the window and, for CUPED, before it."""
    now = reading.read(asked.opened, asked.activity, asked.metrics)
    if asked.cuped is None:
        return now, None
    earlier = asked.activity.earlier(asked.cuped)
    return now, reading.read(asked.opened, asked.activity, asked.metrics, earlier)


def _counted(asked: _Question, values: _Read) -> dict[str, int]:
    import numpy as np

    counts = np.bincount(values[0].variants, minlength=len(asked.shares))
    return {variant: int(number) for variant, number in zip(asked.shares, counts, strict=True)}


def _comparisons(asked: _Question, values: _Read) -> list[Comparison]:
    now, before = values
    members = {variant: now.variants == position for position, variant in enumerate(asked.shares)}

    def compared(position: int) -> list[Comparison]:
        metric = asked.metrics[position]
        earlier = None if before is None else before.pairs[position]
        return compare(metric.name, members, now.pairs[position], earlier, asked.method, metric.quantile)

    with ThreadPoolExecutor(2) as pool:
        return [one for each in pool.map(compared, range(len(asked.metrics))) for one in each]


def _method(confidence: float, winsorize: float | None, sequential: bool | float) -> Method:  # noqa: FBT001
    CONFIDENCE.check(confidence, "confidence")
    if winsorize is not None:
        CONFIDENCE.check(winsorize, "winsorize")
    if not isinstance(sequential, bool):
        UNITS.check(sequential, "sequential")
    tuned_to = TUNED_TO if sequential is True else sequential or None
    return Method(confidence, winsorize, tuned_to)


def check_variants(
    unit: str, variants: Mapping[str, float], cuped: timedelta | None = None, within: timedelta | None = None
) -> None:
    """Refuse a unit, variants and times that no experiment can have.

    Raises:
        UsageError: Which of them, and why.
    """
    if unit not in METRICS:
        raise UsageError(f"there is no unit {unit!r}", remedy=f"Known: {', '.join(METRICS)}.")
    if len(variants) < 2:
        raise UsageError("an experiment needs at least two variants", remedy="Give all of them, with their shares.")
    for share in variants.values():
        WEIGHT.check(share, "the share of a variant")
    for name, time in (("cuped", cuped), ("within", within)):
        if time is not None:
            DAYS.check(time / timedelta(days=1), f"{name}, in days,")
            if time % timedelta(hours=1):
                raise UsageError(
                    f"{name}={time} must be a whole number of hours", remedy="For example timedelta(days=7)."
                )


def _check_choices(correction: str, by: Sequence[str]) -> None:
    if correction not in CORRECTIONS:
        raise UsageError(f"there is no correction {correction!r}", remedy=f"Known: {', '.join(CORRECTIONS)}.")
    for kind in by:
        if kind not in BREAKDOWNS:
            raise UsageError(f"there is no breakdown by {kind!r}", remedy=f"Known: {', '.join(BREAKDOWNS)}.")


def _need_activity(asked: _Question) -> None:
    """Refuse a list of which nobody was active: its ids are those of something else."""
    if not reading.anyone_active(asked.opened, asked.activity.unit, asked.activity.window):
        everyone = replace(asked.activity, listed=Listed(exposed=False, in_hours=True))
        raise UsageError(
            f"none of the {reading.count_units(asked.opened, everyone):,} assigned units was active during the experiment",
            remedy="Are they the ids of the lake's users, or of its sessions (--unit session)?",
        )
