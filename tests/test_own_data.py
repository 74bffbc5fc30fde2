"""Folders and tables as people really have them: what is wrong is said in a sentence, before anything slow, and nothing is silently taken for something else."""

from pathlib import Path

import nbformat
import pandas as pd
import pytest
import torch
from PIL import Image

import clipforget as cf
from clipforget.exchange.loading import load_clip
from clipforget.data.own import _proposal_collection
from clipforget.data.registry import TaskRequest
from clipforget.data.tasks import make_task
from clipforget.method.three_stages import three_stages
from clipforget.core.settings import Settings
from clipforget.core.photos import Photos, image_files, open_rgb, pixels
from clipforget.report.report import _pick_examples, plot_embedding, plot_history, plot_stages
from parameters import main_job
from views import write_views


@pytest.fixture(scope="module")
def clip():
    return load_clip(device=torch.device("cpu"))


@pytest.fixture
def own(tmp_path):
    write_views(tmp_path / "forget" / "boxer", "dog face")
    write_views(tmp_path / "keep" / "pug", "cat face")
    return tmp_path


def of(clip, root, **more):
    return make_task(clip, TaskRequest("folder", data_root=str(root), **more))[0]


def test_without_other_things_everything_can_be_drawn(clip, own):
    task = of(clip, own)
    assert not task.suite
    assert [name for name, *_ in _pick_examples(task)] == ["target", "siblings"]
    assert len(plot_embedding(clip, task, {"original": clip.model.visual}).axes) == 1
    assert plot_history(pd.DataFrame(), "no steps").axes
    many = pd.DataFrame({"stage": "original", "column": [f"set {k}" for k in range(12)], "value": 50.0, "n": 9})
    assert len(plot_stages(many).axes[1].get_yticks()) == 12


def test_a_stage_of_other_captions_is_not_taken(clip, own, tmp_path):
    few = Settings(forget_steps=1, remind_steps=1, alignment="none")
    stages = lambda: len(list((tmp_path / "stages").glob("1-*")))
    three_stages(clip, of(clip, own), few, tmp_path / "stages")
    three_stages(clip, of(clip, own), few, tmp_path / "stages")
    assert stages() == 1
    (own / "names.csv").write_text("folder,caption\nboxer,violin\n")
    three_stages(clip, of(clip, own), few, tmp_path / "stages")
    assert stages() == 2


def test_hidden_copies_are_not_seen(clip, own):
    hidden = own / "forget" / "boxer" / ".ipynb_checkpoints"
    hidden.mkdir()
    (hidden / "00-checkpoint.png").write_bytes((own / "forget" / "boxer" / "00.png").read_bytes())
    assert len(image_files(own / "forget")) == 12


def names(task):
    return {
        tuple(Path(f).parent.name + "/" + Path(f).name if f else "" for f in (file, of))
        for file, _, of in task.left_out
    }


def test_other_things_are_looked_at_before_the_stages(clip, own):
    write_views(own / "others" / "lamp", "violin")
    assert not of(clip, own).left_out
    (own / "others" / "lamp" / "05.png").write_bytes(b"nope")
    (own / "others" / "lamp" / "06.png").write_bytes((own / "keep" / "pug" / "03.png").read_bytes())
    task = of(clip, own)
    assert names(task) == {("lamp/05.png", ""), ("lamp/06.png", "pug/03.png"), ("pug/03.png", "lamp/06.png")}
    assert "no picture in a known format" in " ".join(why for _, why, _ in task.left_out)
    assert not {Path(k).name for k in task.suite["folder, others"].keys} & {"05.png", "06.png"}


@pytest.mark.parametrize("seed", [0, 1])
def test_the_same_picture_under_two_names_has_none(clip, own, seed):
    for k, place in enumerate(("keep/pug", "keep/pug", "forget/boxer")):  # other bytes, the same picture
        Image.open(own / "forget" / "boxer" / "04.png").save(own / place / f"again{k}.bmp")
    task = of(clip, own, seed=seed)
    assert {a for a, _ in names(task)} == {"boxer/04.png", "boxer/again2.bmp", "pug/again0.bmp", "pug/again1.bmp"}
    assert all(a.split("/")[0] != b.split("/")[0] for a, b in names(task))  # each beside one of the other name
    used = (*task.evaluation.values(), task.calibration_forget, task.calibration_retain, task.retain)
    boxer = pixels(Photos.of([own / "forget" / "boxer" / "04.png"], clip.frame))
    assert not any((pixels(part.images) == boxer).flatten(1).all(1).any() for part in (*used, task.forget))


