"""The edits are those of an earlier commit, weight by weight: what was rewritten since has changed no result.

That commit's package is exported from git and run beside the present one, each in a process of its own with one
thread, on the same task with few steps.
"""

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
COMMIT = "a64c186"  # the last one before rooms and settings were made anew

SHORT = """
import json
from {clip} import load_clip, weights_hash
from {task} import emoji_task

FEW = {{
    "GradDiff": {{"steps": 6, "cosine": True}},
    "task arithmetic": {{"steps": 3, "models": 2, "points": 3}},
    "WiSE-FT": {{"steps": 5, "points": 3, "weight": 2.0}},
    "text-space adaptation": {{"steps": 100}},
    "EMMN": {{"steps": 3, "names": 8, "noise": 8}},
    "UNSIR": {{"steps": 3, "noise": 8}},
    "LIP": {{"steps": 5, "pictures": 8, "allowed": 100.0}},
    "SLUG": {{"evaluations": 4, "candidates": 2}},
    "SSD": {{"count": 4}},
    "SalUn": {{"steps": 4, "share": 0.3}},
    "null-space projection": {{}},
    "do nothing": {{}},
}}
STAGES = {{"forget_steps": 4, "remind_steps": 3, "align_steps": 2, "soup_points": 3}}
clip, found = load_clip(), {{}}
tasks = {{x: emoji_task(clip, "turtle", x, n_forget=16, n_retain=8, n_evaluation=5) for x in ("fine", "coarse")}}
"""
RIVALS = """
for name, method in METHODS.items():
    if name not in ("clipforget", "as in the paper"):
        found[name] = weights_hash(method.run(clip, tasks["fine"], **FEW.get(name, {"steps": 4})).clip.model)
"""
PRINT = "print(json.dumps(found))"
THEN = (
    SHORT.format(clip="clipforget.clip", task="clipforget.task")
    + """
from clipforget.rivals.registry import METHODS
from clipforget.method.methods import three_stages

for labels, task in tasks.items():
    found["three stages, " + labels] = weights_hash(three_stages(clip, task, **STAGES).clip.model)
"""
    + RIVALS
    + PRINT
)
NOW = (
    SHORT.format(clip="clipforget.method.clip", task="clipforget.data.emoji")
    + """

for labels, task in tasks.items():
    found["three stages, " + labels] = weights_hash(three_stages(clip, task, **STAGES).clip.model)
"""
    + RIVALS
    + PRINT
)


def edits(code, where):
    """What the package in the folder `where` edits, as {name: hash of the weights}."""
    env = os.environ | {"PYTHONPATH": str(where), "OMP_NUM_THREADS": "1", "CLIPFORGET_DATA": str(where)}
    done = subprocess.run([sys.executable, "-c", code], cwd=where, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    """The folder of the earlier commit's package."""
    done = subprocess.run(["git", "archive", COMMIT, "clipforget"], cwd=ROOT, capture_output=True)
    if done.returncode:
        pytest.skip(f"git has no commit {COMMIT} here")
    folder = tmp_path_factory.mktemp("earlier")
    tarfile.open(fileobj=io.BytesIO(done.stdout)).extractall(folder, filter="data")
    return folder


def test_edits_are_the_same(earlier):
    expected = edits(THEN, earlier)
    assert edits(NOW, ROOT) == expected
    assert len(set(expected.values())) == len(expected) >= 19
