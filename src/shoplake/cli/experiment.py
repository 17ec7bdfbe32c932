"""``shoplake experiment``: compares the variants of an experiment."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from shoplake import api
from shoplake.cli import options, output
from shoplake.errors import UsageError
from shoplake.settings import CONFIDENCE, DAYS, WEIGHT
from shoplake.text import count

if TYPE_CHECKING:
    from shoplake.experiments import Comparison, Experiment

_COLUMNS = ("metric", "variant", "control", "value", "difference", "low", "high", "lift", "p_value", "")


@click.command(
    epilog=options.examples(
        "shoplake experiment blue-button --lake lake",
        "shoplake experiment blue-button --variants control=1,blue=1 --from 2025-11-18T00:00Z --to 2025-11-25T00:00Z",
        "shoplake experiment blue-button --from 2025-11-18T00:00Z --cuped-days 7 --format json",
        "shoplake experiment blue-button --assignments units.parquet",
    )
)
@click.argument("name")
@options.lake
@click.option(
    "--variants",
    default="control=1,treatment=1",
    show_default=True,
    metavar="NAME=SHARE,...",
    help="The variants with their shares; the control comes first.",
)
@click.option(
    "--unit", type=click.Choice(("user", "session")), default="user", show_default=True, help="Unit of randomization."
)
@click.option(
    "--from",
    "start",
    metavar="ISO",
    help="Start of the window (inclusive), a whole hour in UTC."
    "  [default: the lake's first hour, or with --cuped-days that much later]",
)
@click.option(
    "--to", "end", metavar="ISO", help="End of the window (exclusive).  [default: after the lake's last hour]"
)
@click.option(
    "--cuped-days",
    type=options.Within(DAYS),
    help="Reduce variance (CUPED) with what the units did in this many days before the window.",
)
@click.option(
    "--confidence",
    type=options.Within(CONFIDENCE),
    default=0.95,
    show_default=True,
    help="Confidence level of the intervals.",
)
@click.option(
    "--assignments",
    metavar="FILE",
    help="CSV or Parquet with the columns unit and variant, if shoplake did not assign the units; every unit in it counts,"
    " also one that did nothing.",
)
@options.style
def experiment(  # noqa: PLR0917 - one parameter an option
    name: str,
    lake: str | None,
    variants: str,
    unit: str,
    start: str | None,
    end: str | None,
    cuped_days: float | None,
    confidence: float,
    assignments: str | None,
    style: str,
) -> None:
    """Compare the variants of an experiment over the units that were active during it, or over those of a list."""
    from shoplake import experiments

    with api.open(lake) as opened:
        result = experiments.experiment(
            opened,
            name,
            variants=_variants(variants),
            unit=unit,
            start=options.moment(start, "--from") if start else None,
            end=options.moment(end, "--to") if end else None,
            assignments=_assignments(assignments) if assignments else None,
            cuped=timedelta(hours=round(cuped_days * 24)) if cuped_days else None,
            confidence=confidence,
        )
    if style == "json":
        output.as_json(result.as_json())
    elif style == "csv":
        output.as_csv(_COLUMNS[:-1], [_row(one)[:-1] for one in result.comparisons])
    else:
        _show(result)


def _variants(text: str) -> dict[str, float]:
    try:
        found = {
            name.strip(): WEIGHT.read(share or 1)
            for name, _, share in (part.partition("=") for part in text.split(","))
        }
    except ValueError as error:
        raise UsageError(
            f"--variants {text!r}: a share must be {WEIGHT}", remedy="For example control=1,blue=1."
        ) from error
    if len(found) <= text.count(","):
        raise UsageError(f"--variants {text!r} names a variant twice", remedy="For example control=1,blue=1.")
    return found


def _assignments(path: str) -> Any:
    """The rows of a file of assignments, read outside the lake, which is locked."""
    import duckdb

    read = "read_parquet" if path.endswith(".parquet") else "read_csv"
    try:
        rows = duckdb.connect().sql(
            f"SELECT CAST(unit AS VARCHAR) AS unit, CAST(variant AS VARCHAR) AS variant"
            f" FROM {read}('{path.replace(chr(39), chr(39) * 2)}'{', all_varchar = true' if read == 'read_csv' else ''})"
        )
        return rows.to_arrow_table()
    except duckdb.Error as error:
        raise UsageError(f"{path} cannot be read: {error}", remedy="Give the columns unit and variant.") from error


def _row(one: Comparison) -> tuple[Any, ...]:
    mark = "significant" if one.significant else ""
    figures = (one.control_value, one.value, one.difference, one.low, one.high)
    return (one.metric, one.variant, *figures, one.lift, one.p_value, mark)


def _show(result: Experiment) -> None:
    units = ", ".join(f"{count(number, result.unit)} in {variant}" for variant, number in result.units.items())
    output.say(f"Experiment {result.name}, {result.start} to {result.end} UTC: {units}")
    if result.sample_ratio_mismatch:
        output.say(
            f"WARNING: sample ratio mismatch (p = {result.sample_ratio_p_value:.2g}): the units did not split as intended."
            " Something loses or adds units in one variant; do not trust the comparison until that is explained."
        )
    output.as_table(
        _COLUMNS,
        [
            (row[0], row[1], *(f"{value:,.4g}" for value in row[2:7]), _lift(row[7]), _p_value(row[8]), row[9])
            for row in map(_row, result.comparisons)
        ],
    )
    output.say(f"low and high: {100 * result.confidence:g} % confidence interval of the difference.")
    if any(one.variance_left < 1 for one in result.comparisons):
        left = ", ".join(f"{one.metric} {one.variance_left:.0%}" for one in result.comparisons)
        output.say(f"Variance remaining after CUPED: {left}.")


def _lift(lift: float | None) -> str | None:
    return None if lift is None else f"{lift:+.1%}"


def _p_value(p_value: float | None) -> str | None:
    return None if p_value is None else "< 0.0001" if p_value < 0.0001 else f"{p_value:.4f}"
