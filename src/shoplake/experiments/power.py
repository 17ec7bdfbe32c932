"""How small a difference an experiment can find, from the spread of a metric and the number of units."""

from __future__ import annotations

import math
from dataclasses import dataclass

from shoplake.experiments import sequential
from shoplake.experiments.distributions import normal_quantile


@dataclass(frozen=True)
class Design:
    """What an experiment is planned with.

    Attributes:
        shares: Of the control and of the smallest other variant among all units; together at most ``traffic``.
        confidence: Confidence level of the interval.
        power: How likely a difference of the smallest detectable size is to be found.
        tuned_to: For intervals that are valid at every look, the units at which they are narrowest; else None.
        traffic: The share of all units that take part in the experiment.
    """

    shares: tuple[float, float]
    confidence: float = 0.95
    power: float = 0.8
    tuned_to: float | None = None
    traffic: float = 1.0

    def smallest_effect(self, deviation: float, units: float) -> float:
        """The smallest difference that is found with the stated power.

        Args:
            deviation: Standard deviation of the metric from unit to unit.
            units: All units, those that do not take part as well.
        """
        control, treated = (share * units for share in self.shares)
        if min(control, treated) <= 0:
            return math.inf
        error = deviation * math.sqrt(1 / control + 1 / treated)
        return (self._critical(control + treated) + normal_quantile(self.power)) * error

    def _critical(self, units: float) -> float:
        if self.tuned_to is None:
            return normal_quantile((1 + self.confidence) / 2)
        return sequential.critical_value(max(1, round(units)), 1 - self.confidence, self.tuned_to)
