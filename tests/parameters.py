"""The parameters cell of the main job, written from what is declared."""

import dataclasses
import json

from clipforget.run.request import Request
from clipforget.core.settings import Settings


def parameters_cell():
    """The text of the parameters cell of run.ipynb: where the paper's method has another value, it says None and names both."""
    words = {True: "yes", False: "no", None: "the upper two fifths"}
    show = lambda value: words[value] if value is None or isinstance(value, bool) else f"{value:g}"
    lines = []
    for f in (*dataclasses.fields(Request), *dataclasses.fields(Settings)):
        if not f.metadata.get("in_run", True):
            continue
        kind = f.type.__name__ if isinstance(f.type, type) else str(f.type)
        help, default = f.metadata["help"], f.default
        if "paper" in f.metadata:
            default = None
            kind = kind if "None" in kind else f"{kind} | None"
            told = f"{show(f.default)} (as in the paper: {show(f.metadata['paper'])})"
            help = f"{help.partition('; None')[0]}; None: {told}"
        written = json.dumps(default) if isinstance(default, str) else repr(default)
        lines.append(f"{f.name}: {kind} = {written}  # {help}")
    return "\n".join(lines)
