"""``shoplake doctor``: what is installed, what can be reached, what is configured wrongly."""

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
    """Say what is installed, what can be reached and what is configured wrongly; exit with 1 if something stands in the way."""
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


@click.command(epilog=options.examples("shoplake completion bash >> ~/.bashrc", "shoplake completion zsh >> ~/.zshrc"))
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what makes a shell complete shoplake's commands and options."""
    from click.shell_completion import get_completion_class

    script = get_completion_class(shell)
    if script is not None:
        click.echo(script(context.find_root().command, {}, "shoplake", "_SHOPLAKE_COMPLETE").source())
