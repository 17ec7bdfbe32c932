"""How two variants are compared by one metric. The distributions are SciPy's."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from shoplake.experiments import sequential
from shoplake.experiments.corrections import CORRECTIONS
from shoplake.experiments.distributions import (
    chi_squared_p_value,
    normal_p_value,
    normal_quantile,
    t_p_value,
    t_quantile,
)
from shoplake.experiments.estimates import Estimate, quantiles, ratios, winsorized

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Method:
    """How metrics are compared.

    Attributes:
        confidence: Confidence level of the intervals.
        winsorize: The percentile, as a share, to which larger values of a unit are reduced; None leaves them.
        tuned_to: For intervals that stay valid however often one looks, the number of units at which they are to be
            narrowest; None for intervals that are valid at one look.
    """

    confidence: float = 0.95
    winsorize: float | None = None
    tuned_to: float | None = None


@dataclass(frozen=True)
class Comparison:
    """One metric of one variant against the control.

    Attributes:
        metric: The metric's name.
        variant: The variant's name.
        control_value: The metric of the control.
        value: The metric of the variant.
        difference: ``value - control_value``.
        low: Lower end of the confidence interval of the difference.
        high: Upper end.
        lift: ``value / control_value - 1``; None if the control's value is 0.
        lift_low: Lower end of the confidence interval of the lift.
        lift_high: Upper end.
        p_value: Of no difference, by Welch's t-test, for a quantile by its order statistics, or valid at every look; None if
            nothing varies.
        significant: Whether the corrected p-value is below 1 - confidence.
        variance_left: With CUPED, the variance of the difference as a share of the variance without it; else 1.
        p_adjusted: The p-value, corrected for all comparisons of the experiment.
    """

    metric: str
    variant: str
    control_value: float
    value: float
    difference: float
    low: float
    high: float
    lift: float | None
    lift_low: float | None
    lift_high: float | None
    p_value: float | None
    significant: bool
    variance_left: float
    p_adjusted: float | None = None


def sample_ratio(units: Mapping[str, int], shares: Mapping[str, float]) -> float:
    """The p-value of the chi-squared test that the units split by the given shares."""
    total, whole = sum(units.values()), sum(shares.values())
    expected = {variant: total * shares[variant] / whole for variant in units}
    away = sum((number - expected[variant]) ** 2 / expected[variant] for variant, number in units.items())
    return chi_squared_p_value(away, len(units) - 1)


def compare(
    metric: str,
    members: Mapping[str, NDArray[np.bool_]],
    now: tuple[Numbers, Numbers],
    before: tuple[Numbers, Numbers] | None,
    method: Method | float = 0.95,
    quantile: float | None = None,
) -> list[Comparison]:
    """Compare every variant with the first one, by one metric.

    Args:
        metric: Its name.
        members: For each variant, which units are in it; the control first.
        now: The metric's numerator and denominator of each unit.
        before: The same of the time before, for CUPED.
        method: How, or only the confidence level of the intervals.
        quantile: The quantile of the numerator that is the metric, instead of the ratio; CUPED and winsorizing do not apply.
            Without a unit that has a value in each variant, there is no comparison.
    """
    how = method if isinstance(method, Method) else Method(method)
    if quantile is not None:
        found = quantiles(members, now[0], quantile)
        if not all(one.units for one in found.values()):
            return []
    elif how.winsorize is None:
        found = ratios(members, now, before)
    else:
        found = ratios(members, _capped(now, how.winsorize), before and _capped(before, how.winsorize))
    control, *others = members
    return [_comparison(metric, variant, found[control], found[variant], how) for variant in others]


def corrected(comparisons: Sequence[Comparison], correction: str, confidence: float) -> tuple[Comparison, ...]:
    """The comparisons with their p-values corrected for each other, and what is significant then.

    Those without a p-value do not count.

    Args:
        comparisons: All that are looked at together.
        correction: One of :data:`CORRECTIONS`.
        confidence: The confidence level of the experiment.
    """
    tested = [one.p_value for one in comparisons if one.p_value is not None]
    adjusted = iter(CORRECTIONS[correction](tested))
    return tuple(
        one if one.p_value is None else replace(one, p_adjusted=p, significant=p < 1 - confidence)
        for one in comparisons
        for p in ([0.0] if one.p_value is None else [next(adjusted)])
    )


def _capped(pair: tuple[Numbers, Numbers], share: float) -> tuple[Numbers, Numbers]:
    return winsorized(pair[0], share), winsorized(pair[1], share)


def _comparison(metric: str, variant: str, control: Estimate, treated: Estimate, how: Method) -> Comparison:
    difference = treated.value - control.value
    variance = treated.variance + control.variance
    critical, p_value = _test(difference, control, treated, how) if variance > 0 else (0.0, None)
    half = critical * math.sqrt(variance)
    low, high = difference - half, difference + half
    tied = control.normal and p_value is None  # quantiles of numbers so often equal that their errors are not known
    lift: tuple[float | None, float | None, float | None] = (None, None, None)
    if control.value:
        ratio = treated.value / control.value
        z = critical if how.tuned_to else normal_quantile((1 + how.confidence) / 2)
        reach = z * math.sqrt(treated.variance + ratio**2 * control.variance) / abs(control.value)
        lift = (ratio - 1, ratio - 1 - reach, ratio - 1 + reach)
    plain = treated.plain_variance + control.plain_variance
    return Comparison(
        metric=metric,
        variant=variant,
        control_value=control.value,
        value=treated.value,
        difference=difference,
        low=low,
        high=high,
        lift=lift[0],
        lift_low=lift[1],
        lift_high=lift[2],
        p_value=p_value,
        significant=not tied and (low > 0 or high < 0),
        variance_left=variance / plain if plain else 1.0,
        p_adjusted=p_value,
    )


def _test(difference: float, control: Estimate, treated: Estimate, how: Method) -> tuple[float, float]:
    """By how many standard errors the interval extends to each side, and the p-value of no difference."""
    alpha = 1 - how.confidence
    away = abs(difference) / math.sqrt(treated.variance + control.variance)
    if how.tuned_to is not None:
        units = control.units + treated.units
        return (
            sequential.critical_value(units, alpha, how.tuned_to),
            sequential.p_value(away, units, alpha, how.tuned_to),
        )
    if control.normal:
        return normal_quantile(1 - alpha / 2), normal_p_value(away)
    freedom = (treated.variance + control.variance) ** 2 / (
        treated.variance**2 / (treated.units - 1) + control.variance**2 / (control.units - 1)
    )
    return t_quantile(1 - alpha / 2, freedom), t_p_value(away, freedom)
