"""Environments of tools that do not belong into the project's own: made once from PyPI, then kept in the user's cache."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "shoplake" / "tools"
EXTENSIONS = """
import importlib, pathlib, duckdb
connection = duckdb.connect()
for name in ("httpfs", "avro", "iceberg"):
    package = pathlib.Path(importlib.import_module(f"duckdb_extension_{name}").__file__).parent
    connection.execute(f"INSTALL '{next(package.rglob('*.duckdb_extension'))}'")
"""


def environment(name):
    """The folder of an environment's commands; skips the test where PyPI cannot be reached.

    Args:
        name: Of the file of its packages, without the suffix.
    """
    packages = HERE / f"{name}.txt"
    version = hashlib.sha256(packages.read_bytes() + sys.version.encode()).hexdigest()[:12]
    home = CACHE / f"{name}-{version}"
    if not (home / "complete").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
        words = [str(home / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", "-r", str(packages)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            asked = [*words[:1], "download", "--quiet", "--no-deps", "--dest", str(home / "asked"), "pip"]
            if subprocess.run(asked, capture_output=True, check=False).returncode:
                pytest.skip(
                    f"no package index can be reached: {packages.name} needs one once, then it is kept in {CACHE}"
                )
            pytest.fail(f"{packages.name} cannot be installed:\n{done.stderr}")
        (home / "complete").touch()
    return home / "bin"


def run(tools, words, folder, given=None, **variables):
    """Run something with the commands of an environment; returns what it wrote.

    DuckDB's extensions come from packages: where a user's INSTALL fetches them, here it finds them installed.
    """
    done = subprocess.run(
        words,
        cwd=folder,
        input=given,
        env=surroundings(tools, folder) | variables,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def surroundings(tools, folder):
    """The environment variables under which the commands of an environment run, with a home of their own."""
    home = folder / f"home-{tools.parent.name}"
    if not home.exists():
        home.mkdir()
        if any(tools.parent.rglob("iceberg.duckdb_extension")):
            run(tools, ["python", "-c", EXTENSIONS], folder)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SHOPLAKE_", "AWS_", "PYTHON"))}
    return clean | {"PATH": f"{tools}{os.pathsep}{clean['PATH']}", "HOME": str(home), "NO_COLOR": "1"}
