"""``shoplake doctor``: what is installed, what can be reached, what is misconfigured."""

from __future__ import annotations

import sys

import click

from shoplake.cli import options, output


@click.command(
    epilog=options.examples(
        "shoplake doctor", "shoplake doctor --lake lake --source raw", "shoplake doctor --format json"
    )
)
@options.lake
@options.source
@options.style
def doctor(lake: str | None, source: str | None, style: str) -> None:
    """Check the installation, the configuration and what can be reached; exit with 1 if anything would fail."""
    from shoplake.health import doctor as examination

    found = examination.examine({"lake": lake, "source": source})
    if style == "json":
        output.as_json([vars(one) for one in found])
    elif style == "csv":
        output.as_csv(("what", "verdict", "says", "remedy"), [tuple(vars(one).values()) for one in found])
    else:
        for one in found:
            output.say(f"{one.verdict:<8} {one.what:<12} {one.says}")
            if one.remedy:
                output.say(f"{'':>21} -> {one.remedy}")
    if examination.failed(found):
        sys.exit(1)
