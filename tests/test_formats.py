"""The known zero-shot sets in the forms of other libraries, beyond what nbs/data/formats.ipynb and suite.ipynb check: the same pictures, labels and names as from class folders, and nothing that a file says is believed."""

import io
import json
import os
import pickle
import pkgutil
import tarfile
from dataclasses import replace
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from clipforget.core.photos import pixels
from clipforget.data.suite import ZERO_SHOT_SETS, zero_shot_suite
from clipforget.data.wordnet import find_class

CLASSES = {
    "cifar100": ("aquarium_fish", "maple_tree", "wolf"),
    "food101": ("hot_dog", "ice_cream", "pizza"),
    "imagenet": ("n02490219", "n04507155", "n07753592"),
}
NAMES = tuple(CLASSES)
EACH, SIZE = 4, 32
TREE = {name: "imagenet/val" if name == "imagenet" else f"{name}/test" for name in NAMES}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Class folders of four known sets with noise for pictures."""
    root, rng = tmp_path_factory.mktemp("folders"), np.random.default_rng(0)
    for name, classes in CLASSES.items():
        for c in classes:
            (root / TREE[name] / c).mkdir(parents=True)
            for k in range(EACH):
                picture = Image.fromarray(rng.integers(0, 255, (40, 36, 3), dtype=np.uint8))
                picture.save(root / TREE[name] / c / f"{k}.png")
    return root


@pytest.fixture(scope="module")
def wanted(folders):
    sets, lines = zero_shot_suite(folders, SIZE, NAMES)
    assert lines == [] and tuple(sets) == NAMES
    return sets


def samples(folders, name):
    """The pictures of a set as (bytes, class folder), in the order of folders and files."""
    return [
        (p.read_bytes(), p.parent.name) for c in CLASSES[name] for p in sorted((folders / TREE[name] / c).iterdir())
    ]


def write_tar(path, members):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def write_shards(folder, rows, label, each=5):
    """Tar files of `each` samples; `label` gives the class's suffix and text."""
    for start in range(0, len(rows), each):
        members = {}
        for k, (data, c) in enumerate(rows[start : start + each], start):
            suffix, text = label(c)
            members |= {f"{k:05d}.png": data, f"{k:05d}.{suffix}": text.encode()}
        write_tar(folder / f"{start // each}.tar", members)


def table(rows, classes, column="label"):
    """A Hugging Face data set with the pictures inside."""
    kind = datasets.Features({"image": datasets.Image(), column: datasets.ClassLabel(names=list(classes))})
    images = [{"bytes": data, "path": None} for data, _ in rows]
    return datasets.Dataset.from_dict({"image": images, column: [list(classes).index(c) for _, c in rows]}, kind)


def assert_same(part, wanted):
    assert torch.equal(pixels(part.images), pixels(wanted.images))
    assert [part.classes[k] for k in part.labels.tolist()] == [wanted.classes[k] for k in wanted.labels.tolist()]
    assert set(part.classes) == set(wanted.classes) and part.templates == wanted.templates


def test_archives_with_numbers(folders, wanted, tmp_path):
    order = CLASSES["cifar100"][::-1]
    rows = samples(folders, "cifar100")
    write_shards(tmp_path / "cifar100" / "test", rows, lambda c: ("cls", str(order.index(c))))
    (line,) = zero_shot_suite(tmp_path, SIZE, ["cifar100"])[1]
    assert "class numbers and no names" in line and "classnames.txt" in line
    (tmp_path / "cifar100" / "classnames.txt").write_text("\n".join(order).replace("_", " ") + "\n")
    sets, lines = zero_shot_suite(tmp_path, SIZE, ["cifar100"])
    assert lines == []
    assert_same(sets["cifar100"], wanted["cifar100"])
    ahead = replace(sets["cifar100"].images, workers=2)
    assert torch.equal(pixels(ahead), pixels(wanted["cifar100"].images))
    (tmp_path / "cifar100" / "test" / "0.tar").rename(tmp_path / "cifar100" / "other.tar")
    (tmp_path / "cifar100" / "test").rename(tmp_path / "away")
    (tmp_path / "cifar100" / "test").symlink_to(folders / TREE["cifar100"])  # class folders come first
    assert_same(zero_shot_suite(tmp_path, SIZE, ["cifar100"])[0]["cifar100"], wanted["cifar100"])


@pytest.mark.parametrize("parts", [{"train", "test", "validation"}, {"validation"}, set()])
@pytest.mark.parametrize("name", ["cifar100", "imagenet"])
def test_saved_data_sets(name, parts, folders, wanted, tmp_path):
    rows = samples(folders, name)
    right = table(rows, CLASSES[name][::-1], "fine_label" if name == "cifar100" else "label")
    wrong = right.select([0])
    judged = "validation" if name == "imagenet" or "test" not in parts else "test"
    data = datasets.DatasetDict({p: right if p == judged else wrong for p in parts}) if parts else right
    data.save_to_disk(tmp_path / name)
    sets, lines = zero_shot_suite(tmp_path, SIZE, [name])
    assert lines == []
    assert_same(sets[name], wanted[name])


