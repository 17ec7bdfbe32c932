"""The bundles: exactly the versions of the locks, in the forms that Glue and the function take."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from shoplake.aws import bundles
from shoplake.errors import FatalError
from tests.aws.support import ROOT

LOCKS = ("requirements-glue.lock", "requirements-lambda.lock")


def pins(name: str) -> dict[str, str]:
    text = (ROOT / name).read_text("utf-8")
    return dict(re.findall(r"^([\w.-]+)==([\w.+]+)", text, re.MULTILINE))


def a_wheel(folder: Path, name: str, members: dict[str, str]) -> Path:
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, text in members.items():
            archive.writestr(member, text)
    return path


@pytest.fixture
def wheels(tmp_path: Path) -> list[Path]:
    one = {"one/__init__.py": "ONE = 1\n", "one/tests/test_it.py": "", "one-1.0.dist-info/METADATA": "Name: one\n"}
    two = {"two-1.0.data/purelib/two.py": "TWO = 2\n", "two-1.0.data/scripts/two": "", "two.pyi": ""}
    return [a_wheel(tmp_path, "two", two), a_wheel(tmp_path, "one", one)]


@pytest.mark.parametrize("lock", LOCKS)
def test_aws_gets_the_versions_that_the_tests_have(lock: str):
    """Numpy aside, of which Python 3.11 cannot have the newest."""
    ours, tested = pins(lock), pins("requirements.lock")
    assert {"duckdb", "pyarrow", "obstore", "fsspec", "numpy", "isal", "fastavro"} <= set(ours)
    tested_text = (ROOT / "requirements.lock").read_text("utf-8")
    for name, version in ours.items():
        assert version == tested[name] or f"\n{name}=={version} ;" in tested_text, name


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_hashes_no_index_and_no_condition(lock: str):
    """Pip would judge a condition by the Python that runs it, not by AWS's."""
    lines = [line for line in (ROOT / lock).read_text("utf-8").splitlines() if "==" in line]
    assert lines
    assert all(re.fullmatch(r"[\w.-]+==[\w.+]+ \\", line) for line in lines)
    assert "://" not in (ROOT / lock).read_text("utf-8")


def test_glue_gets_a_zip_of_wheels_with_a_list_of_them(wheels: list[Path], tmp_path: Path):
    bundles.zip_of_wheels(wheels, tmp_path / "x.gluewheels.zip")
    with zipfile.ZipFile(tmp_path / "x.gluewheels.zip") as archive:
        assert archive.read("wheels/requirements.txt") == b"one==1.0\ntwo==1.0\n"
        assert sorted(archive.namelist()) == [
            "wheels/one-1.0-py3-none-any.whl",
            "wheels/requirements.txt",
            "wheels/two-1.0-py3-none-any.whl",
        ]


def test_the_function_gets_what_the_wheels_install_without_tests(wheels: list[Path], tmp_path: Path):
    bundles.unpacked(wheels, tmp_path / "x.lambda.zip")
    with zipfile.ZipFile(tmp_path / "x.lambda.zip") as archive:
        assert archive.namelist() == ["one-1.0.dist-info/METADATA", "one/__init__.py", "two.py"]
        archive.extractall(tmp_path / "there")
    said = subprocess.run(
        [sys.executable, "-c", "import one, two; print(one.ONE + two.TWO)"],
        env={**os.environ, "PYTHONPATH": str(tmp_path / "there")},
        check=True,
        stdout=subprocess.PIPE,
    )
    assert said.stdout == b"3\n"


def test_equal_contents_make_equal_bundles(wheels: list[Path], tmp_path: Path):
    for make in (bundles.zip_of_wheels, bundles.unpacked):
        make(wheels, tmp_path / "first.zip")
        for wheel in wheels:
            os.utime(wheel, (0, 0))
        make(wheels[::-1], tmp_path / "second.zip")
        assert (tmp_path / "first.zip").read_bytes() == (tmp_path / "second.zip").read_bytes()


def test_the_key_changes_with_the_contents(wheels: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def download(*_: object) -> list[Path]:
        return [wheels[0]]

    monkeypatch.setattr(bundles, "download", download)
    monkeypatch.setattr(bundles, "build_wheel", lambda *_: wheels[1])
    keys = []
    for number, text in enumerate(("ONE = 1\n", "ONE = 1\n", "ONE = 2\n")):
        a_wheel(tmp_path, "one", {"one/__init__.py": text})
        folder = tmp_path / str(number)
        folder.mkdir()
        keys.append(bundles.build(ROOT, folder, "1.0").key)
    assert keys[0] == keys[1] != keys[2]
    assert re.fullmatch(r"code/shoplake-1\.0-[0-9a-f]{12}", keys[0])


@pytest.mark.parametrize("digest", [None, "0" * 64, ""], ids=["its hash", "another hash", "no hash"])
def test_a_library_that_is_not_the_one_of_the_lock_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digest: str | None
):
    about = {
        "METADATA": "Metadata-Version: 2.1\nName: one\nVersion: 1.0\n",
        "RECORD": "",
        "WHEEL": "Wheel-Version: 1.0\n",
    }
    wheel = a_wheel(tmp_path, "one", {f"one-1.0.dist-info/{name}": text for name, text in about.items()})
    own = hashlib.sha256(wheel.read_bytes()).hexdigest()
    lock = tmp_path / "a.lock"
    lock.write_text("one==1.0" + (f" --hash=sha256:{own if digest is None else digest}" if digest != "" else "") + "\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    if digest is None:
        assert [path.name for path in bundles.download(lock, "3.13", tmp_path / "got")] == [wheel.name]
    else:
        with pytest.raises(FatalError, match=r"the libraries of a\.lock cannot be downloaded"):
            bundles.download(lock, "3.13", tmp_path / "got")


@pytest.mark.parametrize(("needs", "runs"), [(b"GLIBC_2.34", True), (b"GLIBC_2.35", False), (b"", True)])
def test_a_native_reader_that_needs_a_newer_libc_is_left_out(tmp_path: Path, needs: bytes, runs: bool):
    with zipfile.ZipFile(tmp_path / "a.whl", "w") as archive:
        archive.writestr("shoplake/engines/native/plain.so", b"\0GLIBC_2.2.5\0" + needs)
    assert bundles.runs_on_aws(tmp_path / "a.whl") is runs


def test_a_wheel_without_a_native_reader_is_not_taken_for_one_with_it(tmp_path: Path):
    assert not bundles.runs_on_aws(a_wheel(tmp_path, "one", {"one.py": ""}))
