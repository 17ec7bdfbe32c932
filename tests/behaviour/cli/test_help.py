"""Every command says what it does, and what is wrong with how it was called."""

from pathlib import Path

import click
import pytest

import shoplake
from shoplake.cli.main import cli
from shoplake.contract import RULES
from shoplake.settings import SETTINGS

COMMANDS = ("demo", "generate", "ingest", "query", "status", "replay", "verify")


def test_commands_are_known():
    """These are the commands; each is tested below."""
    assert set(COMMANDS) <= set(cli.commands)


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_help(call, name):
    """Each command's help exits with 0, says what it does and has an example that can be copied."""
    result = call(name, "--help")
    assert (result.code, result.err) == (0, "")
    assert f"shoplake {name}" in result.out.split("Examples:")[1]


# What reads as translated; the words that engineers use are in the glossary of the reference.
TRANSLATED = (
    *(" is no ", " are no ", "anew", "mend ", "mended", "so many lines", "any more", "meanwhile", "somebody", "nobody"),
    *("everybody", "for instance", "take in ", "takes in ", "taken in ", "looking for news", "is not concerned"),
    "what was drawn",
)


def test_plain_english():
    """What people read first, help, settings, reasons and the dashboard, uses none of the phrasings of a translation."""
    root = Path(shoplake.__file__).parent
    pages = [render(command, name) for name, command in walk("shoplake", cli)]
    pages += [setting.help for setting in SETTINGS] + [rule.meaning for rule in RULES]
    pages += [
        page.read_text("utf-8") for page in sorted((root / "web" / "static").glob("*.*")) if page.suffix != ".svg"
    ]
    found = {(phrase, page[:60]) for page in pages for phrase in TRANSLATED if phrase in plain(page)}
    assert not found


def plain(page):
    return " ".join(page.lower().replace("no longer", "").split())


def walk(name, command):
    yield name, command
    for below, each in getattr(command, "commands", {}).items():
        yield from walk(f"{name} {below}", each)


def render(command, name):
    return command.get_help(click.Context(command, info_name=name, help_option_names=["-h", "--help"]))


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",)])
def test_first_help(call, words):
    """Without a command, help shows where to start."""
    result = call(*words)
    assert "shoplake demo" in result.out + result.err
    assert "Traceback" not in result.err


def test_version(call):
    """The version is one line."""
    assert call("--version").out.startswith("shoplake, version ")


@pytest.mark.parametrize(
    "words",
    [
        ("nothing",),
        ("ingest", "--nothing"),
        ("query", "1", "2", "3"),
        ("query", "--format", "xml"),
        ("generate",),
        ("generate", "--out", "x", "--files", "0"),
        ("ingest", "--watch", "-1"),
    ],
    ids=" ".join,
)
def test_wrong_usage(call, words):
    """A wrong command, option or argument exits with 2 and a usage message."""
    result = call(*words)
    assert (result.code, result.out) == (2, "")
    assert "Usage:" in result.err
    assert "Traceback" not in result.err
