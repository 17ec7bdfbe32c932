"""Metrics: what an experiment compares, and how they are written down."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shoplake import settings
from shoplake.errors import UsageError

_QUANTILE = re.compile(r"\s*(median|p(\d{1,2}(?:\.\d+)?))\s*\((.*)\)\s*", re.IGNORECASE | re.DOTALL)
_NAME = re.compile(r"[\w.-]+")
_SYNTAX = 'For example "basket=revenue / purchases", "buyers=purchases > 0" or "typical=median(revenue)".'


@dataclass(frozen=True)
class Metric:
    """A metric: a sum over the units divided by another sum over them, or a quantile of the units.

    Numerator and denominator are SQL over the totals of one unit within the window: page_views, add_to_carts,
    removes_from_cart, purchases, searches, events, revenue and sessions.

    Attributes:
        name: Its name in the results.
        numerator: For example ``revenue``, or ``purchases > 0`` for a share.
        denominator: For example ``page_views``; ``1`` gives the mean per unit.
        quantile: For a quantile of the numerator instead, such as 0.5 or 0.9; units for which the numerator is NULL are
            left out of it, as in ``nullif(revenue, 0)``.
    """

    name: str
    numerator: str
    denominator: str = "1"
    quantile: float | None = None

    def __post_init__(self) -> None:
        """Refuse a quantile that is not between 0 and 1."""
        if self.quantile is not None and not 0 < self.quantile < 1:
            raise UsageError(
                f"metric {self.name}: there is no quantile {self.quantile}", remedy="Give a share such as 0.9."
            )

    def uses(self, total: str) -> bool:
        """Whether it may need one of a unit's totals; to count sessions takes long."""
        return bool(re.search(rf"\b{total}\b", f"{self.numerator} {self.denominator}", re.IGNORECASE))

    def __str__(self) -> str:
        """The definition as it can be given on the command line."""
        if self.quantile is not None:
            return f"{self.name}=p{100 * self.quantile:g}({self.numerator})"
        return f"{self.name}={self.numerator}" + (f" / {self.denominator}" if self.denominator != "1" else "")


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


def parse(text: str) -> Metric:
    """A metric from its definition: ``NAME=SQL``, ``NAME=SQL / SQL``, ``NAME=median(SQL)`` or ``NAME=p90(SQL)``.

    Raises:
        UsageError: It is not one.
    """
    name, sign, definition = (part.strip() for part in text.partition("="))
    if not sign or not _NAME.fullmatch(name) or not definition:
        raise UsageError(f"{text!r} is not a metric", remedy=_SYNTAX)
    if (found := _QUANTILE.fullmatch(definition)) and _balanced(found[3]):
        return Metric(name, found[3].strip(), quantile=0.5 if found[2] is None else round(float(found[2]) / 100, 9))
    sides = _divided(definition)
    if len(sides) > 2 or not all(sides):
        raise UsageError(
            f"{text!r} does not have one numerator and one denominator",
            remedy=f"Put a division inside one of them in parentheses. {_SYNTAX}",
        )
    return Metric(name, sides[0], sides[1] if len(sides) > 1 else "1")


def chosen(unit: str, given: Sequence[Metric | str] | None) -> tuple[Metric, ...]:
    """The metrics that a caller asks for.

    Args:
        unit: user or session.
        given: Metrics, definitions, or names of the unit's metrics and of those in ``shoplake.toml``; without any, all of
            these.

    Raises:
        UsageError: A definition is not valid, a name is unknown or given twice.
    """
    known = {metric.name: metric for metric in METRICS[unit]}
    known |= {name: parse(f"{name}={text}") for name, text in settings.metrics().items()}
    if not given:
        return tuple(known.values())
    found = tuple(one if isinstance(one, Metric) else parse(one) if "=" in one else _named(one, known) for one in given)
    names = [metric.name for metric in found]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"metric {twice} is given twice", remedy="Give each metric a name of its own.")
    return found


def _named(name: str, known: Mapping[str, Metric]) -> Metric:
    if name not in known:
        raise UsageError(f"there is no metric {name!r}", remedy=f"Known: {', '.join(known)}. {_SYNTAX}")
    return known[name]


def _divided(definition: str) -> list[str]:
    """The parts between the slashes that are outside all parentheses and quotes."""
    sides, depth, quote = [""], 0, ""
    for character in definition:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        else:
            depth += (character == "(") - (character == ")")
            if character == "/" and not depth:
                sides.append("")
                continue
        sides[-1] += character
    return [side.strip() for side in sides]


def _balanced(text: str) -> bool:
    """Whether no parenthesis closes before it opens: ``p90(a) + (b)`` is not a quantile of ``a) + (b``."""
    depth = 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if depth < 0:
            return False
    return depth == 0
