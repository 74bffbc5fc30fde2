"""Folders and tables as people really have them: what is wrong is said in a sentence, before anything slow, and nothing is silently taken for something else."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from PIL import Image

from clipforget.clip import check_local_dir, load_clip
from clipforget.datasets import make_task, proposal_collection, read_proposal
from clipforget.methods import three_stages
from clipforget.photos import open_rgb, pictures_in
from clipforget.pictograms import draw_views, load_pictograms
from clipforget.pretraining import make_corpus
from clipforget.results import examples, plot_embedding, plot_history, plot_stages
from clipforget.suite import zero_shot_suite


@pytest.fixture(scope="module")
def clip():
    return load_clip(device=torch.device("cpu"))


def write_views(folder: Path, name: str, count: int = 12, seed: int = 0) -> None:
    folder.mkdir(parents=True)
    things, g = load_pictograms(), torch.Generator().manual_seed(seed)
    for k, view in enumerate(draw_views(things, things.index([name]).repeat(count), 0, "train", g, 64)):
        Image.fromarray(view.mul(255).byte().permute(1, 2, 0).numpy()).save(folder / f"{k:02d}.png")


@pytest.fixture
def own(tmp_path):
    write_views(tmp_path / "forget" / "boxer", "dog face")
    write_views(tmp_path / "keep" / "pug", "cat face")
    return tmp_path


def of(clip, root, **more):
    return make_task(clip, "folder", data_root=str(root), **more)[0]


def test_without_other_things_everything_can_be_drawn(clip, own):
    task = of(clip, own)
    assert not task.suite
    assert [name for name, *_ in examples(task)] == ["target", "siblings"]
    assert len(plot_embedding(clip, task, {"original": clip.model.visual}).axes) == 1
    assert plot_history(pd.DataFrame(), "no steps").axes
    many = pd.DataFrame({"stage": "original", "column": [f"set {k}" for k in range(12)], "value": 50.0})
    assert len(plot_stages(many).axes[0].lines) == 12


def test_a_stage_of_other_captions_is_not_taken(clip, own, tmp_path):
    few = {"forget_steps": 1, "remind_steps": 1, "align_steps": 0, "soup_points": 1}
    stages = lambda: len(list((tmp_path / "stages").glob("1-*")))
    three_stages(clip, of(clip, own), tmp_path / "stages", **few)
    three_stages(clip, of(clip, own), tmp_path / "stages", **few)
    assert stages() == 1
    (own / "names.csv").write_text("folder,caption\nboxer,violin\n")
    three_stages(clip, of(clip, own), tmp_path / "stages", **few)
    assert stages() == 2


def test_copies_are_found(clip, own):
    hidden = own / "forget" / "boxer" / ".ipynb_checkpoints"
    hidden.mkdir()
    first = own / "forget" / "boxer" / "00.png"
    (hidden / "00-checkpoint.png").write_bytes(first.read_bytes())
    assert len(pictures_in(own / "forget")) == 12
    for k in range(1, 12):
        (first.parent / f"{k:02d}.png").write_bytes(first.read_bytes())
    with pytest.raises(ValueError, match="are the same picture"):
        of(clip, own)


def test_a_damaged_picture_is_found_at_once(clip, own):
    for file in (own / "keep" / "pug").iterdir():
        file.write_bytes(b"nope" + file.name.encode())
    with pytest.raises(ValueError, match="cannot be used"):
        of(clip, own)


def test_a_strip_does_not_fill_the_memory(tmp_path):
    Image.new("RGB", (4000, 1)).save(tmp_path / "strip.png")
    with pytest.raises(ValueError, match="4000 x 1"):
        open_rgb(tmp_path / "strip.png")


@pytest.mark.parametrize(
    "table, said",
    [
        (b"folder,caption\nboxer,a\nboxer,b\n", "twice"),
        (b"folder,caption\nboxer,\n", "both filled in"),
        (b"", "no CSV table"),
        ("folder,caption\nboxer,Bär\n".encode("latin-1"), "no CSV table"),
    ],
)
def test_tables_that_people_edit(clip, own, table, said):
    (own / "names.csv").write_bytes(table)
    with pytest.raises(ValueError, match=said):
        of(clip, own)


def test_a_class_may_be_called_none(clip, own):
    (own / "names.csv").write_text("folder,caption\nboxer,None\n")
    assert "None" in of(clip, own).forget.classes


def test_a_proposal_has_one_role_a_name(tmp_path):
    write_views(tmp_path / "heap", "turtle")
    rows = [{"path": f"{k:02d}.png", "role": "forget" if k < 10 else "others", "name": "turtle"} for k in range(12)]
    pd.DataFrame(rows).to_csv(tmp_path / "p.csv", index=False)
    with pytest.raises(ValueError, match="with the roles forget and others"):
        proposal_collection(read_proposal(tmp_path / "p.csv", tmp_path / "heap"), tmp_path / "heap")
    rows[3]["name"] = ""
    pd.DataFrame(rows).to_csv(tmp_path / "p.csv", index=False)
    with pytest.raises(ValueError, match=r"Line 5 .* no name"):
        read_proposal(tmp_path / "p.csv", tmp_path / "heap")


@pytest.mark.parametrize(
    "dataset, given",
    [
        ("emoji", {"clusters": 5}),
        ("emoji", {"subgroup": "3"}),
        ("folder", {"siblings": "pug"}),
        ("style", {"siblings": "dog, photo"}),
        ("cifar10", {"styles": "cartoon"}),
    ],
)
def test_a_parameter_that_means_nothing_is_refused(clip, dataset, given):
    with pytest.raises(ValueError, match="means nothing for"):
        make_task(clip, dataset, **given)


def test_the_suite_of_pictograms_can_be_limited(clip):
    task, lines = make_task(clip, "emoji", limit=7)
    assert {len(part) for part in task.suite.values()} == {7} and len(lines) == len(task.suite)
    assert len(task.evaluation["target"]) > 7  # what is to be forgotten is judged by all of its pictures


def test_nonsense_is_refused(tmp_path):
    with pytest.raises(ValueError, match="Did you mean 'turtle'"):
        make_corpus(leave_out=["trutle"])
    for wrong in ({"fraction": 1.5}, {"fraction": -0.5}, {"limit": -5}):
        with pytest.raises(ValueError, match="held_out="):
            make_corpus(**wrong)
    with pytest.raises(ValueError, match="limit=-5"):
        zero_shot_suite(tmp_path, 64, ["stl10"], limit=-5)


def test_a_pickle_is_not_preferred_to_safetensors(tmp_path):
    (tmp_path / "open_clip_config.json").write_text("{}")
    (tmp_path / "adapter.safetensors").write_bytes(b"")
    (tmp_path / "open_clip_pytorch_model.bin").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match=r"open_clip_pytorch_model\.bin"):
        check_local_dir(tmp_path)
