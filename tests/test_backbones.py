"""Ten families of backbones with random weights, from end to end: what is prepared, adapted, cut, truncated, saved and refused does not depend on the small shipped model."""

import gc
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from functools import partial
from zlib import crc32

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from safetensors.torch import load_file, save_file

from clipforget.core.photos import Photos
from clipforget.core.activations import encode_above, features_above, frozen_activations, frozen_depth
from clipforget.core.activations import layers, tower_parts
from clipforget.method import alignment, reminding
from clipforget.method.alignment import aligned_mixtures
from clipforget.method.adapters import adapters, add_adapters, load_patch, merge, save_patch
from clipforget.core.clip import Clip, class_embeddings, encode_images, image_features, normalise, tokenizer_of
from clipforget.core.clip import truncated_text_features
from clipforget.report.edit import Edit, apply_patch
from clipforget.exchange.loading import load_clip
from clipforget.exchange.open_clip import build_model, from_open_clip, read_preparation, save_local_dir
from clipforget.method.three_stages import three_stages
from clipforget.core.task import ImageSet, Task
from clipforget.core.settings import Settings

FAMILIES = ("RN50", "RN50x4", "ViT-B-32", "ViT-B-16-SigLIP", "ViT-B-16-SigLIP2", "EVA02-B-16", "convnext_base")
FAMILIES += ("MobileCLIP2-S0", "coca_ViT-B-32")
OWN = ("RN50", "RN50x4", "ViT-B-32")  # whose text tower is cut behind the last word
CPU = torch.device("cpu")
ONE = {"layer_choice": "fisher", "forget_steps": 1, "remind_steps": 1, "rounds": 1, "answers": 0}
SMALLEST = Settings(layers=2, rank=2, margin=2.0, **ONE)


class AnyWords:
    """A tokenizer for models whose own would be fetched: numbers that depend on the words, and an end."""

    def __init__(self, clip):
        self.context, self.end = clip.config["text_cfg"]["context_length"], clip.config["text_cfg"]["vocab_size"] - 1

    def __call__(self, texts):
        rows = [[crc32(word.encode()) % (self.end - 1) + 1 for word in text.split()] + [self.end] for text in texts]
        return torch.tensor([(row + [0] * self.context)[: self.context] for row in rows])


PARAMS = [name if name == "ViT-B-32" else pytest.param(name, marks=pytest.mark.long) for name in FAMILIES]


@pytest.fixture(scope="module", params=PARAMS)
def clip(request):
    """The family with fresh weights, and with the way of preparing pictures of its first pre-trained ones."""
    gc.collect()
    found = load_clip(f"{request.param}/random", CPU)
    tag = open_clip.list_pretrained_tags_by_model(request.param)[0]
    ways = read_preparation(request.param, open_clip.get_pretrained_cfg(request.param, tag))
    foreign = found.config["text_cfg"].get("hf_tokenizer_name")
    assert found.tokenizer == (request.param if foreign else None)  # the place, not the name in tables
    return replace(found, tokenizer=AnyWords(found) if foreign else None, **ways)


@pytest.fixture(autouse=True)
def few_images_at_once(monkeypatch):
    monkeypatch.setattr(Clip, "step_images", 2)
    monkeypatch.setattr(alignment, "FIT_STEPS", 2)
    monkeypatch.setattr(reminding, "aligned_mixtures", partial(aligned_mixtures, count=4))
    monkeypatch.setattr(reminding, "_margin", lambda *_: 2.0)  # something to forget, whatever random weights say


