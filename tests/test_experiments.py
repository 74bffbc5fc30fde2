"""The pages that show committed experiments can make them anew: a run of two steps a stage, up to the cell that makes the rows."""

import pandas as pd
import pytest
import torch
from execnb.nbio import mk_cell, read_nb
from execnb.shell import CaptureShell

from clipforget import task
from clipforget.core import project_root

SHORT = '{"forget_steps": 2, "remind_steps": 2, "align_steps": 1, "soup_points": 2}'
PAGES = {
    "benchmark": {},
    "search": {},
    "ablation": {"groups": "EMA"},
    "siblings": {"cases": "no pictures, no second stage"},
    "continual": {},
}


@pytest.mark.parametrize("page", PAGES)
def test_runs_are_made(page, tmp_path, monkeypatch):
    whole = task.emoji_suite  # every tenth picture is enough to see that runs are made
    tenth = lambda part: part.subset(torch.arange(0, len(part), 10))
    monkeypatch.setattr(task, "emoji_suite", lambda *args: {n: tenth(p) for n, p in whole(*args).items()})
    notebook = read_nb(project_root() / "nbs" / f"{page}.ipynb")
    making = next(
        k for k, cell in enumerate(notebook.cells) if cell.cell_type == "code" and "\nif make:\n" in cell.source
    )
    defaults = next(k for k, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", []))
    given = {"make": True, "settings": SHORT, "results": str(tmp_path), **PAGES[page]}
    injected = mk_cell("\n".join(f"{name} = {value!r}" for name, value in given.items()))
    notebook.cells = [*notebook.cells[: defaults + 1], injected, *notebook.cells[defaults + 1 : making + 1]]
    CaptureShell().run_all(notebook, exc_stop=True)
    files = [pd.read_csv(f) for f in tmp_path.rglob("*.csv")]
    assert files and all(len(rows) and rows.select_dtypes("number").notna().any().any() for rows in files)
    assert any("their files are in" in "".join(out.get("text", "")) for out in notebook.cells[-1].outputs)
