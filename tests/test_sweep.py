"""Sweeps of notebooks that take a second: a killed run, a failing run, a second sweep, Ctrl-C, wrong input."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pandas as pd
import papermill
import pytest

from clipforget.core.files import code_hash
from clipforget.run import sweeping
from clipforget.run.sweeping import plan, sweep, table_path
from parameters import ROOT, write_project

PARAMETERS = (
    'what: str = "plain"\nrate: float = 1.0\nlayers: int | None = None\npublish: bool = False\nresults: str = ""'
)
BEGIN = """
import json, os, signal, time
from pathlib import Path

tries = Path(results, "tries")
with tries.open("a") as log:
    log.write(f"{os.getppid()} {time.time()}\\n")
if what == "kills always" or what == "kills once" and len(tries.read_text().splitlines()) == 1:
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(4)
    Path(results, "orphan").touch()  # a kernel whose worker is dead must not come so far
if what == "fails":
    raise RuntimeError("two lines,\\nthe last of them on purpose")
if what == "sleeps":
    time.sleep(300)
if what == "is interrupted":  # papermill does so when it has the answer to its last question, which is told late here
    handlers = get_ipython().kernel.shell_handlers
    answer = handlers["kernel_info_request"]

    async def answer_and_wait(*asked):
        await answer(*asked)
        time.sleep(0.5)

    handlers["kernel_info_request"] = answer_and_wait
"""
END = """
if what == "torch":
    import torch
seen = {"threads": torch.get_num_threads() if what == "torch" else 0, **{k: v for k, v in os.environ.items() if k.endswith("_NUM_THREADS")}}
time.sleep(1)
Path(results, "seen.json").write_text(json.dumps(seen | {"worker": os.getppid(), "begun": float(tries.read_text().split()[-1]), "ended": time.time()}))
"""
ALL = ["torch", "kills once", "fails", "plain", "kills always", "is interrupted"]


def tries(run):
    """How often the run's notebook was begun."""
    return len((run.folder / "tries").read_text().splitlines())


def files(run):
    """The names of the files in a run's folder."""
    return {path.name for path in run.folder.iterdir()}


@pytest.fixture(scope="module", autouse=True)
def results_are_the_project_s():
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CLIPFORGET_RESULTS")
        yield


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The layout of this repository with one notebook that can be swept, and a page that cannot."""
    root = write_project(tmp_path_factory.mktemp("project").resolve(), tiny=(PARAMETERS, BEGIN, END))
    nbformat.write(nbformat.v4.new_notebook(), root / "nbs" / "page.ipynb")
    return root


@pytest.fixture(scope="module")
def swept(project):
    """The runs and the table of a sweep in which runs are killed and a notebook fails, two at a time with two threads each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "7")
        patch.setenv("MKL_NUM_THREADS", "7")
        runs = plan("tiny", {"what": ALL}, root=project)
        return dict(zip(ALL, runs)), sweep(runs, workers=2, threads=2).set_index("what")


@pytest.mark.long
def test_killed_and_failing_runs_two_at_a_time(swept):
    runs, table = swept
    assert table["status"].to_dict() == dict.fromkeys(ALL, "finished") | {"fails": "failed", "kills always": "failed"}
    twice = {"kills once": 2, "kills always": 2}
    assert {what: tries(run) for what, run in runs.items()} == dict.fromkeys(ALL, 1) | twice
    assert table.loc["kills always", "error"].startswith("killed twice") and set(table["code"]) == {code_hash()}
    finished = {"tries", "seen.json", "tiny.ipynb"}
    expected = dict.fromkeys(ALL, finished) | {"fails": {"tries", "failed.ipynb"}, "kills always": {"tries"}}
    assert {what: files(run) for what, run in runs.items()} == expected  # no half file, and no orphan
    row = table.loc["fails"]
    assert row["error"] == "the last of them on purpose" and row["seconds"] > 0
    assert row["executed"] == str(runs["fails"].failed)
    tags = [tag for cell in nbformat.read(runs["fails"].failed, 4).cells for tag in cell.metadata.get("tags", [])]
    assert "papermill-error-cell-tag" in tags
    assert table.loc["plain", "error"] == "" and table.loc["plain", "executed"] == str(runs["plain"].executed)
    seen = {what: json.loads(path.read_text()) for what, run in runs.items() for path in run.folder.glob("seen.json")}
    assert seen["torch"]["threads"] == 2 and len(seen) == 4
    assert {one[f"{name}_NUM_THREADS"] for one in seen.values() for name in ("OMP", "MKL", "OPENBLAS")} == {"2"}
    assert len({one["worker"] for one in seen.values()}) == 4  # a process each
    for moment in (one["begun"] for one in seen.values()):
        assert sum(one["begun"] <= moment < one["ended"] for one in seen.values()) <= 2


