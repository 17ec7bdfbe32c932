"""The pages that derive from the code are what the code says now."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.test_english import strings

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "shoplake"


def test_reference_pages_are_up_to_date() -> None:
    """``docs/reference`` is what ``docs/build_reference.py`` writes."""
    done = subprocess.run(
        [sys.executable, "docs/build_reference.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "page", [*sorted(path.relative_to(ROOT) for path in ROOT.glob("docs/**/*.md")), Path("README.md")]
)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link of the documentation names a file that exists."""
    text = (ROOT / page).read_text("utf-8")
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
    missing = [
        target for target in targets if "://" not in target and not (ROOT / page.parent / target).resolve().exists()
    ]
    assert not missing


def test_page_of_verify_lists_what_it_finds() -> None:
    """``docs/verify.md`` names every check, every kind of difference and every kind of note."""
    page = (ROOT / "docs/verify.md").read_text("utf-8")
    code = "".join(path.read_text("utf-8") for path in ROOT.glob("src/shoplake/operations/verify/*.py"))
    found = set(re.findall(r'(?:Audit|Note|differs|_note)\(\s*"(\w+)"', code))
    assert {"files", "orphans", "gold", "raw_gone", "waiting"} <= found
    assert {name for name in found if f"`{name}`" not in page} == set()


def guarantees() -> list[str]:
    """The rows of ``docs/reference/guarantees.md``."""
    page, _, _ = (ROOT / "docs/reference/guarantees.md").read_text("utf-8").partition("## The last full runs")
    rows = [line for line in page.splitlines() if line.startswith("| ") and "---" not in line][1:]
    assert len(rows) > 10
    return rows


def test_page_of_guarantees_names_tests_that_exist() -> None:
    """Every guarantee names a test, and every named test is there."""
    for row in guarantees():
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row)
        assert named, row
        for path, name in named:
            assert re.search(rf"^def {name}\(", (ROOT / path).read_text("utf-8"), re.MULTILINE), f"{path}::{name}"


def test_page_of_comparisons_names_tests_that_exist() -> None:
    """Every row of ``docs/concepts/compared.md`` names a test, and every named test is there."""
    page = (ROOT / "docs/concepts/compared.md").read_text("utf-8")
    rows = [
        line for line in page.splitlines() if line.startswith("| ") and not line.startswith(("| ---", "| expected"))
    ]
    assert len(rows) > 20
    for row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row)
        assert named, row
        for path, name in named:
            assert re.search(rf"^def {name}\(", (ROOT / path).read_text("utf-8"), re.MULTILINE), f"{path}::{name}"


def test_page_of_guarantees_names_files_that_exist() -> None:
    """Every file or folder named there is in the repository or in the package."""
    named = {name for row in guarantees() for name in re.findall(r"`([\w/]+(?:\.py|/))`", row)}
    assert len(named) > 5
    assert [name for name in sorted(named) if not any((top / name).exists() for top in (ROOT, PACKAGE))] == []


def test_page_of_guarantees_selects_tests_that_exist() -> None:
    """What ``make proofs ARGS="-k WORD"`` is shown with is part of a test's name or of its file's."""
    folders = ("fuzz", "native", "recovery", "s3", "spark", "unit")
    proofs = [path for folder in folders for path in (ROOT / "tests" / folder).glob("test_*.py")]
    names = [path.name for path in proofs]
    names += [name for path in proofs for name in re.findall(r"^def (test_\w+)", path.read_text("utf-8"), re.MULTILINE)]
    words = {word for row in guarantees() for word in re.findall(r'make proofs ARGS="-k (\w+)"', row)}
    assert len(words) > 5
    assert [word for word in sorted(words) if not any(word in name for name in names)] == []


def test_runbook_quotes_messages_that_exist() -> None:
    """What the runbook quotes is part of a message of the package, whatever number or process stands in it."""
    quoted = re.findall(r'\*\*"([^"]+)"\*\*', (ROOT / "docs/runbook.md").read_text("utf-8"))
    modules = [path.read_text("utf-8") for path in PACKAGE.rglob("*.py")]
    messages = [" ".join(re.sub("X", "", text).split()) for module in modules for _, text in strings(module)]
    assert len(quoted) > 2
    for quote in quoted:
        words = " ".join(re.sub(r"\d+", "", quote).split())
        assert any(words in message for message in messages), quote
