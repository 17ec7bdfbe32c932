"""The pages of the documentation: what they tell people to type works, and their links lead somewhere."""

import doctest
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import warnings
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from textwrap import dedent
from urllib.parse import unquote

import click
import duckdb
import pytest

from shoplake.cli.main import cli
from tests.support import command

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        ROOT / "README.md",
        *(page for page in (ROOT / "docs").rglob("*.md") if page.parent.name not in ("adr", "reference")),
    ]
)
# A comment of this form above a block says why it cannot be run here.
_BLOCK = re.compile(r"^(?: *(<!-- not run: [^\n]+ -->)\n)?^( *)```(\w*)\n(.*?)^\2```$", re.MULTILINE | re.DOTALL)
# What a page shows below a block of commands: their output, with ... for what differs from run to run.
_SHOWN = re.compile(r"\n\n *```text\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
COLUMNS = 119  # of a block of code on the site
# The page that starts with nothing; all others find raw files in raw/ and a lake in lake/.
FROM_NOTHING = ("tutorial.md",)


def name(page):
    return str(page.relative_to(ROOT))


def blocks(page):
    """The blocks of a page that are run, each with the output that the page shows right below it, or None."""
    text, found = page.read_text("utf-8"), []
    for block in _BLOCK.finditer(text):
        why, _, kind, lines = block.groups()
        if kind in {"sh", "python"} and not why:
            shown = _SHOWN.match(text, block.end())
            found.append((kind, dedent(lines), shown and dedent(shown[1])))
    return found


def run(words, folder, given=None):
    """Run something as a reader would, with the commands of this environment."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SHOPLAKE_", "AWS_"))}
    return subprocess.run(
        words,
        cwd=folder,
        input=given,
        env=clean | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Raw files with faults and the lake they were taken into."""
    folder = tmp_path_factory.mktemp("shop")
    for words in (
        ("generate", "--out", "raw", "--files", "6", "--events-per-file", "500", "--faults", "demo"),
        ("ingest", "--source", "raw", "--lake", "lake"),
    ):
        done = run(["shoplake", *words], folder)
        assert done.returncode == 0, done.stderr
    shutil.copytree(folder, folder.with_name("kept"))
    return folder


@pytest.fixture
def shop(built):
    """They as they were, at the same place: a lake's files name each other by their places."""
    shutil.rmtree(built)
    shutil.copytree(built.with_name("kept"), built)
    return built


def in_this_process(text):
    """The words of each line, if a block of sh only calls shoplake, with nothing that needs a shell; else nothing."""
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line and not line.startswith("#")]
    plain = [re.sub(r"""'[^']*'|"[^"$`]*"|\s#.*""", "", line) for line in lines]
    if all(re.fullmatch(r"shoplake [^\"'`$|&;<>*?~(){}\\]*", line) for line in plain):
        return [shlex.split(line, comments=True) for line in lines]
    return []


def is_output(shown, printed):
    """Whether a page shows what was printed, but for spaces and for what ``...`` stands for."""
    return doctest.OutputChecker().check_output(shown, printed, doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)


def fails(kind, text, shown, folder, monkeypatch):
    """What a block says if it fails, or if it prints something else than its page shows.

    A block that needs no shell is run in this process, which saves the start of another for each command.
    """
    lines = in_this_process(text) if kind == "sh" else []
    if kind == "sh" and not lines:
        done = run(["bash", "-euo", "pipefail", "-c", text], folder)
        wrong = done.returncode or (shown and not is_output(shown, done.stdout))
        return [done.stdout, done.stderr] if wrong else []
    with monkeypatch.context() as patch:
        patch.chdir(folder)
        for name in [name for name in os.environ if name.startswith(("SHOPLAKE_", "AWS_"))]:
            patch.delenv(name)
        told = [command(*words) for _, *words in lines]
        printed = "".join(one.out for one in told) if lines else output_of(text)
    return [one for one in told if one.code] or ([printed] if shown and not is_output(shown, printed) else [])


def output_of(script):
    """What a script of Python prints; whatever it raises is raised."""
    with redirect_stdout(io.StringIO()) as printed, warnings.catch_warnings():
        warnings.simplefilter("default")  # as in an interpreter of its own
        exec(compile(script, "a page", "exec"), {"__name__": "__main__"})  # noqa: S102 - our own page
    return printed.getvalue()


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=name)
def test_what_a_page_shows_can_be_run(page, request, tmp_path, monkeypatch):
    """Every block of sh and python of a page, in order, in one folder; and it prints what the page shows below it."""
    folder = tmp_path if page.name in FROM_NOTHING else request.getfixturevalue("shop")
    for kind, text, shown in blocks(page):
        wrong = fails(kind, text, shown, folder, monkeypatch)
        assert not wrong, f"{text}\n{wrong}"


HOLDER = """
import sys, duckdb
database = duckdb.connect("shop.duckdb")
print(database.sql("SELECT count(*) FROM activity_daily").fetchall()[0][0], flush=True)
sys.stdin.readline()
print(database.sql("SELECT count(*) FROM activity_daily").fetchall()[0][0], flush=True)
"""


