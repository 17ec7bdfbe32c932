"""Any line meets the fate, for the reasons and with the values that an independent judge says.

Lines are made, seeded, in :mod:`tests.fuzz.lines`; the judge is :mod:`tests.judge`. `make test` judges 2,500 lines,
with those of `make proofs` it is 100,000, and 10,000 on Spark, where every file is a task. Another seed: SHOPLAKE_FUZZ_SEED=7.
"""

import gzip
import os
from collections import Counter
from datetime import UTC, datetime

import pytest

from shoplake.contract import REASON_CODES, TOO_LONG
from shoplake.engines import choose
from shoplake.ingestion import pipeline
from shoplake.lake.catalog import Lake
from shoplake.settings import Settings
from shoplake.sources.local import LocalSource
from tests.fuzz.compare import disagreements, smallest
from tests.fuzz.lines import line
from tests.judge import judge_files
from tests.support import as_line, event, events, proofs, put_bytes

SEED = int(os.environ.get("SHOPLAKE_FUZZ_SEED", "1"))
LINES_A_RUN = 2_500
RUNS = range(40)
NOW = datetime(2025, 11, 30, tzinfo=UTC)
LATEST = datetime(2025, 12, 1)  # noqa: DTZ001 - times of the lake are UTC without a zone
SHOWN = 3

# Lines in front of the fuzzed ones: a long gap that no producer writes, or plain events.
LEAD = b" " * 3000 + as_line(event(5000))
PLAIN = [as_line(one) for one in events(3, first=6000)]


def runner(engine):
    def run(raw, lake):
        settings = Settings(max_quarantine_rate=1.0, threads=2, engine=engine)
        target = Lake(lake)
        start = choose.engine(settings, target)
        pipeline.ingest(pipeline.Run(target, LocalSource(raw), start, settings, now=lambda: NOW))

    return run


def files(first, count):
    """So many lines from a number on, in files of one and of many: slot, plain lines in front, fuzzed lines."""
    taken = 0
    for slot, size in enumerate((1, 2, 1, 10, 1, 20, 1, 80) * count):
        if taken >= count:
            return
        numbers = range(first + taken, first + min(taken + size, count))
        yield slot, [LEAD] if slot % 2 else PLAIN, [line(SEED, number) for number in numbers]
        taken += size


@pytest.mark.parametrize("turn", [0, *proofs(*RUNS[1:])])
def test_fuzzed_lines(tmp_path, turn):
    """Fate, reasons, values and unknown keys of every line are the judge's."""
    are_judged_alike(tmp_path, "duckdb", turn * LINES_A_RUN, LINES_A_RUN)


@pytest.mark.parametrize("turn", proofs(*RUNS))
def test_fuzzed_lines_on_spark(tmp_path, session, turn):
    """So they are where Spark computes."""
    are_judged_alike(tmp_path, "spark", turn * LINES_A_RUN, LINES_A_RUN // 10)


def are_judged_alike(folder, engine, first, count):
    raw, lake = folder / "raw", folder / "lake"
    written = {}
    for slot, lead, lines in files(first, count):
        written[put_bytes(raw, slot, gzip.compress(b"\n".join([*lead, *lines]), 1))] = (lead, lines)
    run = runner(engine)
    run(raw, lake)
    found = disagreements(raw, lake, LATEST)
    messages = [smallest(*written[path], run, LATEST) for path in list(found)[:SHOWN]]
    assert not found, f"{len(found)} files disagree; seed {SEED}\n\n" + "\n\n".join(messages)


def test_lines_are_worth_it(tmp_path):
    """The lines end in every way that the contract knows, enough of them are accepted, and they are always the same."""
    for slot, lead, lines in files(0, LINES_A_RUN):
        put_bytes(tmp_path, slot, gzip.compress(b"\n".join([*lead, *lines]), 1))
    judged = [verdict for verdicts in judge_files(tmp_path, LATEST).values() for verdict in verdicts]
    assert {code for verdict in judged for code in verdict.reasons} == set(REASON_CODES) - {TOO_LONG}
    fates = Counter(verdict.fate for verdict in judged)
    assert fates["accepted"] > len(judged) / 5
    assert line(1, 17) == line(1, 17) != line(2, 17)
