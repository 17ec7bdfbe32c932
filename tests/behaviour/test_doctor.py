"""``shoplake doctor`` and ``shoplake completion``: what they find on a machine, right or wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from shoplake import errors
from shoplake.health import doctor
from tests.support import command, events, ingest, put


def by_name(found):
    return {one["what"]: one for one in found}


def test_a_healthy_installation(tmp_path):
    put(tmp_path / "raw", 0, events(10))
    ingest(tmp_path / "raw", tmp_path / "lake")
    told = command("doctor", "--lake", tmp_path / "lake", "--source", tmp_path / "raw", "--format", "json")
    found = by_name(json.loads(told.out))
    assert told.code == 0
    assert {one["verdict"] for one in found.values()} <= {"ok", "-"}
    assert "1 file" in found["source"]["says"]
    assert "10 events" in found["lake"]["says"]


def test_the_native_reader_is_reported(monkeypatch):
    monkeypatch.setenv("SHOPLAKE_NATIVE", "0")
    found = by_name(json.loads(command("doctor", "--format", "json").out))
    assert found["native reader"]["verdict"] == "-"
    assert "SHOPLAKE_NATIVE is 0" in found["native reader"]["says"]
    assert "SHOPLAKE_NATIVE" not in found


def test_nothing_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = command("doctor")
    assert told.code == 0
    assert "not given" in told.out


@pytest.mark.parametrize(
    ("what", "prepare", "said"),
    [
        ("source", lambda folder: None, "is not a folder"),
        ("lake", lambda folder: (folder / "lake").write_text("no"), "is a file"),
        ("settings", lambda folder: (folder / "shoplake.toml").write_text("lak = 1"), "unknown setting: lak"),
        ("lake", lambda folder: ((folder / "lake").mkdir(), (folder / "lake/catalog.json").write_text("{")), "damaged"),
    ],
)
def test_what_stands_in_the_way_fails(tmp_path, monkeypatch, what, prepare, said):
    monkeypatch.chdir(tmp_path)
    prepare(tmp_path)
    told = command("doctor", "--lake", "lake", "--source", "raw", "--format", "json")
    found = by_name(json.loads(told.out))[what]
    assert told.code == 1
    assert found["verdict"] == "failed"
    assert said in found["says"]
    assert found["remedy"]


def test_a_variable_that_nobody_reads(monkeypatch):
    monkeypatch.setenv("SHOPLAKE_LAKES", "x")
    told = command("doctor")
    assert "Did you mean SHOPLAKE_LAKE?" in told.out


def test_an_empty_source_is_a_warning(tmp_path):
    told = command("doctor", "--source", tmp_path, "--format", "json")
    assert by_name(json.loads(told.out))["source"]["verdict"] == "warning"
    assert told.code == 0


def test_extras_that_are_missing(monkeypatch):
    """Each extra of pyproject.toml that a person may want is looked at; a missing one says how to get it."""
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    found = {one.name: one for one in doctor.examine({})}
    for extra in doctor.EXTRAS:
        assert found[extra].remedy == f"pip install -e '.[{extra}]' in the checkout"


def test_a_name_that_is_not_ours_is_never_installed(monkeypatch):
    """Before a release, somebody else may publish a package of our name: only a published version is asked for by it."""
    assert "shoplake" not in errors.installing("web")
    monkeypatch.setattr(errors, "PUBLISHED", True)
    assert errors.installing("web") == "pip install 'shoplake[web]'"


def test_completion_completes(tmp_path):
    """Bash, given the script, completes the commands."""
    script = tmp_path / "complete.sh"
    script.write_text(command("completion", "bash").out)
    asked = f"source {script}; COMP_WORDS=(shoplake ing); COMP_CWORD=1; _shoplake_completion shoplake; echo ${{COMPREPLY[@]}}"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", asked], env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "ingest"


def test_a_query_with_a_typo(tmp_path):
    put(tmp_path / "raw", 0, events(10))
    ingest(tmp_path / "raw", tmp_path / "lake")
    told = command("query", "top_product", "--lake", tmp_path / "lake")
    assert told.code == 2
    assert "Did you mean top_products?" in told.err
