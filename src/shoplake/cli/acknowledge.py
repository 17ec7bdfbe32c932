"""``shoplake acknowledge``: says why no file is missed in a gap."""

from __future__ import annotations

import click

from shoplake import api
from shoplake.cli import options, output
from shoplake.errors import UsageError
from shoplake.text import count, json_value


@click.command(
    epilog=options.examples(
        "shoplake acknowledge --lake lake --from 2025-11-18T02:00Z --to 2025-11-18T04:00Z --reason 'shop was closed'",
        "shoplake acknowledge --lake lake --from 2025-11-18T02:00Z --to 2025-11-18T04:00Z --withdraw",
    )
)
@options.lake
@click.option("--from", "start", required=True, metavar="ISO", help="Start of the range; UTC unless it has an offset.")
@click.option("--to", "end", required=True, metavar="ISO", help="End of the range (exclusive).")
@click.option("--reason", metavar="TEXT", help="Why no file is missing there.")
@click.option("--withdraw", is_flag=True, help="Take back what was acknowledged within the range.")
@click.option(
    "--format", "style", type=click.Choice(("table", "json")), default="table", show_default=True, help="Output format."
)
def acknowledge(lake: str | None, start: str, end: str, reason: str | None, withdraw: bool, style: str) -> None:
    """Acknowledge the gaps within a range of time, with a reason: shoplake status no longer warns about them.

    Gaps that are still to come count too, such as those of planned maintenance. Files that do arrive are ingested as ever.
    """
    if (reason is None) is not withdraw:
        raise UsageError("acknowledge or withdraw?", remedy="Give one of --reason TEXT and --withdraw.")
    span = options.moment(start, "--from"), options.moment(end, "--to")
    found = api.acknowledge(*span, reason, lake)
    remaining = api.status(lake).gap_slots
    if style == "json":
        output.as_json({"acknowledged": found and found.as_json(), "remaining_slots": remaining})
        return
    if found is None:
        output.say("Withdrawn.")
    else:
        output.say(f"Acknowledged {json_value(found.start)} to {json_value(found.end)}: {found.reason}")
    output.say(f"Without a file and not acknowledged: {count(remaining, 'five-minute slot')}.")
