"""Builds the blog post as HTML and .docx, with its picture inside, in ``build/blog``; and the picture from its source."""

# ruff: noqa: INP001, T201 - a script beside the pages it builds

from __future__ import annotations

from pathlib import Path

import pypandoc
import resvg_py

DOCS = Path(__file__).parent
WIDTH = 1520  # twice the column, for sharp screens


def picture() -> bytes:
    """The architecture diagram as PNG."""
    svg = (DOCS / "images" / "architecture.svg").read_text("utf-8")
    return bytes(resvg_py.svg_to_bytes(svg_string=svg, width=WIDTH))


def main(images: Path = DOCS / "images", out: Path = DOCS.parent / "build" / "blog") -> None:
    """Write the picture into one folder and the documents into another."""
    out.mkdir(parents=True, exist_ok=True)
    (images / "architecture.png").write_bytes(picture())
    for page in sorted((DOCS / "blog").glob("*.md")):
        title = page.read_text("utf-8").partition("\n")[0].removeprefix("# ")
        for kind in ("html", "docx"):
            target = out / f"{page.stem}.{kind}"
            options = ["--standalone", f"--resource-path={page.parent}", f"--metadata=pagetitle:{title}"]
            if kind == "html":
                options += ["--embed-resources", f"--css={page.parent / 'blog.css'}"]
            pypandoc.convert_file(str(page), kind, format="gfm", outputfile=str(target), extra_args=options)
            print(f"wrote {target}")


if __name__ == "__main__":
    main()
