"""What several tests run: the main job and its parameters cell, the cells of a page, notebooks of a second."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
from execnb.nbio import mk_cell, read_nb
from execnb.shell import CaptureShell

from clipforget.core.files import find_page
from clipforget.core.settings import Settings
from clipforget.run.request import Request

ROOT = Path(__file__).resolve().parents[1]


def parameters_cell():
    """The text of the parameters cell of run.ipynb. Nobody has said anything of a setting that is None there; the comment has its value in our method and, where it is another, in the paper's."""
    words = {True: "yes", False: "no"}
    show = lambda value: words.get(value, value) if isinstance(value, bool | str) else f"{value:g}"
    lines = []
    for f in (*dataclasses.fields(Request), *dataclasses.fields(Settings)):
        if not f.metadata.get("in_run", True):
            continue
        kind = f.type.__name__ if isinstance(f.type, type) else str(f.type)
        help, default = f.metadata["help"], f.default
        if f.name in Settings.names():
            kind = kind if "None" in kind else f"{kind} | None"
            paper = f" (as in the paper: {show(f.metadata['paper'])})" if "paper" in f.metadata else ""
            help = (
                f"{help.partition('; None')[0]}; None: {show(default)}{paper}" if paper or default is not None else help
            )
            default = None
        written = json.dumps(default) if isinstance(default, str) else repr(default)
        lines.append(f"{f.name}: {kind} = {written}  # {help}")
    return "\n".join(lines)


def papermill(page, output, paths=(), **given):
    """What became of `papermill nbs/PAGE.ipynb OUTPUT -p ...`; `paths` go before PYTHONPATH."""
    words = [str(Path(sys.executable).parent / "papermill"), f"nbs/{page}.ipynb", str(output)]
    words += [word for name, value in given.items() for word in ("-p", name, str(value))]
    there = os.pathsep.join([*map(str, paths), *filter(None, [os.environ.get("PYTHONPATH")])])
    env = os.environ | {"PYTHONPATH": there}
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=600, env=env)


def main_job(results, dataset, paths=(), **given):
    """The folder that a short main job with the shipped model left in `results`."""
    short = {"forget_steps": 2, "remind_steps": 2, "backbone": "emoji-rn", "results": results}
    done = papermill("run", results / "run.ipynb", paths, **{"dataset": dataset, **short, **given})
    assert done.returncode == 0, done.stderr[-3000:]
    (folder,) = (results / dataset).iterdir()
    return folder


def run_page(page, given, until=None, after=None):
    """Run the cells of a page here with the parameters `given`, all or up to the first with `until`; `after` is code behind the cell with some line. Returns the cells with their outputs, and the names that they leave."""
    notebook, shell = read_nb(find_page(page, ROOT)), CaptureShell()
    if until:
        last = next(k for k, c in enumerate(notebook.cells) if c.cell_type == "code" and until in c.source)
        del notebook.cells[last + 1 :]
    added = {"parameters": "\n".join(f"{name} = {value!r}" for name, value in given.items()), **(after or {})}
    for words, code in added.items():
        has = [words in c.metadata.get("tags", []) or words in c.source.splitlines() for c in notebook.cells]
        notebook.cells.insert(has.index(True) + 1, mk_cell(code))
    shell.run_all(notebook, exc_stop=True)
    return notebook.cells, shell.user_ns


def write_notebook(path, *sources):
    """A notebook whose first cell is tagged `parameters`, as nbdev_clean would leave it."""
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    cells[0].metadata["tags"] = ["parameters"]
    kernel = {"name": "python3", "language": "python", "display_name": "python3"}
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)


def write_project(root, **notebooks):
    """The layout of this repository in `root`, with notebooks of these sources in nbs/."""
    (root / "settings.ini").write_text("[DEFAULT]\nlib_name = clipforget\nnbs_path = nbs\nlib_path = clipforget\n")
    for name, sources in notebooks.items():
        write_notebook(root / "nbs" / f"{name}.ipynb", *sources)
    return root
