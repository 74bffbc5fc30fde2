"""A CLIP goes to transformers and ONNX and comes back as it was: features, predictions, patches, tokenizers; hostile files end in one sentence."""

import base64
import json
import logging
import re
import sys
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import ClassVar
from unittest.mock import patch

import jsonschema
import open_clip
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from clipforget.core.photos import Photos
from clipforget.method.adapters import add_adapters, adapters, load_patch, merge
from clipforget.core.clip import Clip, EncodedTexts, class_embeddings, encode_images, encode_texts
from clipforget.core.clip import normalise, tokenizer_of, weights_hash
from clipforget.report.edit import Edit, apply_patch
from clipforget.method.forgetting import Stage
from clipforget.exchange.loading import load_clip
from clipforget.exchange.onnx import OnnxTower, save_onnx
from clipforget.exchange.card import make_evaluation, model_card
from clipforget.exchange.open_clip import build_model, from_open_clip, read_preparation
from clipforget.core.files import PACKAGE, read_json

transformers = pytest.importorskip("transformers")
from clipforget.exchange import transformers as exchange  # noqa: E402
from clipforget.exchange.transformers import from_transformers, load_transformers  # noqa: E402
from clipforget.exchange.transformers import save_transformers, to_transformers  # noqa: E402

CPU = torch.device("cpu")
SMALL = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 8, "head_width": 32},
    "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}


def small_clip(**changes) -> Clip:
    """A Vision Transformer with weights of its own."""
    config = {**SMALL, **changes}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build_model(config, "cpu").eval().requires_grad_(False)
    return Clip("small", model, config, **read_preparation("small", {}))


def edited(clip: Clip) -> Edit:
    """As a method would leave it: adapters on two layers."""
    g = torch.Generator().manual_seed(1)
    names = ["transformer.resblocks.1.mlp.c_fc", "transformer.resblocks.1.attn.in_proj"]
    visual = add_adapters(clip.model.visual, names, 4, g)
    with torch.no_grad():
        for adapter in adapters(visual).values():
            adapter.B.normal_(std=0.2, generator=g)
    stage = Stage("restoring", visual, None)
    return Edit(clip.with_visual(merge(clip.model.visual, visual)), [stage], original=clip)


@pytest.fixture(scope="module")
def pictures():
    g = torch.Generator().manual_seed(2)
    coarse = torch.rand(1000, 3, 4, 4, generator=g)
    return (255 * F.interpolate(coarse, size=32, mode="bicubic").clamp(0, 1)).to(torch.uint8)


NAMES = [f"thing {n}" for n in range(20)]


def predictions(clip, pictures, classes=None):
    """The best of 20 names; or of the features in `classes`, since random weights call nearly everything by one name."""
    classes = class_embeddings(clip, NAMES) if classes is None else classes
    return (encode_images(clip, pictures).cpu() @ classes.cpu().T).argmax(1)


def test_round_trip_changes_no_prediction(tmp_path, pictures):
    """open_clip, transformers, ONNX: 0 of 1,000 predictions of an edited model change."""
    clip = edited(small_clip()).clip
    shown = encode_images(clip, pictures[:20])
    wanted = predictions(clip, pictures, shown)
    assert len(wanted.unique()) > 10
    opened = load_clip(f"local-dir:{Edit(clip).save(tmp_path / 'open_clip')}", CPU)
    there = load_clip(f"hf-dir:{Edit(opened).save(tmp_path / 'hf', format='transformers')}", CPU)
    graphs = Edit(there).save(tmp_path / "onnx", format="onnx")
    run = there.with_visual(OnnxTower(graphs / "visual.onnx"))
    for model in (opened, there, run):
        assert int((predictions(model, pictures, shown) != wanted).sum()) == 0
    assert weights_hash(there.model) == weights_hash(clip.model)


