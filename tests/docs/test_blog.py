"""The blog post: its length, its pictures, its figures, and the documents made of it."""

import re
import runpy
import struct
import zipfile
from pathlib import Path

import docx
import pytest
from docx.shared import Inches, Pt

from shoplake import queries

ROOT = Path(__file__).parents[2]
POST = ROOT / "docs" / "blog" / "proving-its-numbers.md"
IMAGES = ROOT / "docs" / "images"
COLUMN = 624  # pixels: a page of A4 or Letter at 96 dpi, without its margins


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """What ``docs/build_blog.py`` writes, in a folder of its own: other fonts give another picture."""
    folder = tmp_path_factory.mktemp("blog")
    runpy.run_path(str(ROOT / "docs" / "build_blog.py"))["main"](folder, folder)
    return folder


def test_it_has_1500_to_2500_words():
    assert 1500 <= len(POST.read_text("utf-8").split()) <= 2500


@pytest.mark.parametrize("figure", ["architecture", "aws"])
def test_its_figures_are_there_and_readable(figure):
    """As wide as a column on a sharp screen, with the proportions of its source, and no text below 12 pixels in the column."""
    assert f"(../images/{figure}.png)" in POST.read_text("utf-8")
    width, height = struct.unpack(">II", (IMAGES / f"{figure}.png").read_bytes()[16:24])
    source = (IMAGES / f"{figure}.svg").read_text("utf-8")
    box = re.search(r'viewBox="0 0 (\d+) (\d+)"', source)
    assert box
    assert width >= 2 * COLUMN
    assert width / height == pytest.approx(int(box[1]) / int(box[2]), rel=0.01)
    sizes = [float(size) for size in re.findall(r"font-size[:=]\W*([\d.]+)", source)]
    assert min(sizes) * COLUMN / int(box[1]) >= 12


def test_every_picture_has_a_caption():
    """A line in italics below it that numbers it."""
    found = re.findall(r"!\[[^\]]{40,}\]\(\S+\)\n\n\*Figure (\d)\. [^*]+\*", POST.read_text("utf-8"))
    assert found == [str(number + 1) for number in range(POST.read_text("utf-8").count("!["))]


def test_the_question_it_quotes_is_the_one_of_the_file():
    """The SQL of the fifth question, word for word."""
    assert f"{queries.find('user_activity')[0].sql};\n" in POST.read_text("utf-8")


def test_its_timings_are_those_of_the_recorded_results():
    """Each figure of its table is a rounded one of bench/RESULTS.md: the uniform hour comes first there, then the other."""
    results = (ROOT / "bench" / "RESULTS.md").read_text("utf-8")
    for told, contender in (
        ("shoplake, everything included", "shoplake"),
        ("naive DuckDB script", "duckdb_naive"),
        ("naive ClickHouse script", "clickhouse_naive"),
    ):
        (figures,) = re.findall(rf"\| {told} \| ([\d.]+) \| ([\d.]+) \|", POST.read_text("utf-8"))
        measured = re.findall(rf"\| {contender} \| ([\d.]+) \|", results)[:2]
        assert list(figures) == [f"{float(figure):.1f}" for figure in measured]


def test_documents_hold_the_picture(built):
    """The .docx opens anywhere with its pictures inside, and so does the page."""
    with zipfile.ZipFile(built / f"{POST.stem}.docx") as document:
        assert len([name for name in document.namelist() if name.startswith("word/media/")]) == 3
        text = document.read("word/document.xml").decode()
        properties = document.read("docProps/core.xml").decode()
    assert "catalog.json" in text
    title = POST.read_text("utf-8").partition("\n")[0].removeprefix("# ")
    assert f"<dc:title>{title}</dc:title>" in properties
    assert re.search("<dc:creator>[^<]+</dc:creator>", properties)
    assert text.count(title) == 1
    page = (built / f"{POST.stem}.html").read_text("utf-8")
    assert page.count("data:image/png;base64,") == 3
    assert not re.search(r"""(?:src=|<link[^>]+href=)["']http""", page)  # a link to follow loads nothing


def test_the_document_can_be_read_as_it_is(built):
    """Columns hold their longest words and follow their texts, tables and pictures fit on the page, code has its font."""
    document = docx.Document(str(built / f"{POST.stem}.docx"))
    assert len(document.tables) == POST.read_text("utf-8").count("\n| ---")
    for table in document.tables:
        assert sum(column.width for column in table.columns) <= Inches(6.5)
        for column in table.columns:
            words = [word for cell in column.cells for word in cell.text.split()]
            assert column.width >= max(map(len, words), default=0) * Pt(5)
        longest = max(table.columns, key=lambda column: max(len(cell.text) for cell in column.cells))
        assert all(longest.width > column.width for column in table.columns if column._gridCol is not longest._gridCol)
    assert len(document.inline_shapes) == 3
    for picture in document.inline_shapes:
        assert picture.width <= Inches(6.2)
        assert picture.height <= Inches(4.9)
    assert document.styles["Verbatim Char"].font.name == "Courier New"
    assert document.styles["Verbatim Char"].font.size == Pt(9)
