"""Several comparisons at once: p-values adjusted so that the error rate holds for all of them together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

HOLM = "holm"
BENJAMINI_HOCHBERG = "benjamini-hochberg"
NONE = "none"


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted so that any false difference at all is as rare as stated (Holm 1979), however the tests depend on each other."""
    return _stepped(p_values, lambda rank, count: count - rank, max)


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjusted so that the expected share of false ones among the differences found is as small as stated (1995).

    It holds for independent tests and for those that depend on each other positively.
    """
    return _stepped(p_values, lambda rank, count: count / (rank + 1), min)


def _stepped(
    p_values: Sequence[float], factor: Callable[[int, int], float], bound: Callable[[float, float], float]
) -> list[float]:
    """Multiply each p-value by a factor of its rank, and keep the results in the order of the p-values.

    Args:
        p_values: In any order.
        factor: Gives the factor from the rank, counted from 0, and the number of p-values.
        bound: max to step from the smallest p-value up, min to step from the largest down.
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted = [0.0] * len(p_values)
    last: float | None = None
    for rank in range(len(order)) if bound is max else reversed(range(len(order))):
        raised = min(1.0, p_values[order[rank]] * factor(rank, len(order)))
        last = raised if last is None else bound(last, raised)
        adjusted[order[rank]] = last
    return adjusted


CORRECTIONS: dict[str, Callable[[Sequence[float]], list[float]]] = {
    HOLM: holm,
    BENJAMINI_HOCHBERG: benjamini_hochberg,
    NONE: list,
}
