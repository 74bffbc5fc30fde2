"""Short edits give the weights that are recorded in same_edits.json: what was changed in the code did not change what it computes.

Rounding depends on PyTorch and on the processor, so every pair of them has its own record. `python tests/test_same_edits.py`
adds this machine's; record it with code whose edits you trust.
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
SHORT = {"forget_steps": 15, "remind_steps": 15, "align_steps": 2, "cutmix": 64}
EDITS = {  # labels, method, settings
    "stages, fine": ("fine", "clipforget", SHORT),
    "stages, coarse, soup, two rounds": ("coarse", "clipforget", SHORT | {"rounds": 2, "soup": True}),
    "as in the paper": ("fine", "as in the paper", SHORT | {"cutmix": 0}),
    "GradDiff": ("fine", "GradDiff", {}),
    "GS-LoRA": ("fine", "GS-LoRA", {}),
}


def machine() -> str:
    """What decides how sums are rounded."""
    products = "bfloat16" if has_bfloat16(torch.device("cpu")) else "float32"
    return f"PyTorch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}, {products}"


def edit(name: str) -> str:
    """The hash of the weights that a short edit of the pictogram CLIP has."""
    labels, method, settings = EDITS[name]
    clip = cf.load_clip(device=torch.device("cpu"))
    return weights_hash(
        cf.forget(clip, cf.emoji_task(clip, target="turtle", labels=labels), settings, method=method).clip.model
    )


def by_itself(name: str) -> str:
    """The same in a process of its own with one thread."""
    words = [sys.executable, __file__, name]
    return subprocess.run(
        words, check=True, text=True, stdout=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"}
    ).stdout.split()[-1]


@pytest.mark.parametrize("name", EDITS)
def test_weights_are_those_of_the_record(name):
    recorded = json.loads(RECORD.read_text(encoding="utf-8"))
    if machine() not in recorded:
        pytest.skip(f"no weights are recorded for {machine()}: python tests/test_same_edits.py records them")
    assert by_itself(name) == recorded[machine()][name]


if __name__ == "__main__":
    if sys.argv[1:]:
        print(edit(sys.argv[1]))
    else:
        known = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
        RECORD.write_text(json.dumps(known | {machine(): {name: by_itself(name) for name in EDITS}}, indent=1) + "\n")
