"""The blog post: its length, its picture, its figures, and the documents made of it."""

import re
import runpy
import struct
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
POST = ROOT / "docs" / "blog" / "exactly-once-on-a-laptop.md"
PICTURE = ROOT / "docs" / "images" / "architecture"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """What ``docs/build_blog.py`` writes, in a folder of its own: other fonts give another picture."""
    folder = tmp_path_factory.mktemp("blog")
    runpy.run_path(str(ROOT / "docs" / "build_blog.py"))["main"](folder, folder)
    return folder


def test_it_has_1500_to_2500_words():
    assert 1500 <= len(POST.read_text("utf-8").split()) <= 2500


def test_its_picture_is_there_and_wide_enough():
    """As wide as a column on a sharp screen, with the proportions of its source."""
    assert "(../images/architecture.png)" in POST.read_text("utf-8")
    width, height = struct.unpack(">II", PICTURE.with_suffix(".png").read_bytes()[16:24])
    box = re.search(r'viewBox="0 0 (\d+) (\d+)"', PICTURE.with_suffix(".svg").read_text("utf-8"))
    assert box
    assert width >= 1400
    assert width / height == pytest.approx(int(box[1]) / int(box[2]), rel=0.01)


def test_its_timings_are_those_of_the_recorded_results():
    """Each figure of its table is a rounded one of bench/RESULTS.md: the uniform hour comes first there, then the other."""
    results = (ROOT / "bench" / "RESULTS.md").read_text("utf-8")
    for told, contender in (
        ("shoplake, everything included", "shoplake"),
        ("naive DuckDB script", "duckdb_naive"),
        ("naive ClickHouse script", "clickhouse_naive"),
        ("naive Polars script", "polars_naive"),
    ):
        (figures,) = re.findall(rf"\| {told} \| ([\d.]+) \| ([\d.]+) \|", POST.read_text("utf-8"))
        measured = re.findall(rf"\| {contender} \| ([\d.]+) \|", results)[:2]
        assert list(figures) == [f"{float(figure):.1f}" for figure in measured]


def test_documents_hold_the_picture(built):
    """The .docx opens anywhere with its picture inside, and so does the page."""
    with zipfile.ZipFile(built / f"{POST.stem}.docx") as document:
        assert any(name.startswith("word/media/") for name in document.namelist())
        assert "catalog.json" in document.read("word/document.xml").decode()
    page = (built / f"{POST.stem}.html").read_text("utf-8")
    assert "data:image/png;base64," in page
    assert not re.search(r"""(?:src|href)=["']http""", page)
