"""The commands that readers were promised, typed into a real terminal, on notebooks that take a second."""

import os
import pty
import re
import subprocess
import sys
import termios
from pathlib import Path

import nbformat
import pytest

from clipforget.run.request import run_folder
from parameters import run_page, write_notebook, write_project

SEARCHED = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
ENVIRONMENT = {**os.environ, "PATH": SEARCHED, "TERM": "xterm", "CLIPFORGET_RESULTS": ""}
DEFAULTS = {"dataset": "emoji", "target": "", "seed": 0}
KINDS = "make: bool = False\nsure: bool | None = None\ntarget: str = ''\nseed: int = 0\nlayer_choice: str = ''"


@pytest.fixture()
def project(tmp_path):
    """The layout of this repository with five small notebooks. They must be as they were when a test ends."""
    main = "\n".join(f"{name} = {value!r}" for name, value in DEFAULTS.items())
    tiny, deep = ("a: int = 0  # any number", "print('a is', repr(a))"), ("a = None", "print('a is', repr(a))")
    failing, kinds = ("a = 0", "raise RuntimeError('on purpose')"), (KINDS, "print([make, sure, target, seed])")
    pages = {"tiny": tiny, "kinds": kinds, "fails": failing, "room/deep": deep, "run": (main, "print(seed)")}
    root = write_project(tmp_path.resolve(), **pages)
    sources = {path: path.read_bytes() for path in root.rglob("*.ipynb")}
    yield root
    assert {path: path.read_bytes() for path in (root / "nbs").rglob("*.ipynb")} == sources


def type_in_terminal(command, folder, seconds=60):
    """Type `command` at a terminal in `folder`; returns the exit code and what the terminal showed."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (40, 160))
    ends = dict.fromkeys(("stdin", "stdout", "stderr"), theirs)
    process = subprocess.Popen(command, shell=True, cwd=folder, env=ENVIRONMENT, start_new_session=True, **ends)
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 4096):
            shown += piece
    except OSError:  # the other side is closed
        pass
    os.close(ours)
    return process.wait(timeout=seconds), shown.decode(errors="replace")


def printed(path):
    """All that the cells of an executed notebook printed."""
    cells = nbformat.read(path, as_version=4).cells
    return "".join(out.get("text", "") for cell in cells for out in cell.get("outputs", []))


def made(project):
    """The notebooks that were written by a command."""
    return [path for path in project.rglob("*.ipynb") if not path.is_relative_to(project / "nbs")]


def test_short_command(project):
    code, shown = type_in_terminal("papermill nbs/tiny.ipynb -p a 1", project)
    assert code == 0, shown
    assert printed(project / "results" / "tiny" / "tiny.ipynb") == "a is 1\n"
    assert "the executed notebook goes to results/tiny/tiny.ipynb" in shown
    assert "clipforget: open results/tiny/tiny.ipynb" in shown and "Executing: 100%" in shown


def test_failing_cell(project):
    code, shown = type_in_terminal("papermill nbs/fails.ipynb some/where/out.ipynb -p a 1", project)
    assert code == 1 and "on purpose" in shown
    executed = nbformat.read(project / "some" / "where" / "out.ipynb", as_version=4)
    assert any("papermill-error" in "".join(cell.metadata.get("tags", [])) for cell in executed.cells)
    assert not (project / "results").exists()


PIPES = {
    "nbs/tiny.ipynb -p a 3 --prepare-only": {"input": ""},
    "nbs/run.ipynb -y 'seed: 1'": {"stdin": subprocess.DEVNULL},
}


@pytest.mark.parametrize("words", PIPES)
def test_piped_and_redirected(project, words):
    """papermill alone would print the notebook here, or take its path for the output."""
    given = {"shell": True, "cwd": project, "env": ENVIRONMENT, "text": True, "capture_output": True, **PIPES[words]}
    done = subprocess.run(f"papermill {words}", **given)
    if "-y" in words:
        assert (done.returncode, done.stdout) == (2, "") and "give an output path" in done.stderr
    else:
        assert done.returncode == 0 and "nbformat" not in done.stdout, done.stderr
        assert (project / "results" / "tiny" / "tiny.ipynb").exists()


@pytest.mark.parametrize(
    "command, changed",
    [
        ("papermill -p seed 01 -p target 'crying cat' nbs/run.ipynb", {"seed": 1, "target": "crying cat"}),
        (f"cd nbs && {sys.executable} -m papermill run.ipynb -p seed 3", {"seed": 3}),
    ],
)
def test_main_job_goes_to_the_folder_of_its_run(project, monkeypatch, command, changed):
    code, shown = type_in_terminal(f"{command} --prepare-only", project)
    assert code == 0, shown
    monkeypatch.chdir(project)
    monkeypatch.delenv("CLIPFORGET_RESULTS")
    folder = run_folder(DEFAULTS | changed)
    assert folder.is_relative_to(project / "results") and made(project) == [folder / "run.ipynb"]


@pytest.mark.parametrize(
    "command, message",
    [
        ("papermill nbs/tiny.ipynb nbs/run.ipynb", "would be overwritten"),
        ("papermill nbs/tyni.ipynb", "Did you mean 'tiny'? Allowed: deep, fails, kinds, run, tiny."),
        ("papermill elsewhere.ipynb -p a 1", "Missing argument 'OUTPUT_PATH'"),
        ("papermill nbs/tiny.ipynb --sede 1", "No such option"),
        ("papermill nbs/kinds.ipynb out.ipynb -p make maybe", "make='maybe': wanted is true or false."),
    ],
)
def test_refused(project, command, message):
    write_notebook(project / "elsewhere.ipynb", "a = 0")
    code, shown = type_in_terminal(command, project)
    assert (code, message in shown) == (2, True), shown
    assert not (project / "results").exists() and not (project / "out.ipynb").exists()


def test_a_recipe_is_the_same_run(project, monkeypatch):
    """`clipforget run` executes the main job as papermill's command does, into the same folder."""
    code, shown = type_in_terminal("clipforget run pictogram seed=3", project)
    assert code == 0 and "clipforget: open results/emoji/turtle-emoji-rn-3/run.ipynb" in shown, shown
    monkeypatch.chdir(project)
    monkeypatch.delenv("CLIPFORGET_RESULTS")
    assert made(project) == [run_folder(DEFAULTS | {"seed": 3}) / "run.ipynb"]
    assert printed(made(project)[0]) == "3\n"


