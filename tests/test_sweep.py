"""Sweeps of notebooks that take a second: a killed worker, a failing run, a second sweep, Ctrl-C, other schedulers, wrong input."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pandas as pd
import papermill
import pytest
from distributed import LocalCluster, Scheduler, SpecCluster, Worker

from clipforget.tools import sweeping
from clipforget.core.files import code_hash
from clipforget.run.sweeping import _execute, _outside_client, collect_rows, plan, sweep, table_path

ROOT = Path(__file__).resolve().parents[1]
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
seen["card"] = os.environ.get("CUDA_VISIBLE_DEVICES")
time.sleep(1)
Path(results, "seen.json").write_text(json.dumps(seen | {"worker": os.getppid(), "begun": float(tries.read_text().split()[-1]), "ended": time.time()}))
"""
ALL = ["torch", "kills once", "fails", "plain", "kills always", "other"]


def write_notebook(path, *sources):
    """A notebook whose first cell is tagged `parameters`."""
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    cells[0].metadata["tags"] = ["parameters"]
    kernel = {"name": "python3", "language": "python", "display_name": "python3"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)


def make_project(root):
    """The layout of this repository with one notebook that can be swept, and a page that cannot."""
    (root / "settings.ini").write_text("[DEFAULT]\nlib_name = clipforget\nnbs_path = nbs\nlib_path = clipforget\n")
    (root / "nbs").mkdir()
    write_notebook(root / "nbs" / "tiny.ipynb", PARAMETERS, BEGIN, END)
    nbformat.write(nbformat.v4.new_notebook(), root / "nbs" / "page.ipynb")
    write_notebook(root / "outside.ipynb", PARAMETERS)
    return root


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
    return make_project(tmp_path_factory.mktemp("project").resolve())


