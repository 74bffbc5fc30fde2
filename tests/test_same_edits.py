"""Short edits give the weights that are recorded in same_edits.json: a change of the code did not change what it computes.

PyTorch and the processor decide how sums are rounded, so each pair of them has its own record. Two processors with the
same instructions may differ, too: their caches decide how products are cut.
`python tests/test_same_edits.py record` adds this machine's: run it with code whose edits you trust.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import clipforget as cf
from clipforget.core.clip import has_bfloat16, weights_hash

RECORD = Path(__file__).with_name("same_edits.json")
SHORT = {"forget_steps": 15, "remind_steps": 15}
EDITS = {  # labels, method, settings
    "stages, fine": ("fine", "clipforget", SHORT),
    "stages, coarse, soup, two rounds": ("coarse", "clipforget", SHORT | {"rounds": 2, "soup": True}),
    "as in the paper": ("fine", "as in the paper", SHORT),
    "GradDiff": ("fine", "GradDiff", {}),
    "GS-LoRA": ("fine", "GS-LoRA", {}),
}
PRODUCTS = "bfloat16" if has_bfloat16(torch.device("cpu")) else "float32"
ABOUT = Path("/proc/cpuinfo")  # of Linux
LINES = [line.split(":") for line in ABOUT.read_text().split("\n\n")[0].splitlines()] if ABOUT.exists() else []
TOLD = {name.strip(): value.strip() for name, value, *_ in LINES}
KIND = [TOLD.get(name, "") for name in ("vendor_id", "cpu family", "model", "stepping", "cache size")]
MACHINE = (
    f"PyTorch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}, {PRODUCTS}, {' '.join(KIND).strip()}"
)


def edit_all() -> dict[str, str]:
    """The hash of the weights of each edit of the pictogram CLIP."""
    clip = cf.load_clip(device=torch.device("cpu"))
    tasks = {labels: cf.emoji_task(clip, target="turtle", labels=labels) for labels in ("fine", "coarse")}
    made = {name: cf.forget(clip, tasks[kind], more, method=method) for name, (kind, method, more) in EDITS.items()}
    return {name: weights_hash(edit.clip.model) for name, edit in made.items()}


@pytest.fixture(scope="module")
def made():
    """The hashes from a process of its own with one thread."""
    if MACHINE not in json.loads(RECORD.read_text(encoding="utf-8")):
        pytest.skip(f"no weights are recorded for {MACHINE}: `python {Path(__file__).name} record` in tests/ adds them")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, __file__], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", EDITS)
def test_weights_are_those_of_the_record(made, name):
    assert made[name] == json.loads(RECORD.read_text(encoding="utf-8"))[MACHINE][name]


if __name__ == "__main__":
    hashes = edit_all()
    print(json.dumps(hashes))
    if sys.argv[1:] == ["record"]:
        known = json.loads(RECORD.read_text(encoding="utf-8")) | {MACHINE: hashes}
        RECORD.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
