"""The commands that readers were promised, typed into a real terminal, on notebooks that take a second."""

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import termios
import time
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from execnb.nbio import mk_cell, read_nb
from execnb.shell import CaptureShell

from clipforget.core.files import code_hash, find_page
from clipforget.run.request import run_folder
from clipforget.judging.rows import read_rows

ROOT = Path(__file__).resolve().parents[1]

BIN = Path(sys.executable).parent
ENVIRONMENT = {
    **os.environ,
    "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
    "TERM": "xterm",
    "CLIPFORGET_RESULTS": "",
}
DEFAULTS = {"dataset": "emoji", "target": "", "seed": 0}


def write_notebook(path, *sources):
    """A notebook whose first cell is tagged `parameters`, as nbdev_clean would leave it."""
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    cells[0].metadata["tags"] = ["parameters"]
    kernel = {"name": "python3", "language": "python", "display_name": "python3"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)


@pytest.fixture()
def project(tmp_path):
    """The layout of this repository with four small notebooks. They must be as they were when a test ends."""
    root = tmp_path.resolve()
    (root / "settings.ini").write_text("[DEFAULT]\nlib_name = clipforget\nnbs_path = nbs\nlib_path = clipforget\n")
    (root / "nbs").mkdir()
    write_notebook(root / "nbs" / "tiny.ipynb", "a: int = 0  # any number", "print('a is', repr(a))")
    kinds = "make: bool = False\nsure: bool | None = None\ntarget: str = ''\nseed: int = 0\nlayer_choice: str = ''"
    write_notebook(root / "nbs" / "kinds.ipynb", kinds, "print([make, sure, target, seed])")
    write_notebook(root / "nbs" / "fails.ipynb", "a = 0", "raise RuntimeError('on purpose')")
    write_notebook(
        root / "nbs" / "run.ipynb", "\n".join(f"{name} = {value!r}" for name, value in DEFAULTS.items()), "print(seed)"
    )
    sources = {path: path.read_bytes() for path in (root / "nbs").iterdir()}
    yield root
    assert {path: path.read_bytes() for path in (root / "nbs").iterdir()} == sources


