"""The audit page finds the task of any run: of every data set, with the parameters of the main job, and refuses a patch for another target."""

import ast
import inspect

import pytest
from execnb.nbio import mk_cell, read_nb
from execnb.shell import CaptureShell
from PIL import Image

from clipforget.core import DATASETS, project_root
from clipforget.datasets import make_task
from clipforget.papermill import notebook_defaults

PAGE = project_root() / "nbs" / "audit.ipynb"


def opened(**given):
    """The names of the page after the cell that makes the task, with these parameters."""
    notebook = read_nb(PAGE)
    defaults = next(k for k, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", []))
    making = next(
        k for k, cell in enumerate(notebook.cells) if cell.cell_type == "code" and "= make_task(" in cell.source
    )
    injected = mk_cell("\n".join(f"{name} = {value!r}" for name, value in given.items()))
    notebook.cells = [*notebook.cells[: defaults + 1], injected, *notebook.cells[defaults + 1 : making + 1]]
    shell = CaptureShell()
    shell.run_all(notebook, exc_stop=True)
    return shell.user_ns


def pictures(folder, colour):
    folder.mkdir(parents=True)
    for k in range(10):
        Image.new("RGB", (64, 64), (*colour, 10 * k)).save(folder / f"{k}.png")


def test_the_page_has_what_describes_a_task():
    known = set(inspect.signature(make_task).parameters) - {"clip", "limit"}
    assert known <= set(notebook_defaults(PAGE))
    call = next(
        node
        for cell in read_nb(PAGE).cells
        if cell.cell_type == "code" and "= make_task(" in cell.source
        for node in ast.walk(ast.parse(cell.source))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "make_task"
    )
    assert known <= {a.id for a in call.args if isinstance(a, ast.Name)}


def test_nothing_given_is_the_committed_audit():
    names = opened()
    assert names["task"].target == "hotel" and names["committed"]("clipforget") is not None


@pytest.mark.parametrize("given", [{"styles": "openmoji"}, {"siblings": "houses; bank"}])
def test_another_task_is_not_answered_by_committed_answers(given):
    assert opened(**given)["committed"]("clipforget") is None


def test_a_folder_of_ones_own_needs_no_target(tmp_path):
    pictures(tmp_path / "forget" / "boxer", (200, 0))
    pictures(tmp_path / "keep" / "pug", (0, 200))
    names = opened(dataset="folder", data_root=str(tmp_path), original="emoji-rn")
    assert names["task"].target == "boxer"
    assert not names["oracles"] and not names["twins"]  # pictograms' models say nothing about photographs


def test_a_style_is_chosen(tmp_path):
    for n, style in enumerate(("cartoon", "sketch")):
        for k, thing in enumerate(("dog", "giraffe")):
            pictures(tmp_path / style / thing, (100 * n, 100 * k))
    given = {"dataset": "style", "data_root": str(tmp_path), "original": "emoji-rn"}
    assert opened(**given, target="giraffe", styles="sketch")["task"].target == "giraffe, sketch"
    default = DATASETS["style"]
    assert opened(**given)["task"].target == f"{default['target']}, {default['style']}"


def test_a_pool_needs_its_sorting(tmp_path):
    pictures(tmp_path / "pool", (9, 9))
    with pytest.raises(ValueError, match="proposal"):
        opened(dataset="folder", pool=str(tmp_path / "pool"), original="emoji-rn", target="pug", siblings="boxer")
