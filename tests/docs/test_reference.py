"""The pages that derive from the code are what the code says now."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


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
    import re

    text = (ROOT / page).read_text("utf-8")
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
    missing = [
        target for target in targets if "://" not in target and not (ROOT / page.parent / target).resolve().exists()
    ]
    assert not missing
