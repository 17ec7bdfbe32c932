"""Holds new commits to the rules of CONTRIBUTING.md: what git knows of a change should be readable in a list.

    python .ci/commits.py [REVISION]

Judges what came to REVISION (HEAD) after the commit that introduced the rules. Where the history does not reach back to
it, as in a shallow clone, the date of that commit takes its place; where there is no repository, nothing is judged.
"""

import re
import subprocess
import sys
from dataclasses import dataclass

BASE, BASE_TIME = "ad115f1006c3b18573f9361c3db701c12533cc75", 1795492261
SPARED = (
    "3f5415aed665fcd5d7d61976cd97f145cc22c455",
    "4422f6a9a4b6ff4170492e4e3ae97d695d5390b5",
    "7c50aee9ae5e3d0dbc0f19a768139a7ea1119f0e",
    "0a314b1cd2042b21e22ba97d1b911ad1cdf2bca3",
    "438db0ef5caae019d20d45ac683779308b7f5bc4",
    "a913175ba03dd5a4fcc7e8e725a834a11266e41a",
    "7ceb189e83422cde829336d4ceaf2eedcdd60df2",
)
"""Merged before there was a check."""
LIMIT = 72
FORMAT = "%H%x00%P%x00%ct%x00%s%x00%b%x01"
ABSOLUTE_PATH = re.compile(r"(?<![\w.:/])~?/[\w./-]+")
OTHER_FORM = re.compile(r".+(ed|ing|[^su]s)")
VERBS = re.compile("alias|bring|embed|exceed|feed|heed|need|proceed|seed|shed|shred|speed|succeed")
"""Those that look like another form than the imperative."""


@dataclass(frozen=True)
class Commit:
    """What a commit says of itself."""

    name: str
    parents: int
    time: int
    subject: str
    body: str

    @property
    def merges(self) -> bool:
        """Where a shallow clone ends, git knows no parents."""
        return self.parents > 1 or self.subject.startswith("Merge ")


def faults(commit: Commit) -> list[str]:
    """The rules that a commit breaks, each as a message."""
    found = []
    first = commit.subject.partition(" ")[0]
    if len(commit.subject) >= LIMIT:
        found.append(f"the subject has {len(commit.subject)} characters: fewer than {LIMIT} fit in a list")
    if ";" in commit.subject:
        found.append("the subject joins concerns with ';': one concern a commit")
    if not re.fullmatch(r"[A-Z][a-z-]+", first):
        found.append(f"the subject begins with {first!r}: begin with a verb, capitalized")
    elif OTHER_FORM.fullmatch(first.lower()) and not VERBS.fullmatch(first.lower()):
        found.append(f"the subject begins with {first!r}: use the imperative, as in 'Add'")
    if commit.merges and (path := ABSOLUTE_PATH.search(commit.subject)):
        found.append(f"the subject names {path[0]}: a path of one machine says nothing to others")
    if not commit.merges and not commit.body.strip():
        found.append("there is no body: say why")
    return found


def git(*words: str) -> str:
    """What git answers; raises CalledProcessError where it refuses."""
    return subprocess.run(["git", *words], capture_output=True, encoding="utf-8", check=True).stdout


def commits(revision: str) -> list[Commit]:
    """The commits that came to a revision after the base, the newest first."""
    reaches = subprocess.run(["git", "merge-base", "--is-ancestor", BASE, revision], capture_output=True, check=False)
    since = [f"{BASE}..{revision}"] if reaches.returncode == 0 else [revision]
    found = []
    for record in git("log", f"--format={FORMAT}", *since).split("\x01")[:-1]:
        name, parents, time, subject, body = record.lstrip("\n").split("\x00")
        found.append(Commit(name, len(parents.split()), int(time), subject, body))
    return [commit for commit in found if commit.time > BASE_TIME and commit.name not in SPARED]


def main(revision: str = "HEAD") -> int:
    """Print each fault; the exit code tells whether there was one."""
    try:
        judged = commits(revision)
    except (OSError, subprocess.CalledProcessError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip()
        print(f"commits: not checked, there is no history: {said}")
        return 0
    broken = [(commit, fault) for commit in judged for fault in faults(commit)]
    for commit, fault in broken:
        print(f"commits: {commit.name[:10]} {commit.subject!r}: {fault}")
    print(f"commits: {len(judged)} checked, {len({commit.name for commit, _ in broken})} break the rules")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
