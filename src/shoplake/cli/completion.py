"""``shoplake completion``: the script that lets a shell complete commands and options."""

from __future__ import annotations

import click

from shoplake.cli import options


@click.command(epilog=options.examples("shoplake completion bash >> ~/.bashrc", "shoplake completion zsh >> ~/.zshrc"))
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that lets a shell complete shoplake's commands and options."""
    from click.shell_completion import get_completion_class

    script = get_completion_class(shell)
    if script is not None:
        click.echo(script(context.find_root().command, {}, "shoplake", "_SHOPLAKE_COMPLETE").source())
