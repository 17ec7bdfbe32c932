"""What users read is plain English: no phrasing of the list below, and prose wrapped at one width.

It reads the pages, the notebook, the help of every command, the strings of the package (messages, remedies, notes, reason
texts, the help of settings and metrics) and the dashboard's page and scripts. Accepted decision records are history and stay as
they were written.
"""

from __future__ import annotations

import ast
import html
import json
import re
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from shoplake import contract, queries, settings, tables
from shoplake.cli.main import cli

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "shoplake"
WIDTH = 100

# Each is a regular expression for whole words, with what to write instead. Case and line breaks do not count.
BANNED = {
    r"anew": "again, or a verb with re-: recompute, replan, recheck",
    r"mend(s|ed|ing)?": "fix, correct, resolve",
    r"news": "new files, changes",
    r"(every|some|any|no)body": "everyone, someone, anyone, no one",
    r"any ?more": "no longer",
    r"so (many|much) (lines?|rows?|files?|days?|hours?|times)": "this many",
    r"at the (most|least)": "at most, at least",
    r"in the midst": "in the middle of, during",
    r"(is|are|was|were|be|been|being) told(?! apart| from)": "sees, is shown, is reported",
    r"looked (through|into)": "searched, checked",
    r"active meanwhile": "active during it",
    r"(is|are|was|were) not:": "must be",
    r"(not|nor) concerned": "unaffected",
    r"not to the end": "the response was cut off",
    r"the lake has not": "that have not been ingested",
    # "There is no lake" is fine, "the folder is no lake" is not.
    r"(?<!there )(is|are|was|were) no (?!longer\b|more\b|less\b|fewer\b|later\b|earlier\b|other\b)[a-z]+": "is not a",
    r"no whole": "not a complete",
    r"stands? in the way": "is a problem, prevents",
    r"goes? on trying": "keeps trying",
    r"put right": "corrected",
    r"otherwise than": "differently from",
}


def offences(text: str) -> list[str]:
    """The banned phrasings of a text, each with the words around it and what to write instead."""
    plain = re.sub(r"\s+", " ", text)
    return [
        f"...{plain[max(0, match.start() - 30) : match.end() + 30]}... ({instead})"
        for pattern, instead in BANNED.items()
        for match in re.finditer(rf"(?<!\w)(?:{pattern})(?!\w)", plain, re.IGNORECASE)
    ]


def refuse(found: list[str]) -> None:
    """Fail and show everything that was found, one a line."""
    assert not found, "\n".join(["", *found])


