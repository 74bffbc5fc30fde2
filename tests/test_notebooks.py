"""The notebooks are the source: exporting and cleaning them changes nothing that is in the repository. What the map of CONTRIBUTING.md names exists."""

import ast
import dataclasses
import importlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import latex2mathml.converter
import pytest

from clipforget.core.files import pages
from clipforget.core.settings import Settings
from clipforget.rivals.methods import METHODS
from clipforget.run.request import notebook_parameters
from clipforget.run.request import Request, parameter_defaults, read_request
from parameters import parameters_cell

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = [*pages(ROOT), ROOT / "nbs" / "index.ipynb"]
MODULES = sorted(p for p in (ROOT / "clipforget").rglob("*.py") if not p.name.startswith("_"))
every_page = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
SOURCES = ("settings.ini", "pyproject.toml", "index.ipynb", "nbs", "clipforget/*.py")


@pytest.fixture()
def copy(tmp_path):
    """What nbdev reads and writes, as git knows it: a copy that it may change."""
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *SOURCES]
    listed = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
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
    return {p.relative_to(folder).as_posix(): p.read_text(encoding="utf-8") for p in sorted(folder.rglob(pattern))}


def test_export_changes_nothing(copy):
    before = contents(copy / "clipforget", "*.py")
    for name in before:
        # written by hand are these alone; a module that no notebook exports any more must show up
        if not name.endswith(("__init__.py", "__main__.py")):
            (copy / "clipforget" / name).unlink()
    nbdev("nbdev_export", copy)
    after = contents(copy / "clipforget", "*.py")
    assert [n for n in before.keys() | after.keys() if before.get(n) != after.get(n)] == [], "run nbdev_export"


def test_notebooks_are_clean(copy):
    assert os.readlink(ROOT / "nbs" / "index.ipynb") == "../index.ipynb"  # the front page is one file
    before = contents(copy, "*.ipynb")
    nbdev("nbdev_clean", copy)
    after = contents(copy, "*.ipynb")
    assert [name for name in before if before[name] != after[name]] == [], "run nbdev_clean"


def read(path):
    """The cells of a page, each with its text in one piece."""
    return [c | {"source": "".join(c["source"])} for c in json.loads(path.read_text(encoding="utf-8"))["cells"]]


def sources(path, kind):
    """The texts of the cells of one kind."""
    return [cell["source"] for cell in read(path) if cell["cell_type"] == kind]


@every_page
def test_notebook(path):
    # nbdev_clean drops language_info: without the kernel's language papermill refuses the notebook
    kernel = json.loads(path.read_text(encoding="utf-8"))["metadata"]["kernelspec"]
    assert kernel == {"display_name": "python3", "language": "python", "name": "python3"}
    first, *_ = cells = read(path)
    assert first["cell_type"] == "markdown" and first["source"].startswith("# ")
    assert not [out for cell in cells for out in cell.get("outputs", []) if out["output_type"] == "error"]
    if path.parent.name in {module.parent.name for module in MODULES}:
        code = sources(path, "code")
        assert code[0].startswith(f"#| default_exp {path.parent.name}.{path.stem}") and "nbdev_export()" in code[-1]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_import_is_there(path):
    """Pages that take hours are executed by nobody's test: what they import from the package shall exist all the same."""
    trees = [ast.parse(source) for source in sources(path, "code") if not source.startswith(("%", "!"))]
    froms = [n for tree in trees for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
    wanted = [(n.module, a.name) for n in froms if str(n.module).startswith("clipforget") for a in n.names]
    assert not [name for name in wanted if not is_importable(*name)]


def is_importable(module, name):
    """Whether `from module import name` works: an attribute, or a module of that package."""
    return hasattr(importlib.import_module(module), name) or importlib.util.find_spec(f"{module}.{name}")


@every_page
def test_fences_of_code_are_closed_and_formulas_can_be_set(path):
    prose = sources(path, "markdown")
    for fences in (re.findall(r"^\s*(`{3,}.*)$", text, re.MULTILINE) for text in prose):
        assert len(fences) % 2 == 0 and all(re.fullmatch(r"`+\s*", f) for f in fences[1::2]), fences
    plain = [re.sub(r"`[^`]*`", "", text) for text in prose]
    formulas = [f.strip("$") for text in plain for f in re.findall(r"(?s)\$\$.+?\$\$|\$[^$\n]+?\$", text)]
    braces = lambda f, sign: f.count(sign) - f.count("\\" + sign)
    wrong = [f for f in formulas if re.search(r"\\\\[A-Za-z]", f) or braces(f, "{") != braces(f, "}")]
    assert not wrong, f"commands behind two backslashes, or braces that do not match: {wrong}"
    assert all(latex2mathml.converter.convert(f) for f in formulas)


def test_every_setting_says_what_it_is():
    """Those of the main job and of every rival; what parameters of public functions mean, test_front_door asks."""
    declared = {f.name: f.metadata["help"] for part in (Request, Settings) for f in dataclasses.fields(part)}
    declared |= {(m, name): one.help for m, method in METHODS.items() for name, one in method.settings.items()}
    assert len(declared) > 50 and all(declared.values())


def test_the_main_jobs_parameters_are_what_is_declared():
    """The parameters cell is the text that `Request` and `Settings` make, and read by papermill it has their defaults."""
    (block,) = [c["source"] for c in read(ROOT / "nbs" / "run.ipynb") if "parameters" in c["metadata"].get("tags", [])]
    assert block == parameters_cell()
    annotations, defaults = notebook_parameters(ROOT / "nbs" / "run.ipynb")
    assert defaults == parameter_defaults() and list(annotations) == list(defaults) and "" not in annotations.values()
    assert not set(Request.names()) & set(Settings.names()) and read_request(defaults)[1] == Settings()


PRINTED = {
    "judging/frontier": (r"they keep up to (-?\d+) points less than the border", 0),
    "judging/inside": (r"pictures asked here ([\d.]+) % are recognised", 1),
}


@pytest.mark.parametrize("page", PRINTED)
def test_what_a_page_has_printed_bears_its_sentence_out(page):
    words, most = PRINTED[page]
    outputs = [out for cell in read(ROOT / "nbs" / f"{page}.ipynb") for out in cell.get("outputs", ())]
    printed = "".join("".join(out.get("text", "")) for out in outputs)
    (found,) = re.findall(words, printed)
    assert float(found) <= most


MAP = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## A map of the repository")[2]
NAMED = re.findall(r"`([^`]+)`", "\n".join(line.split("|")[1] for line in MAP.splitlines() if line.startswith("| `")))


def test_what_the_map_names_exists():
    assert not [name for name in NAMED if not (ROOT / name).exists()]


def test_every_room_and_every_top_level_file_is_on_the_map():
    rooms = {f"nbs/{p.name}/" for p in (ROOT / "nbs").iterdir() if p.is_dir() and not p.name.startswith(("_", "."))}
    assert not rooms - set(NAMED)
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    top = {name.partition("/")[0] for name in listed.stdout.splitlines()}  # none outside a git checkout
    told = {name.partition("/")[0] for name in NAMED} | {"CONTRIBUTING.md", "README_files"}
    assert not {name for name in top if not name.startswith(".")} - told