@pytest.mark.parametrize("own, threads, share", [(None, 0, 3), ("5", 0, 5), ("5", 2, 2)])
def test_workers_share_the_cores(project, tmp_path, monkeypatch, own, threads, share):
    monkeypatch.setattr(sweeping, "usable_cores", lambda: 6)
    seen = []
    monkeypatch.setattr(sweeping, "_execute", lambda run, pipe, threads: seen.append(threads) or {"run": run.name})
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if own:
        monkeypatch.setenv("OMP_NUM_THREADS", own)
    sweep(plan("tiny", {"what": ["a", "b", "c"]}, str(tmp_path), root=project), 2, threads)
    assert seen == [share] * 3


@pytest.mark.parametrize(
    "notebook, grid, answer",
    [
        ("tyni", {"what": ["plain"]}, "Unknown notebook of nbs/ 'tyni'. Did you mean 'tiny'? Allowed: page, tiny."),
        ("page", {"what": ["plain"]}, "page.ipynb has no parameters to sweep over"),
        ("tiny", {}, "grid={} holds no run. Name at least one parameter"),
        ("tiny", {"rate": ["fast"]}, "rate='fast': wanted is a number."),
        ("tiny", {"code": [1]}, "the table of runs has a column of that name"),
        ("tiny", {"publish": [True]}, "overwrite each other's rows. Leave it out."),
        ("run", {"dataset": ["emoji", "cifar10"], "styles": "noto"}, "styles='noto' means nothing for a cifar10 data"),
    ],
)
def test_wrong_grid(project, notebook, grid, answer):
    with pytest.raises(ValueError) as failure:
        plan(notebook, grid, root=ROOT if notebook == "run" else project)
    assert answer in str(failure.value)


@pytest.mark.parametrize("given", [{"workers": 0}, {"threads": -1}])
def test_too_small_numbers(project, given):
    with pytest.raises(ValueError, match="give whole numbers from 1 and from 0 up"):
        sweep(plan("tiny", {"what": "never"}, root=project), **given)


@pytest.mark.long
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_interruption_keeps_what_is_finished(project, tmp_path, how):
    code = (
        f"import signal\nfrom clipforget.run.sweeping import plan, sweep\n"
        f"signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job inherits that it is ignored\n"
        f"sweep(plan('tiny', {{'what': ['plain', 'sleeps']}}, {str(tmp_path)!r}), workers=2)\n"
    )
    given = {"cwd": project, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    process = subprocess.Popen([sys.executable, "-c", code], **given)
    plain, sleeps = plan("tiny", {"what": ["plain", "sleeps"]}, str(tmp_path), root=project)
    table, begun, deadline = table_path([plain, sleeps]), sleeps.folder / "tries", time.time() + 60
    while not (begun.exists() and table.exists() and "plain" in table.read_text()):
        assert time.time() < deadline and process.poll() is None
        time.sleep(0.2)
    process.send_signal(how)
    said = process.communicate(timeout=60)[1]
    assert "KeyboardInterrupt" in said or how == signal.SIGKILL
    assert list(pd.read_csv(table)["what"]) == ["plain"] and list(pd.read_csv(table)["status"]) == ["finished"]
    worker = int(begun.read_text().split()[0])
    while Path(f"/proc/{worker}/stat").exists() and ") Z " not in Path(f"/proc/{worker}/stat").read_text():
        assert time.time() < deadline  # no run goes on unseen
        time.sleep(0.2)
    assert files(sleeps) == {"tries"}


@pytest.mark.long
def test_the_page_itself(project, tmp_path):
    grid = '{"what": ["plain", "fails"]}'
    given = {"notebook": "tiny", "grid": grid, "results": str(tmp_path / "results"), "workers": 1}
    page = str(ROOT / "nbs" / "experiments" / "sweep.ipynb")
    papermill.execute_notebook(page, str(tmp_path / "sweep.ipynb"), given, cwd=str(project), progress_bar=False)
    (path,) = (tmp_path / "results").glob("sweep-*.csv")
    assert list(pd.read_csv(path)["status"]) == ["finished", "failed"]
    assert (tmp_path / "results" / "sweep.png").exists()
