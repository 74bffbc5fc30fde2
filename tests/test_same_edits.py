"""Short edits give the weights that are recorded in same_edits.json: a change of the code did not change what it computes.

PyTorch and the processor decide how sums are rounded: two processors of one model differ where their caches do. So each
way of rounding has its own record, told by gradients of an untrained network that PyTorch computes without our code.
`OMP_NUM_THREADS=1 python tests/test_same_edits.py record` adds this machine's: run it with code whose edits you trust.
"""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import open_clip
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


def machine() -> str:
    """PyTorch's version and instructions, and a hash of the gradients of a ResNet of open_clip, four batches in each precision."""
    torch.manual_seed(0)
    tower = open_clip.model.ModifiedResNet(layers=(2, 2, 2, 2), output_dim=128, heads=8, image_size=64, width=32)
    for n in (8, 16, 32, 64):
        for reduced in (False, True):
            with torch.autocast("cpu", torch.bfloat16, enabled=reduced and PRODUCTS == "bfloat16"):
                tower(torch.randn(n, 3, 64, 64)).square().mean().backward()
    found = hashlib.sha256(b"".join(p.grad.numpy().tobytes() for p in tower.parameters())).hexdigest()
    return f"PyTorch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}, {PRODUCTS}, gradients {found[:16]}"


def edit_all() -> dict[str, str]:
    """The hash of the weights of each edit of the pictogram CLIP."""
    clip = cf.load_clip(device=torch.device("cpu"))
    tasks = {labels: cf.emoji_task(clip, target="turtle", labels=labels) for labels in ("fine", "coarse")}
    made = {name: cf.forget(clip, tasks[kind], more, method=method) for name, (kind, method, more) in EDITS.items()}
    return {name: weights_hash(edit.clip.model) for name, edit in made.items()}


@pytest.fixture(scope="module")
def made():
    """The hashes that are recorded for this machine and those of its edits, from processes of their own with one thread."""

    def said(word: str) -> str:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run([sys.executable, __file__, word], capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    here, known = said("machine").strip(), json.loads(RECORD.read_text(encoding="utf-8"))
    if here not in known:
        pytest.skip(
            f"no weights are recorded for {here}: `OMP_NUM_THREADS=1 python {Path(__file__).name} record` adds them"
        )
    return known[here], json.loads(said("edits"))


@pytest.mark.parametrize("name", EDITS)
def test_weights_are_those_of_the_record(made, name):
    recorded, found = made
    assert found[name] == recorded[name]


if __name__ == "__main__":
    asked = sys.argv[1:]
    print(machine() if asked == ["machine"] else json.dumps(hashes := edit_all()))
    if asked == ["record"]:
        known = json.loads(RECORD.read_text(encoding="utf-8")) | {machine(): hashes}
        RECORD.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
