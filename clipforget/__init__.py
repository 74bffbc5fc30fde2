"""Make a CLIP forget one subgroup of images and keep the rest: forgetting, reminding, restoring.

`clipforget.task` makes a task, `clipforget.methods.three_stages` the edit, `clipforget.scores` judges it; `clipforget.rivals`
has the other methods, `clipforget.audit` asks whether the target is gone or hidden. Every module has a page in nbs/.
"""

__version__ = "0.1.0"

import ast
import sys
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, SourceFileLoader
from inspect import cleandoc
from pathlib import Path
from types import ModuleType
from typing import Any


def _comments(source: str) -> dict[str, list[str]]:
    "The parameters of every function and the fields of every class that have a comment behind them, as lines, by qualified name."
    lines, found = source.split("\n"), dict[str, list[str]]()

    def behind(part: ast.arg | ast.AnnAssign) -> str:
        return lines[(part.end_lineno or 0) - 1][part.end_col_offset :].partition("  # ")[2].strip()

    def visit(owner: ast.Module | ast.ClassDef, path: str) -> None:
        for part in owner.body:
            if isinstance(part, ast.FunctionDef):
                given = part.args
                each = [*given.posonlyargs, *given.args, given.vararg, *given.kwonlyargs, given.kwarg]
                told = [(a.arg, behind(a)) for a in each if a and a.end_lineno != part.lineno]
                found[path + part.name] = [f"    {name}: {text}" for name, text in told if text]
            elif isinstance(part, ast.ClassDef):
                fields = [(ast.unparse(x.target), behind(x)) for x in part.body if isinstance(x, ast.AnnAssign)]
                visit(part, f"{path}{part.name}.")
                given_to_it = found.pop(f"{path}{part.name}.__init__", [])
                found[path + part.name] = [f"    {name}: {text}" for name, text in fields if text] + given_to_it

    visit(ast.parse(source), "")
    return found


class _Explained(SourceFileLoader):
    "Loads a module and writes the comments behind parameters into the docstrings, where `help` finds them."

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        for name, told in _comments(self.get_source(module.__name__) or "").items():
            owner, _, last = name.rpartition(".")
            part: Any = vars(getattr(module, owner) if owner else module).get(last)
            if told and callable(part) and part.__doc__ and part.__module__ == module.__name__:
                part.__doc__ = cleandoc(part.__doc__) + "\n\nParameters:\n" + "\n".join(told)


if Path(__path__[0]).is_dir():  # and no archive, which has an importer of its own
    sys.path_importer_cache[__path__[0]] = FileFinder(__path__[0], (_Explained, SOURCE_SUFFIXES))
