"""Every command says what it does, and what is wrong with how it was called."""

import pytest

from shoplake.cli.main import cli

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
