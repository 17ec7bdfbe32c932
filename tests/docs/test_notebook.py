"""``build_pipeline.ipynb``: it runs from a clone, a second time changes nothing, and it is committed with its outputs."""

import re
from pathlib import Path

import nbclient
import nbformat
import pytest

from shoplake import queries
from tests.support import dump, snapshots

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "build_pipeline.ipynb"


def execute(folder):
    """Run it as a person would, with the folder as the clone; returns it with its outputs."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    return notebook


def printed(notebook, number):
    return "".join(output.get("text", "") for output in notebook.cells[number].outputs)


def shown(notebook):
    """What each code cell shows as text, with the random ids of snapshots masked."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    texts = [[output.get("text") or output["data"]["text/plain"] for output in cell.outputs] for cell in cells]
    return [re.sub(r" *\d{15,}", " id", "".join(text)) for text in texts]


def where(notebook, text):
    return next(n for n, cell in enumerate(notebook.cells) if cell.cell_type == "code" and text in cell.source)


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clone")
    lake = folder / "build" / "notebook" / "lake"
    first = execute(folder)
    before = dump(lake), snapshots(lake)
    second = execute(folder)
    return first, second, before, (dump(lake), snapshots(lake))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_second_execution_changes_nothing(executed):
    first, second, before, after = executed
    run = where(first, "report = shoplake.ingest")
    arrived = where(first, "arrived = shoplake.ingest")
    assert printed(first, run).startswith("71 files, 72,728 lines\n")
    assert printed(first, arrived).startswith("3 files, 1,942 lines; unreadable: 1\n")
    assert all(printed(second, cell).startswith("0 files, 0 lines") for cell in (run, arrived))
    assert before == after
    assert "OK" in printed(second, where(second, "shoplake.verify"))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_files_that_arrive_meet_their_fates(executed):
    """Late: all lines count. Repeated: all are duplicates. Broken: the good ones count. Cut off: set aside."""
    first, *_, (rows, _) = executed
    arrived = printed(first, where(first, "arrived = shoplake.ingest"))
    assert "= 1,132 accepted + 807 duplicates + 3 quarantined" in arrived
    fates = {row["source_file"][-24:]: row for row in rows["ledger"]}
    assert fates["20251118-231000.jsonl.gz"]["accepted"] == 1129
    assert fates["19-002000_again.jsonl.gz"]["duplicates"] == 807
    assert (fates["20251119-030000.jsonl.gz"]["accepted"], fates["20251119-030000.jsonl.gz"]["quarantined"]) == (3, 3)
    assert fates["20251119-030500.jsonl.gz"]["status"] == "unreadable"
    assert [row["reasons"] for row in sorted(rows["quarantine"], key=lambda row: row["line_number"])] == [
        ["malformed_json"],
        ["bad_price"],
        ["missing_user_id"],
    ]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_each_question_shows_its_sql(executed):
    first, *_ = executed
    for query in queries.five():
        shown = first.cells[where(first, f'ask("{query.name}")')].outputs[0]["data"]["text/markdown"]
        assert query.sql in shown


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_it_is_committed_with_its_outputs(executed):
    """Every cell has been run, in order, and printed what it prints now; the plots are there."""
    first, *_ = executed
    committed = nbformat.read(NOTEBOOK, as_version=4)
    cells = [cell for cell in committed.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    run = where(committed, "report = shoplake.ingest")
    assert printed(committed, run) == printed(first, run)
    assert shown(committed) == shown(first)
    plots = [output for cell in cells for output in cell.outputs if "image/png" in output.get("data", {})]
    assert len(plots) == 6


def test_it_names_no_place_of_a_machine():
    assert "/work" not in NOTEBOOK.read_text("utf-8")
    assert "/home" not in NOTEBOOK.read_text("utf-8")
