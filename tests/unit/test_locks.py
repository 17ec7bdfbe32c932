"""The locked environments: of shoplake alone, for `make demo`, and of its development."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.lock", "requirements-runtime.lock", "requirements-bench.lock")
# Leaves only what belongs to the locked distributions to be imported, then runs a command.
ALONE = """
import sys
from importlib.abc import MetaPathFinder
from importlib.metadata import packages_distributions

locked = set(sys.argv.pop(1).split(","))
owners = {module: {name.lower().replace("_", "-") for name in names} for module, names in packages_distributions().items()}

class Missing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if owners.get(name) and not owners[name] & locked:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
from shoplake.cli.main import main
main()
"""


def pins(lock):
    """Name and version of what a lock file pins, whatever the interpreter."""
    return set(re.findall(r"^\S+==\S+", (ROOT / lock).read_text("utf-8"), re.MULTILINE))


def names(requirements):
    return {re.split(r"[^\w.-]", one)[0].lower().replace("_", "-") for one in requirements}


def test_runtime_is_part_of_development():
    """It has the same versions, the dependencies of the package, and what reaches S3 and shows the dashboard."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    declared = [
        *project["dependencies"],
        *project["optional-dependencies"]["s3"],
        *project["optional-dependencies"]["web"],
    ]
    runtime = pins("requirements-runtime.lock")
    assert runtime < pins("requirements.lock")
    assert names(declared) < names(runtime)
    assert not names(runtime) & {"pyspark", "moto", "mypy", "pytest", "boto3", "pandas", "polars"}


@pytest.mark.parametrize("lock", LOCKS)
def test_locks_name_no_host(lock):
    """Whoever installs takes the index of the own settings; each file is known by its hash."""
    text = (ROOT / lock).read_text("utf-8")
    assert not re.findall(r"https?:|--index|--find-links", text)
    assert text.count("==") > 10
    assert all("--hash=sha256:" in part for part in re.split(r"^\S+==", text, flags=re.MULTILINE)[1:])


def alone(folder, *words):
    locked = ",".join({*names(pins("requirements-runtime.lock")), "shoplake"})
    command = [sys.executable, "-c", ALONE, locked, *map(str, words)]
    return subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", check=False)


def test_demo_needs_the_runtime_alone(tmp_path):
    """The demo and its dashboard run where nothing of the development environment can be imported."""
    done = alone(tmp_path, "demo", "--files", 2, "--events-per-file", 300)
    assert (done.returncode, done.stderr) == (0, "")
    lake = tmp_path / "shoplake-demo" / "lake"
    assert alone(tmp_path, "dashboard", "--lake", lake, "--export", tmp_path / "page.html").returncode == 0
    raw = tmp_path / "shoplake-demo" / "raw"
    (next(raw.rglob("*.gz"))).with_name("more.jsonl").write_text("{}\n", "utf-8")
    missing = alone(tmp_path, "ingest", "--engine", "spark", "--source", raw, "--lake", lake)
    assert "No module named 'pyspark'" in missing.stderr