def test_a_shipped_model_as_onnx_changes_no_prediction(tmp_path):
    clip = load_clip(device=CPU)
    g = torch.Generator().manual_seed(3)
    noise = (255 * F.interpolate(torch.rand(1000, 3, 8, 8, generator=g), size=clip.size)).to(torch.uint8)
    tower = clip.with_visual(OnnxTower(save_onnx(clip, tmp_path, int8=False) / "visual.onnx"))
    told = (tmp_path / "visual.onnx").read_bytes()
    assert str(PACKAGE.parent).encode() not in told and b"site-packages" not in told  # no paths of this machine
    assert int((predictions(tower, noise) != predictions(clip, noise)).sum()) == 0


def test_a_patch_fits_the_model_from_transformers(tmp_path, pictures):
    clip = small_clip()
    edit = edited(clip)
    file = edit.save_patch(tmp_path / "patch.safetensors")
    theirs = from_transformers(*to_transformers(clip))
    patched = apply_patch(theirs, file)
    model, _ = to_transformers(patched)
    pixels = normalise(clip, pictures[:4])
    with torch.no_grad():
        u = F.normalize(model.get_image_features(pixel_values=pixels).pooler_output, dim=-1)
    assert torch.allclose(u, encode_images(edit.clip, pictures[:4]).cpu(), atol=1e-5)
    assert not torch.allclose(u, encode_images(clip, pictures[:4]).cpu(), atol=1e-3)


def test_peft_loads_an_edit_and_takes_it_away(tmp_path, pictures):
    """Features of the merged model, those of the original bit for bit, and the way back."""
    peft = pytest.importorskip("peft")
    clip = small_clip()
    edit = edited(clip)
    folder = edit.save(tmp_path / "adapter", format="peft")
    model, pixels = to_transformers(clip)[0].eval(), normalise(clip, pictures[:4])
    features = lambda model: model.get_image_features(pixel_values=pixels).pooler_output
    with torch.no_grad():
        before = features(model)
        wrapped = peft.PeftModel.from_pretrained(model, folder)
        with wrapped.disable_adapter():
            assert torch.equal(features(wrapped), before)
        merged = encode_images(edit.clip, pictures[:4]).cpu()
        assert torch.allclose(F.normalize(features(wrapped), dim=-1), merged, atol=1e-5)
    for back in (apply_patch(clip, folder), Edit.load(folder, clip).clip):
        assert torch.allclose(encode_images(back, pictures[:4]).cpu(), merged, atol=1e-5)
    patched = apply_patch(clip, edit.save_patch(tmp_path / "patch.safetensors"), folder)  # what both add
    assert not torch.allclose(encode_images(patched, pictures[:4]).cpu(), merged, atol=1e-3)
    with pytest.raises(ValueError, match="belongs to weights"):
        apply_patch(edit.clip, folder)
    with pytest.raises(ValueError, match="Give the model"):
        Edit.load(folder)


@pytest.mark.parametrize(
    "change, answer",
    (
        ({"peft_type": "IA3"}, "plain LoRA"),
        ({"use_dora": True}, "plain LoRA"),
        ({"r": 0}, "no adapter that can be read"),
        ({"lora_alpha": None}, "no adapter that can be read"),
    ),
)
def test_an_adapter_of_another_kind_is_one_sentence(change, answer, tmp_path):
    pytest.importorskip("peft")
    clip = small_clip()
    folder = edited(clip).save(tmp_path / "adapter", format="peft")
    file = folder / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(ValueError, match=answer):
        apply_patch(clip, folder)


