"""The command line, called in this process, and a lake that was made by a process of its own."""

import os
import subprocess
import sys

import pytest

from tests.support import command, event, events, key, put


@pytest.fixture
def call(monkeypatch, tmp_path):
    """Calls the command line in this process, from an empty working directory and without settings around."""
    for name in [name for name in os.environ if name.startswith("SHOPLAKE_")]:
        monkeypatch.delenv(name)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return command


@pytest.fixture(scope="session")
def shop(tmp_path_factory):
    """A source and its lake, made by commands in processes of their own; tests here only read them."""
    folder = tmp_path_factory.mktemp("shop")
    put(folder / "raw", 0, events(60))
    put(folder / "raw", 1, [*events(60, first=50), b"broken", event(3, quantity=1)])
    (folder / "raw" / "cut.jsonl.gz").write_bytes((folder / "raw" / key(0)).read_bytes()[:100])
    words = [sys.executable, "-m", "shoplake", "ingest", "--source", "raw", "--lake", "lake", "--format", "json"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    (folder / "report.json").write_text(done.stdout)
    return folder
