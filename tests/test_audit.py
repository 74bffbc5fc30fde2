"""The audit page finds the task of any run: of every data set, with the parameters of the main job, and refuses a patch for another target."""

import ast
import dataclasses
import re

import pandas as pd
import pytest
import torch
from execnb.nbio import read_nb

import clipforget as cf
from clipforget.judging.verdict import QUESTIONS, ask_all
from clipforget.core.activations import layers
from clipforget.method.adapters import add_adapters, save_patch, scaled
from clipforget.core.clip import weights_hash
from clipforget.exchange.loading import load_clip
from clipforget.exchange.open_clip import save_local_dir
from clipforget.data.registry import DATASETS
from clipforget.core.files import project_root
from clipforget.core.settings import GATE
from clipforget.run.request import Request
from clipforget.run.request import notebook_parameters
from clipforget.rivals.methods import METHODS
from clipforget.data.emoji import emoji_task
from clipforget.judging.verdict import HALF_WAY, measure_power
from parameters import run_page
from views import write_noise

PAGE = project_root() / "nbs" / "experiments" / "audit.ipynb"
MEASURED = project_root() / "nbs" / "experiments" / "measured"


def opened(until="= make_task(", **given):
    """The names of the page after the cell that has `until` (that makes the task), with these parameters."""
    return run_page("audit", given, until)[1]


def test_the_page_has_what_describes_a_task():
    of_data = {f.name for f in dataclasses.fields(Request) if "of" in f.metadata} - {"limit", "download"}
    known = {"dataset", "seed", "data_root", *of_data}
    assert known <= set(notebook_parameters(PAGE)[1])
    (asking,) = [c.source for c in read_nb(PAGE).cells if c.cell_type == "code" and "= Request(" in c.source]
    assert known <= {node.id for node in ast.walk(ast.parse(asking)) if isinstance(node, ast.Name)}


@pytest.fixture(scope="module")
def whole():
    return opened()


def test_nothing_given_is_the_committed_audit(whole):
    assert whole["task"].target == "hotel" and whole["committed"]("clipforget") is not None


OTHER = [{"styles": "openmoji"}, {"siblings": "houses; bank"}, {"seed": 1}]


@pytest.mark.long
@pytest.mark.parametrize("given", OTHER)
def test_another_task_is_not_answered_by_committed_answers(given):
    assert opened(**given)["committed"]("clipforget") is None


@pytest.mark.long
def test_an_edit_is_read_from_a_patch_for_this_target_alone(tmp_path):
    names = opened(target="turtle")
    load_edit, clip, task = names["load_edit"], names["clip"], names["task"]
    with pytest.raises(FileNotFoundError, match="There is no patch"):
        load_edit("nowhere/patch.safetensors", clip, task)
    other = load_edit("emoji-rn", clip, task)
    assert weights_hash(other.clip.model) == weights_hash(clip.model) and other.info == {}
    last = list(layers(clip.model.visual))[-1:]
    adapted = add_adapters(clip.model.visual, last, 2, torch.Generator().manual_seed(0))
    file = tmp_path / "patch.safetensors"
    save_patch(adapted, clip, file, {"target": "violin"})
    with pytest.raises(ValueError, match="made to forget 'violin', but the task's target is 'turtle'"):
        load_edit(str(tmp_path), clip, task)
    for notes in ({"target": "turtle"}, {}):  # a patch without notes may be for anything, and new adapters do nothing
        save_patch(adapted, clip, file, notes)
        assert weights_hash(load_edit(str(tmp_path), clip, task).clip.model) == weights_hash(clip.model)
    save_patch(scaled(adapted, 0.25), clip, file, {})
    assert load_edit(str(tmp_path), clip, task).info == {"a": 0.25}


def test_a_folder_of_ones_own_needs_no_target(tmp_path):
    write_noise(tmp_path / "forget" / "boxer", "p", 10)
    write_noise(tmp_path / "keep" / "pug", "p", 10)
    names = opened(dataset="folder", data_root=str(tmp_path), original="emoji-rn")
    assert names["task"].target == "boxer"
    assert not names["never_saw"] and not names["saw_all"]  # pictograms' models say nothing about photographs


