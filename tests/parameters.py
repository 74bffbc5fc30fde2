"""The main job: its parameters cell, written from what is declared, and the command that runs it."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

from clipforget.run.request import Request
from clipforget.core.settings import Settings


def parameters_cell():
    """The text of the parameters cell of run.ipynb. Nobody has said anything of a setting that is None there; the comment has its value in our method and, where it is another, in the paper's."""
    words = {True: "yes", False: "no", None: "the upper two fifths"}
    show = lambda value: words[value] if value is None or isinstance(value, bool) else f"{value:g}"
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
    env, root = os.environ | {"PYTHONPATH": there}, Path(__file__).resolve().parents[1]
    return subprocess.run(words, cwd=root, capture_output=True, text=True, timeout=600, env=env)


def main_job(results, dataset, paths=(), **given):
    """The folder that a short main job with the shipped model left in `results`."""
    short = {"forget_steps": 2, "remind_steps": 2, "align_steps": 1, "backbone": "emoji-rn", "results": results}
    done = papermill("run", results / "run.ipynb", paths, **{"dataset": dataset, **short, **given})
    assert done.returncode == 0, done.stderr[-3000:]
    (folder,) = (results / dataset).iterdir()
    return folder
