"""The map of the repository in CONTRIBUTING.md: what it names exists, and every notebook and top-level file is on it."""

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


def test_every_notebook_is_on_the_map():
    first, last = (
        int(re.search(r"nbs/(\d\d)_", n).group(1)) for n in ("nbs/20_ascent.ipynb", "nbs/25_regularised.ipynb")
    )
    between = {f"{k}" for k in range(first, last + 1)}  # "20 to 25": the rivals, a family a page
    missing = [
        p.name
        for p in (ROOT / "nbs").glob("*.ipynb")
        if p.stem != "index" and p.name[:2] not in between and f"nbs/{p.name}" not in NAMED
    ]
    assert not missing


def test_every_top_level_file_is_on_the_map():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("this is no git checkout")
    top = {name.partition("/")[0] for name in listed.stdout.splitlines()}
    told = {name.partition("/")[0] for name in NAMED} | {"CONTRIBUTING.md", "README_files"}
    assert not {name for name in top if not name.startswith(".")} - told
