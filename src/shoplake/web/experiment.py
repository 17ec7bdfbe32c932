"""The page of an experiment: a form, and the report of the experiment that it asks for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from html import escape

from shoplake.errors import UsageError
from shoplake.experiments import METRICS, experiment
from shoplake.experiments.assignment import shares_of
from shoplake.experiments.report import STYLE, document, page
from shoplake.lake.reader import OpenLake
from shoplake.web import data
from shoplake.web.data import Shop

STYLESHEET = "/static/experiment.css"
_BACK = '<p><a href="/">Dashboard</a> · <a href="/experiment">Another experiment</a></p>'
_LINK = f'<link rel="stylesheet" href="{STYLESHEET}">'


def style() -> str:
    """The stylesheet of both pages; no page may have a style of its own here."""
    return STYLE


def form(asked: Mapping[str, str], message: str = "") -> str:
    """The page that asks which experiment.

    Metrics are given by their names, so that no address carries SQL.

    Args:
        asked: What it is filled in with: what was sent before, or the days that the dashboard shows.
        message: What was wrong with what was sent.
    """
    said = f'<p class="verdict mismatch">{escape(message)}</p>' if message else ""
    units = "".join(f"<option{' selected' * (unit == asked.get('unit'))}>{unit}</option>" for unit in METRICS)
    fields = (
        ("name", "Experiment", 'required placeholder="blue-button"', ""),
        ("variants", "Variants with their shares", "", "control=1,treatment=1"),
        ("from", "First day (UTC)", 'type="date"', ""),
        ("to", "Last day (inclusive)", 'type="date"', ""),
        ("metrics", "Metrics by name, with commas; all if empty", "", ""),
    )
    inputs = "".join(
        f'<label>{label} <input name="{name}" {more} value="{escape(asked.get(name) or usual)}"></label>'
        for name, label, more, usual in fields
    )
    checks = "".join(
        f'<label><input type="checkbox" name="{name}" value="1"{" checked" * bool(asked.get(name))}> {label}</label>'
        for name, label in (("sequential", "valid at every look"), ("category", "by category too"))
    )
    body = (
        f'<p><a href="/">Dashboard</a></p><h1>Experiment</h1>{said}<form action="/experiment" method="get">{inputs}'
        f'<label>Unit <select name="unit">{units}</select></label>{checks}<button>Compare</button></form>'
    )
    return document("Experiment", body, _LINK)


def report(shop: Shop, asked: Mapping[str, str]) -> str:
    """The report of an experiment.

    Args:
        shop: Whose lake to ask.
        asked: What the form sends.

    Raises:
        UsageError: The experiment cannot be compared.
    """
    since, until = data.days(asked.get("from", ""), asked.get("to", ""))
    names = [name.strip() for name in asked.get("metrics", "").split(",") if name.strip()]
    known = [name for name in names if "=" not in name] if names else None
    if known is not None and len(known) < len(names):
        raise UsageError("a metric is given by its name here", remedy="Define it in shoplake.toml, under [metrics].")
    with OpenLake(shop.lake, shop.settings.threads) as opened:
        result = experiment(
            opened,
            asked["name"],
            variants=shares_of(asked.get("variants") or "control=1,treatment=1", "variants"),
            unit=asked.get("unit") or "user",
            start=since,
            end=None if until is None else until + timedelta(days=1),
            metrics=known,
            sequential=bool(asked.get("sequential")),
            by=("category", "cumulative") if asked.get("category") else ("cumulative",),
        )
    return page(result, _LINK, _BACK)