@pytest.fixture(scope="module")
def pictures(clip):
    return torch.rand(2, 3, clip.size, clip.size, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def task(clip):
    return noise_task(clip)


def noise_task(clip):
    """Two pictures a part, of noise, of which no two are alike."""
    g, names = torch.Generator().manual_seed(3), ("lemon", "lime", "orange")

    def part(name, *labels):
        pixels = torch.randint(256, (len(labels), 3, clip.size, clip.size), generator=g, dtype=torch.uint8)
        return ImageSet(name, pixels, torch.tensor(labels), names)

    splits = [part("forget", 0, 0), part("retain", 1, 2), part("a", 0, 0), part("b", 1, 2)]
    judged = {"target": part("target", 0), "siblings": part("siblings", 1)}
    return Task("noise", "lemon", names[1:], "fine", 0, *splits, judged, {}, templates=("a {}",))


def upper_layers(clip):
    """All adaptable layers in the last third of the tower (three parts at least): convolutions and the attention pooling, or fused attention and MLPs."""
    parts = tower_parts(clip.model.visual)
    last = tuple(prefix for prefix, _ in parts[-max(3, len(parts) // 3) :])
    return [name for name in layers(clip.model.visual) if name.startswith(last)]


def test_photographs_are_prepared_and_told_as_by_open_clip(clip):
    """The pixels are open_clip's to the bit; the features differ in the last digits, by the layout in memory; the answers do not."""
    g = np.random.default_rng(0)
    photos = [Image.fromarray(g.integers(0, 256, (*shape, 3), dtype=np.uint8)) for shape in ((300, 420), (500, 260))]
    words = {"mean": clip.mean, "std": clip.std, "size": clip.size, **clip.frame.words}
    prepare = image_transform_v2(PreprocessCfg(**words), is_train=False)
    plain = torch.stack([prepare(photo) for photo in photos])
    mine = Photos.of(photos, clip.frame, "in memory")
    assert torch.equal(torch.cat([normalise(clip, part) for part in mine.split(8)]), plain)
    with torch.no_grad():
        theirs = F.normalize(clip.model.encode_image(plain), dim=-1)
        text = F.normalize(clip.model.encode_text(tokenizer_of(clip)(["a lemon", "a lime"])), dim=-1)
        logits = clip.model.logit_scale.exp() * theirs @ text.T
        logits = logits if getattr(clip.model, "logit_bias", None) is None else logits + clip.model.logit_bias
    ours = encode_images(clip, mine)
    assert torch.allclose(ours, theirs, atol=2e-5)
    said = ours @ class_embeddings(clip, ["lemon", "lime"], ("a {}",)).T
    assert torch.equal(said.argmax(1), logits.argmax(1))  # a sigmoid's scale and bias move no answer


@pytest.mark.long
def test_three_stages_patch_and_directory(clip, task, tmp_path):
    before = {k: v.clone() for k, v in clip.model.state_dict().items()}
    edit = Edit(**vars(three_stages(clip, task, SMALLEST)), original=clip, task=task)
    after = edit.clip.model.state_dict()
    moved = [k for k, v in before.items() if not torch.equal(v, after[k])]
    chosen, ranking = edit.stages[0].info["layers"], edit.stages[0].importance
    assert ranking["ratio"].notna().all() and set(ranking["layer"]) == set(layers(clip.model.visual))
    assert moved and all(k.startswith(tuple(f"visual.{n}" for n in chosen)) for k in moved)
    assert all(torch.equal(v, before[k]) for k, v in clip.model.state_dict().items())
    assert list(edit.evaluate().index) == ["original", "forgetting", "reminding", "restoring"]
    again = apply_patch(clip, edit.save_patch(tmp_path / "patch.safetensors"))
    assert all(torch.equal(v, after[k]) for k, v in again.model.state_dict().items())
    if not clip.tokenizer:  # whose own tokenizer would be fetched
        plain, _, prepare = open_clip.create_model_and_transforms(f"local-dir:{edit.save(tmp_path / 'model')}")
        assert all(torch.equal(v, after[k]) for k, v in plain.state_dict().items())
        assert list(prepare.transforms[-1].mean) == list(clip.mean)


def test_every_adapter_is_reached(clip, pictures):
    tower = add_adapters(clip.model.visual, upper_layers(clip), 4, torch.Generator().manual_seed(0))
    image_features(clip, pictures, tower)[:, ::2].sum().backward()
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
    exact = frozen_activations(clip, pictures, depth, exact=True)
    assert torch.allclose(encode_above(tower, exact, depth), whole, atol=2e-5)
    assert torch.allclose(encode_images(clip, pictures, merge(clip.model.visual, tower)), whole, atol=2e-5)
    low = encode_above(tower, frozen_activations(clip, pictures, depth), depth)
    assert ((low * whole).sum(1) > 0.995).all()
    save_patch(tower, clip, tmp_path / "patch.safetensors")
    patched = load_patch(clip, tmp_path / "patch.safetensors")
    assert torch.allclose(encode_images(clip, pictures, patched), whole, atol=1e-6)


def test_truncated_texts_are_equal(clip):
    if clip.name.partition("/")[0] not in OWN:
        pytest.skip("this text tower is run as it is")
    longest = "the tiniest picture of one sulphur-crested cockatoo that was ever taken by night"
    tokens = tokenizer_of(clip)(["a photo of a marmoset.", "a", longest])
    with torch.no_grad():
        plain = clip.model.encode_text(tokens)
    assert int(tokens.argmax(1).max()) < tokens.shape[1] - 30
    cut = truncated_text_features(clip.model, tokens)
    assert torch.allclose(F.normalize(cut, dim=-1), F.normalize(plain, dim=-1), atol=1e-5)


def test_a_huge_tower_by_its_shapes():
    """ViT-H-14 with adapters in bfloat16, without memory for its weights."""
    model = build_model(open_clip.get_model_config("ViT-H-14"))
    names = list(layers(model.visual))[-6:]
    tower = add_adapters(model.visual, names, 4, torch.Generator().manual_seed(0)).to(torch.bfloat16)
    parts = tower_parts(tower)
    assert (len(parts), frozen_depth(tower)) == (34, 31)
    x = torch.empty(2, 3, 224, 224, device="meta", dtype=torch.bfloat16)
    for _, part in parts:
        x = part(x)
    assert (x.shape, x.dtype) == ((2, 1024), torch.bfloat16)


KINDS = "RN50 ViT-L-14 ViT-B-16-SigLIP2-384 EVA01-g-14 EVA02-L-14-336 PE-Core-B-16 convnext_large_d MobileCLIP2-B MobileCLIP2-S4 ViTamin-S vit_medium_patch16_gap_256 swin_base_patch4_window7_224 coca_ViT-L-14 coca_base"


@pytest.mark.filterwarnings("ignore:The parts of a Swin")
@pytest.mark.parametrize("name", KINDS.split())
def test_the_parts_of_every_kind_make_its_feature(name):
    config = open_clip.get_model_config(name)
    visual = build_model(config).visual
    x = torch.empty(2, 3, config["vision_cfg"]["image_size"], config["vision_cfg"]["image_size"], device="meta")
    assert features_above(visual, x, 0).shape == (2, config["embed_dim"])
    assert (len(tower_parts(visual)) == 1) == name.startswith("swin")


TRUNKS = {  # of timm's, none of them in open_clip's list: the way of pooling and projecting, the number of parts
    "tf_efficientnet_lite0": ("avg", "linear", 18),
    "mobilenetv3_small_050": ("avg", "", 14),
    "resnet10t": ("avg", "mlp", 6),
    "regnetx_002": ("avg", "linear", 6),
    "convnext_atto": ("avg", "linear", 6),
    "repvgg_a0": ("avg", "linear", 23),
    "eca_nfnet_l0": ("avg", "linear", 14),
    "vit_tiny_patch16_224": ("token", "linear", 14),
    "densenet121": ("avg", "linear", 1),
}


def trunk_clip(name):
    """A CLIP with fresh weights around timm's trunk `name`, and the configuration that it was made by."""
    pool, last, _ = TRUNKS[name]
    words = {"timm_model_name": name, "timm_model_pretrained": False, "timm_pool": pool, "timm_proj": last}
    vision = words | {"timm_proj_bias": False, "image_size": 224 if name.startswith("vit") else 64}
    text = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
    config = {"embed_dim": 32, "vision_cfg": vision, "text_cfg": text}
    prepare = image_transform_v2(PreprocessCfg(size=vision["image_size"]), is_train=False)
    return from_open_clip(build_model(config, "cpu"), prepare, device=CPU), config


@pytest.mark.filterwarnings("ignore:The parts of a DenseNet")
@pytest.mark.parametrize("name", TRUNKS)
def test_any_trunk_of_timm_is_read_loaded_and_cut(name, tmp_path):
    """To the bit: a model in memory, its directory, plain open_clip, and the tower in two pieces wherever it is cut."""
    clip, config = trunk_clip(name)
    assert clip.config == config
    pictures = torch.rand(2, 3, clip.size, clip.size, generator=torch.Generator().manual_seed(0))
    whole = encode_images(clip, pictures)
    folder = save_local_dir(clip, tmp_path)
    assert torch.equal(encode_images(load_clip(f"local-dir:{folder}", CPU), pictures), whole)
    plain = open_clip.create_model(f"local-dir:{folder}").eval()
    with torch.no_grad():
        assert torch.equal(F.normalize(plain.encode_image(normalise(clip, pictures)), dim=-1), whole)
    parts = tower_parts(clip.model.visual)
    assert len(parts) == TRUNKS[name][-1]
    for depth in range(len(parts)):
        below = frozen_activations(clip, pictures, depth, exact=True)
        assert torch.equal(encode_above(clip.model.visual, below, depth), whole)


def test_an_edit_of_an_efficientnet_adapts_no_depthwise_convolution():
    clip, _ = trunk_clip("tf_efficientnet_lite0")
    edited = three_stages(clip, noise_task(clip), replace(SMALLEST, layers=6))
    found = layers(clip.model.visual)
    chosen, whole = edited.stages[0].info["layers"], edited.stages[-1].visual
    assert all(found[name][0].weight.shape[1] > 1 for name in chosen) and 0 < frozen_depth(whole) < 18
    pictures = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(encode_images(edited.clip, pictures), encode_images(clip, pictures, whole), atol=1e-5)
    assert not torch.allclose(encode_images(edited.clip, pictures), encode_images(clip, pictures), atol=1e-3)


def test_a_tower_of_unknown_parts_says_what_it_costs():
    with pytest.warns(UserWarning, match="DenseNet are not known.*every step of training runs the whole"):
        tower_parts(trunk_clip("densenet121")[0].model.visual)


def test_random_weights_are_always_the_same(monkeypatch):
    """Also where a model takes memory and does not fill it: it is filled with NaN here."""
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *s, **k: empty(*s, **k).fill_(float("nan")))
    ours, again = (load_clip("coca_ViT-B-32/random", CPU).model.state_dict() for _ in range(2))
    assert all(torch.equal(v, again[k]) for k, v in ours.items())


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
    code = "import clipforget as cf\ntry:\n    cf.load_clip('ViT-B-32/laion2b_s34b_b79k')\nexcept ConnectionError as e:\n    print('refused:', e)"
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": os.devnull}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=environment)
    assert "refused: The weights of ViT-B-32" in done.stdout, done.stderr
    assert "local-dir:PATH" in done.stdout


@pytest.fixture()
def local_dir(tmp_path):
    return save_local_dir(load_clip(device=CPU), tmp_path / "model")


def test_pickles_and_weights_of_another_architecture_are_not_opened(local_dir):
    weights = local_dir / "open_clip_model.safetensors"
    state = {k: v.clone() for k, v in load_file(weights).items()}  # the file itself is mapped into memory
    save_file(state | {"visual.layer1.0.conv1.weight": torch.zeros(3, 3)}, weights)
    with pytest.raises(ValueError, match="another architecture"):
        load_clip(f"local-dir:{local_dir}", CPU)
    weights.write_bytes(pickle.dumps({"x": 1}))
    with pytest.raises(ValueError, match="no safetensors file"):
        load_clip(f"local-dir:{local_dir}", CPU)
    weights.rename(local_dir / "adapter.safetensors")  # a pickle is not preferred to it
    torch.save(state, local_dir / "open_clip_pytorch_model.bin")
    with pytest.raises(FileNotFoundError, match=r"open_clip_pytorch_model\.bin.*not opened"):
        load_clip(f"local-dir:{local_dir}", CPU)


def test_no_model_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"open_clip_config\.json"):
        load_clip(f"local-dir:{tmp_path}", CPU)
    with pytest.raises(
        FileNotFoundError, match=r"papermill nbs/experiments/pretrain_emoji\.ipynb -p steps 5000 -p name nowhere"
    ):
        load_clip("pretrained:nowhere", CPU)
    with pytest.raises(ValueError, match="Did you mean 'RN50'"):
        load_clip("RN5O/openai", CPU)
