"""Writes the pages of ``docs/reference`` that derive from the code. ``--check`` only says whether they are up to date."""

# ruff: noqa: INP001 - a script beside the pages it writes

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from shoplake import contract, queries, settings, tables
from shoplake.cli.main import cli

FOLDER = Path(__file__).parent / "reference"
HEADER = "<!-- Made by docs/build_reference.py; change the code it derives from. -->\n\n"


def contract_page() -> str:
    """Fields and reason codes of the event contract."""
    lines = [
        "# The event contract",
        "",
        "A line of a source file is one JSON object with these fields. Values are read as text and cast in SQL, so that",
        'numbers and times mean the same on every engine: `3` and `"3"` are the same quantity, and a number is accepted as',
        "an identifier. An absent field and `null` are the same. If a key is repeated, the first counts. Keys that the",
        "contract does not know are counted and kept. A line is strict JSON (RFC 8259), nested at most 100 deep; a byte order",
        "mark is allowed only at the start of a file.",
        "",
        "| field | column | type | rule | present for |",
        "| --- | --- | --- | --- | --- |",
    ]
    for field in contract.FIELDS:
        types = "all" if field.present_for == contract.EVENT_TYPES else ", ".join(field.present_for)
        lines.append(f"| `{field.name}` | `{field.column}` | {field.type} | {field.rule} | {types} |")
    lines += [
        "",
        "## Reason codes",
        "",
        "A line that breaks a rule is a row of `quarantine` with the codes of all rules that it breaks.",
        "",
        "| code | meaning |",
        "| --- | --- |",
        *(f"| `{rule.code}` | {rule.meaning} |" for rule in contract.RULES),
    ]
    return "\n".join(lines)


def tables_page() -> str:
    """The data dictionary."""
    lines = [
        "# Tables",
        "",
        "Iceberg format version 2, Parquet with zstd, all in the namespace `shoplake`. Times are UTC without a zone.",
    ]
    for table in tables.TABLES:
        column, transform = table.partition
        lines += [
            "",
            f"## {table.name}",
            "",
            f"One row: {table.grain}. Partitioned by {transform} of `{column}`; replaced by `{table.key}`.",
            "",
            "| column | type | meaning |",
            "| --- | --- | --- |",
            *(f"| `{item.name}` | {item.type} | {item.doc} |" for item in table.columns),
        ]
    return "\n".join(lines)


def settings_page() -> str:
    """Every setting."""
    lines = [
        "# Settings",
        "",
        "An option of a command comes first, then the environment, then `shoplake.toml` in the working directory, then the",
        "default.",
        "",
        "| `shoplake.toml` | environment | default | values | meaning |",
        "| --- | --- | --- | --- | --- |",
    ]
    for setting in settings.SETTINGS:
        default = "-" if setting.default is None else f"`{setting.default}`"
        values = " or ".join(setting.allowed) if isinstance(setting.allowed, tuple) else setting.allowed or "text"
        lines.append(f"| `{setting.name}` | `{setting.variable}` | {default} | {values} | {setting.help} |")
    return "\n".join(lines)


def cli_page() -> str:
    """The help of every command."""
    lines = [
        "# Commands",
        "",
        "Exit codes: 0 done, 1 failed, 2 wrong usage. Results go to stdout, everything else to stderr.",
    ]
    for name, command in _commands("", cli):
        context = click.Context(command, info_name=name, max_content_width=100, terminal_width=100)
        lines += ["", f"## {name}", "", "```text", command.get_help(context), "```"]
    return "\n".join(lines)


def _commands(above: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """A command and those below it, each with its whole name."""
    name = f"{above} {command.name if above else 'shoplake'}".strip()
    yield name, command
    if isinstance(command, click.Group):
        for below in command.list_commands(click.Context(command)):
            yield from _commands(name, command.commands[below])


def queries_page() -> str:
    """The five questions."""
    lines = ["# The five questions", "", "`queries.sql`, run by `shoplake query [1-5|NAME|all]`.", ""]
    for query in queries.five():
        lines += [f"## {query.number}. {query.name}", "", f"{query.question}.", "", "```sql", query.sql, "```", ""]
    return "\n".join(lines).rstrip()


PAGES = {
    "contract.md": contract_page,
    "tables.md": tables_page,
    "settings.md": settings_page,
    "cli.md": cli_page,
    "queries.md": queries_page,
}


def main() -> int:
    """Write the pages, or say which are out of date."""
    stale = []
    for name, page in PAGES.items():
        path, text = FOLDER / name, HEADER + page() + "\n"
        if not path.is_file() or path.read_text("utf-8") != text:
            stale.append(name)
            if "--check" not in sys.argv:
                path.write_text(text, "utf-8")
    if stale and "--check" in sys.argv:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
