"""``shoplake``: its commands, and its exit codes (0 done, 1 failed, 2 usage, 128 and more interrupted)."""

from __future__ import annotations

import errno
import io
import os
import sys
from pathlib import Path

import click

from shoplake import __version__
from shoplake.cli import options, output, signals
from shoplake.cli.acknowledge import acknowledge
from shoplake.cli.catalog import catalog
from shoplake.cli.completion import completion
from shoplake.cli.copy import copy
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
from shoplake.cli.log import LOG, PLAIN
from shoplake.cli.maintain import maintain
from shoplake.cli.person import person
from shoplake.cli.publish import publish
from shoplake.cli.quarantine import quarantine
from shoplake.cli.query import query
from shoplake.cli.recover import recover
from shoplake.cli.replay import replay
from shoplake.cli.sql import sql
from shoplake.cli.status import status
from shoplake.cli.verify import verify
from shoplake.errors import ShoplakeError

# In the order in which they are needed; help lists them so.
COMMANDS = (
    demo,
    generate,
    ingest,
    query,
    sql,
    dashboard,
    catalog,
    status,
    acknowledge,
    replay,
    verify,
    quarantine,
    experiment,
    doctor,
    completion,
    maintain,
    copy,
    recover,
    person,
    erase,
    deploy,
    destroy,
    publish,
    cost,
)

_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG)


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
      shoplake demo                               a real hour, start to finish
      shoplake generate --out raw --files 6       generate events to play with
      shoplake ingest --source raw --lake lake    ingest what is new
      shoplake query all --lake lake              the five answers
    """  # noqa: D301 - click wants the character itself


def main() -> None:
    """Run the command line; errors become one message on stderr and an exit code."""
    _make_streams_usable()
    LOG.style = PLAIN  # until a command's option says otherwise
    try:
        with signals.like_ctrl_c():
            _run()
        sys.stdout.flush()
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except click.ClickException as error:
        _show_usage(error)
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort) as end:
        output.note("stopped; the next run redoes whatever was not published")
        sys.exit(signals.exit_code(end))
    except BrokenPipeError:
        _discard_stdout()
        sys.exit(0)
    except UnicodeEncodeError as error:
        output.failure(
            f"the output has characters that {error.encoding} does not have",
            "Set PYTHONIOENCODING=utf-8, or use --format json.",
        )
        sys.exit(1)
    except OSError as error:
        if error.filename is not None or error.errno not in _UNWRITABLE:
            raise
        _discard_stdout()
        output.failure(f"the output cannot be written: {error.strerror}", "Check the disk that stdout goes to.")
        sys.exit(1)
    except ShoplakeError as error:
        output.failure(str(error), error.remedy)
        sys.exit(error.exit_code)


def _run() -> None:
    stdout = sys.stdout
    try:
        cli(standalone_mode=False)
    except SystemExit:
        if sys.stdout is not stdout:  # replaced by click, which so ends where a pipe's reader has seen enough
            raise BrokenPipeError from None
        raise


def _show_usage(error: click.ClickException) -> None:
    """Show what click says of a wrong call, line by line: a name that a shell's pattern found may be anything."""
    said = io.StringIO()
    error.show(file=said)
    for line in said.getvalue().rstrip("\n").split("\n"):
        output.note(line)


def _make_streams_usable() -> None:
    """A command whose streams are closed still does its work; characters that a terminal lacks are escaped."""
    if sys.stdin is None:
        sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115 - for as long as the process lives
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - until Python exits
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _discard_stdout() -> None:
    """Nothing more can be written; without this, Python would try when it exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