@pytest.mark.long
def test_a_style_is_chosen(tmp_path):
    for place in ("cartoon/dog", "cartoon/giraffe", "sketch/dog", "sketch/giraffe"):
        write_noise(tmp_path / place, "p", 10)
    given = {"dataset": "style", "data_root": str(tmp_path), "original": "emoji-rn"}
    assert opened(**given, target="giraffe", styles="sketch")["task"].target == "giraffe, sketch"
    default = DATASETS["style"]
    assert opened(**given)["task"].target == f"{default.target}, {default.style}"


@pytest.mark.long
def test_an_edit_that_was_made_elsewhere(tmp_path):
    """A folder that open_clip loads is audited like the model that it was saved from, beside the committed answers."""
    clip = load_clip()
    task = emoji_task(clip, "hotel")
    edit = METHODS["null-space projection"](clip, task)
    save_local_dir(edit.clip, tmp_path / "edited")
    names = opened("answers = {", edited=f"local-dir:{tmp_path / 'edited'}", questions="other pictures")
    own = ask_all(edit.clip, names["task"], ["other pictures"], original=clip).set_index("how")["value"]
    found = names["answers"]["edited"].set_index("how")["value"]
    assert len(own) > 5 and (found[own.index] - own).abs().max() < 1e-3
    assert (names["answers"]["original"].set_index("how")["value"] - found).abs().max() > 50


def test_any_pair():
    """The projection moves no image: what brings its target back is said, and not whether it is gone."""
    clip = load_clip()
    task = emoji_task(clip, "hotel", views=(48, 48, 96))
    found = cf.audit(clip, METHODS["null-space projection"](clip, task).clip, task)
    assert found.judged["verdict"] == "passes from outside" and found.judged["left"] <= GATE
    assert re.search(r"undoing: at most (9\d|100)\.\d % \(the original's text tower\)", str(found))
    assert "layers" not in found.table.index.get_level_values("question")


def test_a_pool_needs_its_sorting(tmp_path):
    write_noise(tmp_path / "pool", "p", 10)
    with pytest.raises(ValueError, match="proposal"):
        opened(dataset="folder", pool=str(tmp_path / "pool"), original="emoji-rn", target="pug", siblings="boxer")


def test_the_questions_that_tell_are_chosen_without_an_edit(whole):
    """The same whatever edit is compared: original, oracles and twin decide."""
    for who in ("clipforget", "null space"):
        again = measure_power(list(whole["audits"][who].values())).query("tells").index
        assert whole["telling"].equals(again) and ("relearning", "1 picture, 10 steps") in again


@pytest.mark.parametrize("who", ["null space", "near soup"])
def test_what_hides_comes_out_as_hiding(whole, who):
    passed = whole["verdicts"][who].query("verdict != 'not forgotten'")
    past = (passed["went"] >= HALF_WAY) & (who == "near soup")  # such a soup is no longer near the original
    assert len(passed) and (passed["verdict"].eq("hidden") | past).all()


@pytest.mark.parametrize("who", ["oracle-1", "oracle-2"])
def test_no_oracle_hides(whole, who):
    assert "hidden" not in set(whole["verdicts"][who]["verdict"])


def test_what_the_page_says_of_our_edits_is_in_the_answers(whole):
    """The counts of verdicts that the committed page prints are those of the committed answers."""
    outputs = [o for c in read_nb(PAGE).cells if c.cell_type == "code" for o in c.outputs]
    printed = "".join("".join(o.text) for o in outputs if o.output_type == "stream")
    verdicts = whole["verdicts"]["clipforget"]["verdict"].tolist()
    assert f"Our edits hidden on none: {verdicts.count('hidden')} of {len(verdicts)}" in printed
    assert f"Gone on at least half: {verdicts.count('gone')} of {len(verdicts)}" in printed


def test_an_audit_takes_no_longer_than_allowed():
    measured = pd.read_csv(MEASURED / "audit_seconds.csv")
    assert len(measured) and (measured["questions"] == len(QUESTIONS)).all() and (measured["audit"] <= 240).all()
    assert (measured["threads"] <= 2).all()
