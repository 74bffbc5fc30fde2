"""settings.ini, pyproject.toml and environment.yml say the same, and the package needs no nbdev at run time."""

import ast
import configparser
import fnmatch
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points, packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import clipforget

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "clipforget"
MODULES = sorted(PACKAGE.rglob("*.py"))
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
    """Requirements as {name: range}, so that order, spelling and spaces do not count."""
    parsed = [Requirement(line) for line in lines]
    return {canonicalize_name(one.name): str(one.specifier) for one in parsed}


def imported_modules(path):
    """The top-level names of all absolute imports in a Python file, wherever they stand."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0]


def test_requirements_agree(settings, project):
    assert requirements(settings["requirements"].split()) == requirements(project["dependencies"])


def test_dev_requirements_agree(settings, project):
    assert requirements(settings["dev_requirements"].split()) == requirements(project["optional-dependencies"]["dev"])


def test_every_requirement_has_a_range(project):
    lines = project["dependencies"] + project["optional-dependencies"]["dev"]
    assert [name for name, given in requirements(lines).items() if not given] == []


def test_conda_installs_the_same(project, conda):
    pip_lines = next(line["pip"] for line in conda["dependencies"] if isinstance(line, dict))
    if pip_lines != ["-e .[dev]"]:
        wanted = requirements(project["dependencies"]) | requirements(project["optional-dependencies"]["dev"])
        assert requirements(pip_lines) == wanted
    assert "pip" in conda["dependencies"]


def test_python_versions_agree(settings, project, conda):
    lowest = Version(settings["min_python"])
    python = next(line for line in conda["dependencies"] if isinstance(line, str) and line.startswith("python="))
    assert project["requires-python"] == f">={lowest}"
    assert Version(python.removeprefix("python=")) >= lowest
    assert sys.version_info[:2] >= lowest.release


def test_names_and_version_agree(settings, project, conda):
    assert settings["lib_name"] == project["name"] == conda["name"] == "clipforget"
    assert settings["version"] == clipforget.__version__
    assert settings["description"] == project["description"]
    assert project["dynamic"] == ["version"]


def test_settings_that_notebooks_rely_on(settings):
    assert settings["nbs_path"] == "nbs" and settings["lib_path"] == "clipforget"
    assert "tags" in settings["allowed_cell_metadata_keys"].split()  # or `-p` silently runs the defaults
    assert settings.getboolean("update_pyproject") is False
    assert set(settings["tst_flags"].split()) == {"slow", "gpu"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_module_imports_only_what_is_required(path, project):
    imported = set(imported_modules(path))
    assert not imported & FOR_NOTEBOOKS_ONLY
    declared, owners = requirements(project["dependencies"]), packages_distributions()
    for name in imported - set(sys.stdlib_module_names) - {"clipforget"}:
        distributions = {canonicalize_name(owner) for owner in owners.get(name, [name])}
        assert distributions & set(declared), f"{path.name} imports {name}, which pyproject.toml does not require"


def test_module_index_is_there():
    index = (PACKAGE / "_modidx.py").read_text(encoding="utf-8")
    exported = [path for path in MODULES if path.name not in ("__init__.py", "_modidx.py")]
    assert exported
    assert [path.name for path in exported if f"'clipforget/{path.relative_to(PACKAGE).as_posix()}'" not in index] == []


@pytest.mark.parametrize("module", ["clipforget", "clipforget.tools.files", "clipforget.tools.command_line"])
def test_import_is_light(module):
    heavy = {"torch", "open_clip", "pandas"} | FOR_NOTEBOOKS_ONLY
    code = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


def test_papermill_finds_the_engine():
    found = entry_points(group="papermill.engine", name="clipforget")
    assert {entry.value for entry in found} == {"clipforget.tools.command_line:ProjectEngine"}


def test_data_files_are_packaged():
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["clipforget"]
    files = [path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*") if path.is_file()]
    data = [name for name in files if not name.endswith((".py", ".pyc"))]
    assert [name for name in data if not any(fnmatch.fnmatch(name, one.replace("**/", "*")) for one in patterns)] == []


def test_sources_of_the_pictures_are_named():
    notice = (ROOT / "NOTICE.md").read_text(encoding="utf-8")
    for words in (
        "Twitter, Inc and other contributors",
        "CC BY 4.0",
        "OpenMoji",
        "CC BY-SA 4.0",
        "Cal Henderson",
        "Optical Recognition of Handwritten Digits",
        "scikit-learn",
        "clipforget/models/",
        "WordNet 3.0 Copyright 2006 by Princeton University",
        "clipforget/tables/wordnet.csv",
    ):
        assert words in notice
    licence = (PACKAGE / "tables" / "wordnet-licence.txt").read_text(encoding="utf-8").split()
    assert " ".join(licence) in " ".join(notice.replace("\n>", "\n").split())  # word for word
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