def type_in_terminal(command, folder, seconds=60):
    """Type `command` at a terminal in `folder`; returns the exit code and what the terminal showed."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (40, 160))
    process = subprocess.Popen(
        command,
        shell=True,
        cwd=folder,
        env=ENVIRONMENT,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown, end = b"", time.monotonic() + seconds
    while time.monotonic() < end:
        if not select.select([ours], [], [], 0.2)[0]:
            if process.poll() is not None:
                break
            continue
        try:
            piece = os.read(ours, 4096)
        except OSError:  # the other side is closed
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    try:
        return process.wait(timeout=max(1, end - time.monotonic())), shown.decode(errors="replace")
    except subprocess.TimeoutExpired:
        process.kill()
        pytest.fail(f"{command} did not end in {seconds} s:\n{shown.decode(errors='replace')}")


def printed(path):
    """All that the cells of an executed notebook printed."""
    cells = nbformat.read(path, as_version=4).cells
    return "".join(out.get("text", "") for cell in cells for out in cell.get("outputs", []))


def test_short_command(project):
    code, shown = type_in_terminal("papermill nbs/tiny.ipynb -p a 1", project)
    assert code == 0, shown
    assert printed(project / "results" / "tiny" / "tiny.ipynb") == "a is 1\n"
    assert "the executed notebook goes to results/tiny/tiny.ipynb" in shown
    assert "Executing: 100%" in shown


@pytest.mark.long
def test_explicit_output_path(project):
    code, shown = type_in_terminal("papermill nbs/tiny.ipynb some/where/out.ipynb -p a 2", project)
    assert code == 0, shown
    assert printed(project / "some" / "where" / "out.ipynb") == "a is 2\n"
    assert not (project / "results").exists()


@pytest.mark.long
def test_piped_and_redirected(project):
    """papermill alone would print the notebook here, or take its path for the output."""
    done = subprocess.run(
        "papermill nbs/tiny.ipynb -p a 3",
        shell=True,
        cwd=project,
        env=ENVIRONMENT,
        input="",
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    assert printed(project / "results" / "tiny" / "tiny.ipynb") == "a is 3\n"
    assert "nbformat" not in done.stdout


@pytest.mark.parametrize("pipes", [{"input": ""}, {"stdin": subprocess.DEVNULL}], ids=["piped", "redirected"])
def test_parameters_in_yaml_need_an_output_path(project, pipes):
    """On a terminal papermill asks for it (below); here it would overwrite the source, or print the notebook."""
    done = subprocess.run(
        "papermill nbs/run.ipynb -y 'seed: 1'",
        shell=True,
        cwd=project,
        env=ENVIRONMENT,
        text=True,
        capture_output=True,
        **pipes,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "give an output path" in done.stderr


def test_failing_cell(project):
    code, shown = type_in_terminal("papermill nbs/fails.ipynb -p a 1", project)
    assert code == 1
    assert "on purpose" in shown
    executed = nbformat.read(project / "results" / "fails" / "fails.ipynb", as_version=4)
    assert any("papermill-error" in "".join(cell.metadata.get("tags", [])) for cell in executed.cells)


@pytest.mark.long
@pytest.mark.parametrize(
    "command, changed",
    [
        ("papermill nbs/run.ipynb -p dataset emoji", {}),
        ("papermill -p seed 01 -p target 'crying cat' nbs/run.ipynb", {"seed": 1, "target": "crying cat"}),
        (f"{sys.executable} -m papermill nbs/run.ipynb -p seed 2", {"seed": 2}),
        ("cd nbs && papermill run.ipynb -p seed 3", {"seed": 3}),
    ],
)
def test_main_job_goes_to_the_folder_of_its_run(project, monkeypatch, command, changed):
    code, shown = type_in_terminal(f"{command} --prepare-only", project)
    assert code == 0, shown
    monkeypatch.chdir(project)
    monkeypatch.delenv("CLIPFORGET_RESULTS")
    folder = run_folder(DEFAULTS | changed)
    assert folder.is_relative_to(project / "results")
    assert [path for path in project.rglob("*.ipynb") if path.parent.name != "nbs"] == [folder / "run.ipynb"]


@pytest.mark.parametrize(
    "command, message",
    [
        ("papermill nbs/tiny.ipynb nbs/tiny.ipynb", "would be overwritten"),
        ("papermill nbs/tiny.ipynb nbs/run.ipynb", "would be overwritten"),
        ("papermill nbs/tyni.ipynb", "Did you mean 'tiny'? Allowed: fails, kinds, run, tiny."),
        ("papermill nbs/run.ipynb -y 'seed: 1'", "Missing argument 'OUTPUT_PATH'"),
        ("papermill elsewhere.ipynb -p a 1", "Missing argument 'OUTPUT_PATH'"),
        ("papermill nbs/run.ipynb -p dataset emojy", "Did you mean 'emoji'?"),
        ("papermill nbs/tiny.ipynb --sede 1", "No such option"),
        ("papermill nbs/tiny.ipynb -p b 1", "Unknown parameter 'b'. Allowed: a."),
        ("papermill nbs/tiny.ipynb -p a false", "a=False: wanted is a whole number."),
        ("papermill nbs/kinds.ipynb -p make maybe", "make='maybe': wanted is true or false."),
        ("papermill nbs/kinds.ipynb out.ipynb -p sure 2", "sure=2: wanted is true or false, or None."),
        ("papermill nbs/kinds.ipynb -p choice last", "The parameter 'choice' is called 'layer_choice' now."),
        ("papermill nbs/run.ipynb -p seed 1e12", "seed=1000000000000.0: wanted is a whole number"),
    ],
)
def test_refused(project, command, message):
    write_notebook(project / "elsewhere.ipynb", "a = 0")
    code, shown = type_in_terminal(command, project)
    assert (code, message in shown) == (2, True), shown
    assert not (project / "results").exists() and not (project / "out.ipynb").exists()


def test_help_of_a_notebook(project):
    code, shown = type_in_terminal("papermill nbs/tiny.ipynb --help-notebook", project)
    assert code == 0 and "any number" in shown
    assert not (project / "results").exists()


def test_another_project_is_left_alone(tmp_path):
    (tmp_path / "nbs").mkdir()
    (tmp_path / "settings.ini").write_text("[DEFAULT]\nlib_name = another\n")
    write_notebook(tmp_path / "nbs" / "run.ipynb", "a = 0")
    code, shown = type_in_terminal("papermill nbs/run.ipynb", tmp_path)
    assert code == 2 and "Missing argument 'OUTPUT_PATH'" in shown


@pytest.mark.long
def test_false_is_false_without_an_annotation(project):
    write_notebook(project / "nbs" / "plain.ipynb", "a = None", "print('a is', repr(a))")
    code, shown = type_in_terminal("papermill plain -p a false", project)
    assert code == 0, shown
    assert printed(project / "results" / "plain" / "plain.ipynb") == "a is False\n"
    (project / "nbs" / "plain.ipynb").unlink()


@pytest.mark.long
@pytest.mark.parametrize("word", ["deep", "deep.ipynb", "nbs/deep.ipynb", "nbs/room/deep.ipynb"])
def test_a_name_alone_finds_its_notebook(project, word):
    room = project / "nbs" / "room"
    room.mkdir()
    write_notebook(room / "deep.ipynb", "a: int = 0", "print('a is', repr(a))")
    code, shown = type_in_terminal(f"papermill {word} -p a 5 --prepare-only", project)
    assert code == 0, shown
    assert (project / "results" / "deep" / "deep.ipynb").exists()
    shutil.rmtree(room)


@pytest.mark.long
@pytest.mark.parametrize(
    "words, seen",
    [
        ("-p make no -p sure off", [False, False, "", 0]),
        ("-p make FALSE -psure YES", [False, True, "", 0]),
        ("-p make on -p target 7 -p seed 7", [True, None, "7", 7]),
        ("--parameters=target 007 -p sure None", [False, None, "007", 0]),
        ("out.ipynb -p target true", [False, None, "true", 0]),
    ],
)
def test_values_are_what_the_notebook_says(project, words, seen):
    code, shown = type_in_terminal(f"papermill nbs/kinds.ipynb {words}", project)
    assert code == 0, shown
    output = project / ("out.ipynb" if "out" in words else "results/kinds/kinds.ipynb")
    assert printed(output) == f"{seen}\n"


def run_page(name, given, after=None):
    """Run the cells of an experiment page here with the parameters `given`; `after` is code behind the cell with some words."""
    page = read_nb(find_page(name, ROOT))
    added = {"parameters": "\n".join(f"{k} = {v!r}" for k, v in given.items()), **(after or {})}
    for words, code in added.items():
        (at,) = [
            k for k, c in enumerate(page.cells) if words in c.metadata.get("tags", []) or words in c.source.splitlines()
        ]
        page.cells.insert(at + 1, mk_cell(code))
    CaptureShell().run_all(page, exc_stop=True)


@pytest.mark.parametrize(
    "name, given, answer",
    [
        ("ablation", {"variants": "one rond"}, "Unknown variant 'one rond'. Did you mean 'one round'"),
        ("speed", {"parts": "evalution"}, "Unknown part 'evalution'. Did you mean 'evaluation'"),
        ("ablation", {"make": "no"}, "make='no': wanted is true or false."),
        ("run", {"merged": "of"}, "merged='of': wanted is true or false"),
        ("run", {"dataset": "cifar10", "labels": "corse"}, "Unknown kind of labels 'corse'"),
        ("run", {"dataset": "cifar10", "subgroup": "query: a jet", "clusters": 3}, "clusters=3 means nothing with"),
    ],
)
def test_values_that_mean_nothing_are_refused(name, given, answer):
    with pytest.raises(Exception, match=re.escape(answer)):
        run_page(name, given)


def test_publishing_keeps_the_rows_of_other_sets(tmp_path, monkeypatch):
    (tmp_path / "settings.ini").write_text("[DEFAULT]\nlib_name = clipforget\n")
    monkeypatch.chdir(tmp_path)
    measured = Path("nbs") / "experiments" / "measured"
    measured.mkdir(parents=True)
    for name in ("photos.csv", "targets.csv"):
        shutil.copy(ROOT / measured / name, measured)
    kept = read_rows(measured / "photos.csv")
    row = {"stage": "edited", "seed": 0, "value": 1.0, "n": 9, "seconds": 1.0}
    made = f"pd.DataFrame([{row} | dict(set=of, target=target, labels=kind, method=m, column=c)"
    made += " for c in ('target', 'siblings', *(f'siblings at {level} %' for level in LEVELS))"
    made += " for m in ([method, FORECAST] if method == BORDER else [method])])"
    head = "def one_run(of: str, target: str, kind: str, seed: int, method: str) -> pd.DataFrame:"
    run_page(
        "photos",
        {"make": True, "publish": True, "sets": "pacs", "results": str(tmp_path / "results")},
        {head: f"one_run = lambda of, target, kind, seed, method: {made}"},
    )
    written = read_rows(measured / "photos.csv")
    default = ("clipforget", "do nothing", "linear border", "forecast")  # methods that are made where none is named
    mine = lambda rows: (rows["set"] == "pacs") & (rows["seed"] == 0) & rows["method"].isin(default)
    rest = lambda rows: rows.loc[~mine(rows), list(kept)].reset_index(drop=True)
    pd.testing.assert_frame_equal(rest(written), rest(kept))
    pacs = written[mine(written)]
    assert len(pacs) == 4 * 4 * 7 and set(pacs["value"]) == {1.0}  # targets, methods and the forecast, columns
    assert set(pacs["code"]) == {code_hash("method.three_stages")}  # by which code it was made
    assert pacs[["model", "settings"]].notna().all(axis=None)
