"""The files of a release: the same bytes each time, published by what they say of themselves, and with pinned versions."""

import re
import tarfile
import zipfile

import pytest

import shoplake
from infra import build_template, release


@pytest.fixture(scope="module")
def staged(tmp_path_factory):
    return release.stage(tmp_path_factory.mktemp("staged"))


@pytest.fixture(scope="module")
def files(staged, tmp_path_factory):
    return release.build(staged, tmp_path_factory.mktemp("first"), release.epoch())


def test_building_again_gives_the_same_bytes(staged, files, tmp_path):
    again = release.build(staged, tmp_path, release.epoch())
    assert {name: release.digest(path) for name, path in files.items()} == {
        name: release.digest(path) for name, path in again.items()
    }


def test_there_is_an_sdist_and_a_wheel_for_any_platform(files):
    version = shoplake.__version__
    assert {f"shoplake-{version}.tar.gz", f"shoplake-{version}-py3-none-any.whl"} <= set(files)
    with tarfile.open(files[f"shoplake-{version}.tar.gz"]) as archive:
        assert f"shoplake-{version}/src/shoplake/engines/native/plain.c" in archive.getnames()


def test_a_release_names_itself_in_the_template_with_the_versions_of_the_lock(files):
    """From the day it is published on, create-stack alone is the whole pipeline."""
    version = shoplake.__version__
    with zipfile.ZipFile(files[f"shoplake-{version}-py3-none-any.whl"]) as wheel:
        module = wheel.read("shoplake/__init__.py").decode()
        template = wheel.read("shoplake/capstone-starter.cfn.yaml").decode()
    assert release.PUBLISHED in module
    default = re.search(r"ShoplakePackage:\n(?:    .*\n)*?    Default: (.*)\n", template)
    assert default
    own, *others = default[1].split(",")
    assert own == f"shoplake=={version}"
    assert others == build_template.pins()
    assert all("==" in one for one in others)
    assert {one.partition("==")[0] for one in others} >= {"duckdb", "pyarrow", "obstore", "fsspec"}


def test_until_then_the_template_names_nothing_that_others_could_publish():
    assert not shoplake.PUBLISHED
    assert re.search(r"ShoplakePackage:\n(?:    .*\n)*?    Default: ''\n", build_template.build())


def test_a_version_that_is_published_is_not_built_again(tmp_path, monkeypatch):
    monkeypatch.setattr(release, "UNPUBLISHED", "PUBLISHED = None\n")
    with pytest.raises(ValueError, match="raise the version first"):
        release.stage(tmp_path)
