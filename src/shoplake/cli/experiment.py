"""``shoplake experiment``: compares the variants of an experiment, or plans one."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shoplake import api
from shoplake.cli import options, output, process
from shoplake.cli.experiment_plan import plan, shared
from shoplake.errors import UsageError
from shoplake.settings import CONFIDENCE, DAYS
from shoplake.storage.atomic import replacing
from shoplake.text import count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shoplake.experiments import Comparison, Experiment, Part

_COLUMNS = ("metric", "variant", "control", "value", "difference", "low", "high", "lift", "p_value", "p_adjusted", "")
_COMPARE = "compare"


class _ByName(options.Group):
    """Compares the experiment that is named where a subcommand would be."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the default subcommand before what is not one."""
        if args and args[0] not in {*self.commands, *ctx.help_option_names}:
            args = [_COMPARE, *args]
        return super().parse_args(ctx, args)


@click.group(
    cls=_ByName,
    epilog=options.examples(
        "shoplake experiment plan --lake lake --lift 0.05",
        "shoplake experiment blue-button --lake lake",
        "shoplake experiment blue-button --lake lake --out report.html",
        "shoplake experiment compare --help",
    ),
)
def experiment() -> None:
    """Compare the variants of an experiment, or plan one.

    `shoplake experiment NAME` is short for `shoplake experiment compare NAME`.
    """


experiment.add_command(plan)


@experiment.command(
    epilog=options.examples(
        "shoplake experiment blue-button --variants control=1,blue=1 --from 2025-11-18T00:00Z --to 2025-11-25T00:00Z",
        'shoplake experiment blue-button --metric conversion --metric "basket=revenue / purchases"',
        'shoplake experiment blue-button --metric "typical=median(nullif(revenue, 0))" --sequential',
        "shoplake experiment blue-button --from 2025-11-18T00:00Z --cuped-days 7 --winsorize 0.99 --format json",
        "shoplake experiment blue-button --assignments exposures.parquet --within-hours 72 --by category",
        "shoplake experiment blue-button --out report.html",
    )
)
@click.argument("name")
@shared
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
    "--metric",
    "metrics",
    multiple=True,
    metavar="NAME|NAME=SQL",
    help="What to compare; repeatable: a name, or NAME=SQL, NAME=SQL / SQL, NAME=median(SQL) or NAME=p90(SQL) over a unit's"
    " totals.  [default: the unit's metrics and those in shoplake.toml]",
)
@click.option(
    "--assignments",
    metavar="FILE",
    help="CSV or Parquet with the columns unit and variant, if shoplake did not assign the units; every unit in it counts,"
    " also one that did nothing. With a column exposed_at only what follows it counts.",
)
@click.option(
    "--within-hours",
    type=options.Within(DAYS),
    help="With exposed_at: only what a unit did in this many hours after its exposure counts.",
)
@click.option(
    "--cuped-days",
    type=options.Within(DAYS),
    help="Reduce variance (CUPED) with what the units did in this many days before the window.",
)
@click.option(
    "--winsorize",
    type=options.Within(CONFIDENCE),
    metavar="SHARE",
    help="Reduce a unit's values beyond this percentile, such as 0.99, to it; zeros do not count for the percentile.",
)
@click.option(
    "--correction",
    type=click.Choice(("holm", "benjamini-hochberg", "none")),
    default="holm",
    show_default=True,
    help="How p-values are corrected for several comparisons.",
)
@click.option(
    "--by",
    type=click.Choice(("day", "cumulative", "category")),
    multiple=True,
    help="Add the same by day, until the end of each day, or by category; repeatable.",
)
@click.option(
    "--out",
    type=options.Written(),
    metavar="FILE.html",
    help="Write a report to this file, with the effect by day.",
)
@options.style
def compare(  # noqa: PLR0917 - one parameter an option
    name: str,
    lake: str | None,
    variants: str,
    unit: str,
    confidence: float,
    sequential: bool,
    sequential_units: float | None,
    start: str | None,
    end: str | None,
    metrics: tuple[str, ...],
    assignments: str | None,
    within_hours: float | None,
    cuped_days: float | None,
    winsorize: float | None,
    correction: str,
    by: tuple[str, ...],
    out: str | None,
    style: str,
) -> None:
    """Compare the variants of an experiment.

    Over the units that were active during it, or over those of a list.
    """
    from shoplake import experiments

    process.reuse_memory()
    if out is not None and "cumulative" not in by:
        by = (*by, "cumulative")
    with api.open(lake) as opened:
        result = experiments.experiment(
            opened,
            name,
            variants=experiments.shares_of(variants, "--variants"),
            unit=unit,
            start=options.moment(start, "--from") if start else None,
            end=options.moment(end, "--to") if end else None,
            metrics=metrics,
            assignments=_assignments(assignments) if assignments else None,
            within=timedelta(hours=round(within_hours)) if within_hours else None,
            cuped=timedelta(hours=round(cuped_days * 24)) if cuped_days else None,
            winsorize=winsorize,
            confidence=confidence,
            correction=correction,
            sequential=sequential_units or sequential,
            by=by,
        )
    if out is not None:
        _write(Path(out), result.report())
    if style == "json":
        output.as_json(result.as_json())
    elif style == "csv":
        _as_csv(result)
    else:
        _show(result)


