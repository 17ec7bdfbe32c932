"""``shoplake``: its commands, and its exit codes (0 done, 1 failed, 2 usage)."""

from __future__ import annotations

import os
import sys

import click

from shoplake import __version__
from shoplake.cli import options, output
from shoplake.cli.completion import completion
from shoplake.cli.cost import cost
from shoplake.cli.dashboard import dashboard
from shoplake.cli.demo import demo
from shoplake.cli.deploy import deploy
from shoplake.cli.destroy import destroy
from shoplake.cli.doctor import doctor
from shoplake.cli.erase import erase
from shoplake.cli.experiment import experiment
from shoplake.cli.generate import generate
from shoplake.cli.ingest import ingest
from shoplake.cli.maintain import maintain
from shoplake.cli.publish import publish
from shoplake.cli.quarantine import quarantine
from shoplake.cli.query import query
from shoplake.cli.replay import replay
from shoplake.cli.status import status
from shoplake.cli.verify import verify
from shoplake.errors import ShoplakeError

# In the order in which they are needed; help lists them so.
COMMANDS = (
    demo,
    generate,
    ingest,
    query,
    dashboard,
    status,
    replay,
    verify,
    quarantine,
    experiment,
    doctor,
    completion,
    maintain,
    erase,
    deploy,
    destroy,
    publish,
    cost,
)


@click.group(
    cls=options.Group,
    commands=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, prog_name="shoplake")
def cli() -> None:
    """Shop events in, answers out.

    Raw .jsonl.gz event files become an exact, incremental Iceberg lake that you query with SQL.

    \b
    Start here:
      shoplake demo                                         a real hour of events, start to finish
      shoplake generate --out raw --files 6                 generate events to play with
      shoplake ingest --source raw --lake lake              ingest what is new
      shoplake query all --lake lake                        the five answers
    """  # noqa: D301 - click wants the character itself


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
        output.note("stopped; the next run redoes whatever was not published")
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except ShoplakeError as error:
        output.note(f"shoplake: {error}")
        if error.remedy:
            output.note(f"  {error.remedy}")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
