"""``shoplake``: every command, its options and its exit codes (0 done, 1 failed, 2 usage)."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import click

from shoplake import __version__, settings
from shoplake.cli import options, output
from shoplake.cli.aws import cost, deploy, destroy, publish
from shoplake.cli.dashboard import dashboard
from shoplake.cli.doctor import completion, doctor
from shoplake.cli.erase import erase
from shoplake.cli.experiment import experiment
from shoplake.cli.maintain import maintain
from shoplake.cli.options import examples
from shoplake.cli.quarantine import quarantine
from shoplake.cli.replay import replay
from shoplake.cli.status import status
from shoplake.cli.verify import verify
from shoplake.errors import FatalError, ShoplakeError, UsageError


@click.group(cls=options.Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="shoplake")
def cli() -> None:
    """Shop events in, answers out.

    Raw .jsonl.gz event files become an exact, incremental Iceberg lake that you query with SQL.

    \b
    Start here:
      shoplake demo                                         a real hour of events, start to finish
      shoplake generate --out raw --files 6                 make events to play with
      shoplake ingest --source raw --lake lake              take in what is new
      shoplake query all --lake lake                        the five answers
    """  # noqa: D301 - click wants the character itself


@cli.command(epilog=examples("shoplake demo", "shoplake demo --dir /tmp/shop --files 3 --events-per-file 10000"))
@click.option("--dir", "folder", default="shoplake-demo", show_default=True, help="Where the files and the lake go.")
@click.option("--files", type=click.IntRange(2), default=12, show_default=True, help="Source files to make.")
@click.option("--events-per-file", default="500000-750000", show_default=True, metavar="N|MIN-MAX")
@click.option("--seed", default=42, show_default=True, help="Seed of the events.")
def demo(folder: str, files: int, events_per_file: str, seed: int) -> None:
    """Make an hour of events, ingest it in two steps, answer the five questions, check the sums."""
    from shoplake.cli import demo as scenario

    scenario.run(Path(folder), files, _span(events_per_file), seed)


@cli.command(
    epilog=examples(
        "shoplake generate --out raw --files 12",
        "shoplake generate --out raw --files 288 --events-per-file 20000 --start 2025-11-18T00:00:00Z",
        "shoplake generate --out raw --files 6 --events-per-file 1000 --profile uniform --faults demo",
    )
)
@click.option("--out", "folder", required=True, metavar="DIR", help="Where the files go, in the Hive layout.")
@click.option("--files", type=click.IntRange(1), default=12, show_default=True, help="One for every five minutes.")
@click.option("--events-per-file", default="500000-750000", show_default=True, metavar="N|MIN-MAX")
@click.option(
    "--start", default="2025-11-18T14:00:00Z", show_default=True, metavar="ISO", help="Time of the first file."
)
@click.option("--seed", default=42, show_default=True, help="The same seed and times give the same events.")
@click.option(
    "--profile",
    type=click.Choice(("realistic", "uniform")),
    default="realistic",
    show_default=True,
    help="realistic: users, sessions and journeys; uniform: as the course's starter draws.",
)
@click.option(
    "--faults",
    type=click.Choice(("none", "demo", "heavy")),
    default="none",
    show_default=True,
    help="Late, repeated and broken lines, with the truth in faults-manifest.json.",
)
@options.style
def generate(  # noqa: PLR0917 - one parameter an option
    folder: str, files: int, events_per_file: str, start: str, seed: int, profile: str, faults: str, style: str
) -> None:
    """Make raw event files, seeded: gzipped JSON Lines, one file for every five minutes."""
    from shoplake.generator.files import Faults, generate_files

    chosen = {"none": None, "demo": Faults.demo(), "heavy": Faults.heavy()}[faults]
    span = _span(events_per_file)
    started = time.perf_counter()
    with output.progress("generating", "events", shown=style == "table") as (begin, advance):
        try:
            made = generate_files(
                Path(folder),
                files,
                span,
                options.moment(start, "--start"),
                seed,
                profile,
                faults=chosen,
                progress=output.so_far(begin, advance),
            )
        except (OverflowError, ValueError) as error:
            raise UsageError(
                f"cannot make such events: {error}", remedy="Take a --start between 1971 and 9998."
            ) from error
        except OSError as error:
            raise FatalError(
                f"cannot write below {folder}: {error.strerror or error}", remedy="Check disk space and permissions."
            ) from error
    took = time.perf_counter() - started
    events, amount = sum(file.events for file in made), sum(file.bytes for file in made)
    if style == "json":
        output.as_json(
            {"files": len(made), "events": events, "bytes": amount, "seconds": round(took, 3), "out": folder}
        )
    elif style == "csv":
        output.as_csv(("path", "events", "bytes"), [(str(file.path), file.events, file.bytes) for file in made])
    else:
        output.say(
            f"Made {output.count(len(made), 'file')} with {events:,} events ({output.size(amount)}) below {folder}"
            f" in {output.seconds(took)}."
        )
        output.say(f"Next: shoplake ingest --source {folder} --lake lake")


@cli.command(
    epilog=examples(
        "shoplake ingest --source raw --lake lake",
        "shoplake ingest --source raw --lake lake --dry-run",
        "shoplake ingest --source raw --lake lake --watch 30",
        "shoplake ingest --source raw --lake lake --format json",
        "shoplake ingest --source raw --lake lake --engine spark --master 'local[4]'",
        "shoplake ingest --source raw --lake lake --metrics /var/lib/node_exporter/shoplake.prom",
    )
)
@options.source
@options.lake
@click.option("--dry-run", is_flag=True, help="Show the plan and change nothing.")
@click.option("--watch", type=click.FloatRange(0.1), metavar="SECONDS", help="Go on, looking for news this often.")
@click.option(
    "--max-quarantine-rate",
    type=click.FloatRange(0, 1),
    metavar="SHARE",
    help="Stop a batch in which more of the lines break the contract; 1 lets all through.  [default: 0.5]",
)
@options.engine
@options.master
@click.option("--metrics", metavar="FILE", help="Replace FILE by the figures of this run, as OpenMetrics text.")
@click.option("--metrics-json", metavar="FILE", help="Add a line of JSON for this run to FILE.")
@click.option("--lineage", is_flag=True, help="Send OpenLineage events, where OPENLINEAGE_URL or openlineage.yml say.")
@options.style
def ingest(  # noqa: PLR0917 - one parameter an option
    source: str | None,
    lake: str | None,
    dry_run: bool,
    watch: float | None,
    max_quarantine_rate: float | None,
    engine: str | None,
    master: str | None,
    metrics: str | None,
    metrics_json: str | None,
    lineage: bool,
    style: str,
) -> None:
    """Take in what is new in the source, exactly once.

    A second run finds nothing new. A run that was killed is finished by the next one. Lines that break the contract go to
    the quarantine table with their reasons; files that cannot be read whole are set aside until they are replaced.

    Old months are taken in like anything else that is new: put their files into the source. To take files in again,
    see shoplake replay.
    """
    from dataclasses import replace

    from shoplake.engines import choose
    from shoplake.health import reporting as telling
    from shoplake.ingestion import pipeline
    from shoplake.lake.catalog import Lake
    from shoplake.sources.open import open_source

    given = {"source": source, "lake": lake, "engine": engine, "master": master}
    chosen = settings.load(given | {"max_quarantine_rate": max_quarantine_rate})
    targets = telling.Targets(metrics, metrics_json, lineage)
    target = Lake(chosen.need_lake())
    run = pipeline.Run(target, open_source(chosen.need_source()), choose.engine(chosen, target), chosen)
    if dry_run:
        output.plan(pipeline.preview(run), style)
        return
    while True:
        with output.progress("ingesting", "lines", shown=style == "table") as (begin, advance):
            watchers = pipeline.Watchers(
                planned=lambda todo, begin=begin: begin(todo.bytes),  # type: ignore[misc]
                progress=advance,
                note=output.note,
            )
            done = telling.ingest(replace(run, watchers=watchers), targets, watching=watch is not None)
        if watch is None or done.batches or style != "table":
            output.report(done, style)
            sys.stdout.flush()
        if watch is None:
            return
        time.sleep(watch)


@cli.command(
    epilog=examples(
        "shoplake query all --lake lake",
        "shoplake query 1 --lake lake",
        "shoplake query top_products --lake lake --format csv",
        "shoplake query --lake lake --sql 'SELECT event_type, count(*) FROM events GROUP BY 1'",
        "shoplake query --lake lake --file my.sql --format json",
        "shoplake query all --engine athena --workgroup shoplake-alice",
    )
)
@click.argument("which", required=False, metavar="[1-5|NAME|all]")
@options.lake
@click.option("--sql", metavar="TEXT", help="A SELECT of your own.")
@click.option("--file", "path", metavar="F.sql", help="A file with statements of your own.")
@click.option(
    "--engine",
    type=click.Choice(("duckdb", "athena")),
    default="duckdb",
    show_default=True,
    help="Who computes: this machine, or Athena on the tables of the Glue Data Catalog.",
)
@click.option("--workgroup", metavar="NAME", help="Athena's workgroup.")
@click.option("--database", metavar="NAME", help="The Glue database.  [default: that of the workgroup's stack]")
@options.style
def query(  # noqa: PLR0917 - one parameter an option
    which: str | None,
    lake: str | None,
    sql: str | None,
    path: str | None,
    engine: str,
    workgroup: str | None,
    database: str | None,
    style: str,
) -> None:
    """Answer the five questions, or your own.

    \b
    1 conversion_funnel      views, carts and purchases of each product
    2 hourly_revenue         revenue of each hour
    3 top_products           the ten most viewed products
    4 category_performance   events of each category, day by day
    5 user_activity          unique users and sessions of each day
    """  # noqa: D301 - click wants the character itself
    from shoplake.cli import asking

    if engine == "athena":
        if not workgroup:
            raise UsageError("no workgroup is named", remedy="Give --workgroup shoplake-ID: the stack's output.")
        asking.run_on_athena(workgroup, database, which, sql, path, style)
        return
    chosen = settings.load({"lake": lake})
    asking.run(chosen.need_lake(), which, sql, path, style)


cli.add_command(dashboard)
cli.add_command(status)
cli.add_command(replay)
cli.add_command(verify)
cli.add_command(quarantine)
cli.add_command(experiment)
cli.add_command(doctor)
cli.add_command(completion)
cli.add_command(maintain)
cli.add_command(erase)
cli.add_command(deploy)
cli.add_command(destroy)
cli.add_command(publish)
cli.add_command(cost)


def main() -> None:
    """Run the command line; errors become one message on stderr and an exit code."""
    try:
        cli(standalone_mode=False)
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        output.note("stopped; what was not published is done again by the next run")
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except ShoplakeError as error:
        output.note(f"shoplake: {error}")
        if error.remedy:
            output.note(f"  {error.remedy}")
        sys.exit(error.exit_code)


def _span(text: str) -> tuple[int, int]:
    parts = text.split("-")
    try:
        low, high = int(parts[0]), int(parts[-1])
    except ValueError:
        low, high = 0, 0
    if len(parts) > 2 or not 1 <= low <= high:
        raise UsageError(f"--events-per-file {text!r} is no number", remedy="Give N, or MIN-MAX such as 500000-750000.")
    return low, high


if __name__ == "__main__":
    main()
