"""The check of new commits, on repositories made for it."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci" / "commits.py"
BEFORE, AFTER = 1795492261, 1795492262  # the second of the commit that introduced the rules, and the next
WHY = "Because of this."


@pytest.fixture
def history(tmp_path):
    """Makes commits in an empty repository, each a time and a message, and returns what the check says of them."""

    def checked(*commits):
        subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
        stream = ""
        for time, message in commits:
            who = f"A <a@example.org> {time} +0000"
            octets = len(message.encode())
            stream += f"commit refs/heads/judged\nauthor {who}\ncommitter {who}\ndata {octets}\n{message}\n"
        words = ["git", "-C", tmp_path, "fast-import", "--quiet"]
        subprocess.run(words, input=stream.encode(), check=True)
        return run(tmp_path, "judged")

    return checked


def run(folder, revision="HEAD"):
    words = [sys.executable, SCRIPT, revision]
    return subprocess.run(words, cwd=folder, capture_output=True, encoding="utf-8", check=False)


@pytest.mark.parametrize(
    "subject",
    [
        "Add a check of commits",
        "Process files in the order of their names: ü",
        "Re-ingest a file that was replaced",
        "Serve /api/health as JSON",
        "Pass" + "x" * 67,
        "Merge branch 'feature/tests' of https://example.org/shop/lake",
    ],
)
def test_what_the_rules_allow(history, subject):
    done = history((AFTER, f"{subject}\n\n{WHY}\n"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "commits: 1 checked, 0 break the rules\n", "")


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        (f"{'Pass' + 'x' * 68}\n\n{WHY}", "has 72 characters"),
        (f"Add a check; remove another\n\n{WHY}", "joins concerns"),
        (f"Added a check\n\n{WHY}", "use the imperative"),
        (f"Adds a check\n\n{WHY}", "use the imperative"),
        (f"Adding a check\n\n{WHY}", "use the imperative"),
        (f"Bench: its README names a file\n\n{WHY}", "begin with a verb"),
        (f"add a check\n\n{WHY}", "begin with a verb"),
        ("Add a check", "there is no body"),
        ("Merge branch 'main' of /home/someone/shoplake", "names /home/someone/shoplake"),
        ("Merge branch 'main' of ~/shoplake", "names ~/shoplake"),
    ],
)
def test_what_they_do_not(history, message, fault):
    done = history((AFTER, message))
    assert done.returncode == 1
    assert done.stdout.count("\n") == 2
    assert fault in done.stdout


def test_a_merge_needs_no_body(history):
    assert history((AFTER, "Merge branch 'tests'")).returncode == 0


def test_older_commits_are_left_alone(history):
    """Where the history does not reach back to the commit that introduced the rules, its date separates old from new."""
    done = history((BEFORE - 1, "old; joined"), (BEFORE, "older words"), (AFTER, f"Keep the rules\n\n{WHY}"))
    assert (done.returncode, done.stdout) == (0, "commits: 1 checked, 0 break the rules\n")


def test_a_shallow_clone(history, tmp_path):
    """Of the history that there is, everything new is judged."""
    history((AFTER, "broken; but not here"), (AFTER, f"Keep the rules\n\n{WHY}"), (AFTER, "Merge branch 'a'"))
    clone = tmp_path / "clone"
    words = ["git", "clone", "--quiet", "--depth=2", "--branch=judged", tmp_path.as_uri(), clone]
    subprocess.run(words, check=True)
    assert run(clone).stdout == "commits: 2 checked, 0 break the rules\n"


def test_without_a_repository(tmp_path):
    """A source archive has no commits to judge."""
    done = run(tmp_path)
    assert done.returncode == 0
    assert "not checked" in done.stdout
