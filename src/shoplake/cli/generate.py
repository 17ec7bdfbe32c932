"""``shoplake generate``: raw event files to play with."""

from __future__ import annotations

import time
from pathlib import Path

import click

from shoplake.cli import options, output
from shoplake.errors import FatalError, UsageError
from shoplake.text import count, seconds, size


@click.command(
    epilog=options.examples(
        "shoplake generate --out raw --files 12",
        "shoplake generate --out raw --files 288 --events-per-file 20000 --start 2025-11-18T00:00:00Z",
        "shoplake generate --out raw --files 6 --events-per-file 1000 --profile uniform --faults demo",
    )
)
@click.option("--out", "folder", required=True, type=options.Written(), metavar="DIR", help="Where the files go.")
@click.option(
    "--files", type=options.whole(1), default=12, show_default=True, help="Number of files, one every five minutes."
)
@options.events_per_file
@click.option(
    "--start", default="2025-11-18T14:00:00Z", show_default=True, metavar="ISO", help="Time of the first file."
)
@click.option(
    "--layout",
    type=click.Choice(("hive", "flat")),
    default="hive",
    show_default=True,
    help="hive: in folders by their time, as in the bucket; flat: all in one folder.",
)
@click.option("--seed", default=42, show_default=True, help="The same seed and times give the same events.")
@click.option(
    "--profile",
    type=click.Choice(("realistic", "uniform")),
    default="realistic",
    show_default=True,
    help="realistic: users, sessions and journeys; uniform: independent draws, like the course's starter.",
)
@click.option(
    "--faults",
    type=click.Choice(("none", "demo", "heavy")),
    default="none",
    show_default=True,
    help="Add late, duplicate and malformed lines; faults-manifest.json says what to expect.",
)
@options.style
def generate(  # noqa: PLR0917 - one parameter an option
    folder: str,
    files: int,
    events_per_file: str,
    start: str,
    layout: str,
    seed: int,
    profile: str,
    faults: str,
    style: str,
) -> None:
    """Generate raw event files from a seed: gzipped JSON Lines, one file every five minutes."""
    from shoplake.generator.faults import Faults
    from shoplake.generator.files import generate_files

    chosen = {"none": None, "demo": Faults.demo(), "heavy": Faults.heavy()}[faults]
    span = options.span(events_per_file)
    started = time.perf_counter()
    with output.progress("generating", "events", shown=style == "table") as observer:
        try:
            made = generate_files(
                Path(folder),
                files,
                span,
                options.moment(start, "--start"),
                seed,
                profile,
                layout=layout,
                faults=chosen,
                progress=output.so_far(observer),
            )
        except (OverflowError, ValueError) as error:
            raise UsageError(
                f"cannot generate such events: {error}", remedy="Choose a --start between 1971 and 9998."
            ) from error
        except OSError as error:
            raise FatalError(
                f"cannot write to {folder}: {error.strerror or error}", remedy="Check disk space and permissions."
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
            f"Generated {count(len(made), 'file')} with {events:,} events ({size(amount)}) in {folder},"
            f" in {seconds(took)}."
        )
        output.say(f"Next: shoplake ingest --source {folder} --lake lake")
