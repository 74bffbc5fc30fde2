"""Small copies of CIFAR-10 with its nouns, CIFAR-100, Tiny-ImageNet, the groceries and PACS in one folder: each is found as it comes, judged beside the others, and said in a sentence where it is damaged or mislaid."""

import json
import pkgutil
from pathlib import Path

import pandas as pd
import pytest
import torch

from clipforget.data.registry import TaskRequest
from clipforget.data.suite import ZERO_SHOT_SETS, zero_shot_suite
from clipforget.data.tasks import make_task
from clipforget.data.wordnet import find_class
from clipforget.exchange.loading import load_clip
from parameters import main_job
from views import write_noise

TINY = ("marmoset", "titi", "howler monkey", "spider monkey", "banana")
ASKED = {  # the data set, what is asked for, its target's caption with coarse labels, its columns' siblings
    "cifar10": ({"subgroup": "jumbojet"}, "airplane"),
    "cifar100": ({"target": "beaver", "labels": "coarse"}, "aquatic mammals"),
    "imagenet": ({"target": "marmoset", "labels": "coarse"}, "New World monkey"),
    "grocery": ({"target": "granny smith", "labels": "coarse"}, "apple"),
    "style": ({"target": "dog", "styles": "cartoon"}, "dog"),
}


TOY = """
from clipforget.data.registry import DataSet


def list_toys(root):
    import numpy as np
    from PIL import Image

    from clipforget.data.collections import make_collection

    rng, names = np.random.default_rng(0), [name for name in ("ball", "kite", "drum") for _ in range(20)]
    images = [Image.fromarray(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)) for _ in names]
    return make_collection("toy", images, names, coarser=("toy",) * len(names))


TOYS = DataSet("toy", listed_by=list_toys, target="ball", backbone="emoji-rn")
"""


def write_sets(root):
    """The five sets below `root`."""
    for part in ("train", "test"):
        for c, nouns in {"airplane": ("jumbo_jet", "airbus", "plane"), "dog": ("maltese", "dog")}.items():
            for noun in nouns:
                write_noise(root / "cifar10" / part / c, f"{noun}_s_", 40)
        for c in ("beaver", "otter", "seal", "apple"):
            write_noise(root / "cifar100" / part / c, f"{c}_s_", 40)
    for part in ("train", "val", "test"):
        for place in ("Fruit/Apple/Granny-Smith", "Fruit/Apple/Pink-Lady", "Fruit/Banana"):
            write_noise(root / "grocery" / part / place, "a", 12)
    (root / "grocery" / "classes.csv").write_text("Class Name (str),Class ID (int),Coarse Class Name (str)\n")
    for style in ("photo", "cartoon"):
        for c in ("dog", "horse"):
            write_noise(root / "pacs" / style / c, "p", 40)
    home, lines = root / "tiny-imagenet-200", []
    for k, c in enumerate(map(find_class, TINY)):
        write_noise(home / "train" / c.wnid / "images", f"{c.wnid}_", 30)
        write_noise(home / "val" / "images", "val_", 6, first=6 * k)
        lines += [f"val_{j:06d}.png\t{c.wnid}\t0\t0\t9\t9\n" for j in range(6 * k, 6 * k + 6)]
    (home / "val" / "val_annotations.txt").write_text("".join(lines))
    (home / "wnids.txt").write_text("\n".join(find_class(n).wnid for n in TINY))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    write_sets(root)
    return root


@pytest.fixture(scope="module")
def clip():
    return load_clip(device=torch.device("cpu"))


@pytest.mark.parametrize("dataset", ASKED)
def test_every_set_is_found_and_judged_beside_the_others(clip, data, dataset):
    given, caption = ASKED[dataset]
    request = TaskRequest(dataset, data_root=str(data), **given)
    request.check()
    task, _ = make_task(clip, request)
    assert task.forget.classes[task.caption] == caption
    assert set(task.retain.labels.tolist()) == {task.caption} or dataset == "style"
    own = {"imagenet": "tiny-imagenet", "style": "pacs"}.get(dataset, dataset)
    others = {"cifar10", "cifar100", "tiny-imagenet", "grocery", "pacs"} - {own}
    assert others <= set(task.suite) and own not in task.suite
    judged = [k for part in task.evaluation.values() for k in part.keys]
    assert len(set(judged)) == len(judged) > 0


def test_siblings_are_of_the_same_kind(clip, data):
    task, _ = make_task(clip, TaskRequest("cifar100", "beaver", data_root=str(data)))
    assert task.siblings == ("otter", "seal") and len(task.forget.classes) == 4
    task, _ = make_task(clip, TaskRequest("imagenet", "marmoset", data_root=str(data)))
    assert len(task.forget.classes) == len(TINY)  # those of Tiny-ImageNet's list, not all thousand
    assert set(task.siblings) == {find_class(n).name for n in TINY[1:4]}
    assert len(task.evaluation["target"]) >= 6  # the validation part, and a tenth of what trains


def test_a_synonym_means_its_subgroup(clip, data):
    ask = lambda name: make_task(clip, TaskRequest("cifar10", subgroup=name, data_root=str(data)))[0]
    one, other = ask("jumbojet"), ask("jumbo jet")
    assert one.target == other.target == "airplane/jumbo jet"
    assert set(one.siblings) == {"airplane/airbus", "airplane/other"}  # "plane" is the class itself


