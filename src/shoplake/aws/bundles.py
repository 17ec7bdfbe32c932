"""What AWS installs for the pipeline: the wheel of this checkout with every library, in exactly the versions of the locks.

Two bundles are made, since Glue 5.1 has Python 3.11 and the function 3.13; both run on x86-64 with glibc 2.34. Glue installs
its own with pip and without an index, the function unpacks its own.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import util
from pathlib import Path

from shoplake.errors import FatalError

GLUE_SUFFIX = ".gluewheels.zip"  # by which Glue knows a zip of wheels
LAMBDA_SUFFIX = ".lambda.zip"
SUFFIXES = (GLUE_SUFFIX, LAMBDA_SUFFIX)
ZIG_TARGET = "x86_64-linux-gnu.2.28"
GLIBC = 34
"""The minor version of glibc 2 that both services have (Amazon Linux 2023)."""
_PYTHON = {GLUE_SUFFIX: ("requirements-glue.lock", "3.11"), LAMBDA_SUFFIX: ("requirements-lambda.lock", "3.13")}
_SOURCES = ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", "queries.sql", "capstone-starter.cfn.yaml")
_BEGINNING = (1980, 1, 1, 0, 0, 0)  # the time of every member, so that equal contents make equal bundles
# Only building against a library, testing it, or a server that shoplake does not talk to needs these.
_LEFT_OUT = re.compile(
    r"/(tests?|include|examples)/|\.(pyi|pxd|pyx|pxi|h|hpp|c|cc|lib|a)$|^bin/|^numpy/f2py/"
    r"|^pyarrow/(src/|libarrow_(flight|s3|python_flight)|libarrow_python\w*\.so(\.\d+\.\d+\.\d+)?$"
    r"|_(flight|substrait|orc|dataset_orc|gcsfs|azurefs|s3fs|hdfs|pyarrow_cpp_tests)\b)"
)


@dataclass(frozen=True)
class Bundles:
    """Where the bundles belong and where they are.

    Attributes:
        key: Their key in the lake bucket without the suffix: it changes whenever anything in them does.
        files: The bundles on this machine by their suffix.
    """

    key: str
    files: dict[str, Path]

    @property
    def keys(self) -> dict[str, Path]:
        """The bundles by their whole key."""
        return {self.key + suffix: path for suffix, path in self.files.items()}


def build(checkout: Path, folder: Path, version: str) -> Bundles:
    """Build both bundles.

    Args:
        checkout: The source tree with its lock files.
        folder: An empty folder for everything.
        version: The version of the wheel.

    Raises:
        FatalError: The wheel cannot be built, or a library cannot be downloaded in the version of the lock.
    """
    wheel = build_wheel(checkout, folder)
    files = {}
    for suffix, (lock, python) in _PYTHON.items():
        wheels = [*download(checkout / lock, python, folder / suffix.strip(".")), wheel]
        files[suffix] = folder / f"bundle{suffix}"
        (zip_of_wheels if suffix == GLUE_SUFFIX else unpacked)(wheels, files[suffix])
    digest = hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in files.values()))
    return Bundles(f"code/shoplake-{version}-{digest.hexdigest()[:12]}", files)


def build_wheel(checkout: Path, folder: Path) -> Path:
    """Build the wheel of a source tree into a folder: for AWS's machines with the native reader if it can be, else without.

    Zig compiles it on any machine; a compiler of this machine only where its library would run there.

    Raises:
        FatalError: It cannot be built.
    """
    here = sys.platform == "linux" and os.uname().machine == "x86_64"
    for target in [ZIG_TARGET] if util.find_spec("ziglang") else [""] if here else []:
        try:
            wheel = _wheel(checkout, folder, target)
        except FatalError:
            continue
        if runs_on_aws(wheel):
            return wheel
        wheel.unlink()
    return _wheel(checkout, folder, "any")


def runs_on_aws(wheel: Path) -> bool:
    """Whether a wheel has a native reader that needs no newer glibc than AWS has."""
    with zipfile.ZipFile(wheel) as archive:
        libraries = [archive.read(name) for name in archive.namelist() if name.endswith(".so")]
    needed = [int(minor) for octets in libraries for minor in re.findall(rb"GLIBC_2\.(\d+)", octets)]
    return bool(libraries) and max(needed, default=0) <= GLIBC


def download(lock: Path, python: str, folder: Path) -> list[Path]:
    """Download the wheels of a lock file, whose hashes pip checks, as they fit AWS's machines.

    Args:
        lock: The lock file.
        python: The version of Python there, such as ``3.13``.
        folder: Where they go.

    Raises:
        FatalError: One cannot be had.
    """
    platforms = [f"manylinux_2_{minor}_x86_64" for minor in range(GLIBC, 4, -1)]
    platforms += ["manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64"]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary", ":all:", "--require-hashes", "--implementation", "cp", "--python-version", python]
    command += [word for platform in platforms for word in ("--platform", platform)]
    _run(
        [*command, "--dest", str(folder), "--requirement", str(lock)],
        f"the libraries of {lock.name} cannot be downloaded",
    )
    return sorted(folder.glob("*.whl"))


def zip_of_wheels(wheels: Sequence[Path], target: Path) -> None:
    """The form that Glue takes: https://docs.aws.amazon.com/glue/latest/dg/aws-glue-programming-python-libraries.html."""
    names = ["==".join(path.name.split("-")[:2]) for path in wheels]
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(wheels, key=lambda path: path.name):
            archive.writestr(zipfile.ZipInfo(f"wheels/{path.name}", _BEGINNING), path.read_bytes())
        archive.writestr(
            zipfile.ZipInfo("wheels/requirements.txt", _BEGINNING), "".join(f"{name}\n" for name in sorted(names))
        )


def unpacked(wheels: Sequence[Path], target: Path) -> None:
    """What the wheels install, in one zip, without what only building and testing need."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for path in sorted(wheels, key=lambda path: path.name):
            with zipfile.ZipFile(path) as wheel:
                for name, place in _installed(wheel.namelist()):
                    about = zipfile.ZipInfo(place, _BEGINNING)
                    about.compress_type = zipfile.ZIP_DEFLATED
                    archive.writestr(about, wheel.read(name))


def _installed(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The members of a wheel that get into site-packages, with their places there."""
    for name in sorted(names):
        place = re.sub(r"^[^/]+\.data/(purelib|platlib)/", "", name)
        if not place.endswith("/") and not re.match(r"[^/]+\.data/", place) and not _LEFT_OUT.search(place):
            yield name, place


def _wheel(checkout: Path, folder: Path, target: str) -> Path:
    with tempfile.TemporaryDirectory() as copied:  # compiling puts the library beside its source
        tree = Path(copied) / "tree"
        for name in ("src", "grading"):
            shutil.copytree(
                checkout / name, tree / name, ignore=shutil.ignore_patterns("__pycache__", "plain.so", "plain.d*")
            )
        for name in _SOURCES:
            shutil.copy2(checkout / name, tree / name)
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--wheel-dir", str(folder), str(tree)]
        if util.find_spec("hatchling"):
            command.append("--no-build-isolation")
        _run(command, "the wheel cannot be built", SHOPLAKE_TARGET=target)
    return next(folder.glob("shoplake-*.whl"))


def _run(command: list[str], failure: str, **environment: str) -> None:
    done = subprocess.run(  # noqa: S603 - our own words
        command, capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )
    if done.returncode:
        raise FatalError(
            f"{failure}: {done.stderr.strip()[-500:]}", remedy="Is PyPI reachable? pip install hatchling ziglang"
        )