def test_archives_of_the_training_part_are_left_out(folders, wanted, tmp_path):
    rows = samples(folders, "imagenet")
    for part, some in {"train": rows[:2], "validation": rows}.items():
        write_shards(tmp_path / "all", some, lambda c: ("cls", str(find_class(c).index)))
        for shard in (tmp_path / "all").iterdir():
            (tmp_path / "imagenet").mkdir(exist_ok=True)
            shard.rename(tmp_path / "imagenet" / f"imagenet1k-{part}-{shard.name}")
    assert_same(zero_shot_suite(tmp_path, SIZE, ["imagenet"])[0]["imagenet"], wanted["imagenet"])


def test_absent_sets_are_named_in_one_line_that_says_where_to_look(tmp_path):
    (line,) = zero_shot_suite(tmp_path, SIZE)[1]
    assert line.startswith(f"Not judged, since not found below {tmp_path}: {', '.join(ZERO_SHOT_SETS)}. ")
    page, place = line.rstrip(".").rpartition(": ")[2].split(", or ")
    assert pkgutil.resolve_name(place) is ZERO_SHOT_SETS
    cells = json.loads((Path(__file__).parents[1] / page).read_text())["cells"]
    (table,) = [
        "".join(o["data"]["text/html"]) for c in cells for o in c.get("outputs", []) if "text/html" in o.get("data", {})
    ]
    assert all(words in table for known in ZERO_SHOT_SETS.values() for words in (known.layout, known.source))


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


def not_used(root, name="food101"):
    """The line of a set that is there and not used."""
    sets, (line,) = zero_shot_suite(root, SIZE, [name])
    assert not sets and line.startswith(f"{name}: there, but not used") and "\n" not in line
    return line


def test_archives_run_no_pickle_and_lead_nowhere(folders, tmp_path):
    data, trap = samples(folders, "food101")[0][0], pickle.dumps(Trap(tmp_path / "trace"))
    rows = {"0.png": data, "0.txt": b"pizza", "0.pkl": trap, "0.pyd": trap, "0.pth": trap}
    write_tar(tmp_path / "good" / "food101" / "pipe:mkdir trace.tar", rows)
    part = zero_shot_suite(tmp_path / "good", SIZE, ["food101"])[0]["food101"]
    assert pixels(part.images).shape == (1, 3, SIZE, SIZE) and not (tmp_path / "trace").exists()
    write_tar(tmp_path / "outside" / "food101" / "0.tar", rows | {"../1.png": data})
    assert "leads outside" in not_used(tmp_path / "outside")
    archive = write_tar(tmp_path / "elsewhere.tar", rows)
    (tmp_path / "linked" / "food101").mkdir(parents=True)
    (tmp_path / "linked" / "food101" / "0.tar").symlink_to(archive)
    assert "leads out of" in not_used(tmp_path / "linked")
    (tmp_path / "linked" / "food101" / "0.tar").unlink()
    (tmp_path / "linked" / "food101" / "0.tar").write_bytes(archive.read_bytes()[:900])
    assert "is damaged" in not_used(tmp_path / "linked")


@pytest.fixture
def saved(folders, tmp_path):
    data = datasets.DatasetDict(test=table(samples(folders, "food101"), CLASSES["food101"]))
    data.save_to_disk(tmp_path / "root" / "food101")
    return tmp_path / "root" / "food101"


def test_saved_data_sets_name_no_file_outside(saved, tmp_path):
    (arrow,) = saved.rglob("*.arrow")
    moved = arrow.rename(tmp_path / "outside.arrow")
    state = json.loads((saved / "test" / "state.json").read_text())
    for path in (str(moved), os.path.relpath(moved, saved / "test")):
        state["_data_files"] = [{"filename": path}]
        (saved / "test" / "state.json").write_text(json.dumps(state))
        assert "lies outside" in not_used(saved.parent)
    arrow.symlink_to(moved)
    state["_data_files"] = [{"filename": arrow.name}]
    (saved / "test" / "state.json").write_text(json.dumps(state))
    assert "lies outside" in not_used(saved.parent)


def test_parts_that_are_not_wanted_are_not_opened(saved, wanted):
    (saved / "dataset_dict.json").write_text('{"splits": ["../../elsewhere", "::http://127.0.0.1:9/x", "test"]}')
    assert_same(zero_shot_suite(saved.parent, SIZE, ["food101"])[0]["food101"], wanted["food101"])
    (saved / "dataset_dict.json").write_text('{"splits": ["training"]}')
    assert "Allowed: training" in not_used(saved.parent)


@pytest.mark.parametrize("file", ["state.json", "dataset_info.json", "data-00000-of-00001.arrow"])
@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b""])
def test_damaged_saved_data_sets(file, damage, saved):
    path = saved / "test" / file
    path.write_bytes(damage(path.read_bytes()))
    assert "is incomplete or damaged" in not_used(saved.parent)


def test_saved_data_sets_without_classes_or_with_a_format(folders, tmp_path):
    rows = samples(folders, "food101")
    unlabelled = table(rows, CLASSES["food101"]).map(lambda row: {"label": -1})
    unlabelled.save_to_disk(tmp_path / "unlabelled" / "food101")
    assert "labels from -1 to -1" in not_used(tmp_path / "unlabelled")
    table(rows, CLASSES["food101"]).with_format("torch").save_to_disk(tmp_path / "torch" / "food101")
    assert len(zero_shot_suite(tmp_path / "torch", SIZE, ["food101"])[0]["food101"]) == len(rows)