@pytest.mark.parametrize(
    "words, message",
    [
        ("run marmosets", "Did you mean 'marmoset"),
        ("run pictogram sede=1", "Did you mean 'seed'"),
        ("run pictogram seed=1.5", "wanted is a whole number"),
        ("run pictogram seed", "wanted is NAME=VALUE"),
        ("run mine.yaml", "There is no file mine.yaml"),
        ("cp pictogram nbs/run.ipynb", "a new file that ends in .yaml"),
    ],
)
def test_a_wrong_recipe_is_one_sentence(project, words, message):
    code, shown = type_in_terminal(f"clipforget {words}", project)
    assert (code, message in shown, "Traceback" in shown) == (2, True, False), shown
    assert not made(project)


def test_another_project_is_left_alone(tmp_path):
    write_project(tmp_path, run=["a = 0"])
    (tmp_path / "settings.ini").write_text("[DEFAULT]\nlib_name = another\n")
    code, shown = type_in_terminal("papermill nbs/run.ipynb", tmp_path)
    assert code == 2 and "Missing argument 'OUTPUT_PATH'" in shown


@pytest.mark.parametrize(
    "words, seen",
    [
        ("nbs/kinds.ipynb --parameters=target 007 -p make on -psure None -p seed 7", "[True, None, '007', 7]"),
        ("nbs/room/deep.ipynb 'in {{braces}} {a}.ipynb' -p a false", "a is False"),
    ],
)
def test_values_are_what_the_notebook_says(project, words, seen):
    code, shown = type_in_terminal(f"papermill {words}", project)
    assert code == 0, shown
    (output,) = made(project)
    assert printed(output) == f"{seen}\n" and output.name in ("kinds.ipynb", "in {braces} False.ipynb")


@pytest.mark.parametrize(
    "name, given, answer",
    [
        ("rivals", {"kinds": "corase"}, "Unknown kind of subgroup 'corase'. Did you mean 'coarse'"),
        ("paper_search", {"kinds": "corase"}, "Unknown kind of caption 'corase'. Did you mean 'coarse'"),
    ],
)
def test_values_that_mean_nothing_are_refused(name, given, answer):
    with pytest.raises(Exception, match=re.escape(answer)):
        run_page(name, given)
