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
    from shoplake.health.verdicts import Verdict, worst

    checks = examination.examine({"lake": lake, "source": source})
    if style == "json":
        output.as_json(examination.as_json(checks))
    elif style == "csv":
        rows = [(check.name, check.verdict, check.detail, check.remedy) for check in checks]
        output.as_csv(("what", "verdict", "says", "remedy"), rows)
    else:
        for check in checks:
            output.say(f"{check.verdict:<8} {check.name:<12} {check.detail}", hang=22, verdict=check.verdict)
            if check.remedy:
                output.say(f"{'':>21} -> {check.remedy}", hang=25)
    if worst(checks) == Verdict.FAILED:
        sys.exit(1)
