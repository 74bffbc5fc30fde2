"""Pictures to fill folders with, as files: views of pictograms, or noise."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from clipforget.data.pictograms import draw_views, load_pictograms


def write_views(folder: Path, name: str, count: int = 12, seed: int = 0, style: int = 0) -> None:
    """A new `folder` with `count` views of the thing `name`: 00.png, 01.png, ..."""
    folder.mkdir(parents=True)
    things, g = load_pictograms(), torch.Generator().manual_seed(seed)
    for k, view in enumerate(draw_views(things, things.index([name]).repeat(count), style, "train", g, 64)):
        Image.fromarray(view.mul(255).byte().permute(1, 2, 0).numpy()).save(folder / f"{k:02d}.png")


def write_noise(folder, name, count, first=0):
    """`count` pictures called `name` and a number, no two alike."""
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(first, first + count):
        rng = np.random.default_rng([k, *f"{folder.parts[-4:]}{name}".encode()])
        Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(folder / f"{name}{k:06d}.png")
