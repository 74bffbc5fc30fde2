"""ImageNet's mechanics on a folder in ImageNet's layout: a few pictures of a few classes, all 1,000 names, random weights."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from clipforget.method.alignment import _alignment_aims
from clipforget.core.clip import class_embeddings
from clipforget.exchange.loading import load_clip
from clipforget.data.subgroups import prepare_imagenet
from clipforget.data.registry import TaskRequest
from clipforget.data.tasks import make_task
from clipforget.method.three_stages import three_stages
from clipforget.core.settings import Settings
from clipforget.data.suite import PROMPTS, ZERO_SHOT_SETS
from clipforget.data.wordnet import find_class, imagenet_classes, wordnet_siblings

from parameters import main_job

SHORT = {"forget_steps": 2, "remind_steps": 2, "align_steps": 1, "layers": 3}
OTHERS = ("tench", "school bus", "banana")
CPU = torch.device("cpu")


def write_class(folder, name, count, seed):
    """Noise around a colour of its own."""
    rng = np.random.default_rng(seed)
    folder = folder / name
    folder.mkdir(parents=True)
    colour = rng.integers(40, 215, 3)
    for k in range(count):
        noise = rng.integers(-40, 40, (48, 56, 3))
        Image.fromarray((colour + noise).clip(0, 255).astype(np.uint8)).save(folder / f"{k:03d}.jpg")


@pytest.fixture(scope="module")
def data_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    _, siblings = wordnet_siblings("marmoset")
    for seed, c in enumerate([find_class("marmoset"), *siblings]):
        write_class(root / "imagenet" / "val", c.wnid, 12, seed)
    for seed, name in enumerate(OTHERS, 50):
        write_class(root / "imagenet" / "val", find_class(name).wnid, 3, seed)
    return root


@pytest.fixture(scope="module")
def clip():
    return load_clip("ViT-B-32/random", CPU)


def imagenet(clip, root, **asked):
    return prepare_imagenet(TaskRequest("imagenet", data_root=str(root), **asked))(clip)[0]


def test_the_task(data_root, clip):
    task = imagenet(clip, data_root / "imagenet", target="n02490219")
    assert task.target == "marmoset" and len(task.forget.classes) == 1000
    assert set(task.siblings) == {c.name for c in wordnet_siblings("marmoset")[1]}
    others = task.suite["ImageNet, others"]
    assert {others.classes[k] for k in others.labels.tolist()} == set(OTHERS)
    # each in eight views
    assert len(task.forget) // 8 + len(task.calibration_forget) + len(task.evaluation["target"]) == 12


def test_coarse_labels_share_the_ancestors_name(data_root, clip):
    task = imagenet(clip, data_root / "imagenet", labels="coarse")
    assert task.forget.classes[task.caption] == "New World monkey"
    assert set(task.retain.labels.tolist()) == {task.caption}
    assert len(task.forget.classes) == 1000 - len(task.siblings)


def test_train_folder_is_trained_on_and_val_is_judged(data_root, clip, tmp_path):
    (tmp_path / "imagenet").mkdir()
    (tmp_path / "imagenet" / "val").symlink_to(data_root / "imagenet" / "val")
    for seed, c in enumerate([find_class("marmoset"), *wordnet_siblings("marmoset")[1]]):
        write_class(tmp_path / "imagenet" / "train", c.wnid, 10, 100 + seed)
    task = imagenet(clip, tmp_path / "imagenet")
    assert len(task.evaluation["target"]) == 12 and len(task.forget) // 8 + len(task.calibration_forget) == 10


@pytest.mark.long
def test_a_thousand_prompts_and_the_stages_on_a_transformer(data_root, clip, tmp_path, monkeypatch):
    monkeypatch.setenv("CLIPFORGET_CACHE", str(tmp_path))
    monkeypatch.setitem(PROMPTS, "imagenet", PROMPTS["imagenet"][:1])
    asked = TaskRequest("imagenet", siblings="titi; common squirrel monkey", data_root=str(data_root), limit=4)
    task, lines = make_task(clip, asked)
    assert any(line.startswith("food101: not found") and "To get it" in line for line in lines)
    assert class_embeddings(clip, task.forget.classes, task.templates).shape == (1000, 512)
    with pytest.warns(UserWarning, match="no reference images were named. Name some with reference="):
        said, aims = _alignment_aims(clip, None)
    assert (said, aims) == ("none: this image tower has no BatchNorm, and no reference images were named", [])
    world = task.suite["ImageNet, others"].images
    few = Settings(**SHORT, cutmix=16)  # 512 CutMix images would take a minute here
    edit = three_stages(clip, task, few, reference=world)
    assert f"{len(world)} reference images" in edit.stages[1].info["alignment"]
    assert all(
        n.startswith("transformer.resblocks.") and int(re.findall(r"\d+", n)[0]) >= 6
        for n in edit.stages[0].info["layers"]
    )


@pytest.mark.long
def test_main_job(data_root, tmp_path):
    asked = {"limit": 4, "siblings": "titi; common squirrel monkey", "layers": 3}
    folder = main_job(tmp_path, "imagenet", data_root=data_root, **asked)
    rows = pd.read_parquet(folder / "results.parquet")
    assert {"target", "siblings", "ImageNet, others"} <= set(rows["column"])
    report = (folder / "report.html").read_text()
    assert "running statistics of BatchNorm" in report and "food101: not found" in report
    settings = json.loads((folder / "settings.json").read_text())
    assert settings["came out"]["siblings"] == ["titi monkey", "common squirrel monkey"]


@pytest.mark.parametrize(
    "dataset, wanted",
    [
        ("imagenet", "WordNet id"),
        ("imagenet", f"To get it: {re.escape(ZERO_SHOT_SETS['imagenet'].source)}"),
        ("cifar10", "cifar10/train/CLASS"),
        ("style", "STYLE/CLASS"),
        ("folder", "forget/NAME"),
    ],
)
def test_missing_data_say_what_is_wanted(dataset, wanted, tmp_path):
    with pytest.raises((FileNotFoundError, ValueError), match=wanted):
        TaskRequest(dataset, data_root=str(tmp_path)).check()


def test_all_ids_are_there():
    assert len({c.wnid for c in imagenet_classes()}) == 1000


def test_names_are_checked_without_a_model(data_root):
    known = {"dataset": "imagenet", "data_root": str(data_root)}
    TaskRequest(**known, target="n02490219").check()
    for given in ({"target": "marmosett"}, {"siblings": "titi; marmosett"}):
        with pytest.raises(ValueError, match="Did you mean 'marmoset'"):
            TaskRequest(**known, **given).check()
