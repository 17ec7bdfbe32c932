"""Makes ``capstone-starter.cfn.yaml`` from ``infra/template.yaml``. ``--check`` only says whether it is up to date.

Each ``<<name>>`` of the source is replaced by the text that the project itself uses, so that nothing stands there twice: the
generator, the handlers, the five queries, the columns of the raw table.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from shoplake import PUBLISHED, __version__, contract, queries

ROOT = Path(__file__).parents[1]
TEMPLATE = ROOT / "capstone-starter.cfn.yaml"
LARGEST = 51_200  # bytes that create-stack takes as --template-body


def build() -> str:
    """The text of the template.

    Raises:
        ValueError: It is larger than create-stack takes, or names something unknown.
    """
    parts = {
        "package": package(),
        "queries": "\n".join(_query(query) for query in queries.five()),
        "generator": _read("src/shoplake/generator/events.py") + "\n\n" + _handler(),
        "setup": _read("infra/setup.py"),
        "arrival": _read("infra/arrival.py"),
        "job": _read("jobs/glue_build_pipeline.py"),
        "head": _read("queries.sql").partition("\n\n")[0],
        "columns": "\n".join(f"- {{Name: {field.name}, Type: string}}" for field in contract.FIELDS),
    }
    text = re.sub(
        r"^( *)(.*)<<(\w+)>>$",
        lambda found: _indented(found[1] + found[2], parts[found[3]], " " * len(found[1])),
        _read("infra/template.yaml"),
        flags=re.MULTILINE,
    )
    if len(text.encode()) > LARGEST:
        raise ValueError(f"the template has {len(text.encode()):,} bytes, {LARGEST:,} are allowed")
    return text


def package() -> str:
    """What a stack installs if nothing else is said: this version by its name, once that is ours, with pinned libraries."""
    return ",".join([f"shoplake=={__version__}", *pins()]) if PUBLISHED else "''"


def pins() -> list[str]:
    """The libraries in the versions of the lock, as requirements: without commas, which separate them for Glue."""
    return re.findall(r"^[\w.-]+==[\w.+-]+", _read("requirements-glue.lock"), re.MULTILINE)


def _query(query: queries.NamedQuery) -> str:
    comment = f"-- {query.number}. {query.name}: {query.question}"
    sql = _indented("", f"{comment}\n{query.sql}", " " * 8)
    return f"    '{query.number}':\n      Name: {query.name}\n      Sql: |-\n        {sql}"


def _handler() -> str:
    """The handler without its head: what it imports stands before it in the template."""
    text = _read("infra/handler.py")
    return text[text.index("def lambda_handler") :]


def _indented(first: str, text: str, indent: str) -> str:
    return first + re.sub(r"\n(?=.)", "\n" + indent, text.rstrip("\n"))


def _read(path: str) -> str:
    return (ROOT / path).read_text("utf-8")


def main() -> None:
    """Write the template, or check it."""
    text = build()
    if "--check" in sys.argv:
        if not TEMPLATE.is_file() or TEMPLATE.read_text("utf-8") != text:
            sys.exit(f"{TEMPLATE.name} is not up to date: run python infra/build_template.py")
        return
    TEMPLATE.write_text(text, "utf-8")
    print(f"wrote {TEMPLATE.name}: {len(text.encode()):,} of {LARGEST:,} bytes")


if __name__ == "__main__":
    main()
