"""Where the command line finds its settings, and what it says about those that are missing or wrong."""

import os
import subprocess
import sys

import pytest

import shoplake
from shoplake.errors import UsageError
from shoplake.settings import SETTINGS, Settings, load
from tests.behaviour.cli.support import tells
from tests.support import key


def test_no_lake_named(call):
    """Without a lake's name, the error says the three ways to name one."""
    tells(call("query"), 2, "--lake", "SHOPLAKE_LAKE", "shoplake.toml")


def test_missing_places(call, tmp_path):
    """A lake or a source that is not there is told with what to do; nothing is made."""
    tells(call("query", "--lake", tmp_path / "no"), 2, "there is no lake at", "shoplake ingest")
    tells(call("status", "--lake", tmp_path / "no"), 2, "there is no lake at")
    tells(call("ingest", "--lake", tmp_path / "no", "--source", tmp_path / "nowhere"), 2, "shoplake generate")
    tells(
        call("ingest", "--lake", tmp_path / "no", "--source", "gs://bucket/raw"), 2, "neither a local folder nor on S3"
    )
    assert not (tmp_path / "no").exists()


def test_settings_file(shop, call):
    """shoplake.toml in the working directory names the places; the environment goes before it, an option before both."""
    with open("shoplake.toml", "w") as file:  # noqa: PTH123 - the working directory is the point
        file.write(f'lake = "{shop / "lake"}"\nsource = "{shop / "raw"}"\nthreads = 1\n')
    assert call("status", "--format", "json").json["waiting"]["files"] == 0
    tells(call("query", "--lake", "elsewhere"), 2, "elsewhere")


def test_environment(shop, call, monkeypatch):
    """The environment names the places where no option does, and goes before the file."""
    with open("shoplake.toml", "w") as file:  # noqa: PTH123 - the working directory is the point
        file.write('lake = "from-the-file"\n')
    tells(call("query"), 2, "from-the-file")
    monkeypatch.setenv("SHOPLAKE_LAKE", str(shop / "lake"))
    assert call("query", "1", "--format", "json").code == 0


@pytest.mark.parametrize(
    "text", ['lake = "x"\nlaek = "y"\n', "lake = \n", 'lake = "x"\nthreads = "many"\n', "\xff"], ids=range(4)
)
def test_wrong_settings_file(call, text):
    """A settings file with a mistake is a usage error that names the file."""
    with open("shoplake.toml", "wb") as file:  # noqa: PTH123 - the working directory is the point
        file.write(text.encode("latin-1"))
    tells(call("query"), 2, "shoplake.toml")


def test_wrong_environment(call, monkeypatch):
    """A variable with a wrong value is a usage error that names it."""
    monkeypatch.setenv("SHOPLAKE_BATCH_BYTES", "lots")
    tells(call("query", "--lake", "x"), 2, "SHOPLAKE_BATCH_BYTES", "lots")


@pytest.mark.parametrize(
    ("variable", "value", "wanted"),
    [
        ("BATCH_BYTES", "0", "a whole number from 1"),
        ("BATCH_BYTES", "2.5", "a whole number from 1"),
        ("BATCH_BYTES", "1e9", "a whole number from 1"),
        ("THREADS", "-1", "a whole number from 0 to 1,024"),
        ("THREADS", "9" * 400, "a whole number from 0 to 1,024"),
        ("MAX_FUTURE_HOURS", "nan", "a number from 0"),
        ("MAX_FUTURE_HOURS", "-1", "a number from 0"),
        ("MAX_QUARANTINE_RATE", "7", "a number from 0 to 1"),
        ("MAX_QUARANTINE_RATE", "nan", "a number from 0 to 1"),
        ("FRESHNESS_MINUTES", "inf", "a number from 0"),
        ("ENGINE", "flink", "duckdb or spark"),
    ],
)
def test_out_of_range(call, monkeypatch, variable, value, wanted):
    """A value that its setting does not take is a usage error that names the variable, the value and the range."""
    monkeypatch.setenv(f"SHOPLAKE_{variable}", value)
    tells(call("status", "--lake", "x"), 2, f"SHOPLAKE_{variable}", f"must be {wanted}", repr(value))


@pytest.mark.parametrize("line", ["threads = 2.5", "threads = true", "lake = 5", "max_quarantine_rate = nan"])
def test_wrong_type_in_the_file(call, line):
    """TOML has types: a fraction, a truth value or a number where something else is meant is not rounded or guessed at."""
    with open("shoplake.toml", "w") as file:  # noqa: PTH123 - the working directory is the point
        file.write(line)
    tells(call("status"), 2, "shoplake.toml", line.split()[0])


