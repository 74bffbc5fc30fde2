"""Pictures to fill folders with: views of pictograms, as files."""

from pathlib import Path

import torch
from PIL import Image

from clipforget.data.pictograms import draw_views, load_pictograms


def write_views(folder: Path, name: str, count: int = 12, seed: int = 0, style: int = 0) -> None:
    """A new `folder` with `count` views of the thing `name`: 00.png, 01.png, ..."""
    folder.mkdir(parents=True)
    things, g = load_pictograms(), torch.Generator().manual_seed(seed)
    for k, view in enumerate(draw_views(things, things.index([name]).repeat(count), style, "train", g, 64)):
        Image.fromarray(view.mul(255).byte().permute(1, 2, 0).numpy()).save(folder / f"{k:02d}.png")