def test_a_folder_with_copies_and_damaged_pictures_is_used(clip, own):
    whole = of(clip, own)
    files = [p for part in ("forget/boxer", "keep/pug") for p in sorted((own / part).iterdir())]
    for k in range(70):
        file = files[k % len(files)]
        (file.parent / f"z{k}.png").write_bytes(file.read_bytes())
    for k in range(3):
        (files[0].parent / f"zz{k}.png").write_bytes(files[0].read_bytes()[: 50 * (k + 1)])
    task, lines = make_task(clip, TaskRequest("folder", data_root=str(own)))
    assert len(task.left_out) == 73 and lines[0].startswith("Left out: 70 copies and 3 damaged pictures, such as ")
    assert task.evaluation["target"].keys == whole.evaluation["target"].keys  # as without them
    assert torch.equal(task.forget.images, whole.forget.images)
    with pytest.warns(UserWarning, match="Left out: 70 copies and 3 damaged"):
        cf.folder_task(clip, own)


def test_a_folder_with_many_damaged_pictures_is_refused(clip, own):
    for k in range(5):
        (own / "keep" / "pug" / f"0{k}.png").write_bytes(b"nope")
    with pytest.raises(ValueError, match=r"^5 of 24 pictures cannot be used.*pug/00.png: no picture in.*02.png"):
        of(clip, own)


def test_too_few_are_left_where_copies_contradict(clip, own):
    for file in (own / "forget" / "boxer").iterdir():
        (own / "keep" / "pug" / f"again-{file.name}").write_bytes(file.read_bytes())
    with pytest.raises(ValueError, match=r"'boxer' has 0 pictures.*left out as damaged or copies: 24"):
        of(clip, own)


def test_a_run_leaves_the_list(clip, own, tmp_path_factory):
    (own / "forget" / "boxer" / "copy.png").write_bytes((own / "forget" / "boxer" / "00.png").read_bytes())
    folder, few = tmp_path_factory.mktemp("results"), Settings(forget_steps=1, remind_steps=1, alignment="none")
    report = cf.forget(clip, of(clip, own), few).report(folder)
    table = pd.read_csv(folder / "left_out.csv")
    assert table["reason"].tolist() == ["a copy"] and table["file"][0].endswith("boxer/copy.png")
    assert table["copy_of"][0].endswith("boxer/00.png") and "left_out.csv" in report.read_text()


@pytest.mark.parametrize(
    "captions, said", [(("dog face", "cat face"), 0), (("cat face", "dog face"), 1), (("animal",) * 2, 0)]
)
def test_names_that_mean_nothing_to_the_model_are_told(clip, own, captions, said):
    (own / "names.csv").write_text("folder,caption\nboxer,{}\npug,{}\n".format(*captions))
    lines = [x for x in make_task(clip, TaskRequest("folder", data_root=str(own)))[1] if x.startswith("Of 2 names")]
    assert len(lines) == said and all("chance is 50 %. What it does not recognise" in line for line in lines)


def test_files_that_are_no_pictures_are_counted(clip, own):
    (own / "keep" / "pug" / "00.png").rename(own / "keep" / "pug" / "00.jfif")  # what is in it is what counts
    write_views(own / "others" / "lamp", "violin", 1)
    for name in ("keep/pug/a.heic", "keep/pug/b.HEIC", "others/phone/c.heic", "forget/notes", "forget/.hidden"):
        (own / name).parent.mkdir(exist_ok=True)
        (own / name).write_bytes(b"")
    (own / "others" / "lamp" / "00.png").rename(own / "others" / "loose.png")
    write_views(own / "others" / "fiddle", "violin", 1, seed=5)
    line = make_task(clip, TaskRequest("folder", data_root=str(own)))[1][0]
    assert "Not used: 3 .heic, 1 without a suffix, 1 .png" in line and ".jfif" in line


def test_a_folder_that_cannot_be_read_or_leads_out_is_refused(clip, own, tmp_path_factory):
    elsewhere, koala = tmp_path_factory.mktemp("elsewhere"), own / "keep" / "koala"
    write_views(elsewhere / "koala", "koala")
    koala.symlink_to(elsewhere / "koala")
    with pytest.raises(ValueError, match="koala is a link that leads out of"):
        of(clip, own)
    koala.unlink()
    koala.mkdir()
    (koala / "a.heic").write_bytes(b"")
    with pytest.raises(ValueError, match=r"koala has no picture, only 1 \.heic"):
        of(clip, own)


def test_a_limit_keeps_the_share_of_every_other_thing(clip, own):
    for seed, (name, count) in enumerate({"violin": 40, "banana": 20, "rocket": 10}.items()):
        write_views(own / "others" / name, name, count, seed)
    task, lines = make_task(clip, TaskRequest("folder", data_root=str(own), limit=14))
    part = task.suite["folder, others"]
    shares = {part.classes[c]: int((part.labels == c).sum()) for c in part.labels.unique().tolist()}
    assert shares == {"violin": 8, "banana": 4, "rocket": 2}
    assert any(line.startswith("folder, others: 14 of 70 pictures") for line in lines)


