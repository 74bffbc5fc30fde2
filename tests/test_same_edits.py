"""The edits are those of an earlier commit, weight by weight: what was rewritten since has changed no result.

That commit's package is exported from git and run beside the present one, each in a process of its own with one
thread, on the same tasks with few steps.
"""

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.long
ROOT = Path(__file__).resolve().parents[1]
COMMIT = "a64c186"  # the last one before rooms and settings were made anew

FEW = """
FEW = {
    "GradDiff": {"steps": 6, "cosine": True},
    "task arithmetic": {"steps": 3, "models": 2, "points": 3},
    "WiSE-FT": {"steps": 5, "points": 3, "weight": 2.0},
    "text-space adaptation": {"steps": 100},
    "EMMN": {"steps": 3, "names": 8, "noise": 8},
    "UNSIR": {"steps": 3, "noise": 8},
    "LIP": {"steps": 5, "pictures": 8, "allowed": 100.0},
    "SLUG": {"evaluations": 4, "candidates": 2},
    "SSD": {"count": 4},
    "SalUn": {"steps": 4, "share": 0.3},
    "null-space projection": {},
    "do nothing": {},
}
STAGES = {"forget_steps": 4, "remind_steps": 3, "align_steps": 2, "soup_points": 3}
"""
THEN = """
import clipforget.clip as loading, clipforget.task as emoji, clipforget.rivals as registry, clipforget.methods as m

weights_hash = loading.weights_hash

stages = lambda *which, dataset="emoji": m.three_stages(*which, **(m.settings_for(dataset, {}) | STAGES))
paper = lambda *which: m.as_in_the_paper(*which, **STAGES)
"""
NOW = """
import torch
import clipforget.method.loading as loading, clipforget.data.emoji as emoji, clipforget.rivals.registry as registry
import clipforget.method.methods as m, clipforget.tools.settings as s, clipforget.method.clip

weights_hash = clipforget.method.clip.weights_hash
clipforget.method.clip.has_bfloat16 = lambda device: torch.cpu._is_amx_tile_supported()  # as that commit had it
FEW["LIP"]["images"] = FEW["LIP"].pop("pictures")

stages = lambda *which, dataset="emoji": m.three_stages(*which, s.Settings.for_dataset(dataset, STAGES))
paper = lambda *which: registry.METHODS["as in the paper"](*which, STAGES)
"""
EDITS = """
import json

clip = loading.load_clip()
fine, coarse = (
    emoji.emoji_task(clip, "turtle", labels, n_forget=16, n_retain=8, n_evaluation=5) for labels in ("fine", "coarse")
)
found = {
    "fine": stages(clip, fine),
    "coarse": stages(clip, coarse),
    "like the style data": stages(clip, coarse, dataset="style"),
    "paper": paper(clip, fine),
} | {
    name: method.run(clip, fine, **FEW.get(name, {"steps": 4}))
    for name, method in registry.METHODS.items()
    if name not in ("clipforget", "as in the paper")
}
print(json.dumps({name: weights_hash(edit.clip.model) for name, edit in found.items()}))
"""


def start(setup, where):
    """A process that makes all edits by the package in the folder `where`."""
    env = os.environ | {"PYTHONPATH": str(where), "OMP_NUM_THREADS": "1"}
    code = FEW + setup + EDITS
    return subprocess.Popen([sys.executable, "-c", code], cwd=where, env=env, stdout=subprocess.PIPE, text=True)


def made_by(process):
    """Hashes of the weights by the edit's name."""
    out, _ = process.communicate()
    assert process.returncode == 0
    return json.loads(out.splitlines()[-1])


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    """The folder of the earlier commit's package."""
    done = subprocess.run(["git", "archive", COMMIT, "clipforget"], cwd=ROOT, capture_output=True)
    if done.returncode:
        pytest.skip(f"git has no commit {COMMIT} here")
    folder = tmp_path_factory.mktemp("earlier")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def test_edits_are_the_same(earlier):
    then, now = (made_by(process) for process in (start(THEN, earlier), start(NOW, ROOT)))
    assert now == then
    assert len(set(then.values())) == len(then) >= 21  # each does something of its own
