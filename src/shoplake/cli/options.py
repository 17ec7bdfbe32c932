"""Options that several commands share, and how help shows examples."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from shoplake.cli import output
from shoplake.cli.log import JSON, LOG, TEXT
from shoplake.errors import UsageError
from shoplake.settings import ENGINES, Range, working_directory

_MOST_EVENTS = 100_000_000
_EXAMPLE = 72  # characters of a line of an example, so that help is 80 columns wide with its margin

lake = click.option(
    "--lake",
    metavar="DIR",
    help="The lake: a folder, or s3://BUCKET/PREFIX.  [env SHOPLAKE_LAKE, or lake in shoplake.toml]",
)
source = click.option(
    "--source",
    metavar="DIR",
    help="The raw files: a folder, or s3://BUCKET/PREFIX.  [env SHOPLAKE_SOURCE, or source in shoplake.toml]",
)
source_name = click.option(
    "--source-name",
    metavar="NAME",
    help="What the lake knows the source by, where that is not its place: for a source that was moved, its place before."
    "  [env SHOPLAKE_SOURCE_NAME]",
)
style = click.option(
    "--format", "style", type=click.Choice(output.FORMATS), default="table", show_default=True, help="Output format."
)
engine = click.option(
    "--engine",
    type=click.Choice(ENGINES),
    help="Engine that does the computing: this process, or Spark.  [default: duckdb]",
)
master = click.option(
    "--master",
    metavar="URL",
    help="Spark master, such as local[4] or yarn.  [default: from Spark's configuration, or this machine]",
)
events_per_file = click.option(
    "--events-per-file",
    default="500000-750000",
    show_default=True,
    metavar="N|MIN-MAX",
    help="Events in each file; within a range, the time of day decides.",
)
log_format = click.option(
    "--log-format",
    type=click.Choice((TEXT, JSON)),
    default=TEXT,
    show_default=True,
    expose_value=False,
    is_eager=True,
    callback=lambda _, __, value: setattr(LOG, "style", value),
    help="Form of the lines on stderr; each has its time.",
)
start_of_range = click.option(
    "--from",
    "start",
    metavar="ISO",
    help="Read only the events from this whole hour on, in every table; UTC unless it has an offset.",
)
end_of_range = click.option("--to", "end", metavar="ISO", help="End of that range (exclusive).")
at = click.option(
    "--at",
    metavar="TIME|SNAPSHOT",
    help="Read the lake as it was at a time (UTC unless it has an offset), or as the commit left it that made a snapshot.",
)
region = click.option("--region", metavar="NAME", help="AWS region.  [default: from your AWS configuration]")


class Within(click.ParamType[int | float]):
    """A number within a range, never NaN or an infinity."""

    name = "number"

    def __init__(self, allowed: Range) -> None:
        self.allowed = allowed

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | float:
        """The number, or click's usage error."""
        try:
            return self.allowed.read(value)
        except (TypeError, ValueError, OverflowError):
            self.fail(f"it must be {self.allowed}, not {value!r}.", param, ctx)


class Written(click.ParamType[str]):
    """A file or folder that a command writes, anywhere on this machine but inside a lake."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The path as it was given, or click's usage error."""
        from shoplake.lake.catalog import around
        from shoplake.storage.uris import is_uri

        if is_uri(str(value)):
            self.fail(f"{value!r} is not a place of this machine. Give one that is.", param, ctx)
        place = Path(value)
        if lake := around(place if place.is_absolute() else working_directory() / place):
            self.fail(
                f"{value!r} is inside the lake {lake}, and would be one of its files. Give another place.", param, ctx
            )
        return str(value)


def whole(least: int, most: int = 10**9) -> Within:
    """A whole number within a range."""
    return Within(Range(least, most, whole=True))


class Group(click.Group):
    """Lists the commands in the order in which they are needed, and refuses an option that is given twice."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's interface
        """In the order in which they were added."""
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands with the first sentence of what they do, whole: click would cut it where the line ends."""
        shown = [(name, self.commands[name].get_short_help_str(limit=10_000)) for name in self.list_commands(ctx)]
        if shown:
            with formatter.section("Commands"):
                formatter.write_dl(shown)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command. Of an option that it takes once, click would drop all values but the last in silence."""
        name, command, rest = super().resolve_command(ctx, args)
        if command is not None and not isinstance(command, click.Group):
            inner = click.Context(command, info_name=name, parent=ctx)
            _, _, given = command.make_parser(inner).parse_args(list(rest))
            for option in set(given):
                takes_one = isinstance(option, click.Option) and not (option.multiple or option.count or option.is_flag)
                if takes_one and given.count(option) > 1:
                    raise click.UsageError(f"{option.opts[0]} was given {given.count(option)} times.", inner)
        return name, command, rest


yes = click.option("--yes", is_flag=True, help="Do not ask for confirmation; needed without a terminal.")


def confirm(question: str, *, yes: bool) -> None:
    """Ask on the terminal before something that cannot be undone; without a terminal, ``--yes`` is the only answer.

    Raises:
        UsageError: There is no terminal to ask on, and no ``--yes``.
        click.Abort: The answer was no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"{question} There is no terminal to ask on", remedy="Nothing was changed. Give --yes.")
    click.confirm(question, abort=True, err=True)


def examples(*lines: str) -> str:
    """The examples at the end of a command's help; one that is too long for a narrow terminal goes on after a backslash."""
    return "\b\nExamples:\n" + "\n".join(f"  {piece}" for line in lines for piece in _folded(line))


def _folded(example: str) -> list[str]:
    """An example in lines that fit, cut before options."""
    pieces: list[str] = []
    for part in example.replace(" --", "\n --").split("\n"):
        if pieces and len(pieces[-1]) + len(part) <= _EXAMPLE:
            pieces[-1] += part
        else:
            pieces.append(part if not pieces else f"   {part}")
    return [*(f"{piece} \\" for piece in pieces[:-1]), pieces[-1]]


def moment(text: str, option: str) -> datetime:
    """The time that an option gives, in UTC with a zone; a time without an offset is UTC.

    Raises:
        UsageError: It is not an ISO 8601 time.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(
            f"{option} {text!r} is not an ISO 8601 time", remedy="For example 2025-11-18T14:00:00Z."
        ) from error
    try:
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except OverflowError as error:
        raise UsageError(f"{option} {text!r} is out of range", remedy="For example 2025-11-18T14:00:00Z.") from error


def first(text: str | None) -> datetime | None:
    """The time of :data:`start_of_range`."""
    return moment(text, "--from") if text else None


def last(text: str | None) -> datetime | None:
    """The time of :data:`end_of_range`."""
    return moment(text, "--to") if text else None


def version(text: str | None) -> datetime | int | None:
    """The time or the id of a snapshot of :data:`at`."""
    if not text:
        return None
    return int(text) if text.isdecimal() else moment(text, "--at")


def span(text: str) -> tuple[int, int]:
    """The fewest and the most events per file.

    Raises:
        UsageError: It is neither N nor MIN-MAX.
    """
    parts = text.split("-")
    try:
        low, high = int(parts[0]), int(parts[-1])
    except ValueError:
        low, high = 0, 0
    if len(parts) > 2 or not 1 <= low <= high <= _MOST_EVENTS:
        raise UsageError(
            f"--events-per-file must be N or MIN-MAX, from 1 to {_MOST_EVENTS:,}, not {text!r}",
            remedy="For example 1000, or 500000-750000.",
        )
    return low, high