TABLES = {  # what is wrong, and what is said
    b"folder,caption\nboxer,a\nboxer,b\n": "twice",
    b"folder,caption\nboxer,\n": "both filled in",
    b"": "no CSV table",
    "folder,caption\nboxer,B\u00e4r\n".encode("latin-1"): "no CSV table",
}


@pytest.mark.parametrize("table", TABLES)
def test_tables_that_people_edit(clip, own, table):
    (own / "names.csv").write_bytes(table)
    with pytest.raises(ValueError, match=TABLES[table]):
        of(clip, own)
    (own / "names.csv").write_text("folder,caption\nboxer,None\n")  # a class may be called so
    assert "None" in of(clip, own).forget.classes


def test_a_strip_does_not_fill_the_memory(tmp_path):
    Image.new("RGB", (4000, 1)).save(tmp_path / "strip.png")
    with pytest.raises(ValueError, match="4000 x 1"):
        open_rgb(tmp_path / "strip.png")


def test_a_proposal_is_not_silently_another_task(clip, tmp_path):
    rows = []
    for seed, (name, role) in enumerate({"turtle": "forget", "snake": "keep", "koala": "keep"}.items()):
        write_views(tmp_path / "heap" / name, name, 12, seed)
        rows += [{"path": f"{name}/{k:02d}.png", "role": role, "name": name} for k in range(12)]
    file = tmp_path / "p.csv"
    pd.DataFrame(rows).to_csv(file, index=False)
    pool = {"pool": str(tmp_path / "heap"), "proposal": str(file), "data_root": str(tmp_path)}
    task, lines = make_task(clip, TaskRequest("folder", "turtle", siblings="snake; koala", **pool))
    assert (task.target, task.siblings) == ("turtle", ("koala", "snake")) and not any("pool" in x for x in lines)
    assert make_task(clip, TaskRequest("folder", **pool))[0].siblings == task.siblings
    with pytest.raises(ValueError, match=r"siblings='snake' .* says 'koala; snake'"):
        make_task(clip, TaskRequest("folder", siblings="snake", **pool))
    pd.DataFrame(rows).assign(role=["forget"] * 11 + ["others"] + ["keep"] * 24).to_csv(file, index=False)
    with pytest.raises(ValueError, match="with the roles forget and others"):
        _proposal_collection(file, tmp_path / "heap")
    rows[3]["name"] = ""
    pd.DataFrame(rows).to_csv(file, index=False)
    with pytest.raises(ValueError, match=r"Line 5 .* no name"):
        _proposal_collection(file, tmp_path / "heap")


@pytest.mark.parametrize(
    "dataset, given",
    [("emoji", {"subgroup": "airbus 2"}), ("folder", {"siblings": "pug"}), ("cifar10", {"styles": "cartoon"})],
)
def test_a_parameter_that_means_nothing_is_refused(dataset, given):
    with pytest.raises(ValueError, match="means nothing for"):
        TaskRequest(dataset, **given)


@pytest.mark.parametrize("given", [{"styles": 5}, {"siblings": 5}, {"target": 0}])
def test_numbers_that_papermill_makes_of_texts(clip, given):
    with pytest.raises(ValueError, match=f"Unknown .* '{next(iter(given.values()))}'"):
        make_task(clip, TaskRequest(**given))


def test_the_suite_of_pictograms_can_be_limited(clip):
    task, lines = make_task(clip, TaskRequest(limit=7))
    assert {len(part) for part in task.suite.values()} == {7} and len(lines) == len(task.suite)
    assert len(task.evaluation["target"]) > 7  # what is to be forgotten is judged by all of its pictures


def test_pictures_that_only_judge_are_looked_at_before_the_edit(clip, own):
    write_views(own / "stl10" / "test" / "bird", "bird", 3)
    assert "stl10" in of(clip, own).suite
    (own / "stl10" / "test" / "bird" / "04.png").write_text("no picture")
    with pytest.raises(ValueError, match=r"04\.png cannot be used: no picture in a known format"):
        of(clip, own)


@pytest.mark.long
def test_a_pool_is_sorted_and_shown_by_the_main_job(tmp_path):
    for seed, name in enumerate(("turtle", "snake", "koala")):
        write_views(tmp_path / "heap" / name, name, 12, seed)
    given = {"pool": tmp_path / "heap", "target": "turtle", "siblings": "snake; koala", "data_root": tmp_path}
    folder = main_job(tmp_path, "folder", **given)
    assert set(pd.read_csv(folder / "proposal.csv")["role"]) >= {"forget", "keep"}
    cells = nbformat.read(tmp_path / "run.ipynb", 4).cells
    (sorting,) = [c for c in cells if "start_job(" in c.source]
    assert any("image/png" in o.get("data", {}) or "image/svg+xml" in o.get("data", {}) for o in sorting.outputs)
