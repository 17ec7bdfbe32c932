"""Builds the blog post as HTML and .docx, with its pictures inside, in ``build/blog``; and the figures from their sources."""

# ruff: noqa: INP001, T201 - a script beside the pages it builds

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pypandoc
import resvg_py

DOCS = Path(__file__).parent
FIGURES = ("architecture", "aws")
RESTYLE = runpy.run_path(str(DOCS / "word_document.py"))["restyle"]
WIDTH = 1520  # twice the column, for sharp screens
_BYLINE = re.compile(r"^\*By ([^,]+), (\d+ \w+ \d{4})\.\s*", re.MULTILINE)


def picture(name: str) -> bytes:
    """A figure as PNG."""
    svg = (DOCS / "images" / f"{name}.svg").read_text("utf-8")
    return bytes(resvg_py.svg_to_bytes(svg_string=svg, width=WIDTH))


def byline(text: str) -> tuple[str, str]:
    """Who wrote a post and when: its first paragraph starts with ``*By AUTHOR, DATE.``.

    Raises:
        ValueError: If a post has no such line.
    """
    found = _BYLINE.search(text)
    if not found:
        raise ValueError("the post has no line that starts with '*By AUTHOR, DATE.'")
    return found[1], found[2]


def main(images: Path = DOCS / "images", out: Path = DOCS.parent / "build" / "blog") -> None:
    """Write the figures into one folder and the documents into another."""
    out.mkdir(parents=True, exist_ok=True)
    for name in FIGURES:
        (images / f"{name}.png").write_bytes(picture(name))
    for page in sorted((DOCS / "blog").glob("*.md")):
        text = page.read_text("utf-8")
        title = text.partition("\n")[0].removeprefix("# ")
        author, date = byline(text)
        for kind in ("html", "docx"):
            target = out / f"{page.stem}.{kind}"
            options = ["--standalone", f"--resource-path={page.parent}"]
            if kind == "html":
                options += ["--embed-resources", f"--css={page.parent / 'blog.css'}", f"--metadata=pagetitle:{title}"]
                options += [f"--metadata=author-meta:{author}", f"--metadata=date-meta:{date}"]
            else:  # Word has places of its own for the title, the author and the date
                text = _BYLINE.sub("*", text.partition("\n")[2])
                options += [f"--metadata={name}:{value}" for name, value in (("title", title), ("author", author))]
                options += [f"--metadata=date:{date}", "--shift-heading-level-by=-1"]
            pypandoc.convert_text(text, kind, format="gfm", outputfile=str(target), extra_args=options)
            if kind == "docx":
                RESTYLE(target)
            print(f"wrote {target}")


if __name__ == "__main__":
    main()
