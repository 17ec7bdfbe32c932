"""One file of real size, end to end."""

import time

from shoplake.generator.faults import Faults
from shoplake.generator.files import generate_files
from tests.support import START, answers, ingest, oracle

EVENTS = 600_000


def test_full_size_file(tmp_path):
    """600,000 events with faults: every line has its fate and the five answers are exact, in a reasonable time."""
    (made,) = generate_files(tmp_path / "raw", 1, (EVENTS, EVENTS), START, 29, faults=Faults.demo(), workers=1)
    began = time.perf_counter()
    done = ingest(tmp_path / "raw", tmp_path / "lake")
    took = time.perf_counter() - began
    expected = made.expected
    assert (done.lines, done.accepted, done.duplicates, done.quarantined) == (
        *(expected.lines, expected.accepted),
        *(expected.duplicates, expected.quarantined),
    )
    assert done.lines >= EVENTS
    found = answers(tmp_path / "lake")
    assert found == oracle(tmp_path / "lake")
    assert sum(row[3] for row in found["user_activity"]) == done.accepted
    assert took < 60, "it takes 3 seconds on two idle cores"