@pytest.fixture(scope="module")
def swept(project):
    """The runs and the table of a sweep in which workers are killed and a notebook fails, on two workers with two threads each
    and a card each, of which nothing is there but the numbers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
        patch.setenv("OMP_NUM_THREADS", "7")
        patch.setenv("MKL_NUM_THREADS", "7")
        runs = plan("tiny", {"what": ALL}, root=project)
        return dict(zip(ALL, runs)), sweep(runs, workers=2, threads=2, attempts=2).set_index("what")


@pytest.mark.long
def test_killed_worker(swept):
    runs, table = swept
    status = dict.fromkeys(ALL, "finished") | {"fails": "failed", "kills always": "failed"}
    assert table["status"].to_dict() == status
    assert {what: tries(run) for what, run in runs.items()} == dict.fromkeys(ALL, 1) | {
        "kills once": 2,
        "kills always": 2,
    }
    assert table.loc["kills always", "error"].startswith("KilledWorker: 2 of its workers died")
    assert set(table["code"]) == {code_hash()}
    finished = {"tries", "seen.json", "tiny.ipynb"}
    expected = dict.fromkeys(ALL, finished) | {"fails": {"tries", "failed.ipynb"}, "kills always": {"tries"}}
    assert {what: files(run) for what, run in runs.items()} == expected  # no half file, and no orphan


@pytest.mark.long
def test_failing_run_is_a_row(swept):
    runs, table = swept
    row = table.loc["fails"]
    assert row["error"] == "the last of them on purpose"
    assert row["executed"] == str(runs["fails"].failed) and row["seconds"] > 0
    tags = [tag for cell in nbformat.read(runs["fails"].failed, 4).cells for tag in cell.metadata.get("tags", [])]
    assert "papermill-error-cell-tag" in tags
    assert table.loc["plain", "error"] == "" and table.loc["plain", "executed"] == str(runs["plain"].executed)
    stored = pd.read_csv(
        table_path(list(runs.values())), keep_default_na=False, na_values={"seconds": ""}, dtype={"code": str}
    ).set_index("what")
    pd.testing.assert_frame_equal(stored, table, check_dtype=False)


@pytest.mark.long
def test_threads_are_limited(swept):
    runs, _ = swept
    seen = {
        what: json.loads((runs[what].folder / "seen.json").read_text())
        for what in ("torch", "kills once", "plain", "other")
    }
    assert seen["torch"]["threads"] == 2
    assert {one[f"{name}_NUM_THREADS"] for one in seen.values() for name in ("OMP", "MKL", "OPENBLAS")} == {"2"}
    for a in seen.values():
        for b in seen.values():
            # a worker has one run at a time
            assert a is b or a["worker"] != b["worker"] or a["ended"] < b["begun"] or b["ended"] < a["begun"]


def test_each_worker_has_a_card_of_its_own(swept):
    runs, _ = swept
    seen = [json.loads(path.read_text()) for run in runs.values() for path in run.folder.glob("seen.json")]
    assert len(seen) == 4 and {one["card"] for one in seen} == {"5", "7"}
    for a in seen:
        for b in seen:
            # whoever runs at the same time has another card, also where a killed worker was replaced
            assert a is b or a["card"] != b["card"] or a["ended"] < b["begun"] or b["ended"] < a["begun"]


@pytest.mark.parametrize("said, cards", [("5,GPU-1f", ["5", "GPU-1f"]), ("", []), ("-1", []), (None, ["0", "1", "2"])])
def test_cards_are_those_that_may_be_seen(monkeypatch, said, cards):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    if said is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", said)
    assert sweeping._list_cards() == cards


@pytest.mark.parametrize("own, threads, share", [(None, 0, "3"), ("5", 0, "5"), ("5", 2, "2")])
def test_workers_share_the_cores(monkeypatch, own, threads, share):
    monkeypatch.setattr("joblib.cpu_count", lambda: 6)
    if own is None:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    else:
        monkeypatch.setenv("OMP_NUM_THREADS", own)
    with sweeping._connected("", 2, threads, 0) as client:
        seen = client.run(lambda: os.environ["OMP_NUM_THREADS"])
    assert len(seen) == 2 and set(seen.values()) == {share}


def test_a_run_that_asks_for_a_card_goes_where_one_is(project, tmp_path):
    runs = plan("tiny", {"what": ["plain", "other"], "rate": 4}, str(tmp_path), root=project)
    kinds = {"without": {}, "with": {"resources": {"GPU": 1}}}
    workers = {name: {"cls": Worker, "options": {"nthreads": 1, **kind}} for name, kind in kinds.items()}
    scheduler = {"cls": Scheduler, "options": {"protocol": "tcp://", "dashboard_address": None}}
    with SpecCluster(workers=workers, scheduler=scheduler) as cluster:
        with pytest.raises(
            ValueError, match=r'has no workers with --resources "GPU=2".*--nthreads 1 --resources "GPU=2"'
        ):
            sweep(runs, scheduler=cluster.scheduler_address, gpus=2)
        assert list(sweep(runs, scheduler=cluster.scheduler_address, gpus=1)["status"]) == ["finished", "finished"]
    a, b = (json.loads((run.folder / "seen.json").read_text()) for run in runs)
    assert a["ended"] < b["begun"]  # one after the other, though there are two workers


@pytest.mark.long
def test_finished_runs_are_not_repeated(swept, project):
    runs, _ = swept
    whats = ["other", "fails", "kills once", "plain"]
    stamps = {what: runs[what].executed.stat().st_mtime_ns for what in whats if what != "fails"}
    # another grid, the same runs
    again = sweep(plan("tiny", {"what": whats, "rate": 1, "layers": None}, root=project)).set_index("what")
    assert again["status"].to_dict() == dict.fromkeys(whats, "skipped") | {"fails": "failed"}
    assert {what: tries(runs[what]) for what in whats} == {"other": 1, "fails": 2, "kills once": 2, "plain": 1}
    assert stamps == {what: runs[what].executed.stat().st_mtime_ns for what in stamps}
    assert (again["seconds"] > 0).all()


@pytest.mark.long
def test_a_run_of_another_version_of_the_package_is_made_anew(swept, project, monkeypatch, tmp_path):
    (run,) = plan("tiny", {"what": "plain", "rate": 5}, str(tmp_path), root=project)
    monkeypatch.setenv(
        "MALLOC_TRIM_THRESHOLD_", "65536"
    )  # as Dask's workers have it, which makes runs half as slow again
    assert _execute(run)["status"] == "finished" and _execute(run)["status"] == "skipped"
    assert "MALLOC_TRIM_THRESHOLD_" not in os.environ
    monkeypatch.setattr(sweeping, "code_hash", lambda: "what the code is after a repair")
    assert not run.finished and collect_rows([run], "seen.json").empty
    assert _execute(run)["status"] == "finished" and run.finished and tries(run) == 2
    monkeypatch.undo()
    assert not run.finished


def test_a_kernel_that_is_ended_says_nothing(project, tmp_path, capfd):
    (run,) = plan("tiny", {"what": "is interrupted"}, str(tmp_path), root=project)
    assert _execute(run)["status"] == "finished"
    assert "KeyboardInterrupt" not in "".join(capfd.readouterr())


@pytest.mark.long
def test_another_scheduler(project, tmp_path):
    runs = plan("tiny", {"what": ["plain", "fails"], "rate": [2, 3]}, str(tmp_path), root=project)
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, protocol="tcp://", dashboard_address=None
    ) as cluster:
        table = sweep(runs, scheduler=cluster.scheduler_address)
        assert cluster.scheduler.workers  # it is left running
    assert list(table["status"]) == ["finished", "finished", "failed", "failed"]
    assert [run.folder.parent for run in runs] == [tmp_path] * 4
    given = nbformat.read(runs[1].executed, 4).cells[1].source
    assert "rate = 3.0" in given and f'results = "{runs[1].folder}"' in given and len({run.folder for run in runs}) == 4


@pytest.mark.parametrize("threads, workers, answer", [(2, 1, "a worker with 2 threads"), (1, 0, "has no workers")])
def test_unsuitable_scheduler(project, threads, workers, answer):
    with (
        LocalCluster(
            n_workers=workers, threads_per_worker=threads, processes=False, protocol="tcp://", dashboard_address=None
        ) as cluster,
        pytest.raises(ValueError, match=f"(?s){answer}.*Start its workers with `dask worker"),
    ):
        sweep(plan("tiny", {"what": "never"}, root=project), scheduler=cluster.scheduler_address)


@pytest.mark.parametrize("address", ["nonsense", "nonsense://here:1", "tcp://127.0.0.1:1"])
def test_no_scheduler(address):
    with pytest.raises(
        ValueError,
        match=f"(?s)No Dask scheduler answers at scheduler='{address}'.*Give the address that `dask scheduler` prints",
    ):
        _outside_client(address, timeout=1)


@pytest.mark.parametrize(
    "notebook, grid, answer",
    [
        (
            "tiny",
            {"whatt": ["plain"]},
            "Unknown parameter of tiny.ipynb 'whatt'. Did you mean 'what'? Allowed: layers, rate, what.",
        ),
        ("tyni", {"what": ["plain"]}, "Unknown notebook of nbs/ 'tyni'. Did you mean 'tiny'? Allowed: page, tiny."),
        ("../outside.ipynb", {"what": ["plain"]}, "Unknown notebook of nbs/ '../outside'"),
        ("page", {"what": ["plain"]}, "page.ipynb has no parameters to sweep over. Choose a notebook"),
        ("tiny", {}, "grid={} holds no run. Name at least one parameter"),
        ("tiny", '{"what": []}', "holds no run. Name at least one parameter"),
        ("tiny", "what=plain", "grid='what=plain' is not JSON"),
        ("tiny", '["plain"]', "is not an object in braces. A grid is a JSON object"),
        ("tiny", '{"rate": 1, "rate": 2}', "The grid names 'rate' twice. Put all its values into one list."),
        ("tiny", {"rate": ["fast"]}, "rate='fast': wanted is a number."),
        ("tiny", {"layers": [2.5]}, "layers=2.5: wanted is a whole number, or None."),
        ("tiny", {"layers": [True]}, "layers=True: wanted is a whole number, or None."),
        ("tiny", {"code": [1]}, "the table of runs has a column of that name"),
        (
            "tiny",
            {"results": ["/"]},
            "The grid sets 'results', which is not for a grid: every run gets a folder of its own. Leave it out.",
        ),
        ("tiny", {"publish": [True]}, "overwrite each other's rows. Leave it out."),
    ],
)
def test_wrong_grid(project, notebook, grid, answer):
    with pytest.raises(ValueError) as failure:
        plan(notebook, grid, root=project)
    assert answer in str(failure.value)


@pytest.mark.parametrize(
    "grid, answer",
    [
        ({"rank": [4, 0]}, "rank=0: wanted is a whole number from 1"),
        ({"ema": [0.5, 1.5]}, "ema=1.5: wanted is a number from 0 to 1"),
        ({"labels": ["corse"]}, "Unknown kind of labels 'corse'. Did you mean 'coarse'"),
        ({"dataset": ["emoji", "cifar10"], "styles": "noto"}, "styles='noto' means nothing for a cifar10 data set"),
    ],
)
def test_a_grid_of_the_main_job_is_compared_with_bounds(grid, answer):
    with pytest.raises(ValueError, match=answer):
        plan("run", grid, root=ROOT)


@pytest.mark.parametrize("setting, low", [("workers", 1), ("threads", 0), ("attempts", 1), ("gpus", 0)])
def test_too_small_numbers(project, setting, low):
    with pytest.raises(ValueError, match=f"{setting}={low - 1}: give a whole number from {low} up."):
        sweep(plan("tiny", {"what": "never"}, root=project), **{setting: low - 1})


def test_cards_are_asked_of_a_scheduler(project):
    with pytest.raises(ValueError, match=r"gpus=1 is asked of a scheduler: give its address."):
        sweep(plan("tiny", {"what": "never"}, root=project), gpus=1)


def test_names_stay_inside(project):
    runs = plan("tiny", {"what": ["../../../up", "/etc", "..", "", "x" * 500, "a/b", "a\\b", "é"]}, root=project)
    assert len({run.folder for run in runs}) == 8
    assert all(run.folder.parent == project / "results" / "sweep" / "tiny" and len(run.name) < 80 for run in runs)


@pytest.mark.long
def test_interruption_keeps_what_is_finished(project, tmp_path):
    code = (
        f"import signal\nfrom clipforget.run.sweeping import plan, sweep\nif __name__ == '__main__':\n"
        f"    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job inherits that it is ignored\n"
        f"    sweep(plan('tiny', {{'what': ['plain', 'sleeps']}}, {str(tmp_path / 'results')!r}), workers=2)\n"
    )
    (tmp_path / "script.py").write_text(code)
    process = subprocess.Popen(
        [sys.executable, tmp_path / "script.py"], cwd=project, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    plain, sleeps = plan("tiny", {"what": ["plain", "sleeps"]}, str(tmp_path / "results"), root=project)
    deadline = time.time() + 60
    while not (
        plain.executed.exists()
        and (sleeps.folder / "tries").exists()
        and "plain" in table_path([plain, sleeps]).read_text()
    ):
        assert time.time() < deadline and process.poll() is None
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in process.communicate(timeout=60)[1]
    table = pd.read_csv(table_path([plain, sleeps]))
    assert list(table["what"]) == ["plain"] and list(table["status"]) == ["finished"]
    assert files(sleeps) == {"tries"}


def test_the_page_itself(project, tmp_path):
    given = {
        "notebook": "tiny",
        "grid": '{"what": ["plain", "fails"]}',
        "results": str(tmp_path / "results"),
        "workers": 1,
    }
    papermill.execute_notebook(
        str(ROOT / "nbs" / "experiments" / "sweep.ipynb"),
        str(tmp_path / "sweep.ipynb"),
        given,
        cwd=str(project),
        progress_bar=False,
    )
    (path,) = (tmp_path / "results").glob("sweep-*.csv")
    assert list(pd.read_csv(path)["status"]) == ["finished", "failed"]
    assert (tmp_path / "results" / "sweep.png").exists()
