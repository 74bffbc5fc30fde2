"""Damaged caches, damaged stages and full disks: one clear error each, and never half a file."""

import errno
import os

import pytest
import torch

from clipforget.method.adapters import load_patch
from clipforget.exchange.loading import load_clip
from clipforget.core.files import cache_dir, write_json
from clipforget.data.pictograms import load_pictograms


def test_damaged_picture_cache(tmp_path, monkeypatch):
    load_pictograms()
    usual = cache_dir()
    monkeypatch.setenv("CLIPFORGET_CACHE", str(tmp_path))
    for whole in usual.glob("pictograms-*.safetensors"):  # of other versions, too, if there are any
        (tmp_path / whole.name).write_bytes(whole.read_bytes()[:5_000])
    with pytest.raises(ValueError, match="Delete it and run again"):
        load_pictograms()
    for file in tmp_path.iterdir():
        file.unlink()
    things = load_pictograms()
    assert len(things) == things.masters.shape[1]


def test_full_disk_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    target = tmp_path / "settings.json"
    write_json(target, {"old": True})
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="Is the disk full"):
        write_json(target, {"new": True})
    assert [p.name for p in tmp_path.iterdir()] == ["settings.json"]
    assert "old" in target.read_text()


def test_a_foreign_safetensors_file_is_no_patch(tmp_path):
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(ValueError, match="not a patch"):
        load_patch(load_clip(device=torch.device("cpu")), tmp_path / "x.safetensors")
