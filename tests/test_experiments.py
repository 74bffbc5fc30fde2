"""The pages that show committed experiments can make them anew: a run of two steps a stage, up to the cell that makes the rows."""

import json

import nbformat
import pandas as pd
import papermill
import pytest

from clipforget.core import project_root

SHORT = json.dumps({"forget_steps": 2, "remind_steps": 2, "align_steps": 1, "soup_points": 2})
PAGES = {"benchmark": {}, "search": {}, "ablation": {"groups": "EMA"}, "siblings": {"cases": "no pictures, no second stage"}, "continual": {}}


@pytest.mark.parametrize("page", PAGES)
def test_runs_are_made_and_found_again(page, tmp_path):
    notebook = nbformat.read(project_root() / "nbs" / f"{page}.ipynb", 4)
    making = next(k for k, cell in enumerate(notebook.cells) if cell.cell_type == "code" and "\nif make:\n" in cell.source)
    notebook.cells = notebook.cells[: making + 1]
    nbformat.write(notebook, tmp_path / "page.ipynb")
    given = {"make": True, "settings": SHORT, "results": str(tmp_path / "results"), **PAGES[page]}
    said = papermill.execute_notebook(tmp_path / "page.ipynb", None, given, cwd=tmp_path, progress_bar=False).cells[-1].outputs
    files = list((tmp_path / "results").rglob("*.csv"))
    assert files and all(len(pd.read_csv(f)) for f in files)
    assert any("their files are in" in output.get("text", "") for output in said)