def _assignments(path: str) -> Any:
    """The rows of a file of assignments, read outside the lake, which is locked."""
    import duckdb

    if Path(path).is_dir():  # of which DuckDB would read every file
        raise UsageError(f"{path} is a folder", remedy="Give a file with the columns unit and variant.")
    name = path.replace("'", "''")
    read = f"read_parquet('{name}')" if path.endswith(".parquet") else f"read_csv('{name}', all_varchar = true)"
    try:
        return duckdb.connect().sql(f"SELECT * FROM {read}").to_arrow_table()
    except duckdb.Error as error:
        what, _, _ = str(error).partition("\nPossible Solution")  # and what DuckDB found out about the file
        raise UsageError(
            f"{path} cannot be read: {what.strip()}", remedy="Give a file in UTF-8 with the columns unit and variant."
        ) from error


def _write(path: Path, page: str) -> None:
    try:
        with replacing(path) as stream:
            stream.write(page.encode())
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}", remedy="Give another file.") from error
    output.note(f"wrote {path}")


def _row(one: Comparison) -> tuple[Any, ...]:
    mark = "significant" if one.significant else ""
    figures = (one.control_value, one.value, one.difference, one.low, one.high)
    return (one.metric, one.variant, *figures, one.lift, one.p_value, one.p_adjusted, mark)


def _as_csv(result: Experiment) -> None:
    """The comparisons; with breakdowns, below columns that say which part each row is of."""
    rows = [_row(one)[:-1] for one in result.comparisons]
    if not result.breakdowns:
        output.as_csv(_COLUMNS[:-1], rows)
        return
    parts = [
        (by, part.name, *_row(one)[:-1])
        for by, found in result.breakdowns.items()
        for part in found
        for one in part.comparisons
    ]
    output.as_csv(("by", "part", *_COLUMNS[:-1]), [*((None, None, *row) for row in rows), *parts])


def _show(result: Experiment) -> None:
    units = ", ".join(f"{count(number, result.unit)} in {variant}" for variant, number in result.units.items())
    output.say(f"Experiment {result.name}, {result.start} to {result.end} UTC: {units}")
    if result.left_out:
        output.say(f"{count(result.left_out, result.unit)} left out: exposed too late.")
    if result.sample_ratio_mismatch:
        output.say(
            f"WARNING: sample ratio mismatch (p = {result.sample_ratio_p_value:.2g}): the units did not split as intended."
            " Something loses or adds units in one variant; do not trust the comparison until that is explained."
        )
    _show_comparisons((), [((), one) for one in result.comparisons])
    looks = "valid at every look" if result.sequential else "valid for one look at the end"
    output.say(f"low and high: {100 * result.confidence:g} % confidence interval of the difference, {looks}.")
    if result.correction != "none" and len(result.comparisons) > 1:
        output.say(f"p_adjusted: corrected for {len(result.comparisons)} comparisons ({result.correction}).")
    if any(one.variance_left < 1 for one in result.comparisons):
        left = ", ".join(f"{one.metric} {one.variance_left:.0%}" for one in result.comparisons)
        output.say(f"Variance remaining after CUPED: {left}.")
    for by, parts in result.breakdowns.items():
        _show_breakdown(by, parts)


def _show_breakdown(by: str, parts: Sequence[Part]) -> None:
    output.say()
    output.say("Until the end of each day, valid at every look:" if by == "cumulative" else f"By {by}:")
    _show_comparisons((by,), [((part.name,), one) for part in parts for one in part.comparisons])


def _show_comparisons(columns: tuple[str, ...], rows: Sequence[tuple[tuple[str, ...], Comparison]]) -> None:
    output.as_table(
        (*columns, *_COLUMNS),
        [
            (
                *first,
                *row[:2],
                *(f"{value:,.4g}" for value in row[2:7]),
                _lift(row[7]),
                _p_value(row[8]),
                _p_value(row[9]),
                row[10],
            )
            for first, one in rows
            for row in (_row(one),)
        ],
    )


def _lift(lift: float | None) -> str | None:
    return None if lift is None else f"{lift:+.1%}"


def _p_value(p_value: float | None) -> str | None:
    return None if p_value is None else "< 0.0001" if p_value < 0.0001 else f"{p_value:.4f}"