@pytest.mark.parametrize(
    "change, answer",
    (
        (lambda told: {k: v for k, v in told.items() if "lora_A" in k}, "do not make"),
        (lambda told: {k: v for k, v in told.items() if "lora_B" in k}, "no part of a plain LoRA"),
        (lambda told: {k: v[..., :-1].contiguous() for k, v in told.items()}, "do not make"),
        (lambda told: {k.replace("vision_model", "text_model"): v for k, v in told.items()}, "image tower .* alone"),
        (lambda told: {}, "no part of the image tower"),
    ),
    ids=("no B", "no A", "shapes", "text", "empty"),
)
def test_a_damaged_adapter_is_one_sentence(change, answer, tmp_path):
    pytest.importorskip("peft")
    clip = small_clip()
    file = edited(clip).save(tmp_path / "adapter", format="peft") / "adapter_model.safetensors"
    save_file(change({k: v.clone() for k, v in load_file(file).items()}), file)
    with pytest.raises(ValueError, match=answer):
        apply_patch(clip, file.parent)
    file.write_bytes(b"no tensors")
    with pytest.raises(ValueError, match="no adapter that can be read"):
        apply_patch(clip, file.parent)


@pytest.mark.parametrize(
    "changes",
    (
        {"quick_gelu": True},
        {"vision_cfg": {**SMALL["vision_cfg"], "mlp_ratio": 2.0, "norm_kwargs": {"eps": 1e-6}}},
        {"text_cfg": {**SMALL["text_cfg"], "pool_type": "eos", "eos_id": 49407}},
    ),
    ids=("QuickGELU", "mlp", "eos"),
)
def test_variants_of_the_architecture(changes, pictures):
    clip = small_clip(**changes)
    again = from_transformers(*to_transformers(clip))
    assert torch.allclose(encode_images(again, pictures[:4]).cpu(), encode_images(clip, pictures[:4]), atol=1e-6)
    words = ["a turtle", "It's 2 dogs"]
    assert torch.allclose(encode_texts(again, words).cpu(), encode_texts(clip, words), atol=1e-6)


@pytest.mark.parametrize("mode", ("shortest", "squash"))
def test_pixels_are_the_same(mode):
    """Both libraries resize with PIL; the crop of an odd rest may lie a pixel apart."""
    import numpy as np
    from PIL import Image

    clip = replace(small_clip(), resize={"resize_mode": mode})
    g = np.random.default_rng(0)
    photos = [Image.fromarray(g.integers(0, 256, (*s, 3), dtype=np.uint8)) for s in ((64, 96), (90, 60), (32, 32))]
    theirs = to_transformers(clip)[1].image_processor(photos, return_tensors="pt")["pixel_values"]
    mine = torch.cat(list(Photos.of(photos, clip.frame, "three").split(8)))
    assert torch.allclose(normalise(clip, mine), theirs, atol=1e-5)


