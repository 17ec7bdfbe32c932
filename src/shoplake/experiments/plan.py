"""Planning an experiment from the lake's own history: how many days until a difference of some size is found."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from shoplake.errors import UsageError
from shoplake.experiments import activity as reading
from shoplake.experiments.activity import Activity
from shoplake.experiments.estimates import influences, quantiles
from shoplake.experiments.metrics import Metric, chosen
from shoplake.experiments.power import Design
from shoplake.experiments.run import check_variants, opened_lake
from shoplake.experiments.sequential import TUNED_TO
from shoplake.experiments.window import HOUR, Window, settle
from shoplake.lake.reader import OpenLake
from shoplake.settings import CONFIDENCE, SHARE

MOST_DAYS = 365
_DAY = timedelta(days=1)
_MOST_HISTORY = 28
_SHOWN = (1, 2, 3, 7, 14, 21, 28, 42, 56)


@dataclass(frozen=True)
class Step:
    """What an experiment of some length can find.

    Attributes:
        days: Its length.
        units: Distinct units that take part, in all variants together.
        baseline: The metric over such a time.
        deviation: Its standard deviation from unit to unit.
        smallest_effect: The smallest difference that is found with the stated power.
        smallest_lift: The same as a share of the baseline; None if that is 0.
        extrapolated: Whether the history is shorter than this.
    """

    days: float
    units: int
    baseline: float
    deviation: float
    smallest_effect: float
    smallest_lift: float | None
    extrapolated: bool


@dataclass(frozen=True)
class Plan:
    """How long an experiment has to run.

    Attributes:
        metric: The metric's name.
        unit: user or session.
        start: Start of the history (inclusive), UTC.
        end: End of the history (exclusive).
        confidence: Confidence level of the intervals.
        power: How likely a difference of the smallest detectable size is to be found.
        lift: The lift that is to be found, if one was given.
        days_needed: The days that it takes; None if no lift was given, or if it takes more than a year.
        steps: What experiments of several lengths can find.
    """

    metric: str
    unit: str
    start: datetime
    end: datetime
    confidence: float
    power: float
    lift: float | None
    days_needed: int | None
    steps: tuple[Step, ...]

    def as_json(self) -> dict[str, Any]:
        """Everything, as values of JSON."""
        steps = [asdict(step) for step in self.steps]
        return asdict(self) | {"start": self.start.isoformat(), "end": self.end.isoformat(), "steps": steps}


@dataclass(frozen=True)
class _Seen:
    """What a time of the history says about the metric."""

    days: float
    units: float
    baseline: float
    deviation: float


def plan(  # noqa: PLR0913 - one argument per decision of an experiment
    lake: OpenLake | str | Path,
    metric: Metric | str = "conversion",
    *,
    variants: Mapping[str, float] | None = None,
    unit: str = "user",
    traffic: float = 1.0,
    start: date | None = None,
    end: date | None = None,
    lift: float | None = None,
    power: float = 0.8,
    confidence: float = 0.95,
    sequential: bool | float = False,
) -> Plan:
    """Find out before an experiment how small a difference it can find, and how long it has to run.

    The history says how many distinct units a time of 1, 2, 3 ... days has and how the metric varies between them. Beyond
    the history, each day is taken to add as many new units as its last day did, and the spread to stay.

    Args:
        lake: An open lake, or its location.
        metric: A metric, its name, or its definition.
        variants: Names with their shares, the control first; control and treatment, evenly, by default. With several
            treatments, the plan is for the one with the fewest units.
        unit: The unit of randomization: user or session.
        traffic: The share of all units that take part.
        start: Start of the history (inclusive); by default up to 28 whole days before its end.
        end: End of the history (exclusive); by default after the lake's last hour.
        lift: The lift that the experiment is to find, for instance 0.05 for 5 %.
        power: How likely it is to find it.
        confidence: Confidence level of the intervals.
        sequential: Plan for intervals that are valid at every look: True, or the units at which they are narrowest.

    Raises:
        UsageError: The lake has no events, or the metric does not vary.
    """
    shares = dict(variants or {"control": 1, "treatment": 1})
    check_variants(unit, shares)
    for value, name, allowed in ((traffic, "traffic", SHARE), (power, "power", CONFIDENCE), (lift, "lift", SHARE)):
        if value is not None:
            allowed.check(value, name)
    CONFIDENCE.check(confidence, "confidence")
    (one,) = chosen(unit, [metric])
    control, *others = (share / sum(shares.values()) * traffic for share in shares.values())
    tuned_to = TUNED_TO if sequential is True else sequential or None
    design = Design((control, min(others)), confidence, power, tuned_to, traffic)
    with opened_lake(lake) as opened:
        window = settle(opened, start, end, None)
        if start is None:
            days = min((window.end - window.start) // _DAY, _MOST_HISTORY)
            window = replace(window, start=window.end - days * _DAY if days else window.start)
        seen = _history(opened, unit, window, one)
    if not seen[-1].deviation > 0:
        raise UsageError(
            f"metric {one.name} is the same for every unit between {window.start} and {window.end}",
            remedy="Give another metric, or a history in which it varies.",
        )
    needed = None if lift is None else _days_needed(seen, design, lift)
    shown = {step.days for step in seen} | set(_SHOWN) | ({needed} if needed else set())
    steps = tuple(_step(seen, design, days) for days in sorted(shown) if days >= seen[0].days)
    return Plan(one.name, unit, window.start, window.end, confidence, power, lift, needed, steps)


def _history(opened: OpenLake, unit: str, window: Window, metric: Metric) -> list[_Seen]:
    """What the first 1, 2, 3 ... whole days of the history say; of one shorter than a day, what all of it says."""
    days = (window.end - window.start) // _DAY
    ends = [window.start + number * _DAY for number in range(1, days + 1)] or [window.end]
    return [_seen(opened, unit, replace(window, end=end), metric) for end in ends]


def _seen(opened: OpenLake, unit: str, window: Window, metric: Metric) -> _Seen:
    import numpy as np

    activity = Activity(unit, "0", window, None, None, window.end)
    (above, below), units = reading.read(opened, activity, [metric]).pairs[0], 0.0
    days = (window.end - window.start) / HOUR / 24
    if metric.quantile is not None:
        found = quantiles({"all": np.ones(len(above), bool)}, above, metric.quantile)["all"]
        return _Seen(days, len(above), found.value, math.sqrt(found.variance * len(above)))
    values = influences(above, below)
    units = len(values)
    return _Seen(days, units, float(values.mean()), float(values.std(ddof=1)) if units > 1 else 0.0)


def _at(seen: Sequence[_Seen], days: float) -> _Seen:
    """What a time of some days has, by the history or beyond it."""
    for one in seen:
        if one.days == days:
            return one
    last = seen[-1]
    before = seen[-2] if len(seen) > 1 else _Seen(0, 0, 0, 0)
    each_day = (last.units - before.units) / (last.days - before.days)
    return replace(last, days=days, units=last.units + (days - last.days) * each_day)


def _step(seen: Sequence[_Seen], design: Design, days: float) -> Step:
    at = _at(seen, days)
    effect = design.smallest_effect(at.deviation, at.units)
    return Step(
        days=days,
        units=round(at.units * design.traffic),
        baseline=at.baseline,
        deviation=at.deviation,
        smallest_effect=effect,
        smallest_lift=effect / abs(at.baseline) if at.baseline else None,
        extrapolated=days > seen[-1].days,
    )


def _days_needed(seen: Sequence[_Seen], design: Design, lift: float) -> int | None:
    for days in range(max(1, math.ceil(seen[0].days)), MOST_DAYS + 1):
        found = _step(seen, design, days).smallest_lift
        if found is not None and found <= lift:
            return days
    return None