@pytest.mark.parametrize(
    "words",
    [
        ("ingest", "--watch", "inf"),
        ("ingest", "--watch", "nan"),
        ("maintain", "--closed-after", "nan"),
        ("maintain", "--closed-after", "1e300"),
        ("maintain", "--older-than", "0.5"),
        ("experiment", "x", "--cuped-days", "nan"),
        ("experiment", "x", "--confidence", "nan"),
        ("cost", "--run-seconds", "nan"),
        ("cost", "--days", "-1"),
        ("dashboard", "--port", "65536"),
        ("quarantine", "show", "--limit", "0"),
        ("verify", "--lines", "-1"),
        ("generate", "--out", "x", "--files", "2.5"),
    ],
    ids=" ".join,
)
def test_option_out_of_range(call, words):
    """A number that an option does not take, NaN and the infinities among them, is a usage error with the range."""
    result = call(*words)
    assert (result.code, result.out) == (2, "")
    assert f"'{words[-2]}'" in result.err
    assert "it must be a" in result.err
    assert repr(words[-1]) in result.err


@pytest.mark.parametrize(
    "words",
    [
        ("ingest", "--source", "raw", "--max-quarantine-rate", "nan"),
        ("ingest", "--source", "raw", "--max-quarantine-rate", "7"),
        ("verify", "--sample", "nan"),
        ("verify", "--sample", "0"),
        ("verify", "--sample", "101%"),
    ],
    ids=" ".join,
)
def test_share_out_of_range(call, words):
    """A share is a share."""
    tells(call(*words, "--lake", "x"), 2, words[-2], "must be a number", repr(words[-1]))


@pytest.mark.parametrize("variants", ["control=nan,blue=1", "control=inf,blue=1", "control=-1,blue=1", "control=x,b=1"])
def test_weight_out_of_range(shop, call, variants):
    """The weight of a variant is a number above 0."""
    tells(call("experiment", "x", "--lake", shop / "lake", "--variants", variants), 2, "--variants", "a number above 0")


def test_settings_are_checked_in_python(shop):
    """Python's settings have the same names and ranges; a name that does not exist is refused, not ignored."""
    with pytest.raises(UsageError, match="batch_bytes must be a whole number from 1"):
        shoplake.ingest(shop / "raw", shop / "lake", batch_bytes=0)
    with pytest.raises(UsageError, match="unknown setting: batchbytes"):
        shoplake.ingest(shop / "raw", shop / "lake", batchbytes=10)
    with pytest.raises(UsageError, match="max_future_hours must be a number"):
        Settings(max_future_hours=float("nan"))


def test_one_default(call):
    """What nobody names has the declared default, however the settings are made; 0 threads are one per core."""
    assert Settings() == load()
    assert Settings().threads == os.cpu_count()
    assert {setting.name for setting in SETTINGS} == vars(Settings()).keys()


@pytest.mark.parametrize(
    "words",
    [
        ("query", "--sql", "SELECT 1", "--sql", "SELECT 2"),
        ("query", "--lake", "a", "--lake", "b"),
        ("erase", "--user", "a", "--user", "b", "--yes"),
        ("replay", "--from", "2025-01-01", "--from", "2025-01-02"),
        ("quarantine", "list", "--by", "file", "--by", "reason"),
    ],
    ids=" ".join,
)
def test_an_option_given_twice(call, words):
    """Nothing that was given is dropped in silence."""
    result = call(*words)
    assert (result.code, result.out) == (2, "")
    option = next(word for word in words if words.count(word) == 2)
    assert f"{option} was given 2 times" in result.err


@pytest.mark.parametrize("events", ["0", "-5", "1e3", "nan", "5-3", "99999999999999999999", "1-999999999999"])
def test_events_out_of_range(call, events):
    """A number of events is one that a file can have."""
    tells(call("generate", "--out", "x", "--events-per-file", events), 2, "from 1 to 100,000,000", repr(events))


def test_options_that_may_be_given_often(shop, call):
    """These count all: of a replay's files none is left out."""
    files = ("--files", key(0), "--files", key(1), "--dry-run", "--format", "json")
    assert call("replay", "--source", shop / "raw", "--lake", shop / "lake", *files).json["files"] == 2
    assert call("cost", "--every", "5", "--every", "15", "--format", "json").code == 0


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a working directory cannot be removed")
@pytest.mark.parametrize(
    "words",
    [
        "ingest --source raw --lake lake",
        "status --lake lake",
        "generate --out raw --files 2 --events-per-file 5",
        "demo --files 2 --events-per-file 5",
        "doctor",
        "cost",
        "erase --user u --lake lake --yes",
        "dashboard --lake lake --export x.html",
        "query 1 --lake lake --out x.csv",
    ],
)
def test_every_command_in_a_removed_working_directory(words, tmp_path):
    """A working directory that is gone is an error in words, or none where it is not needed."""
    (tmp_path / "gone").mkdir()
    command = f'cd gone && rmdir ../gone && "{sys.executable}" -m shoplake {words}'
    done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False)  # noqa: S602
    assert "Traceback" not in done.stderr
    assert done.returncode in {0, 1, 2}
    assert done.returncode == 0 or len(done.stderr.strip().splitlines()) >= 2 or words == "doctor"