def test_a_tokenizer_of_its_own_goes_along(tmp_path):
    """A model with a small vocabulary: its tokenizer is used, and saved beside both forms."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = {w: n for n, w in enumerate(["[PAD]", "[UNK]", "a", "turtle", "dog", "[END]"])}
    plain = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    plain.post_processor = processors.TemplateProcessing(single="$A [END]", special_tokens=[("[END]", 5)])
    marks = {"pad_token": "[PAD]", "eos_token": "[END]", "unk_token": "[UNK]"}
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=plain, **marks)
    tower = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 128}
    marked = {"eos_token_id": 5, "bos_token_id": 4, "pad_token_id": 0}
    text = {**tower, "vocab_size": 6, "max_position_embeddings": 8, **marked}
    vision = {**tower, "image_size": 32, "patch_size": 8}
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)
    square = {"height": 32, "width": 32}
    pictures = transformers.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=square)
    processor = transformers.CLIPProcessor(image_processor=pictures, tokenizer=tokenizer)
    clip = from_transformers(transformers.CLIPModel(config).eval(), processor)
    wanted = encode_texts(clip, ["a turtle", "a dog"]).cpu()
    assert clip.tokenizer is not None and not torch.allclose(wanted[0], wanted[1], atol=1e-3)
    again = load_transformers(save_transformers(clip, tmp_path / "hf"), CPU)
    assert torch.allclose(encode_texts(again, ["a turtle", "a dog"]), wanted, atol=1e-6)
    opened = load_clip(f"local-dir:{Edit(clip).save(tmp_path / 'open_clip')}", CPU)
    assert torch.allclose(encode_texts(opened, ["a turtle", "a dog"]), wanted, atol=1e-6)
    renamed = replace(opened, name="mine", texts=EncodedTexts())  # a name in tables decides nothing
    assert torch.allclose(encode_texts(renamed, ["a turtle", "a dog"]), wanted, atol=1e-6)
    with pytest.raises(ValueError, match="mine needs the tokenizer"):
        tokenizer_of(replace(renamed, tokenizer=None))


@pytest.mark.long
def test_siglip_in_and_out(tmp_path):
    """Of the sizes that open_clip lists; transformers' activation differs from timm's and is kept in memory."""
    tower = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072}
    text = {**tower, "vocab_size": 500, "max_position_embeddings": 16, "bos_token_id": 1, "eos_token_id": 2}
    config = transformers.SiglipConfig(text_config=text, vision_config={**tower, "image_size": 224, "patch_size": 16})
    torch.manual_seed(0)
    model = transformers.SiglipModel(config).eval()

    class Processor:
        image_processor = transformers.SiglipImageProcessorPil()

        @staticmethod
        def tokenizer(texts, **settings):
            return {"input_ids": torch.tensor([[len(t) % 400 + 3] * 16 for t in texts])}

    clip = from_transformers(model, Processor)
    x = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    tokens = Processor.tokenizer(["a turtle"])["input_ids"]
    with torch.no_grad():
        u = F.normalize(model.get_image_features(pixel_values=2 * x - 1).pooler_output, dim=-1)
        t = F.normalize(model.get_text_features(input_ids=tokens).pooler_output, dim=-1)
    assert clip.frame.words["resize_mode"] == "squash" and clip.mean == (0.5, 0.5, 0.5)
    assert torch.allclose(encode_images(clip, x).cpu(), u, atol=1e-5)
    assert torch.allclose(encode_texts(clip, ["a turtle"]).cpu(), t, atol=1e-5)
    assert clip.model.logit_bias.shape == model.logit_bias.squeeze().shape
    with pytest.raises(ValueError, match="open_clip's configuration cannot say"):
        Edit(clip).save(tmp_path)
    with patch.object(exchange, "_their_processor"):  # whose tokenizer is a stub
        theirs, state = to_transformers(clip)[0], model.state_dict()
    assert theirs.config.vision_config.hidden_act == "gelu_pytorch_tanh"
    assert all(torch.equal(value, state[name]) for name, value in theirs.state_dict().items())
    pool = add_adapters(clip.model.visual, ["trunk.attn_pool.q"], 2, torch.Generator().manual_seed(0))
    next(iter(adapters(pool).values())).B.data.fill_(0.1)
    with patch.object(exchange, "_their_processor"), pytest.raises(ValueError, match="format='transformers'"):
        Edit(clip, [Stage("restoring", pool, None)], original=clip).save(tmp_path / "x", format="peft")


@pytest.fixture()
def folder(tmp_path):
    return save_transformers(small_clip(), tmp_path / "model")


@pytest.mark.parametrize(
    "file, change, answer",
    (
        ("processor_config.json", {"auto_map": {"AutoProcessor": "x.Y"}}, "names code of its own"),
        ("config.json", {"projection_dim": 10**9}, "hold|allow"),
        ("tokenizer.json", {"model": {"type": "of nowhere"}}, "tokenizer in .* cannot be used"),
        ("processor_config.json", {"image_processor": {"size": {"shortest_edge": 10**6}}}, "not to a square"),
    ),
)
def test_a_hostile_directory_is_one_sentence(folder, file, change, answer):
    path = folder / file
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    before = sorted(p.name for p in folder.iterdir())
    with pytest.raises((ValueError, FileNotFoundError), match=answer):
        load_transformers(folder, CPU)
    assert sorted(p.name for p in folder.iterdir()) == before


def test_damaged_weights_and_pickles(folder):
    weights = folder / "model.safetensors"
    state = {k: v.clone() for k, v in load_file(weights).items()}  # the file itself is mapped into memory
    save_file({**state, "extra.weight": torch.zeros(2)}, weights, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"extra\.weight"):
        load_transformers(folder, CPU)
    save_file({k: v for k, v in state.items() if "final" not in k}, weights, metadata={"format": "pt"})
    with pytest.raises(ValueError, match="do not fit"):
        load_transformers(folder, CPU)
    weights.unlink()
    torch.save(state, folder / "pytorch_model.bin")
    with pytest.raises(FileNotFoundError, match=r"pytorch_model\.bin.*not opened"):
        load_transformers(folder, CPU)


def test_a_foreign_safetensors_file_is_no_patch(tmp_path):
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(ValueError, match="not a patch"):
        load_patch(small_clip(), tmp_path / "x.safetensors")


def state_of(model):
    """All of a model that its owner can see: weights and their types, modes, gradients."""
    weights = {name: (p.dtype, p.device, p.requires_grad, p.detach().clone()) for name, p in model.named_parameters()}
    return weights, [m.training for m in model.modules()]


@pytest.mark.parametrize("kind", ("open_clip", "open_clip, half precision", "transformers"))
def test_a_model_handed_over_is_as_it_was(kind, pictures):
    """In half precision and training, with a part that is frozen and a hook: a copy is edited and asked, not this one."""
    calls, model, prepare = [], build_model(SMALL, "cpu"), open_clip.image_transform(32, is_train=False)
    if kind == "open_clip, half precision":  # as open_clip makes it, with LayerNorm in float32
        model = open_clip.model.CLIP(**SMALL, cast_dtype=torch.float16)
        open_clip.model.convert_weights_to_lp(model)
    given = (model.half() if kind == "open_clip" else model, prepare)
    if kind == "transformers":
        given = to_transformers(small_clip())
        given[0].half()
    mine = given[0].train()
    next(mine.parameters()).requires_grad_(False)
    hook = next(m for m in mine.modules() if isinstance(m, torch.nn.Conv2d)).register_forward_hook(
        lambda *_: calls.append(1)
    )
    (weights, modes), random = state_of(mine), torch.get_rng_state()
    clip = (from_transformers if kind == "transformers" else from_open_clip)(*given, device="cpu")
    encode_images(clip, pictures[:2])
    for p in clip.model.parameters():
        assert (p.dtype, p.requires_grad, p.device) == (torch.float32, False, CPU)
        p.zero_()
    after, modes_after = state_of(mine)
    assert modes_after == modes and all(modes) and not calls and hook.id in hook.hooks_dict_ref()
    assert torch.equal(torch.get_rng_state(), random)
    for name, (*told, value) in weights.items():
        assert told == [*after[name][:3]] and torch.equal(value, after[name][3])


def test_an_exporter_that_fails_leaves_logging_as_it_was(tmp_path, monkeypatch):
    def fails(*_, **__):
        assert logging.getLogger().level == logging.ERROR
        raise RuntimeError("no such operator")

    monkeypatch.setattr(torch.onnx, "export", fails)
    logging.getLogger().setLevel(logging.INFO)
    try:
        with pytest.raises(RuntimeError, match="no such operator"):
            save_onnx(small_clip(), tmp_path)
        assert logging.getLogger().level == logging.INFO
    finally:
        logging.getLogger().setLevel(logging.WARNING)


def evaluation(left, allowed=None, audit=None, siblings=79.0):
    """Of an edit that leaves so many percent of the target, of a method with a bound or without."""
    clip, task = small_clip(), SimpleNamespace(target="a", siblings=("b",), labels="fine", dataset="noise", seed=0)
    told = [("target", 90.0, left), ("siblings", 80.0, siblings)]
    stages = {"original": 1, "edited": 2}
    rows = [{"stage": s, "column": c[0], "value": c[k], "n": 200} for s, k in stages.items() for c in told]
    settings = {} if allowed is None else {"allowed_left": allowed}
    record = make_evaluation(pd.DataFrame(rows), task, clip, clip, "some method", settings, audit)
    jsonschema.validate(record, read_json(PACKAGE / "tables" / "evaluation.schema.json"))
    return record


@pytest.mark.parametrize(
    "left, allowed, passed", ((3.0, 5.0, True), (3.0, None, False), (0.5, 0.1, False), (1.0, None, True))
)
def test_the_bound_that_a_card_prints_decides(left, allowed, passed):
    assert not evaluation(left, allowed, siblings=10.0)["gate"]["passed"]  # a wrecked model passes none
    record = evaluation(left, allowed)
    assert record["gate"]["passed"] is passed and record["gate"]["allowed"] == (allowed or 1.0)
    card = model_card(record)
    assert f"The gate was {'passed' if passed else 'NOT passed'}" in card and f"allowed are {allowed or 1:g} %" in card


@pytest.mark.parametrize("wrong", ({"relearned": 200}, {"pictures": "16"}, {"verdict": None}))
def test_an_audit_of_another_form_is_refused(wrong):
    with pytest.raises(ValueError, match="cannot stand on a card: wanted are its verdict"):
        evaluation(0.0, audit={"verdict": "hidden", "relearned": 44.0, "pictures": 16} | wrong)


def test_what_has_no_class_says_so():
    with pytest.raises(ValueError, match="filling up"):
        to_transformers(replace(small_clip(), resize={"resize_mode": "longest"}))


def test_without_the_extras_the_sentence_says_what_to_install(monkeypatch, tmp_path):
    for library, extra in (("peft", "hf"), ("transformers", "hf"), ("onnx", "onnx")):
        monkeypatch.setitem(sys.modules, library, None)
        with pytest.raises(ImportError, match=re.escape(f"pip install 'clipforget[{extra}]'")):
            edited(small_clip()).save(tmp_path / "x", format=library)


class Hub(BaseHTTPRequestHandler):
    """As much of the hub's interface as an upload asks for; what comes in is kept."""

    asked: ClassVar[list] = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.asked.append((self.path, self.headers.get("Authorization"), body))
        if self.path.endswith("/preupload/main"):
            files = [{"path": f["path"], "uploadMode": "regular"} for f in json.loads(body)["files"]]
            self.answer({"files": [f | {"shouldIgnore": False} for f in files]})
        else:
            place = f"http://{self.headers['Host']}/me/turtle-less"
            self.answer({"url": place, "commitUrl": f"{place}/commit/1", "commitOid": "1", "success": True})

    def do_GET(self):
        self.answer({})

    def answer(self, told):
        said = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_):
        pass


def test_a_model_goes_to_the_hub(monkeypatch, tmp_path):
    """To a fake one on this machine: private unless said, with the caller's token, and the files that `save` writes."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    Hub.asked.clear()
    edit = edited(small_clip())
    try:
        with pytest.raises(ValueError, match="Unknown format"):
            edit.push_to_hub("me/turtle-less", format="pickle")
        assert not Hub.asked
        place = edit.push_to_hub("me/turtle-less")
    finally:
        server.shutdown()
    made, commit = ([body for path, _, body in Hub.asked if part in path] for part in ("repos/create", "/commit/"))
    asked = json.loads(made[0])
    assert asked.get("private", asked.get("visibility") == "private") is True
    assert {token for _, token, _ in Hub.asked} == {"Bearer hf_mine"} and "turtle-less" in place
    sent = {}
    for line in map(json.loads, commit[-1].splitlines()):
        if line["key"] == "file":
            sent[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
    folder = edit.save(tmp_path / "saved")
    assert sent == {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
