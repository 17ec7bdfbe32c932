"""Without the native reader the tables are the same, value for value."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from shoplake.engines.reading_sql import SqlReading
from shoplake.generator.faults import Faults
from shoplake.generator.files import generate_files
from tests.native.support import needed
from tests.native.test_lines import PLAIN
from tests.support import START, dump, event, events, ingest, proof, put


def tables(raw, lake, monkeypatch, switch):
    monkeypatch.setenv("SHOPLAKE_NATIVE", switch)
    ingest(raw, lake)
    return dump(lake)


@needed
@pytest.mark.parametrize("profile", ["realistic", "uniform"])
def test_generated_files_with_faults(tmp_path, monkeypatch, profile):
    generate_files(tmp_path / "raw", 3, (3000, 3000), START, 7, profile, faults=Faults.heavy())
    native = tables(tmp_path / "raw", tmp_path / "native", monkeypatch, "1")
    assert native == tables(tmp_path / "raw", tmp_path / "sql", monkeypatch, "0")


@needed
def test_every_form_of_plain_lines(tmp_path, monkeypatch):
    for slot, lines in enumerate(PLAIN.values()):
        put(tmp_path / "raw", slot, [*lines, b"broken", b"", b'{"timestamp": 1}'])
    native = tables(tmp_path / "raw", tmp_path / "native", monkeypatch, "1")
    assert native["events"]
    assert native == tables(tmp_path / "raw", tmp_path / "sql", monkeypatch, "0")


def test_keys_hidden_in_lines_as_long_as_plain_ones(tmp_path, monkeypatch):
    """Without the native reader it is not by its length that a line is known to hold nothing but its fields."""
    spaced = [json.dumps(one).encode() for one in events(20)]
    compact = [json.dumps(one | {"currency": "EUR"}, separators=(",", ":")).encode() for one in events(3, first=20)]
    assert [len(line) for line in compact] == [len(json.dumps(one)) for one in events(3, first=20)]
    renamed = json.dumps(event(30, "page_view")).replace('"quantity": null', '"quantitY": null').encode()
    put(tmp_path / "raw", 0, [*spaced, *compact, renamed])
    monkeypatch.setenv("SHOPLAKE_NATIVE", "0")
    report = ingest(tmp_path / "raw", tmp_path / "lake")
    assert (report.accepted, report.unknown_keys) == (24, {"currency": 3, "quantitY": 1})


@needed
def test_the_switch_switches(tmp_path, monkeypatch):
    """The path without the library is really taken, or the comparisons above would prove nothing."""
    taken: list[int] = []
    real = SqlReading.check

    def check(self, path):
        taken.append(1)
        return real(self, path)

    monkeypatch.setattr(SqlReading, "check", check)
    put(tmp_path / "raw", 0, PLAIN["compact"])
    tables(tmp_path / "raw", tmp_path / "native", monkeypatch, "1")
    assert taken == []
    tables(tmp_path / "raw", tmp_path / "sql", monkeypatch, "0")
    assert taken == [1]


BEHAVIOUR = Path(__file__).parents[1] / "behaviour"
PARTS = sorted(
    part.name for part in BEHAVIOUR.iterdir() if part.name.startswith("test_") or (part / "conftest.py").is_file()
)


@proof
@pytest.mark.parametrize("part", PARTS)
def test_the_behaviour_suite_without_it(part):
    """Each test of what shoplake does passes as well where no line is read natively; those on Spark read alike."""
    variables = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "SHOPLAKE_PROOFS"))
    }
    command = [sys.executable, "-m", "pytest", "-q", "-n0", "-m", "not spark", str(BEHAVIOUR / part)]
    done = subprocess.run(
        command, env={**variables, "SHOPLAKE_NATIVE": "0"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-5000:]
