"""ImageNet's mechanics on a folder in ImageNet's layout: a few pictures of a few classes, all 1,000 names, random weights."""

import json
import re
from html import unescape

import pandas as pd
import pytest
import torch

from clipforget.core.clip import class_embeddings
from clipforget.exchange.loading import load_clip
from clipforget.data.subgroups import prepare_imagenet
from clipforget.data.registry import TaskRequest
from clipforget.data.tasks import make_task
from clipforget.method.three_stages import three_stages
from clipforget.core.settings import Settings
from clipforget.data.suite import PROMPTS
from clipforget.data.wordnet import find_class, imagenet_siblings

from parameters import main_job
from views import write_noise

SHORT = {"forget_steps": 2, "remind_steps": 2, "layers": 3}
OTHERS = ("tench", "school bus", "banana")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    for c in [find_class("marmoset"), find_class("common squirrel monkey"), *imagenet_siblings("marmoset")[1]]:
        write_noise(root / "imagenet" / "val" / c.wnid, "a", 12)
    for name in OTHERS:
        write_noise(root / "imagenet" / "val" / find_class(name).wnid, "a", 3)
    return root


@pytest.fixture(scope="module")
def clip():
    return load_clip("ViT-S-32-alt/random", CPU)


def imagenet(clip, root, **asked):
    return prepare_imagenet(TaskRequest("imagenet", data_root=str(root), **asked))(clip)[0]


def test_the_task(data_root, clip):
    task = imagenet(clip, data_root / "imagenet", target="n02490219")
    assert task.target == "marmoset" and len(task.forget.classes) == 1000
    assert set(task.siblings) == {"titi monkey", "Geoffroy's spider monkey", "howler monkey"}  # as in Living-17
    others = task.suite["ImageNet, others"]
    assert {others.classes[k] for k in others.labels.tolist()} == {*OTHERS, "common squirrel monkey"}
    # each in eight views
    assert len(task.forget) // 8 + len(task.calibration_forget) + len(task.evaluation["target"]) == 12


@pytest.mark.long
def test_a_thousand_prompts_and_the_stages_on_a_transformer(data_root, clip, tmp_path, monkeypatch):
    monkeypatch.setenv("CLIPFORGET_CACHE", str(tmp_path))
    monkeypatch.setitem(PROMPTS, "imagenet", PROMPTS["imagenet"][:1])
    asked = TaskRequest("imagenet", siblings="titi; common squirrel monkey", data_root=str(data_root), limit=4)
    task, lines = make_task(clip, asked)
    assert lines[-1].startswith("Not judged, since not found below") and "food101" in lines[-1]
    assert class_embeddings(clip, task.forget.classes, task.templates).shape == (1000, 256)
    with pytest.warns(UserWarning, match="no BatchNorm. Set alignment=none"):
        edit = three_stages(clip, task, Settings(**SHORT, alignment="pictures"))
    assert edit.stages[1].info["alignment"] == "none: this image tower has no BatchNorm"
    chosen = [re.match(r"transformer\.resblocks\.(\d+)", name) for name in edit.stages[0].info["layers"]]
    assert all(chosen) and min(int(block[1]) for block in chosen) >= 6


@pytest.mark.long
def test_main_job(data_root, tmp_path):
    asked = {"limit": 4, "siblings": "titi; common squirrel monkey", "layers": 3}
    folder = main_job(tmp_path, "imagenet", data_root=data_root, **asked)
    rows = pd.read_parquet(folder / "results.parquet")
    assert {"target", "siblings", "ImageNet, others"} <= set(rows["column"])
    report = unescape((folder / "report.html").read_text())
    assert "Alignment to BatchNorm's statistics: mixtures." in report and "Not judged, since not found below" in report
    settings = json.loads((folder / "settings.json").read_text())
    assert settings["came out"]["siblings"] == ["titi monkey", "common squirrel monkey"]


MISSING = {"imagenet": "WordNet id", "cifar10": "cifar10/train/CLASS", "style": "STYLE/CLASS", "folder": "forget/NAME"}


@pytest.mark.parametrize("dataset", MISSING)
def test_missing_data_say_what_is_wanted(dataset, tmp_path):
    with pytest.raises((FileNotFoundError, ValueError), match=MISSING[dataset]):
        TaskRequest(dataset, data_root=str(tmp_path)).check()


def test_names_are_checked_without_a_model(data_root):
    known = {"dataset": "imagenet", "data_root": str(data_root)}
    TaskRequest(**known, target="n02490219").check()
    for given in ({"target": "marmosett"}, {"siblings": "titi; marmosett"}):
        with pytest.raises(ValueError, match="Did you mean 'marmoset'"):
            TaskRequest(**known, **given).check()
