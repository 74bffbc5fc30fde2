"""The notebooks are the source: exporting and cleaning them changes nothing that is in the repository."""

import ast
import dataclasses
import importlib
import importlib.util
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import latex2mathml.converter
import nbformat
import pytest
from fastcore.docments import docments
from nbdev.showdoc import show_doc

from clipforget.run.parameters import notebook_parameters
from clipforget.core.files import pages
from clipforget.run.request import Request, parameter_defaults
from clipforget.core.settings import Settings
from parameters import parameters_cell

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = [*pages(ROOT), ROOT / "nbs" / "index.ipynb"]
ROOMS = ("method", "data", "judging", "rivals", "tools")
MODULES = sorted(p for p in (ROOT / "clipforget").rglob("*.py") if not p.name.startswith("_"))
NAMES = [".".join(p.relative_to(ROOT).with_suffix("").parts) for p in MODULES]
EXECUTED = sorted((ROOT / "nbs" / "experiments" / "_executed").glob("*.ipynb"))


@pytest.fixture()
def copy(tmp_path):
    """What nbdev reads and writes, as git knows it: a copy that it may change."""
    listed = subprocess.run(
        [
            "git",
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
            "settings.ini",
            "pyproject.toml",
            "index.ipynb",
            "nbs",
            "clipforget/*.py",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode:
        pytest.skip("this is no git checkout")
    for name in filter(None, listed.stdout.split("\0")):
        if os.path.lexists(ROOT / name):  # git still lists what was deleted just now
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, tmp_path / name, follow_symlinks=False)
    return tmp_path


def nbdev(command, folder):
    """Run one of nbdev's commands in `folder`; it shall succeed without a warning."""
    program = Path(sys.executable).parent / command
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([program], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and "Failed" not in done.stderr, done.stdout + done.stderr


def contents(folder, pattern):
    """The files in `folder` that fit `pattern`, as {name: text}."""
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in sorted(folder.rglob(pattern))
    }


def differences(before, after):
    """The names of files that were added, removed or changed."""
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def test_export_changes_nothing(copy):
    before = contents(copy / "clipforget", "*.py")
    for name in before:
        # written by hand are these alone; a module that no notebook exports any more must show up
        if not name.endswith("__init__.py"):
            (copy / "clipforget" / name).unlink()
    nbdev("nbdev_export", copy)
    assert differences(before, contents(copy / "clipforget", "*.py")) == [], "run nbdev_export"


def test_notebooks_are_clean(copy):
    before = contents(copy, "*.ipynb")
    nbdev("nbdev_clean", copy)
    assert differences(before, contents(copy, "*.ipynb")) == [], "run nbdev_clean"


def test_index_is_one_file():
    link = ROOT / "nbs" / "index.ipynb"
    assert link.is_symlink() and os.readlink(link) == "../index.ipynb"


@pytest.mark.parametrize("path", [*NOTEBOOKS, *EXECUTED], ids=lambda path: path.stem)
def test_notebook(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    # nbdev_clean drops language_info: without the kernel's language papermill refuses the notebook
    assert notebook["metadata"]["kernelspec"] == {"display_name": "python3", "language": "python", "name": "python3"}
    first = notebook["cells"][0]
    assert first["cell_type"] == "markdown" and "".join(first["source"]).startswith("# ")
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [out for cell in code for out in cell["outputs"] if out["output_type"] == "error"] == []
    if path.parent.name in ROOMS:
        room = f"#| default_exp {path.parent.name}.{path.stem}"
        assert "".join(code[0]["source"]).startswith(room)
        assert "nbdev_export()" in "".join(code[-1]["source"])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_import_is_there(path):
    """Pages that take hours are executed by nobody's test: what they import from the package shall exist all the same."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = ["".join(c["source"]) for c in cells if c["cell_type"] == "code" and c["source"]]
    trees = [ast.parse(source) for source in code if not source.startswith(("%", "!"))]
    wanted = [
        n for t in trees for n in ast.walk(t) if isinstance(n, ast.ImportFrom) and str(n.module)[:10] == "clipforget"
    ]
    assert not [(n.module, a.name) for n in wanted for a in n.names if not is_importable(n.module, a.name)]


def is_importable(module, name):
    """Whether `from module import name` works: an attribute, or a module of that package."""
    return hasattr(importlib.import_module(module), name) or importlib.util.find_spec(f"{module}.{name}")


@pytest.mark.parametrize("path", [*NOTEBOOKS, *EXECUTED], ids=lambda path: path.stem)
def test_no_cell_is_too_long_to_read(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    long = {
        k: n
        for k, cell in enumerate(cells)
        if cell["cell_type"] == "code" and (n := len("".join(cell["source"]).splitlines())) > 40
    }
    assert not long, f"cells with more than 40 lines (position: lines): {long}"


def words(cells, kind):
    """How many words the cells of one kind have, without imports, nbdev's flags and the cells that a reader does not see."""
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == kind]
    lines = [
        line
        for source in sources
        if not source.startswith(("#| hide", "#| default_exp"))
        for line in source.splitlines()
    ]
    return sum(len(line.split()) for line in lines if not line.startswith(("from ", "import ", "#| ")))


@pytest.mark.parametrize("stage", ["forgetting", "reminding", "restoring"])
def test_a_stage_is_told_as_much_as_programmed(stage):
    cells = json.loads((ROOT / "nbs" / "method" / f"{stage}.ipynb").read_text(encoding="utf-8"))["cells"]
    assert words(cells, "markdown") >= words(cells, "code")


@pytest.mark.parametrize("path", [*NOTEBOOKS, *EXECUTED], ids=lambda path: path.stem)
def test_fences_of_code_are_closed(path):
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "markdown":
            fences = re.findall(r"^\s*(`{3,}.*)$", "".join(cell["source"]), re.MULTILINE)
            assert len(fences) % 2 == 0 and all(re.fullmatch(r"`+\s*", f) for f in fences[1::2]), fences


@pytest.mark.parametrize("path", [*NOTEBOOKS, *EXECUTED], ids=lambda path: path.stem)
def test_formulas_can_be_set(path):
    prose = [
        "".join(cell["source"])
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
        if cell["cell_type"] == "markdown"
    ]
    formulas = [
        m.group(0).strip("$")
        for text in prose
        for m in re.finditer(r"\$\$.+?\$\$|\$[^$\n]+?\$", re.sub(r"`[^`]*`", "", text), re.DOTALL)
    ]
    wrong = [
        f
        for f in formulas
        if re.search(r"\\\\[A-Za-z]", f) or f.count("{") - f.count("\\{") != f.count("}") - f.count("\\}")
    ]
    assert not wrong, f"commands behind two backslashes, or braces that do not match: {wrong}"
    assert all(latex2mathml.converter.convert(f) for f in formulas)


@pytest.mark.parametrize("path", [*NOTEBOOKS, *EXECUTED], ids=lambda path: path.stem)
def test_every_figure_has_a_sentence_beside_it(path):
    cells = [
        c
        for c in json.loads(path.read_text(encoding="utf-8"))["cells"]
        if not "".join(c["source"]).startswith("#| hide")
    ]
    said = [
        " ".join(line for line in "".join(c["source"]).splitlines() if not line.startswith("#"))
        if c["cell_type"] == "markdown"
        else ""
        for c in cells
    ] + [""]
    shows = [
        k
        for k, c in enumerate(cells)
        if any(kind.startswith("image/") for out in c.get("outputs", []) for kind in out.get("data", {}))
    ]
    silent = [k for k in shows if len((said[k - 1] + " " + said[k + 1]).split()) < 8]
    assert not silent, f"figures without a word on what to see, in cells {silent}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_nbdev_docs_can_execute_what_it_needs(path):
    """For its pages, nbdev_docs executes exported cells and those with an import, and no others: each must stand alone."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    if not any(source.startswith("#| export") for source in code):
        return
    plain = [ast.parse(source) for source in code if not source.startswith("#|")]
    importing = [
        k for k, tree in enumerate(plain) if any(isinstance(x, ast.Import | ast.ImportFrom) for x in ast.walk(tree))
    ]
    assert importing in ([], [0])


@pytest.mark.parametrize("module", NAMES)
def test_nbdev_docs_can_show_every_exported_name(module):
    found = importlib.import_module(module)
    for name in found.__all__:
        symbol = getattr(found, name)
        if inspect.isfunction(symbol) or inspect.isclass(symbol):
            assert show_doc(symbol) is not None, name


@pytest.mark.parametrize("module", NAMES)
def test_every_parameter_says_what_it_is(module):
    """In a sentence of the docstring, or in the comment beside the parameter, which `show_doc` and the site's reference show."""
    found, bare = importlib.import_module(module), []
    for name in found.__all__:
        symbol = getattr(found, name)
        public = vars(symbol).items() if inspect.isclass(symbol) else ()
        parts = [symbol, *(method for k, method in public if re.match("[^_]|__call__", k))]
        for part in [p for p in parts if inspect.isclass(p) or inspect.isfunction(p)]:
            told = {k: v for k, v in docments(part, full=False, returns=False).items() if v}
            for base in filter(dataclasses.is_dataclass, inspect.getmro(part) if inspect.isclass(part) else ()):
                told |= {k: v for k, v in docments(base, full=False, returns=False).items() if v}
                # a declared setting says what it is itself
                told |= {f.name: f.metadata["help"] for f in dataclasses.fields(base) if f.metadata.get("help")}
            docs = f"{symbol.__doc__} {part.__doc__} {' '.join(told)}"
            given = [p for p in inspect.signature(part).parameters if p not in ("self", "args", "kwargs")]
            bare += [f"{name}({p})" for p in given if not re.search(rf"\b{p}\b", docs)]
    assert not bare


def test_the_main_jobs_parameters_are_what_is_declared():
    """Both ways: the parameters cell is the text that `Request` and `Settings` make, and nothing else is a parameter."""
    cells = json.loads((ROOT / "nbs" / "run.ipynb").read_text())["cells"]
    (block,) = ["".join(c["source"]) for c in cells if "parameters" in c["metadata"].get("tags", [])]
    assert block == parameters_cell()
    there = [line.target.id for line in ast.parse(block).body]
    outside = ["layer_choice", "batch", "aligned", "random_control", "contrastive"]  # what experiments alone change
    declared = [*Request.names(), *Settings.names()]
    assert there == [n for n in declared if n not in outside] and len(set(declared)) == len(declared)
    assert notebook_parameters(ROOT / "nbs" / "run.ipynb")[1] == parameter_defaults()


def printed(name):
    """What the cells of a page have printed, as committed."""
    cells = nbformat.read(ROOT / "nbs" / f"{name}.ipynb", 4).cells
    return "".join(out.get("text", "") for cell in cells if cell.cell_type == "code" for out in cell.outputs)


def test_the_three_stages_keep_what_the_border_keeps_at_every_level():
    (behind,) = re.findall(r"they keep up to (-?\d+) points less than the border", printed("judging/frontier"))
    assert int(behind) <= 0


def test_the_audits_sample_keeps_to_one_percent():
    (left,) = re.findall(r"pictures asked here ([\d.]+) % are recognised", printed("judging/questions"))
    assert float(left) <= 1
