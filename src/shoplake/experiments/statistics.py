"""How two variants are compared by one metric.

Every metric is a ratio of two sums over the units of a variant; for a mean, the denominator of each unit is 1. So one formula
gives the variance of all of them: the delta method, by the influence of each unit on the ratio (Deng, Knoblich, Lu 2018,
"Applying the Delta Method in Metric Analytics"). CUPED (Deng, Xu, Kohavi, Walker 2013) removes from it what the same unit did
before. The tests are SciPy's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shoplake.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]


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
        p_value: Of Welch's t-test of no difference; None if nothing varies.
        significant: Whether the interval excludes 0.
        variance_left: With CUPED, the variance of the difference as a share of the variance without it; else 1.
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


def sample_ratio(units: Mapping[str, int], shares: Mapping[str, float]) -> float:
    """The p-value of the chi-squared test that the units split by the given shares."""
    stats = _stats()
    total, whole = sum(units.values()), sum(shares.values())
    expected = [total * shares[variant] / whole for variant in units]
    return float(stats.chisquare(list(units.values()), expected).pvalue)


def compare(
    metric: str,
    members: Mapping[str, NDArray[np.bool_]],
    now: tuple[Numbers, Numbers],
    before: tuple[Numbers, Numbers] | None,
    confidence: float,
) -> list[Comparison]:
    """Compare every variant with the first one, by one metric.

    Args:
        metric: Its name.
        members: For each variant, which units are in it; the control first.
        now: The metric's numerator and denominator of each unit.
        before: The same of the time before, for CUPED.
        confidence: Confidence level of the intervals.
    """
    plain = {variant: _influences(*now, chosen) for variant, chosen in members.items()}
    values = plain if before is None else _adjusted(plain, members, before)
    control, *others = members
    return [
        _comparison(metric, variant, (values[control], values[variant]), (plain[control], plain[variant]), confidence)
        for variant in others
    ]


def _influences(numerator: Numbers, denominator: Numbers, chosen: NDArray[np.bool_]) -> Numbers:
    """For each unit the ratio plus the unit's influence on it: their mean is the ratio, their spread gives its error."""
    above, below = numerator[chosen], denominator[chosen]
    mean = below.mean()
    if mean == 0:
        return above * 0.0
    ratio = above.mean() / mean
    influences: Numbers = ratio + (above - ratio * below) / mean
    return influences


def _adjusted(
    plain: Mapping[str, Numbers], members: Mapping[str, NDArray[np.bool_]], before: tuple[Numbers, Numbers]
) -> dict[str, Numbers]:
    """CUPED: subtract from the influences what the influences of the time before explain.

    The slope is common to all variants and estimated within them, so that a difference between them does not move it.
    """
    import numpy as np

    earlier = {variant: _influences(*before, chosen) for variant, chosen in members.items()}
    everyone = float(np.mean(_influences(*before, np.logical_or.reduce(list(members.values())))))
    inner = np.concatenate([earlier[variant] - earlier[variant].mean() for variant in members])
    outer = np.concatenate([plain[variant] - plain[variant].mean() for variant in members])
    spread = float(inner @ inner)
    slope = float(inner @ outer) / spread if spread else 0.0
    return {variant: plain[variant] - slope * (earlier[variant] - everyone) for variant in members}


def _comparison(
    metric: str,
    variant: str,
    values: tuple[Numbers, Numbers],
    plain: tuple[Numbers, Numbers],
    confidence: float,
) -> Comparison:
    stats = _stats()
    control, treated = (float(sample.mean()) for sample in values)
    errors = [float(sample.var(ddof=1)) / len(sample) for sample in values]
    difference = treated - control
    p_value: float | None = None
    low = high = difference
    if sum(errors) > 0:
        test = stats.ttest_ind(values[1], values[0], equal_var=False)
        interval = test.confidence_interval(confidence)
        p_value, low, high = float(test.pvalue), float(interval.low), float(interval.high)
    lift: tuple[float | None, float | None, float | None] = (None, None, None)
    if control:
        ratio = treated / control
        half = stats.norm.ppf((1 + confidence) / 2) * ((errors[1] + ratio**2 * errors[0]) ** 0.5) / abs(control)
        lift = (ratio - 1, float(ratio - 1 - half), float(ratio - 1 + half))
    without = sum(float(sample.var(ddof=1)) / len(sample) for sample in plain)
    return Comparison(
        metric,
        variant,
        control,
        treated,
        difference,
        low,
        high,
        *lift,
        p_value,
        bool(low > 0 or high < 0),
        sum(errors) / without if without else 1.0,
    )


def _stats() -> Any:
    try:
        from scipy import stats
    except ImportError as error:
        raise UsageError(
            "experiments need a package that is not installed", remedy="pip install 'shoplake[experiments]'"
        ) from error
    return stats
