"""Estimates of one metric in one variant, each with its standard error.

A ratio of two sums over the units, of which a mean is the case with the denominator 1, gets its variance by the delta method,
from the influence of each unit on the ratio (Deng, Knoblich, Lu 2018, "Applying the Delta Method in Metric Analytics",
https://arxiv.org/abs/1803.06336). CUPED (Deng, Xu, Kohavi, Walker 2013) removes from it what the same unit did before. A
quantile gets its variance from two order statistics: the outer interval of the same paper, section 4. A unit counts once in a
quantile and is what was assigned, so no clustering is left to account for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shoplake.experiments.distributions import normal_quantile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

_AROUND_QUANTILES = 0.95


@dataclass(frozen=True)
class Estimate:
    """A metric of a variant.

    Attributes:
        value: The metric.
        variance: Of the value.
        units: How many units it is from.
        plain_variance: Of the value without CUPED.
        normal: Whether its distribution is taken as normal however few units there are, as for quantiles.
    """

    value: float
    variance: float
    units: int
    plain_variance: float
    normal: bool = False


def influences(numerator: Numbers, denominator: Numbers) -> Numbers:
    """For each unit the ratio plus the unit's influence on it: their mean is the ratio, their spread gives its error."""
    mean = denominator.mean()
    if mean == 0:
        return numerator * 0.0
    ratio = numerator.mean() / mean
    if (denominator == 1).all():  # a mean: the same digits in half of the time
        found: Numbers = numerator - ratio
    else:
        found = numerator - ratio * denominator
        found /= mean
    found += ratio  # in place: new memory takes longer than the sum
    return found


def ratios(
    members: Mapping[str, NDArray[np.bool_]], now: tuple[Numbers, Numbers], before: tuple[Numbers, Numbers] | None
) -> dict[str, Estimate]:
    """The ratio in each variant; with what the same units did before, by CUPED."""
    plain = {variant: influences(now[0][chosen], now[1][chosen]) for variant, chosen in members.items()}
    values = plain if before is None else _adjusted(plain, members, before)
    plain_variances = {variant: _of_the_mean(sample) for variant, sample in plain.items()}
    variances = plain_variances if before is None else {variant: _of_the_mean(values[variant]) for variant in members}
    return {
        variant: Estimate(
            float(values[variant].mean()), variances[variant], len(values[variant]), plain_variances[variant]
        )
        for variant in members
    }


def _of_the_mean(sample: Numbers) -> float:
    return float(sample.var(ddof=1)) / len(sample)


def _adjusted(
    plain: Mapping[str, Numbers], members: Mapping[str, NDArray[np.bool_]], before: tuple[Numbers, Numbers]
) -> dict[str, Numbers]:
    """CUPED: subtract from the influences what the influences of the time before explain.

    The slope is common to all variants and estimated within them, so that a difference between them does not move it.
    """
    import numpy as np

    earlier = {variant: influences(before[0][chosen], before[1][chosen]) for variant, chosen in members.items()}
    anyone = np.logical_or.reduce(list(members.values()))
    everyone = float(np.mean(influences(before[0][anyone], before[1][anyone])))
    inner = np.concatenate([earlier[variant] - earlier[variant].mean() for variant in members])
    outer = np.concatenate([plain[variant] - plain[variant].mean() for variant in members])
    spread = float(inner @ inner)
    slope = float(inner @ outer) / spread if spread else 0.0
    return {variant: plain[variant] - slope * (earlier[variant] - everyone) for variant in members}


def quantiles(members: Mapping[str, NDArray[np.bool_]], values: Numbers, share: float) -> dict[str, Estimate]:
    """A quantile of the units in each variant; units whose value is NaN are left out."""
    import numpy as np

    found = {}
    for variant, chosen in members.items():
        sample = values[chosen]
        sample = np.sort(sample[~np.isnan(sample)])
        value, low, high = outer_interval(sample, share, _AROUND_QUANTILES)
        error = (high - low) / 2 / normal_quantile((1 + _AROUND_QUANTILES) / 2)
        found[variant] = Estimate(value, error**2, len(sample), error**2, normal=True)
    return found


def outer_interval(ordered: Numbers, share: float, confidence: float) -> tuple[float, float, float]:
    """A quantile, and the two order statistics between which it is with some confidence.

    Args:
        ordered: The values in ascending order; without any, all three are NaN.
        share: Which quantile: the smallest value that at least this share does not exceed.
        confidence: How surely; with too few values for it, the interval ends at the smallest or largest of them.
    """
    count = len(ordered)
    if not count:
        return math.nan, math.nan, math.nan
    half = normal_quantile((1 + confidence) / 2) * math.sqrt(share * (1 - share) / count)

    def value(part: float) -> float:
        return float(ordered[min(max(math.ceil(round(count * part, 9)) - 1, 0), count - 1)])

    return value(share), value(share - half), value(share + half + 1 / count)


def winsorized(values: Numbers, share: float) -> Numbers:
    """The values with those beyond a percentile replaced by it: of all variants together, among the values that are not 0.

    Most units buy nothing. A percentile of all of them would often be 0, and would take away the metric itself.
    """
    import numpy as np

    some = values[values != 0]
    if not len(some):
        return values
    found: Numbers = np.minimum(values, np.quantile(some, share, method="inverted_cdf"))
    return found
