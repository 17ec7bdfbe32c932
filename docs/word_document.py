"""The look of a Word document that pandoc wrote: what Google Docs keeps when it imports the file."""

# ruff: noqa: INP001 - a module beside the pages

from __future__ import annotations

from typing import TYPE_CHECKING

import docx
from docx.enum.text import WD_ALIGN_PARAGRAPH
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls, qn
from docx.shared import Emu, Inches, Pt, RGBColor

if TYPE_CHECKING:
    from pathlib import Path

    from docx.document import Document
    from docx.styles.style import ParagraphStyle
    from docx.table import Table

PROSE, CODE = "Arial", "Courier New"  # fonts that Word and Google Docs both have
_INK, _GREY = RGBColor(0x1A, 0x20, 0x2C), RGBColor(0x4A, 0x55, 0x68)
_SIZES = {"Title": 22, "Author": 11, "Date": 11, "Heading 1": 15, "Heading 2": 12}
_PAPER, _MARGIN = (Inches(8.5), Inches(11)), Inches(1)
_COLUMN = _PAPER[0] - 2 * _MARGIN
_WIDTH, _HEIGHT = Inches(6.2), Inches(4.9)  # of a picture: with its caption it leaves room for text on the page
_GAP = 4  # characters between two columns
_CHARACTER = Pt(5)  # as wide as one is in a table, on average
_RULES = "".join(f'<w:{side} w:val="single" w:sz="4" w:color="CBD5E0"/>' for side in ("bottom", "insideH"))


def restyle(path: Path) -> None:
    """Give a document readable fonts, tables whose columns follow their texts, and pictures that leave room for text."""
    document = docx.Document(str(path))
    page = document.sections[0]
    page.page_width, page.page_height = _PAPER
    page.left_margin = page.right_margin = page.top_margin = page.bottom_margin = _MARGIN
    _fonts(document)
    for table in document.tables:
        _columns(table)
    for shape in document.inline_shapes:
        scale = min(_WIDTH / shape.width, _HEIGHT / shape.height)
        shape.width, shape.height = Emu(round(shape.width * scale)), Emu(round(shape.height * scale))
    for paragraph in document.paragraphs:
        following = paragraph._p.getnext()  # noqa: SLF001 - python-docx has no name for it, nor for a drawing
        if paragraph._p.findall(f".//{qn('w:drawing')}") or following.tag == qn("w:tbl"):  # noqa: SLF001
            paragraph.paragraph_format.keep_with_next = True  # with its caption, or its table
    document.save(str(path))


def _font(style: ParagraphStyle, name: str, size: float) -> None:
    style.font.name = name
    style.font.size = Pt(size)
    style.element.get_or_add_rPr().get_or_add_rFonts().set(qn("w:cs"), name)


def _fonts(document: Document) -> None:
    """Prose, headings and code, without the theme's own fonts."""
    for fonts in document.styles.element.iter(qn("w:rFonts")):
        for name in [name for name in fonts.attrib if name.endswith("Theme")]:
            del fonts.attrib[name]
    _font(document.styles["Normal"], PROSE, 10)
    for name, size in _SIZES.items():
        style = document.styles[name]
        _font(style, PROSE, size)
        style.font.bold = size > _SIZES["Author"]
        style.font.color.rgb = _INK if style.font.bold else _GREY
        style.paragraph_format.alignment = WD_ALIGN_PARAGRAPH.LEFT
    _font(document.styles["Verbatim Char"], CODE, 9)
    source = document.styles["Source Code"]
    source.paragraph_format.keep_together = True
    shade = parse_xml(f'<w:shd {nsdecls("w")} w:val="clear" w:fill="EDF2F7"/>')
    source.element.pPr.find(qn("w:wordWrap")).addprevious(shade)  # where the schema wants it
    document.styles["Compact"].paragraph_format.space_after = Pt(3)


def _columns(table: Table) -> None:
    """As wide as their longest word, and where the page has room, as their longest text; with a rule below each row."""
    texts = list(zip(*([cell.text for cell in row.cells] for row in table.rows), strict=True))
    words = [max(len(word) for text in column for word in text.split() or [""]) + _GAP for column in texts]
    wishes = [max(map(len, column)) + _GAP - word for column, word in zip(texts, words, strict=True)]
    share = min(1.0, max(0.0, _COLUMN / _CHARACTER - sum(words)) / (sum(wishes) or 1))
    widths = [Emu(round((word + wish * share) * _CHARACTER)) for word, wish in zip(words, wishes, strict=True)]
    table.autofit = False
    for column, width in zip(table.columns, widths, strict=True):
        column.width = width
    rows = list(table.rows)
    for row in rows:
        for cell, width in zip(row.cells, widths, strict=True):
            cell.width = width
            for paragraph in cell.paragraphs:
                paragraph.paragraph_format.keep_with_next = row is not rows[-1]  # a table stays on one page
                for run in paragraph.runs:
                    run.font.size = Pt(9.5)
    rules = parse_xml(f"<w:tblBorders {nsdecls('w')}>{_RULES}</w:tblBorders>")
    table._tbl.tblPr.find(qn("w:tblLayout")).addprevious(rules)  # noqa: SLF001 - where the schema wants it
