"""From photographs to a report: a small CLIP is pre-trained on a tree of styles, and the main job forgets a class in one style with it."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from clipforget.exchange.loading import load_clip, pretrained_folder
from clipforget.data.registry import TaskRequest
from clipforget.data.tasks import make_task
from clipforget.core.settings import Settings
from parameters import main_job, papermill
from views import write_views

NAME = "test-toys"
CLASSES = ("turtle", "violin", "banana")


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("photos")
    for name in CLASSES:
        for style, word in enumerate(("drawn", "painted")):
            write_views(root / "toys" / word / name, name, 80, style, style)
    return root


@pytest.fixture(scope="module")
def model(tree, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pretrain")
    few = {"steps": 80, "batch": 32, "muon": "nothing"}  # its steps cost more than the pictures do here
    told = {"dataset": "toys", "data_root": tree, "name": NAME, "results": folder}
    done = papermill("experiments/pretrain", folder / "pretrain.ipynb", **told, **few)
    assert done.returncode == 0, done.stderr[-3000:]
    yield folder
    shutil.rmtree(pretrained_folder(NAME))


@pytest.mark.long
def test_pretraining_learns_and_is_found_by_name(model):
    report = pd.read_csv(model / "zero_shot.csv")
    assert report.loc[report["set"] == "toys", "accuracy"].item() > 60  # a third would be chance
    clip = load_clip(f"pretrained:{NAME}")
    assert clip.name == f"pretrained:{NAME}" and clip.size == 64


@pytest.mark.long
def test_other_photographs_are_not_shipped(tree, tmp_path):
    told = {"dataset": "toys", "data_root": tree, "steps": 2, "results": tmp_path}
    done = papermill("experiments/pretrain", tmp_path / "pretrain.ipynb", ship="true", **told)
    assert done.returncode != 0 and "only the models of emoji and of photos go into the package" in done.stderr


@pytest.mark.long
def test_a_list_says_what_is_left_out(tree, tmp_path):
    """As the oracles are made: a column of a table, whose entries may be several."""
    (tmp_path / "away.csv").write_text("set,leave_out\ntoys,toys/turtle; toys/turtel\n")
    told = {"dataset": "toys", "data_root": tree, "steps": 2, "results": tmp_path}
    done = papermill("experiments/pretrain", tmp_path / "pretrain.ipynb", leave_out=tmp_path / "away.csv", **told)
    assert done.returncode != 0 and "Unknown name of toys to leave out 'turtel'. Did you mean 'turtle'" in done.stderr


@pytest.mark.long
def test_a_class_in_one_style(model, tree, tmp_path):
    (tree / "toys").rename(tree / "pacs")
    asked = {"target": "turtle", "styles": "drawn", "backbone": f"pretrained:{NAME}", "data_root": tree}
    folder = main_job(tmp_path, "style", **asked, forget_steps=3, remind_steps=3)
    assert {"target", "siblings", "siblings, same style", "pacs, others"} == set(
        pd.read_parquet(folder / "results.parquet")["column"]
    )
    told = json.loads((folder / "settings.json").read_text())
    # the defaults, said in the record; the gate did not hold at first, so the weight rose
    usual, asked, rounds = Settings(), told["asked"], told["came out"]["rounds"]
    assert (asked["layers"], asked["lowest_part"]) == (usual.layers, usual.lowest_part)
    last = usual.forget_weight * usual.weight_growth ** (rounds - 1)
    assert told["came out"]["final forget weight"] == last and rounds == usual.rounds
    assert "cifar10: not found" in (folder / "report.html").read_text()


def test_limit_is_stratified_and_said(tree):
    from clipforget.data.suite import zero_shot_suite

    rng = np.random.default_rng(0)
    for name in ("airplane", "ship"):
        folder = tree / "stl10" / "test" / name
        folder.mkdir(parents=True)
        for i in range(10):
            Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(folder / f"{i}.png")
    sets, lines = zero_shot_suite(tree, 64, ["stl10"], limit=6)
    assert sets["stl10"].labels.bincount().tolist() == [3, 3] and "6" in lines[0]


def test_folder_of_ones_own_with_shared_caption(tmp_path):
    for part, name in (("forget", "turtle"), ("keep", "snake"), ("others", "violin")):
        write_views(tmp_path / part / name, name, 20)
    (tmp_path / "names.csv").write_text("folder,caption\nturtle,reptile\nsnake,reptile\n")
    task, lines = make_task(load_clip(device=torch.device("cpu")), TaskRequest("folder", data_root=str(tmp_path)))
    assert task.labels == "coarse" and task.forget.classes[task.caption] == "reptile"
    # nine pictures, each in eight views
    assert len(task.forget) % (len(task.forget) // 9) == 0 and len(task.forget) > 9
    assert any(line.startswith("imagenet: not found") for line in lines)
