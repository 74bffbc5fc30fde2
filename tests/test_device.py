"""The same on a graphics card as on the CPU: stages, Fisher information, rivals, audit, evaluation, patches.

Without a card the tests run on a fake one, which has the CPU's numbers and fails where devices are mixed. Both may round
to bfloat16 or not, as they are fast at, so that edits agree within the tolerances below and not bit by bit.
"""

from dataclasses import replace

import pytest
import torch
from fake_card import fake_card
from scipy.stats import spearmanr

import clipforget as cf
from clipforget.judging.verdict import ask_all
from clipforget.judging.scores import evaluate
from clipforget.core.activations import ActivationCache, encode_above, frozen_activations
from clipforget.core.clip import class_embeddings, encode_images
from clipforget.method.importance import relative_fisher
from clipforget.run.job import forecast

# mean cosine of features, percentage points of accuracy, Spearman's correlation
COSINE, POINTS, RANKS = 0.98, 3.0, 0.98
FEW = {"forget_steps": 8, "remind_steps": 5}
# they move the text tower, the image tower, and both
RIVALS = {"text-space adaptation": {"steps": 20}, "SalUn": {"steps": 3, "share": 0.3}, "CLIPErase": {"steps": 3}}


@pytest.fixture(scope="module", params=["cuda", "fake"])
def card(request):
    if request.param == "cuda":
        if not torch.cuda.is_available():
            pytest.skip("there is no graphics card")
        yield torch.device("cuda")
    else:
        with fake_card() as device:
            yield device


@pytest.fixture(scope="module")
def models(card):
    """The shipped CLIP on the CPU and on the card."""
    return [cf.load_clip(device=device) for device in (torch.device("cpu"), card)]


@pytest.fixture(scope="module")
def task(models):
    """Turtles with few pictures; its siblings are chosen by the model on the CPU."""
    task = cf.emoji_task(models[0], views=(16, 4, 20))
    few = lambda sets: {name: part.sample(40, 0) for name, part in sets.items()}
    return replace(task, evaluation=few(task.evaluation), suite=few(dict(list(task.suite.items())[:2])))


@pytest.fixture(scope="module")
def edits(models, task):
    return [cf.forget(clip, task, FEW) for clip in models]


def features(clip, task, visual=None):
    """Of all that judges the task, on the CPU."""
    return torch.cat([encode_images(clip, part.images, visual).cpu() for part in task.evaluation.values()])


def agree(one, other):
    return (one * other).sum(1).mean() > COSINE


def test_siblings_are_the_same(models, task):
    again = cf.emoji_task(models[1], views=(4, 4, 20))
    assert again.siblings == task.siblings


def test_fisher_information_ranks_alike(models, task):
    here, there = (relative_fisher(clip, task, 8).set_index("layer")["ratio"] for clip in models)
    assert spearmanr(here, there.loc[here.index]).statistic > RANKS


@pytest.mark.long
@pytest.mark.parametrize("number", range(3), ids=["forgetting", "reminding", "restoring"])
def test_each_stage(models, edits, task, number):
    here, there = (edit.stages[number] for edit in edits)
    assert agree(*(features(clip, task, s.visual) for clip, s in zip(models, (here, there))))
    assert here.info.get("layers") == there.info.get("layers")
    assert here.info.get("gate on calibration") == there.info.get("gate on calibration")


def test_the_edit_comes_to_the_same(edits):
    here, there = (edit.rows.set_index(["stage", "column"])["value"] for edit in edits)
    assert (here - there).abs().max() <= POINTS


def test_predictions_of_the_original_are_equal(models, task):
    text = [class_embeddings(clip, task.forget.classes, task.templates).cpu() for clip in models]
    said = [(features(clip, task) @ t.T).argmax(1) for clip, t in zip(models, text)]
    assert torch.equal(*said)
    assert evaluate(models[0], task)["value"].tolist() == evaluate(models[1], task)["value"].tolist()


@pytest.mark.long
@pytest.mark.parametrize("method", RIVALS)
def test_rivals(models, task, method):
    here, there = (cf.forget(clip, task, RIVALS[method], method=method).clip for clip in models)
    assert agree(features(here, task), features(there, task))
    words = [class_embeddings(clip, task.forget.classes[:20], task.templates).cpu() for clip in (here, there)]
    assert agree(*words)


@pytest.mark.long
def test_audit(models, edits, task):
    told = [ask_all(edit.clip, task, ("other words", "layers", "relearning", "inputs that adapt")) for edit in edits]
    assert (told[0]["how"] == told[1]["how"]).all()
    assert (told[0]["value"] - told[1]["value"]).abs().median() <= POINTS


def test_a_cache_without_room_on_the_card(models, task, tmp_path):
    clip, images = models[1], task.forget.images
    cache = ActivationCache(0.0, tmp_path)  # its files are gone when it is
    kept = cache(clip, images, 3)
    assert kept.device.type == "cpu" and list(tmp_path.rglob("*.bin"))
    plain = encode_above(clip.model.visual, frozen_activations(clip, images, 3), 3)
    assert torch.equal(encode_above(clip.model.visual, kept, 3).cpu(), plain.cpu())
    edit = cf.forget(
        clip, task, {**FEW, "alignment": "none", "forget_steps": 1, "remind_steps": 1}, cache=ActivationCache(0.0)
    )
    assert edit.clip.device == clip.device


def test_a_patch_is_of_any_device(models, edits, task, tmp_path):
    file = edits[1].save_patch(tmp_path / "patch.safetensors")
    for clip in models:
        again = cf.apply_patch(clip, file)
        assert again.device == clip.device and agree(features(again, task), features(edits[1].clip, task))


def test_forecast(models, task):
    assert (forecast(models[1], task)["seconds"] > 0).all()
