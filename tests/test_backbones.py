"""open_clip's own backbones with random weights: what is adapted, cut, truncated and refused does not depend on the small shipped model."""

import os
import pickle
import subprocess
import sys

import open_clip
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from clipforget.method.activations import encode_above, frozen_activations, frozen_depth, layers, tower_parts
from clipforget.method.adapters import adapters, add_adapters, load_patch, merge, save_patch
from clipforget.method.clip import encode_images, tokenizer_of, truncated_text_features
from clipforget.method.loading import load_clip, save_local_dir

BACKBONES = ("RN50", "ViT-B-32", *(pytest.param(name, marks=pytest.mark.long) for name in ("RN101", "ViT-B-16")))
CPU = torch.device("cpu")


@pytest.fixture(scope="module", params=BACKBONES)
def clip(request):
    return load_clip(f"{request.param}/random", CPU)


@pytest.fixture(scope="module")
def pictures(clip):
    return torch.rand(2, 3, clip.size, clip.size, generator=torch.Generator().manual_seed(0))


def upper_layers(clip):
    """All adaptable layers in the last third of the tower (three parts at least): convolutions and the attention pooling, or fused attention and MLPs."""
    parts = tower_parts(clip.model.visual)
    last = tuple(prefix for prefix, _ in parts[-max(3, len(parts) // 3) :])
    return [name for name in layers(clip.model.visual) if name.startswith(last)]


def test_every_adapter_is_reached(clip, pictures):
    tower = add_adapters(clip.model.visual, upper_layers(clip), 4, torch.Generator().manual_seed(0))
    tower(pictures).square().sum().backward()
    assert adapters(tower)
    assert not [n for n, a in adapters(tower).items() if not a.B.grad.abs().sum() > 0]
    assert all(p.grad is None for n, p in tower.named_parameters() if not n.endswith((".A", ".B")))


def test_cut_merge_and_patch_give_the_same_features(clip, pictures, tmp_path):
    g = torch.Generator().manual_seed(1)
    tower = add_adapters(clip.model.visual, upper_layers(clip)[-6:], 4, g)
    with torch.no_grad():
        for adapter in adapters(tower).values():
            adapter.B.normal_(std=0.05, generator=g)
    whole = encode_images(clip, pictures, tower)
    depth = frozen_depth(tower)
    assert 0 < depth < len(tower_parts(tower))
    assert (whole - encode_images(clip, pictures)).abs().max() > 1e-4
    assert torch.allclose(
        encode_above(tower, frozen_activations(clip, pictures, depth, exact=True), depth), whole, atol=2e-5
    )
    assert torch.allclose(encode_images(clip, pictures, merge(clip.model.visual, tower)), whole, atol=2e-5)
    low = encode_above(tower, frozen_activations(clip, pictures, depth), depth)
    assert ((low * whole).sum(1) > 0.995).all()
    save_patch(tower, clip, tmp_path / "patch.safetensors")
    assert torch.allclose(
        encode_images(clip, pictures, load_patch(clip, tmp_path / "patch.safetensors")), whole, atol=1e-6
    )


def test_truncated_texts_are_equal(clip):
    tokens = tokenizer_of(clip)(
        [
            "a photo of a marmoset.",
            "a",
            "the tiniest picture of one sulphur-crested cockatoo that was ever taken by night",
        ]
    )
    with torch.no_grad():
        plain = clip.model.encode_text(tokens)
    assert int(tokens.argmax(1).max()) < tokens.shape[1] - 30
    assert torch.allclose(
        F.normalize(truncated_text_features(clip.model, tokens), dim=-1), F.normalize(plain, dim=-1), atol=1e-5
    )


def test_random_weights_are_always_the_same():
    assert torch.equal(
        load_clip("ViT-B-32/random", CPU).model.visual.proj, load_clip("ViT-B-32/random", CPU).model.visual.proj
    )


def test_the_activation_that_a_tag_needs_is_set(monkeypatch):
    """OpenAI's weights under the plain name need QuickGELU; forgetting it costs points and says nothing."""
    asked = {}

    def create(name, **settings):
        asked.update(settings)
        raise OSError("no network here")

    monkeypatch.setattr(open_clip, "create_model", create)
    with pytest.raises(ConnectionError, match="local-dir"):
        load_clip("RN50/openai")
    assert asked == {"pretrained": "openai", "force_quick_gelu": True}


def test_no_network_is_said_in_one_sentence():
    code = "from clipforget.method.loading import load_clip\ntry:\n    load_clip('ViT-B-32/laion2b_s34b_b79k')\nexcept ConnectionError as error:\n    print('refused:', error)"
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": os.devnull}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=environment)
    assert "refused: The weights of ViT-B-32" in done.stdout, done.stderr
    assert "local-dir:PATH" in done.stdout


@pytest.fixture()
def local_dir(tmp_path):
    return save_local_dir(load_clip(device=CPU), tmp_path / "model")


def test_a_pickle_is_not_opened(local_dir):
    weights = local_dir / "open_clip_model.safetensors"
    state = {k: v.clone() for k, v in load_file(weights).items()}  # the file itself is mapped into memory
    weights.write_bytes(pickle.dumps({"x": 1}))
    with pytest.raises(ValueError, match="no safetensors file"):
        load_clip(f"local-dir:{local_dir}", CPU)
    weights.unlink()
    torch.save(state, local_dir / "open_clip_pytorch_model.bin")
    with pytest.raises(FileNotFoundError, match=r"open_clip_pytorch_model\.bin.*not opened"):
        load_clip(f"local-dir:{local_dir}", CPU)


def test_weights_of_another_architecture(local_dir):
    weights = local_dir / "open_clip_model.safetensors"
    state = {k: v.clone() for k, v in load_file(weights).items()}  # the file itself is mapped into memory
    state["visual.layer1.0.conv1.weight"] = torch.zeros(3, 3)
    save_file(state, weights)
    with pytest.raises(ValueError, match="another architecture"):
        load_clip(f"local-dir:{local_dir}", CPU)


def test_no_model_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"open_clip_config\.json"):
        load_clip(f"local-dir:{tmp_path}", CPU)
    with pytest.raises(FileNotFoundError, match=r"papermill nbs/pretrain\.ipynb -p dataset nowhere"):
        load_clip("pretrained:nowhere", CPU)
    with pytest.raises(ValueError, match="Did you mean 'RN50'"):
        load_clip("RN5O/openai", CPU)
