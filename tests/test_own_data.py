"""Folders and tables as people really have them: what is wrong is said in a sentence, before anything slow, and nothing is silently taken for something else."""

from pathlib import Path

import nbformat
import pandas as pd
import pytest
import torch
from PIL import Image

from clipforget.exchange.loading import load_clip
from clipforget.data.own import _proposal_collection
from clipforget.data.registry import TaskRequest
from clipforget.data.tasks import make_task
from clipforget.method.three_stages import three_stages
from clipforget.core.settings import Settings
from clipforget.core.photos import image_files, open_rgb
from clipforget.report.report import _pick_examples, plot_embedding, plot_history, plot_stages
from clipforget.data.suite import zero_shot_suite
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
    few = Settings(forget_steps=1, remind_steps=1, align_steps=0)
    stages = lambda: len(list((tmp_path / "stages").glob("1-*")))
    three_stages(clip, of(clip, own), few, tmp_path / "stages")
    three_stages(clip, of(clip, own), few, tmp_path / "stages")
    assert stages() == 1
    (own / "names.csv").write_text("folder,caption\nboxer,violin\n")
    three_stages(clip, of(clip, own), few, tmp_path / "stages")
    assert stages() == 2


def test_copies_are_found(clip, own):
    hidden = own / "forget" / "boxer" / ".ipynb_checkpoints"
    hidden.mkdir()
    first = own / "forget" / "boxer" / "00.png"
    (hidden / "00-checkpoint.png").write_bytes(first.read_bytes())
    assert len(image_files(own / "forget")) == 12
    for k in range(1, 12):
        (first.parent / f"{k:02d}.png").write_bytes(first.read_bytes())
    with pytest.raises(ValueError, match="are the same picture"):
        of(clip, own)


def test_a_damaged_picture_is_found_at_once(clip, own):
    for file in (own / "keep" / "pug").iterdir():
        file.write_bytes(b"nope" + file.name.encode())
    with pytest.raises(ValueError, match="cannot be used"):
        of(clip, own)


def test_other_things_are_looked_at_before_the_stages(clip, own):
    write_views(own / "others" / "lamp", "violin")
    of(clip, own)
    (own / "others" / "lamp" / "05.png").write_bytes(b"nope")
    with pytest.raises(ValueError, match=r"lamp/05\.png cannot be used"):
        of(clip, own)
    (own / "others" / "lamp" / "05.png").write_bytes((own / "keep" / "pug" / "03.png").read_bytes())
    with pytest.raises(ValueError, match=r"lamp/05\.png and .*pug/03\.png are the same picture"):
        of(clip, own)


@pytest.mark.parametrize("first, second", [("forget/boxer", "forget/boxer"), ("forget/boxer", "keep/pug")])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_same_picture_twice_is_named_whatever_the_seed(clip, own, first, second, seed):
    Image.open(own / first / "04.png").save(own / second / "again.bmp")  # other bytes, the same picture
    with pytest.raises(ValueError, match=r"04\.png and .*again\.bmp|again\.bmp and .*04\.png"):
        of(clip, own, seed=seed)


def test_files_that_are_no_pictures_are_counted(clip, own):
    (own / "keep" / "pug" / "00.png").rename(own / "keep" / "pug" / "00.jfif")  # what is in it is what counts
    assert make_task(clip, TaskRequest("folder", data_root=str(own)))[1][0].startswith("imagenet: not found")
    write_views(own / "others" / "lamp", "violin", 1)
    for name in ("keep/pug/a.heic", "keep/pug/b.HEIC", "others/phone/c.heic", "forget/notes", "forget/.hidden"):
        (own / name).parent.mkdir(exist_ok=True)
        (own / name).write_bytes(b"")
    (own / "others" / "lamp" / "00.png").rename(own / "others" / "loose.png")
    write_views(own / "others" / "fiddle", "violin", 1, seed=5)
    line = make_task(clip, TaskRequest("folder", data_root=str(own)))[1][0]
    assert "Not used: 3 .heic, 1 without a suffix, 1 .png" in line and ".jfif" in line


@pytest.mark.parametrize("part", ["forget", "keep"])
def test_a_folder_in_which_nothing_can_be_read_is_refused(clip, own, part):
    (own / part / "koala").mkdir()
    (own / part / "koala" / "a.heic").write_bytes(b"")
    with pytest.raises(ValueError, match=r"koala has no picture, only 1 \.heic"):
        of(clip, own)


