"""Without the native reader the tables are the same, value for value. ``SHOPLAKE_NATIVE=0 make test`` runs every test so."""

import pytest

from shoplake.engines.reading_sql import SqlReading
from shoplake.generator.faults import Faults
from shoplake.generator.files import generate_files
from tests.native.support import needed
from tests.native.test_lines import PLAIN
from tests.support import START, dump, ingest, put


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