@pytest.mark.parametrize(
    "given, said",
    [
        ({"dataset": "cifar10", "subgroup": "airbuss"}, "Did you mean 'airbus'"),
        ({"dataset": "cifar10", "subgroup": "maltese"}, "no subgroup of airplane but of dog: add -p target dog"),
        ({"dataset": "cifar10", "target": "dog"}, "name a subgroup of dog: pekingese, maltese"),
        ({"dataset": "cifar100", "target": "bever"}, "Did you mean 'beaver'"),
        ({"dataset": "cifar100", "target": "apple"}, "'apple' is the only 'fruit and vegetables'"),
        ({"dataset": "grocery", "target": "banana"}, "has no siblings"),
        ({"dataset": "imagenet", "target": "tench"}, "is not among the 5 classes here"),
        ({"dataset": "cifar10", "target": "airplan"}, r"Unknown class 'airplan'\. Did you mean 'airplane'"),
        ({"dataset": "style", "target": "dgo"}, r"Unknown class 'dgo'\. Did you mean 'dog'"),
        ({"dataset": "style", "target": "dog", "styles": "cartoo"}, r"Unknown style 'cartoo'\. Did you mean 'cartoon'"),
        ({"dataset": "emoji", "download": True}, r"download=True means nothing for an? emoji data set"),
    ],
)
def test_names_are_checked_without_a_model(data, given, said):
    with pytest.raises(ValueError, match=said):
        TaskRequest(data_root=str(data), **given).check()


def test_a_tree_of_two_levels(clip, tmp_path):
    for place in ("ape/gibbon", "ape/orangutan", "bird/wren"):
        write_noise(tmp_path / "own" / place, "p", 20)
    given = {"dataset": "folder", "data_root": str(tmp_path / "own"), "target": "gibbon"}
    for labels, caption in (("fine", "gibbon"), ("coarse", "ape")):
        TaskRequest(labels=labels, **given).check()
        task, _ = make_task(clip, TaskRequest(labels=labels, **given))
        assert (task.forget.classes[task.caption], task.siblings) == (caption, ("orangutan",))
    (tmp_path / "own" / "forget").mkdir()
    with pytest.raises(ValueError, match="leave out target='gibbon'"):
        TaskRequest(**given).check()


@pytest.mark.parametrize(
    "dataset, damage, said",
    [
        ("cifar100", lambda r: (r / "cifar100/train/beaver").rename(r / "cifar100/train/bever"), "mean 'beaver'"),
        ("grocery", lambda r: (r / "grocery/val").rename(r / "grocery/valid"), "There is no folder .*val"),
        ("imagenet", lambda r: (r / "tiny-imagenet-200/val/val_annotations.txt").write_text("a b\n"), "is no list of"),
        ("cifar100", lambda r: (r / "cifar100/test").rename(r / "cifar100/tests"), "There is no CIFAR-100 in"),
    ],
)
def test_damaged_and_mislaid_trees_are_told(tmp_path, dataset, damage, said):
    write_sets(tmp_path)
    damage(tmp_path)
    with pytest.raises((ValueError, FileNotFoundError), match=said):
        TaskRequest(dataset, data_root=str(tmp_path)).check()


@pytest.mark.long
def test_the_main_job_from_end_to_end(data, tmp_path):
    folder = main_job(tmp_path, "cifar10", data_root=data, **ASKED["cifar10"][0])
    assert {"target", "siblings", "grocery", "pacs"} <= set(pd.read_parquet(folder / "results.parquet")["column"])
    assert json.loads((folder / "settings.json").read_text())["asked"]["dataset"] == "cifar10"


@pytest.mark.long
def test_a_data_set_of_another_package_is_one_entry(tmp_path):
    (tmp_path / "toys-1.dist-info").mkdir()
    (tmp_path / "toys-1.dist-info" / "entry_points.txt").write_text("[clipforget.datasets]\ntoy = toyset:TOYS\n")
    (tmp_path / "toyset.py").write_text(TOY)
    assert len(TOY.splitlines()) <= 30
    folder = main_job(tmp_path / "results", "toy", [tmp_path], backbone="", data_root=tmp_path, labels="coarse")
    assert folder.name.startswith("ball-emoji-rn-0-coarse")
    rows = pd.read_parquet(folder / "results.parquet")
    assert {"target", "siblings"} <= set(rows["column"]) and set(rows["target"]) == {"ball"}


def test_absent_sets_are_named_in_one_line_that_says_where_to_look(tmp_path):
    (line,) = zero_shot_suite(tmp_path, 32)[1]
    assert line.startswith(f"Not judged, since not found below {tmp_path}: {', '.join(ZERO_SHOT_SETS)}. ")
    page, place = line.rstrip(".").rpartition(": ")[2].split(", or ")
    assert pkgutil.resolve_name(place) is ZERO_SHOT_SETS
    cells = json.loads((Path(__file__).parents[1] / page).read_text())["cells"]
    (table,) = [
        "".join(o["data"]["text/html"]) for c in cells for o in c.get("outputs", []) if "text/html" in o.get("data", {})
    ]
    assert all(words in table for known in ZERO_SHOT_SETS.values() for words in (known.layout, known.source))
