"""Options that several commands share, and how help shows examples."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from shoplake.cli import output
from shoplake.errors import UsageError
from shoplake.settings import ENGINES, Range

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
style = click.option(
    "--format", "style", type=click.Choice(output.FORMATS), default="table", show_default=True, help="How to print."
)
engine = click.option(
    "--engine", type=click.Choice(ENGINES), help="What computes: this process, or Spark.  [default: duckdb]"
)
master = click.option(
    "--master", metavar="URL", help="Spark's master, such as local[4] or yarn.  [default: Spark's own, or this machine]"
)
events_per_file = click.option("--events-per-file", default="500000-750000", show_default=True, metavar="N|MIN-MAX")
region = click.option("--region", metavar="NAME", help="AWS region.  [default: as the AWS settings say]")


class Within(click.ParamType[int | float]):
    """A number of a range; NaN and the infinities are in none."""

    name = "number"

    def __init__(self, allowed: Range) -> None:
        self.allowed = allowed

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | float:
        """The number, or click's own error of usage."""
        try:
            return self.allowed.read(value)
        except (TypeError, ValueError, OverflowError):
            self.fail(f"it must be {self.allowed}, not {value!r}.", param, ctx)


def whole(least: int, most: int = 10**9) -> Within:
    """A whole number of a range."""
    return Within(Range(least, most, whole=True))


class Group(click.Group):
    """Lists the commands in the order of a day's work."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's interface
        """In the order they were added."""
        return list(self.commands)


def examples(*lines: str) -> str:
    """The end of a command's help."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def moment(text: str, option: str) -> datetime:
    """A time that an option gives, UTC with a zone; without an offset it is UTC.

    Raises:
        UsageError: It is no ISO 8601 time.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(
            f"{option} {text!r} is no ISO 8601 time", remedy="For instance 2025-11-18T14:00:00Z."
        ) from error
    try:
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except OverflowError as error:
        raise UsageError(f"{option} {text!r} is out of range", remedy="For instance 2025-11-18T14:00:00Z.") from error


def span(text: str) -> tuple[int, int]:
    """The least and the most events of a file.

    Raises:
        UsageError: It is neither N nor MIN-MAX.
    """
    parts = text.split("-")
    try:
        low, high = int(parts[0]), int(parts[-1])
    except ValueError:
        low, high = 0, 0
    if len(parts) > 2 or not 1 <= low <= high:
        raise UsageError(f"--events-per-file {text!r} is no number", remedy="Give N, or MIN-MAX such as 500000-750000.")
    return low, high