def test_a_linked_folder_that_leads_out_is_refused(clip, own, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    write_views(elsewhere / "koala", "koala")
    (own / "keep" / "koala").symlink_to(elsewhere / "koala")
    with pytest.raises(ValueError, match="koala is a link that leads out of"):
        of(clip, own)


def test_a_limit_keeps_the_share_of_every_other_thing(clip, own):
    for seed, (name, count) in enumerate({"violin": 40, "banana": 20, "rocket": 10}.items()):
        write_views(own / "others" / name, name, count, seed)
    task, lines = make_task(clip, TaskRequest("folder", data_root=str(own), limit=14))
    part = task.suite["folder, others"]
    shares = {part.classes[c]: int((part.labels == c).sum()) for c in part.labels.unique().tolist()}
    assert shares == {"violin": 8, "banana": 4, "rocket": 2}
    assert any(line.startswith("folder, others: 14 of 70 pictures") for line in lines)


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
        _proposal_collection(tmp_path / "p.csv", tmp_path / "heap")
    rows[3]["name"] = ""
    pd.DataFrame(rows).to_csv(tmp_path / "p.csv", index=False)
    with pytest.raises(ValueError, match=r"Line 5 .* no name"):
        _proposal_collection(tmp_path / "p.csv", tmp_path / "heap")


def write_proposal(root: Path, *roles: str) -> Path:
    rows = []
    for seed, (role, name) in enumerate(zip(roles, ("turtle", "snake", "koala"))):
        write_views(root / "heap" / name, name, 12, seed)
        rows += [{"path": f"{name}/{k:02d}.png", "role": role, "name": name} for k in range(12)]
    pd.DataFrame(rows).to_csv(root / "p.csv", index=False)
    return root / "p.csv"


def test_a_proposal_is_not_silently_another_task(clip, tmp_path):
    file = write_proposal(tmp_path, "forget", "keep", "keep")
    pool = {"pool": str(tmp_path / "heap"), "proposal": str(file), "data_root": str(tmp_path)}
    task, lines = make_task(clip, TaskRequest("folder", "turtle", siblings="snake; koala", **pool))
    assert (task.target, task.siblings) == ("turtle", ("koala", "snake")) and not any("pool" in x for x in lines)
    assert make_task(clip, TaskRequest("folder", **pool))[0].siblings == task.siblings
    with pytest.raises(ValueError, match=r"target='rabbit' .* says 'turtle'"):
        make_task(clip, TaskRequest("folder", "rabbit", **pool))
    with pytest.raises(ValueError, match=r"siblings='snake' .* says 'koala; snake'"):
        make_task(clip, TaskRequest("folder", siblings="snake", **pool))


def test_pictures_that_came_later_are_counted(clip, tmp_path):
    file = write_proposal(tmp_path, "forget", "keep", "skip")
    write_views(tmp_path / "heap" / "new", "violin", 3)
    (tmp_path / "heap" / "a.heic").write_bytes(b"")
    pool = {"pool": str(tmp_path / "heap"), "proposal": str(file), "data_root": str(tmp_path)}
    lines = make_task(clip, TaskRequest("folder", **pool))[1]
    assert "3 of 39 pictures in the pool have no line" in lines[0] and "1 .heic" in lines[1]


def test_names_in_a_proposal_have_no_blanks_and_pictures_one_line(tmp_path):
    file = write_proposal(tmp_path, "forget", "keep", "keep")
    text = file.read_text()
    file.write_text(text.replace("koala/03.png,keep,koala", "koala/03.png,keep,koala "))
    assert _proposal_collection(file, tmp_path / "heap")[2] == ["koala", "snake"]
    file.write_text(text + "snake/../turtle/00.png,skip,\n")
    with pytest.raises(ValueError, match="Lines 2 and 38 of"):
        _proposal_collection(file, tmp_path / "heap")


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
def test_a_parameter_that_means_nothing_is_refused(dataset, given):
    with pytest.raises(ValueError, match="means nothing for"):
        TaskRequest(dataset, **given)


@pytest.mark.parametrize("dataset", ["emoji", "imagenet", "cifar10", "style"])
def test_labels_are_fine_or_coarse_everywhere(dataset):
    with pytest.raises(ValueError, match=r"Unknown kind of labels 'corse'\. Did you mean 'coarse'"):
        TaskRequest(dataset, labels="corse")


def test_numbers_that_papermill_makes_of_texts(clip):
    with pytest.raises(ValueError, match="Unknown style '5'"):
        make_task(clip, TaskRequest(styles=5))
    for given in ({"siblings": 5}, {"target": 0}):
        with pytest.raises(ValueError, match=f"Unknown .* '{next(iter(given.values()))}'"):
            make_task(clip, TaskRequest(**given))


def test_the_suite_of_pictograms_can_be_limited(clip):
    task, lines = make_task(clip, TaskRequest(limit=7))
    assert {len(part) for part in task.suite.values()} == {7} and len(lines) == len(task.suite)
    assert len(task.evaluation["target"]) > 7  # what is to be forgotten is judged by all of its pictures


def test_nonsense_is_refused(tmp_path):
    with pytest.raises(ValueError, match="limit=-5"):
        zero_shot_suite(tmp_path, 64, ["stl10"], limit=-5)


def test_a_pickle_is_not_preferred_to_safetensors(tmp_path):
    (tmp_path / "open_clip_config.json").write_text("{}")
    (tmp_path / "adapter.safetensors").write_bytes(b"")
    (tmp_path / "open_clip_pytorch_model.bin").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match=r"open_clip_pytorch_model\.bin"):
        load_clip(f"local-dir:{tmp_path}")


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