def pages() -> list[Path]:
    """Every page that a person writes; the generated ones are judged by what they are generated from."""
    generated = runpy.run_path(str(ROOT / "docs" / "build_reference.py"))["PAGES"]
    found = [*ROOT.glob("*.md"), *(ROOT / "bench").glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    return sorted(page for page in found if not (page.parent.name == "reference" and page.name in generated))


def name(value: object) -> str:
    """How a page, a module or a command is called in the list of tests."""
    return str(value.relative_to(ROOT)) if isinstance(value, Path) else value if isinstance(value, str) else ""


def is_record(page: Path) -> bool:
    """Whether a page is a decision record."""
    return page.parent.name == "adr" and page.name != "README.md"


def commands(command: click.Command, path: str = "shoplake") -> Iterator[tuple[str, click.Command]]:
    """Every command with its full name."""
    yield path, command
    if isinstance(command, click.Group):
        for below in command.commands.values():
            yield from commands(below, f"{path} {below.name}")


def strings(source: str) -> Iterator[tuple[int, str]]:
    """The strings of a module that have more than one word, each with its line; docstrings are not among them."""
    tree = ast.parse(source)
    inside: set[int] = set()  # what another string is made of: the parts of an f-string and docstrings
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            inside.update(map(id, node.values))
        elif isinstance(node, ast.Expr):
            inside.add(id(node.value))
    for node in ast.walk(tree):
        if id(node) in inside or not isinstance(node, ast.JoinedStr | ast.Constant):
            continue
        parts = node.values if isinstance(node, ast.JoinedStr) else [node]
        text = "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in parts)
        if " " in text.strip():
            yield node.lineno, text


@pytest.mark.parametrize("page", [page for page in pages() if not is_record(page)], ids=name)
def test_pages(page: Path) -> None:
    """Prose, tables and the comments in examples."""
    refuse(offences(page.read_text("utf-8")))


@pytest.mark.parametrize("page", [page for page in pages() if page.name != "RESULTS.md"], ids=name)
def test_prose_is_wrapped_at_one_width(page: Path) -> None:
    """Lines have at most 100 columns, but for tables, code, headings and what has no space to break at.

    RESULTS.md is left out: the benchmarks print most of it.
    """
    prose = re.sub(r"^ *```.*?^ *```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    lines = [line for line in prose.splitlines() if not line.lstrip().startswith(("|", "#", "<!--", "!["))]
    refuse([line for line in lines if len(line) > WIDTH and breakable(line)])


def breakable(line: str) -> bool:
    """Whether a line has a space to break at, after its indent and marker and outside code spans."""
    whole = re.sub(r"`[^`]*`", lambda code: "x" * len(code[0]), line)
    return " " in whole[:WIDTH].lstrip(" -*>.0123456789")


def test_notebook() -> None:
    """The text between the cells of the notebook."""
    cells = json.loads((ROOT / "build_pipeline.ipynb").read_text("utf-8"))["cells"]
    texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    assert len(texts) > 5
    refuse([offence for text in texts for offence in offences(text)])


@pytest.mark.parametrize("command", [path for path, _ in commands(cli)])
def test_help(command: str) -> None:
    """What ``--help`` prints."""
    found = dict(commands(cli))[command]
    context = click.Context(
        found, info_name=command, help_option_names=["-h", "--help"]
    )  # click remembers the first names
    refuse(offences(found.get_help(context)))


def test_contract_settings_tables_and_questions() -> None:
    """Reason texts, rules, and what the reference pages say of settings, tables, columns and the five questions."""
    texts = [text for field in contract.FIELDS for text in (field.rule,)]
    texts += [rule.meaning for rule in contract.RULES]
    texts += [setting.help for setting in settings.SETTINGS]
    texts += [text for table in tables.TABLES for text in (table.grain, *(column.doc for column in table.columns))]
    texts += [query.question for query in queries.five()]
    assert len(texts) > 100
    refuse([offence for text in texts for offence in offences(text)])


@pytest.mark.parametrize("module", sorted(PACKAGE.rglob("*.py")), ids=name)
def test_messages(module: Path) -> None:
    """Messages, remedies, notes and all other strings of a module that have more than one word."""
    found = strings(module.read_text("utf-8"))
    refuse([f"line {line}: {offence}" for line, text in found for offence in offences(text)])


@pytest.mark.parametrize("file", ["index.html", "words.js", "charts.js", "answers.js", "health.js", "dashboard.js"])
def test_dashboard(file: str) -> None:
    """The text of the page, and the strings of its scripts."""
    source = (PACKAGE / "web" / "static" / file).read_text("utf-8")
    if file.endswith(".html"):
        texts = [html.unescape(re.sub(r"<[^>]+>", " ", source))]
    else:
        texts = re.findall(
            r""""(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`""", re.sub(r"^\s*//.*$", "", source, flags=re.MULTILINE)
        )
    assert texts
    refuse([offence for text in texts for offence in offences(text)])


@pytest.mark.parametrize("picture", sorted((ROOT / "docs" / "images").glob("*.svg")), ids=name)
def test_picture(picture: Path) -> None:
    """The words in the figures."""
    refuse(offences(html.unescape(re.sub(r"<[^>]+>", " ", picture.read_text("utf-8")))))


EXAMPLES = """
    It plans\nANEW. The contract was mended. Looking for news this often. Nobody is asked. It is not there any more.
    Show so many lines. Give them 10 MB at the most. Killed in the midst of it. Ask what it is told.
    A file could not be looked through. The units that were active meanwhile. price is not: number, 0 to 10.
    The lake itself is not concerned. It does not answer, or not to the end. The source has nothing that the lake has not.
    The folder is no lake. There is no whole gzip file. Something stands in the way. The page goes on trying.
    A raw object was put right. It ends otherwise than before.
"""


@pytest.mark.parametrize("pattern", BANNED)
def test_a_banned_phrasing_is_found(pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each pattern of the list finds whole words, across lines, whatever the case."""
    monkeypatch.setattr(sys.modules[__name__], "BANNED", {pattern: BANNED[pattern]})
    assert len(offences(EXAMPLES)) == 1


@pytest.mark.parametrize(
    "text",
    ["There is no lake at raw.", "It is no longer there.", "newsletter", "Renewed interest", "amended", "told you so"],
)
def test_plain_english_is_not_an_offence(text: str) -> None:
    """Parts of words and the idiomatic use of the same words pass."""
    refuse(offences(text))
