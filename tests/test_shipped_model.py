"""The shipped CLIP: its bytes, what it knows, and that plain open_clip can use it."""

import json

import open_clip
import pytest
import torch
import torch.nn.functional as F

from clipforget.clip import (
    MODELS,
    accuracy,
    class_embeddings,
    encode_images,
    load_clip,
    load_compact,
    normalise,
    save_local_dir,
    weights_hash,
)
from clipforget.pictograms import draw_views, load_pictograms

NAME = "emoji-rn"


@pytest.fixture(scope="module")
def clip():
    return load_clip(NAME, torch.device("cpu"))


def test_hash_and_size(clip):
    config = json.loads((MODELS / NAME / "open_clip_config.json").read_text())
    assert weights_hash(clip.model) == config["clipforget"]["sha256"]
    assert (MODELS / NAME / "weights.safetensors").stat().st_size <= 16e6


@pytest.mark.parametrize("style", [0, 1])
def test_knows_its_names_as_well_as_was_recorded(clip, style):
    config = json.loads((MODELS / NAME / "open_clip_config.json").read_text())
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


def test_plain_open_clip_loads_it(clip, tmp_path):
    save_local_dir(clip, tmp_path)
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{tmp_path}")
    tokens = open_clip.get_tokenizer(f"local-dir:{tmp_path}")(["a picture of turtle"])
    assert tokens.shape == (1, 16)
    x = torch.rand(3, 3, clip.size, clip.size)
    torch.testing.assert_close(
        F.normalize(model.eval().encode_image(normalise(clip, x)), dim=-1), encode_images(clip, x)
    )
    assert list(preprocess.transforms[-1].mean) == list(clip.mean)


def test_truncated_weights_are_one_clear_error(tmp_path):
    folder = tmp_path / NAME
    folder.mkdir()
    for file in (MODELS / NAME).iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    weights = folder / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:10_000])
    with pytest.raises(ValueError, match="damaged or missing"):
        load_compact(folder)
    weights.unlink()
    with pytest.raises(ValueError, match="damaged or missing"):
        load_compact(folder)
