"""Whole runs of nbs/run.ipynb through papermill, with settings that make them short: files, wrong input, interruption, two at once."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from clipforget.core.files import results_folder
from parameters import ROOT, papermill, run_page

PAPERMILL = Path(sys.executable).parent / "papermill"
SHORT = {"forget_steps": 3, "remind_steps": 3, "limit": 50}


def command(results, output, **parameters):
    given = {"results": results, **SHORT, **parameters}
    return [str(PAPERMILL), "nbs/run.ipynb", str(output), *(w for k, v in given.items() for w in ("-p", k, str(v)))]


def run(results, **parameters):
    return papermill("run", results / "run.ipynb", results=results, **{**SHORT, **parameters})


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    results = tmp_path_factory.mktemp("results")
    done = run(results, merged="true", target="crocodile")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "unknown parameter" not in done.stderr
    (folder,) = (results / "emoji").iterdir()
    return folder


@pytest.mark.long
def test_what_is_left_behind(finished):
    names = {p.relative_to(finished).as_posix() for p in finished.rglob("*") if p.is_file()}
    figures = {"figures/what-could-be-had.png", "figures/what-could-be-had.svg"}
    merged = {"merged/open_clip_config.json", "merged/open_clip_model.safetensors"}
    assert {"report.html", "results.parquet", "settings.json", "patch.safetensors", *figures, *merged} <= names
    assert not [n for n in names if Path(n).name.startswith(".")]  # no temporary file stays
    rows = pd.read_parquet(finished / "results.parquet")
    assert set(rows["stage"]) == {"original", "forgetting", "reminding", "restoring"}
    assert rows["n"].min() > 0 and rows["value"].between(0, 100).all()
    told = json.loads((finished / "settings.json").read_text())
    asked, came_out, made_with = (told[part] for part in ("asked", "came out", "made with"))
    said = {"target": "crocodile", "remind_steps": 3, "margin": 0.05, "rounds": 3}
    assert {name: asked[name] for name in said} == said
    assert came_out["margin"] == 0.25 and came_out["seconds"] > 0
    assert made_with["weights"] and set(rows["threads"]) == {made_with["threads"]}


@pytest.mark.long
def test_rows_and_weights_are_the_same_beside_other_work(finished, tmp_path):
    """To the last bit: the number of threads is chosen once, and not by what the machine does."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    try:
        done = run(tmp_path, target="crocodile")
    finally:
        for other in busy:
            other.kill()
            other.wait()
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "emoji").iterdir()
    assert pd.read_parquet(folder / "results.parquet").equals(pd.read_parquet(finished / "results.parquet"))
    alone, beside = (load_file(of / "patch.safetensors") for of in (finished, folder))
    assert alone.keys() == beside.keys() and all(torch.equal(alone[name], beside[name]) for name in alone)


@pytest.mark.parametrize(
    "wrong, answer",
    [
        pytest.param({"target": "crocodil"}, "Did you mean 'crocodile'", marks=pytest.mark.long),
        ({"sede": 1}, "Did you mean 'seed'"),
        ({"rank": 0}, "rank=0: wanted is a whole number from 1"),
    ],
)
def test_wrong_input_stops_a_run(tmp_path, wrong, answer):
    done = run(tmp_path, **wrong)
    assert done.returncode and answer in done.stderr + done.stdout
    assert not (tmp_path / "emoji").exists()


@pytest.mark.parametrize(
    "wrong, answer",
    [({"method": "clipforgot"}, "Did you mean 'clipforget'"), ({"backbone": "emoji-rm"}, "Did you mean 'emoji-rn'")],
)
def test_wrong_input_is_seen_before_anything_is_made(tmp_path, wrong, answer):
    """Where the notebook is run by something else than papermill."""
    with pytest.raises(Exception, match=re.escape(answer)):
        run_page("run", {**wrong, "results": str(tmp_path)})
    assert not (tmp_path / "emoji").exists()


@pytest.mark.long
def test_killed_run_goes_on_and_two_at_once_do_not_disturb_each_other(tmp_path):
    given = {"target": "crocodile", "remind_steps": 40}
    quiet = {"cwd": ROOT, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    killed = subprocess.Popen(command(tmp_path, tmp_path / "a.ipynb", **given), start_new_session=True, **quiet)
    deadline = time.time() + 200
    while not (stages := list(tmp_path.glob("emoji/*/stages/1-forgetting-*.safetensors"))):
        assert time.time() < deadline and killed.poll() is None
        time.sleep(0.05)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not list(tmp_path.glob("emoji/*/stages/2-*.safetensors"))  # killed within the second stage
    (stage,) = stages
    stamp = stage.stat().st_mtime_ns
    both = [subprocess.Popen(command(tmp_path, tmp_path / f"{k}.ipynb", **given), **quiet) for k in "bc"]
    assert [p.wait(timeout=300) for p in both] == [0, 0]
    assert stage.stat().st_mtime_ns == stamp  # the finished stage was found, not made again
    (folder,) = (tmp_path / "emoji").iterdir()
    assert folder == stage.parents[1]
    assert [f.name[0] for f in sorted((folder / "stages").glob("[0-9]-*.safetensors"))] == ["1", "2", "3"]
    assert len(pd.read_parquet(folder / "results.parquet")) > 0


@pytest.mark.long
def test_an_edit_of_the_text_tower_is_judged_with_it(tmp_path):
    done = papermill("run", tmp_path / "run.ipynb", results=tmp_path, limit=50, method="text-space adaptation")
    assert done.returncode == 0, done.stdout + done.stderr
    rows = pd.read_parquet(next(tmp_path.glob("emoji/*/results.parquet")))
    found = rows.query("column == 'target'").set_index("stage")["value"]
    assert found["original"] > 90 and found["edited"] < 10


@pytest.mark.parametrize("target", ["test", "test-all"])
def test_make_sets_a_folder_for_results_before_pages_are_executed(target):
    """Tests leave results/ alone: it is the user's."""
    assert results_folder() == Path(os.environ["CLIPFORGET_RESULTS"]) and not results_folder().is_relative_to(ROOT)
    recipe = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    (line,) = [line for line in recipe.replace("\\\n", " ").splitlines() if "nbdev_test" in line]
    assert line.index("CLIPFORGET_RESULTS=$(mktemp -d)") < line.index("nbdev_test") < line.index("pytest")
