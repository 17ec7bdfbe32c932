"""The result of an experiment as one page of HTML that loads nothing and runs no script; its charts are SVG."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING

from shoplake.text import count

if TYPE_CHECKING:
    from shoplake.experiments.run import Experiment, Part
    from shoplake.experiments.statistics import Comparison

_WIDTH = 560
_TITLES = {"day": "By day", "category": "By category"}

STYLE = """
:root { color-scheme: light dark; --text: #1c2330; --muted: #5b6575; --line: #c9d0da; --zero: #8a94a3; --good: #1a7f4b;
  --bad: #b3362b; --open: #3f6fb5; --warn: #fdecea; --page: #fff; }
@media (prefers-color-scheme: dark) { :root { --text: #e6eaf0; --muted: #9aa5b5; --line: #3a4350; --zero: #6f7a8a;
  --good: #4cc38a; --bad: #f2766b; --open: #7fb0f5; --warn: #4a1f1b; --page: #14181f; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--page); max-width: 70rem;
  margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: 0; } h2 { margin-top: 2.5rem; } .muted { color: var(--muted); }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; }
th, td { text-align: right; padding: .3rem .7rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child, td.text, th.text { text-align: left; }
.verdict { padding: .8rem 1rem; border-left: 4px solid var(--good); }
.mismatch { border-color: var(--bad); background: var(--warn); }
svg { width: 100%; max-width: 60rem; height: auto; } svg text { fill: var(--text); font-size: 12px; }
svg text.muted { fill: var(--muted); }
.zero { stroke: var(--zero); stroke-dasharray: 3 3; } .axis { stroke: var(--line); }
.open { stroke: var(--open); fill: var(--open); }
.good { stroke: var(--good); fill: var(--good); } .bad { stroke: var(--bad); fill: var(--bad); }
svg polyline { fill: none; stroke: var(--open); stroke-width: 2; } svg polygon { fill: var(--open); opacity: .18; }
svg line { stroke-width: 2; } form { display: grid; gap: .6rem; max-width: 34rem; } input, select, button { font: inherit; }
"""


def page(result: Experiment, style: str | None = None, above: str = "") -> str:
    """The page.

    Args:
        result: The experiment.
        style: How the page gets its style: a link; by default the style itself.
        above: What stands above the report, as HTML.
    """
    head = f"<style>{STYLE}</style>" if style is None else style
    return document(f"Experiment {result.name}", above + "".join(_sections(result)), head)


def document(title: str, body: str, head: str) -> str:
    """A whole page of HTML.

    Args:
        title: As text.
        body: As HTML.
        head: What else is in its head, as HTML.
    """
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title>{head}</head><body>{body}</body></html>\n"
    )


def _sections(result: Experiment) -> Iterable[str]:
    yield f"<h1>{escape(result.name)}</h1>"
    yield f'<p class="muted">{result.start} to {result.end} UTC, by {escape(result.unit)}</p>'
    yield _sample_ratio(result)
    yield "<h2>Effects</h2>"
    looks = "valid at every look" if result.sequential else "valid for one look at the end"
    yield (
        f'<p class="muted">Lift over the control, with its {100 * result.confidence:g} % confidence interval, {looks}.'
        f" In colour where the p-value, corrected for {count(len(result.comparisons), 'comparison')}"
        f" ({escape(result.correction)}), is below {1 - result.confidence:.2g}.</p>"
    )
    yield _intervals([(f"{one.metric}, {one.variant}", one) for one in result.comparisons])
    yield _table(result.comparisons)
    for by, parts in result.breakdowns.items():
        yield from _cumulative(result, parts) if by == "cumulative" else _breakdown(_TITLES[by], parts)


def _sample_ratio(result: Experiment) -> str:
    units = ", ".join(f"{count(number, result.unit)} in {escape(variant)}" for variant, number in result.units.items())
    left_out = f" {count(result.left_out, result.unit)} left out: exposed too late." if result.left_out else ""
    p_value = f"p = {result.sample_ratio_p_value:.2g}"
    if result.sample_ratio_mismatch:
        return (
            f'<h2>Sample ratio</h2><p class="verdict mismatch"><strong>Mismatch</strong> ({p_value}): {units}.{left_out}'
            " The units did not split as intended. Something loses or adds units in one variant; do not trust the"
            " comparisons until that is explained.</p>"
        )
    return f'<h2>Sample ratio</h2><p class="verdict">As intended ({p_value}): {units}.{left_out}</p>'


def _table(comparisons: Sequence[Comparison]) -> str:
    names = ("control", "value", "difference", "low", "high", "lift", "p", "p adjusted")
    head = '<th class="text">metric</th><th class="text">variant</th>' + "".join(f"<th>{name}</th>" for name in names)
    rows = "".join(
        f'<tr><td>{escape(one.metric)}</td><td class="text">{escape(one.variant)}</td>'
        + "".join(f"<td>{cell}</td>" for cell in _cells(one))
        + "</tr>"
        for one in comparisons
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _cells(one: Comparison) -> Iterable[str]:
    yield from (f"{value:,.4g}" for value in (one.control_value, one.value, one.difference, one.low, one.high))
    yield "" if one.lift is None else f"{one.lift:+.2%}"
    yield from ("" if p is None else "&lt; 0.0001" if p < 0.0001 else f"{p:.4f}" for p in (one.p_value, one.p_adjusted))


def _by_variant(parts: Sequence[Part]) -> Iterator[tuple[str, list[tuple[str, Comparison]]]]:
    """A heading for each metric and variant, and its comparisons, each with the name of its part."""
    keys = dict.fromkeys((one.metric, one.variant) for part in parts for one in part.comparisons)
    for key in keys:
        heading = f"<h3>{escape(key[0])}, {escape(key[1])}</h3>"
        every = ((part.name, one) for part in parts for one in part.comparisons)
        yield heading, [(name, one) for name, one in every if (one.metric, one.variant) == key]


def _breakdown(title: str, parts: Sequence[Part]) -> Iterable[str]:
    yield f"<h2>{title}</h2>"
    for heading, rows in _by_variant(parts):
        yield f"{heading}{_intervals(rows)}"


def _cumulative(result: Experiment, parts: Sequence[Part]) -> Iterable[str]:
    yield "<h2>Effect until the end of each day</h2>"
    yield (
        f'<p class="muted">The difference, with its {100 * result.confidence:g} % confidence sequence: it contains the true'
        " difference on all days at once, so you may stop as soon as it excludes 0.</p>"
    )
    for heading, rows in _by_variant(parts):
        yield f"{heading}{_over_time(rows)}"


def _intervals(rows: Sequence[tuple[str, Comparison]]) -> str:
    """Lifts with their intervals, one below the other; those without a lift are left out."""
    drawn = [
        (name, one, one.lift, one.lift_low, one.lift_high)
        for name, one in rows
        if one.lift is not None and one.lift_low is not None and one.lift_high is not None
    ]
    if not drawn:
        return '<p class="muted">The control has no value to compare with.</p>'
    scale = _Scale([0.0, *(value for *_, low, high in drawn for value in (low, high))], 230, _WIDTH - 70)
    height = 26 * len(drawn) + 30
    marks = [f'<line class="zero" x1="{scale(0)}" x2="{scale(0)}" y1="0" y2="{height - 22}"/>']
    for row, (name, one, lift, low, high) in enumerate(drawn):
        y = 26 * row + 16
        kind = "open" if not one.significant else "good" if one.difference > 0 else "bad"
        marks += [
            f'<text x="0" y="{y + 4}">{escape(name)}</text>',
            f'<line class="{kind}" x1="{scale(low)}" x2="{scale(high)}" y1="{y}" y2="{y}"/>',
            f'<circle class="{kind}" cx="{scale(lift)}" cy="{y}" r="4"/>',
            f'<text x="{_WIDTH}" y="{y + 4}" text-anchor="end">{lift:+.2%}</text>',
        ]
    marks += [
        f'<text class="muted" x="{scale(end)}" y="{height - 4}" text-anchor="middle">{end:+.1%}</text>'
        for end in (scale.low, scale.high)
    ]
    return _svg(height, marks, "Lifts with their confidence intervals")


def _over_time(rows: Sequence[tuple[str, Comparison]]) -> str:
    """The difference by day, with its interval as a band."""
    height, left, right = 200, 80, _WIDTH - 10
    scale = _Scale([0.0, *(value for _, one in rows for value in (one.low, one.high))], height - 30, 10)
    step = (right - left) / max(1, len(rows) - 1)
    across = [round(left + step * number, 1) for number in range(len(rows))]
    band = [(x, one.high) for x, (_, one) in zip(across, rows, strict=True)]
    band += reversed([(x, one.low) for x, (_, one) in zip(across, rows, strict=True)])
    middle = " ".join(f"{x},{scale(one.difference)}" for x, (_, one) in zip(across, rows, strict=True))
    marks = [
        f'<line class="zero" x1="{left}" x2="{right}" y1="{scale(0)}" y2="{scale(0)}"/>',
        f'<polygon points="{" ".join(f"{x},{scale(value)}" for x, value in band)}"/>',
        f'<polyline points="{middle}"/>',
    ]
    for x, (name, one) in zip(across, rows, strict=True):
        title = f"{name}: {one.difference:.4g} ({one.low:.4g} to {one.high:.4g})"
        marks.append(
            f'<circle class="open" cx="{x}" cy="{scale(one.difference)}" r="3"><title>{escape(title)}</title></circle>'
        )
    marks += [
        f'<text class="muted" x="{left - 8}" y="{scale(end) + 4}" text-anchor="end">{end:.4g}</text>'
        for end in (scale.low, 0, scale.high)
    ]
    marks += [
        f'<text class="muted" x="{x}" y="{height - 6}" text-anchor="{anchor}">{escape(rows[number][0])}</text>'
        for number, x, anchor in ((0, left, "start"), (-1, right, "end"))[: len(rows)]
    ]
    return _svg(height, marks, "The difference until the end of each day, with its confidence sequence")


class _Scale:
    """Places the values of some data between two ends of a chart."""

    def __init__(self, values: Sequence[float], first: float, last: float) -> None:
        self.low, self.high = min(values), max(values)
        self._first, self._last = first, last

    def __call__(self, value: float) -> float:
        """The place of a value, in the chart's own units."""
        whole = self.high - self.low
        share = (value - self.low) / whole if whole else 0.5
        return round(self._first + share * (self._last - self._first), 1)


def _svg(height: int, marks: Iterable[str], title: str) -> str:
    return f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(title)}">{"".join(marks)}</svg>'
