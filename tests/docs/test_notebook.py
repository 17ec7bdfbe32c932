"""``build_pipeline.ipynb``: it runs from a clone, a second time changes nothing, and it is committed with its outputs."""

import shutil
from pathlib import Path

import nbclient
import nbformat
import pytest

from tests.support import dump

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "build_pipeline.ipynb"


def execute(folder):
    """Run it as a person would, with the folder as the clone; returns it with its outputs."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    return notebook


def printed(notebook, number):
    return "".join(output.get("text", "") for output in notebook.cells[number].outputs)


def where(notebook, text):
    return next(n for n, cell in enumerate(notebook.cells) if cell.cell_type == "code" and text in cell.source)


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clone")
    shutil.copytree(ROOT / "sample-data", folder / "sample-data")
    first = execute(folder)
    before = dump(folder / "build" / "notebook-lake")
    second = execute(folder)
    return first, second, before, dump(folder / "build" / "notebook-lake")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_second_execution_changes_nothing(executed):
    first, second, before, after = executed
    run = where(first, "report = shoplake.ingest")
    assert "6 files" in printed(first, run)
    assert "0 files" in printed(second, run)
    assert before == after
    assert "OK" in printed(second, where(second, "shoplake.verify"))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_it_is_committed_with_its_outputs(executed):
    """Every cell has been run, in order, and printed what it prints now; the plots are there."""
    first, *_ = executed
    committed = nbformat.read(NOTEBOOK, as_version=4)
    cells = [cell for cell in committed.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    run = where(committed, "report = shoplake.ingest")
    assert printed(committed, run) == printed(first, run)
    plots = [output for cell in cells for output in cell.outputs if "image/png" in output.get("data", {})]
    assert len(plots) == 5


def test_it_names_no_place_of_a_machine():
    assert "/work" not in NOTEBOOK.read_text("utf-8")
    assert "/home" not in NOTEBOOK.read_text("utf-8")