def test_the_file_for_bi_tools_is_rebuilt_while_one_has_it_open(shop):
    """The tool reads on what it opened; who opens the file then sees the new tables."""
    (recipe,) = [text for _, text, _ in blocks(ROOT / "docs" / "howto" / "connect.md") if "shop.duckdb" in text]
    assert run([sys.executable, "-"], shop, recipe).returncode == 0
    words = [sys.executable, "-c", HOLDER]
    with subprocess.Popen(
        words, cwd=shop, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as tool:
        assert tool.stdout is not None
        before = int(tool.stdout.readline())
        late = ("--start", "2025-11-19T14:00:00Z", "--files", "1", "--events-per-file", "50")
        for more in (("generate", "--out", "raw", *late), ("ingest", "--source", "raw", "--lake", "lake")):
            assert run(["shoplake", *more], shop).returncode == 0
        done = run([sys.executable, "-"], shop, recipe)
        assert (done.returncode, done.stderr) == (0, "")
        again, _ = tool.communicate("\n", timeout=60)
    assert int(again) == before
    with duckdb.connect(shop / "shop.duckdb", read_only=True) as database:
        assert database.sql("SELECT count(*) FROM activity_daily").fetchall() == [(before + 1,)]
    assert sorted(path.name for path in shop.glob("shop.duckdb*")) == ["shop.duckdb"]


def commands(page):
    """The commands of shoplake in the blocks of a page, those that are not run here as well."""
    for _, _, kind, text in _BLOCK.findall(page.read_text("utf-8")):
        if kind == "sh":
            for line in text.replace("\\\n", " ").splitlines():
                if found := re.search(r"(?:^|[ /])shoplake +((?:[a-z]|--)[^|&;>]*)", line):
                    yield shlex.split(found[1], comments=True)


def understood(command, words):
    if not isinstance(command, click.Group):
        command.make_context(command.name, words)
    elif words[0] not in {"--help", "--version"}:
        first, *rest = words if words[0] in command.commands else ("compare", *words)  # of an experiment by its name
        understood(command.commands[first], rest)


@pytest.mark.parametrize("page", [page for page in PAGES if [*commands(page)]], ids=name)
def test_every_command_is_one(page):
    """Those that no test can run, too, have the names and the options of the command line."""
    for words in commands(page):
        understood(cli, words or ["--help"])


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_blocks_say_what_they_are(page):
    """A command in a block of no kind would not be run."""
    for _, _, kind, text in _BLOCK.findall(page.read_text("utf-8")):
        assert kind or not re.search(r"^ *(?:shoplake|make|python|pip|spark-submit|aws) ", text, re.MULTILINE), text


@pytest.mark.parametrize("page", [*PAGES, *sorted((ROOT / "docs" / "adr").glob("*.md"))], ids=name)
def test_links_lead_somewhere(page):
    """To a file of the repository, and to a heading of it where one is named."""
    lost = []
    for links in _LINK.findall(_FENCED.sub("", page.read_text("utf-8"))):
        link = links[0] or links[1]
        if re.match(r"[a-z]+:", link):
            continue
        where, _, heading = link.partition("#")
        target = (page.parent / where).resolve() if where else page
        if not target.exists() or (heading and heading not in anchors(target)):
            lost.append(link)
    assert not lost


def anchors(page):
    text = _FENCED.sub("", page.read_text("utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in _HEADING.findall(text)}


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=name)
def test_code_fits_beside_both_menus(page):
    """At 1366 pixels the site has room for so many columns (``docs/site.css``); the reader need not scroll for the rest."""
    code = "\n".join(text for *_, text in _BLOCK.findall(page.read_text("utf-8")))
    assert [line for line in dedent(code).split("\n") if len(line) > COLUMNS] == []


def leads_nowhere(page, links):
    """The links to files of a site, or to headings in them, that are not there."""
    lost = []
    for link in links:
        where, _, heading = unquote(link).partition("#")
        target = (page.parent / where).resolve() if where else page
        if not target.is_file() or (heading and not re.search(f"""id=["']?{re.escape(heading)}["' >]""", read(target))):
            lost.append(link)
    return lost


@cache
def read(path):
    return path.read_text("utf-8")


def test_the_site_is_whole(tmp_path):
    """The site is built without a warning, every page is in its menu, its links lead somewhere, and it asks no other host."""
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copy(ROOT / "zensical.toml", tmp_path)
    done = run([Path(sys.executable).parent / "zensical", "build", "--strict"], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    menu = (ROOT / "zensical.toml").read_text("utf-8")
    for page in (ROOT / "docs").rglob("*.md"):
        inside = str(page.relative_to(ROOT / "docs"))
        assert f'"{inside}"' in menu, f"{inside} is in no menu"
    built = list((tmp_path / "build" / "site").rglob("*.html"))
    assert len(built) > 20
    for html in built:
        loaded = re.findall(r"""<(?:script|img|link)[^>]+(?:src|href)=["']?(https?:[^"' >]+)""", read(html))
        assert not loaded, f"{html.name} loads {loaded[0]}"
        if html.name != "404.html":  # it is for a server, and its links start at its root
            links = set(re.findall(r"""<a [^>]*?href=["']?([^"' >]+)""", read(html)))
            assert not leads_nowhere(html, [link for link in links if not re.match(r"[a-z]+:", link)]), html.name
    walk = (
        read(tmp_path / "build" / "site" / "aws.html").partition("The same walk on an account")[2].partition("<h2")[0]
    )
    assert (walk.count("<ol"), walk.count("<li>")) == (1, 9), "the grader's path is one list of nine steps"
