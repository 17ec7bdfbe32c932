"""``make release``: the sdist and the wheels of this version in ``dist``, built twice, checked, and tried without the checkout.

Nothing is published: that needs a person. What lies in ``dist`` already believes that it is (``shoplake.PUBLISHED``), so that
a stack can install it by name; hand it to nobody before it is.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
SUMS = "SHA256SUMS"
UNPUBLISHED, PUBLISHED = "PUBLISHED = False\n", "PUBLISHED = True\n"
DEMO = ("--files", "3", "--events-per-file", "20000")
ASK = """
import json, pathlib, sys
import shoplake
from shoplake import queries
from shoplake.engines.native import library

assert "site-packages" in shoplake.__file__, shoplake.__file__
lake = shoplake.open("shoplake-demo/lake")
for query, oracle in zip(queries.five(), queries.oracle(), strict=True):
    rows = lake.sql(query.sql).fetchall()
    assert rows and rows == lake.sql(oracle.sql).fetchall(), query.name
    print(f"   yes  {query.name}: {len(rows)} rows")
works, reason = library.available()
print(f"   {'yes' if works else 'no '}  the native reader: {reason}")
sys.exit(0 if works or "--pure" in sys.argv else 1)
"""


def run(*words: str | Path, cwd: Path, **environment: str) -> None:
    """Run a command, with these variables added to the environment.

    Raises:
        subprocess.CalledProcessError: It failed; its output says why.
    """
    subprocess.run([str(word) for word in words], cwd=cwd, env={**os.environ, **environment}, check=True)  # noqa: S603


def stage(folder: Path) -> Path:
    """Copy what git tracks into a folder, as the release has it: published, with the template that follows from that.

    Raises:
        ValueError: The version is published already.
    """
    tree = folder / "tree"
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, stdout=subprocess.PIPE)  # noqa: S607
    for name in filter(None, tracked.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tree / name)
    module = tree / "src" / "shoplake" / "__init__.py"
    text = module.read_text("utf-8")
    if UNPUBLISHED not in text:
        raise ValueError(f"{module.name} does not say {UNPUBLISHED.strip()}: raise the version first")
    module.write_text(text.replace(UNPUBLISHED, PUBLISHED), "utf-8")
    run(sys.executable, "infra/build_template.py", cwd=tree, PYTHONPATH=f"{tree / 'src'}{os.pathsep}{tree}")
    return tree


def epoch() -> str:
    """The time of the newest commit, in seconds since 1970: the only time that gets into the files."""
    done = subprocess.run(
        ["git", "log", "-1", "--format=%ct"],  # noqa: S607
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return done.stdout.strip()


def targets() -> list[str]:
    """The platforms that a wheel is built for: all of hatch_build.py where Zig is there, and the wheel for any."""
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    if spec is None or spec.loader is None:
        raise ImportError("hatch_build.py")
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    return [*(build.TARGETS if importlib.util.find_spec("ziglang") else ()), build.PURE]


def build(staged: Path, folder: Path, seconds: str) -> dict[str, Path]:
    """Build the sdist, and each wheel from what the sdist holds.

    Args:
        staged: The sources, which stay as they are.
        folder: An empty folder for everything.
        seconds: The time that the files bear.

    Returns:
        The files by their name.
    """
    made, fixed = folder / "made", {"SOURCE_DATE_EPOCH": seconds}
    hatchling = (sys.executable, "-m", "hatchling", "build", "--directory", made)
    shutil.copytree(staged, folder / "tree")
    run(*hatchling, "--target", "sdist", cwd=folder / "tree", **fixed)
    with tarfile.open(next(made.glob("*.tar.gz"))) as archive:
        archive.extractall(folder, filter="data")
    source = next(folder.glob("shoplake-*"))
    for target in targets():
        run(*hatchling, "--target", "wheel", cwd=source, SHOPLAKE_TARGET=target, **fixed)
    return {path.name: path for path in sorted(made.iterdir())}


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def try_out(wheels: Path, folder: Path, *words: str) -> None:
    """Install the wheel that fits this machine in an empty environment, and run the demo and the five queries there."""
    environment = folder / "environment"
    run(sys.executable, "-m", "venv", environment, cwd=folder)
    python = environment / "bin" / "python"
    install = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    run(*install, "--require-hashes", "--requirement", ROOT / "requirements-runtime.lock", cwd=folder)
    run(*install, "--no-index", "--no-deps", "--find-links", wheels, "shoplake", cwd=folder)
    clean = {"PYTHONPATH": "", "PYTHONSAFEPATH": "1"}
    run(environment / "bin" / "shoplake", "demo", *DEMO, cwd=folder, **clean)
    run(python, "-c", ASK, *words, cwd=folder, **clean)


def main() -> None:
    """Build, compare, check, try out, and leave the files in ``dist``."""
    seconds = epoch()
    with tempfile.TemporaryDirectory() as place:
        staged, first, second = stage(Path(place)), Path(place, "first"), Path(place, "second")
        for folder in (first, second):
            folder.mkdir()
        files, again = build(staged, first, seconds), build(staged, second, seconds)
        print("1. built twice")
        for name, path in files.items():
            same = name in again and digest(path) == digest(again[name])
            print(f"   {'yes' if same else 'NO '}  {name}: the same bytes")
            if not same:
                sys.exit(1)
        print("2. twine check")
        run(sys.executable, "-m", "twine", "check", "--strict", *files.values(), cwd=first)
        print("3. installed without the checkout")
        try_out(first / "made", second, *(["--pure"] if len(files) == 2 else []))
        shutil.rmtree(DIST, ignore_errors=True)
        DIST.mkdir()
        for path in files.values():
            shutil.copy2(path, DIST)
    sums = "".join(f"{digest(DIST / name)}  {name}\n" for name in files)
    (DIST / SUMS).write_text(sums)
    print(f"{len(files)} files in dist, with {SUMS}. To publish them: twine upload dist/*.tar.gz dist/*.whl")


if __name__ == "__main__":
    main()
