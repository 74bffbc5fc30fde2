"""The map of the repository in CONTRIBUTING.md: what it names exists, and every room and top-level file is on it."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAP = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## A map of the repository")[2]
NAMED = re.findall(r"`([^`]+)`", "\n".join(line.split("|")[1] for line in MAP.splitlines() if line.startswith("| `")))


@pytest.mark.parametrize("name", NAMED)
def test_what_the_map_names_exists(name):
    assert (ROOT / name).exists()


def test_every_room_is_on_the_map():
    rooms = {f"nbs/{p.name}/" for p in (ROOT / "nbs").iterdir() if p.is_dir() and not p.name.startswith(("_", "."))}
    assert not rooms - set(NAMED)


def test_every_top_level_file_is_on_the_map():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("this is no git checkout")
    top = {name.partition("/")[0] for name in listed.stdout.splitlines()}
    told = {name.partition("/")[0] for name in NAMED} | {"CONTRIBUTING.md", "README_files"}
    assert not {name for name in top if not name.startswith(".")} - told
