"""What is printed on a terminal of 80 columns fits, help and results; verdicts are in colour there, and nowhere else."""

import click
import pytest

from shoplake.cli import table
from shoplake.cli.main import cli
from tests.behaviour.erase.support import files, write
from tests.support import command, ingest


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    write(folder / "raw", files())
    ingest(folder / "raw", folder / "lake")
    return folder


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")


def walk(name, command):
    yield name, command
    for below, each in getattr(command, "commands", {}).items():
        yield from walk(f"{name} {below}", each)


@pytest.mark.parametrize("name", [name for name, _ in walk("shoplake", cli)])
def test_help(name):
    """No line of help is wider, and no summary is cut off."""
    shown = dict(walk("shoplake", cli))[name]
    for line in shown.get_help(
        click.Context(shown, info_name=name, terminal_width=80, help_option_names=["-h", "--help"])
    ).splitlines()[1:]:
        assert len(line) <= 80, line
        assert not line.endswith("..."), line


OUTPUTS = {
    "ingest": ("ingest", "--source", "{raw}"),
    "ingest --dry-run": ("replay", "--source", "{raw}", "--from", "2025-11-18", "--to", "2025-11-19", "--dry-run"),
    "status": ("status", "--source", "{raw}"),
    "doctor": ("doctor", "--source", "{raw}"),
    "verify": ("verify", "--source", "{raw}"),
    "query": ("query", "all"),
    "query --sql": ("query", "--sql", "SELECT source_file, accepted, quarantined, status, batch FROM ledger"),
    "quarantine list": ("quarantine", "list"),
    "quarantine show": ("quarantine", "show"),
    "quarantine replay": ("quarantine", "replay", "--dry-run"),
    "maintain": ("maintain", "--dry-run"),
    "erase": ("erase", "--user", "u_2", "--source", "{raw}", "--dry-run"),
    "person": ("person", "--user", "u_nobody"),  # a table of all columns of events is wider than that
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_results(shop, name):
    """No line of a result is wider, unless one word of it is, such as a path, which can then be copied whole."""
    words = [word.format(raw=shop / "raw") for word in OUTPUTS[name]]
    told = command(*words, "--lake", shop / "lake", terminal=True)
    assert told.out
    wide = [line for line in click.unstyle(told.out).splitlines() if len(line) > 80]
    assert [line for line in wide if max(map(len, line.split())) < 60 and "shoplake " not in line] == []


def test_verdicts_are_in_colour(shop, monkeypatch):
    """On a terminal: green, yellow or red; without colours where NO_COLOR is set, and in a pipe."""
    for words, verdict, colour in (
        ("status", "warning", "yellow"),
        ("doctor", "ok", "green"),
        ("verify", "OK", "green"),
    ):
        assert click.style(verdict, fg=colour) in command(words, "--lake", shop / "lake", terminal=True).out
        assert "\x1b[3" not in command(words, "--lake", shop / "lake").out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[3" not in command("status", "--lake", shop / "lake", terminal=True).out


def test_wrapping():
    """Columns at the start of a line stay, what follows hangs below; a command at the end is not cut."""
    assert table.wrapped("  ok    fresh   the newest file arrived in time", 30, 16) == [
        "  ok    fresh   the newest",
        " " * 16 + "file arrived",
        " " * 16 + "in time",
    ]
    assert table.wrapped("Restore it, then run: shoplake verify --lake /a/b/c", 30, 2) == [
        "Restore it, then run:",
        "  shoplake verify --lake /a/b/c",
    ]
    assert table.wrapped("", 30, 2) == [""]


def test_a_command_in_a_sentence():
    """It keeps its quotes and parentheses, and no space comes in before it."""
    usage = "Try 'shoplake query --help' for help."
    assert table.wrapped(usage, 80, 2) == [usage]
    assert table.wrapped("Usage: shoplake query", 80, 2) == ["Usage: shoplake query"]
    assert table.wrapped("  shoplake query", 80, 2) == ["  shoplake query"]
    assert table.wrapped("Find out why (shoplake quarantine list), then", 40, 2) == [
        "Find out why",
        "  (shoplake quarantine list), then",
    ]
