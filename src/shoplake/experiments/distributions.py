"""Quantiles and tails of the distributions that the tests need, from SciPy."""

from __future__ import annotations

from typing import Any

from shoplake.errors import UsageError, installing


def normal_quantile(share: float) -> float:
    """Below which a standard normal value is with this probability."""
    return float(_special().ndtri(share))


def normal_p_value(away: float) -> float:
    """How likely a standard normal value is at least so far from 0, to either side."""
    return float(2 * _special().ndtr(-abs(away)))


def t_quantile(share: float, freedom: float) -> float:
    """Below which a value of Student's t distribution is with this probability."""
    return float(_special().stdtrit(freedom, share))


def t_p_value(away: float, freedom: float) -> float:
    """How likely a value of Student's t distribution is at least so far from 0, to either side."""
    return float(2 * _special().stdtr(freedom, -abs(away)))


def chi_squared_p_value(value: float, freedom: int) -> float:
    """How likely a chi-squared value is at least so large."""
    return float(_special().chdtrc(freedom, value))


def _special() -> Any:
    try:
        from scipy import special  # a tenth of what importing scipy.stats takes
    except ImportError as error:
        raise UsageError(
            "experiments need a package that is not installed", remedy=installing("experiments")
        ) from error
    return special
