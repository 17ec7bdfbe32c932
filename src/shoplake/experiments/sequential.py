"""Intervals that stay valid however often one looks: asymptotic confidence sequences.

Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit theory and asymptotic confidence sequences"
(Annals of Statistics 52, 2024; https://arxiv.org/abs/2103.06476v7). For an estimate with standard error ``se`` from n units

    estimate +- se * sqrt(2 (n rho^2 + 1) / (n rho^2) * log(sqrt(n rho^2 + 1) / alpha))

covers the truth at all n at once with probability 1 - alpha (their equation 9 with sigma^2 = n se^2). ``rho`` decides at
which n the interval is narrowest (equation 161) and has to be chosen before the experiment. The p-value is the alpha at which
the interval just touches 0, for a fixed rho (equation 155).
"""

from __future__ import annotations

import math

TUNED_TO = 5000
"""The number of units at which the intervals are narrowest unless the caller says otherwise."""


def rho(alpha: float, tuned_to: float) -> float:
    """The parameter with which the interval is about as narrow as can be at a number of units."""
    log = -2 * math.log(alpha)
    return math.sqrt((log + math.log(log + 1)) / tuned_to)


def critical_value(units: int, alpha: float, tuned_to: float) -> float:
    """By how many standard errors the interval extends to each side."""
    spread = units * rho(alpha, tuned_to) ** 2
    return math.sqrt(2 * (spread + 1) / spread * math.log(math.sqrt(spread + 1) / alpha))


def p_value(standard_errors: float, units: int, alpha: float, tuned_to: float) -> float:
    """The p-value of an estimate that is so many standard errors from 0."""
    spread = units * rho(alpha, tuned_to) ** 2
    exponent = standard_errors**2 * spread / (2 * (spread + 1))
    return min(1.0, math.sqrt(spread + 1) * math.exp(-exponent))
