"""The front page is index.ipynb: README.md says the same, and its figures are those of the committed results."""

import re
import shlex
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from execnb.nbio import read_nb
from execnb.shell import CaptureShell
from PIL import Image

import clipforget as cf
from clipforget.core import clip
from clipforget.run.request import run_folder
from clipforget.core.settings import GATE
from clipforget.judging.scores import evaluate

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FIRST_SCREEN = README.partition("\n## ")[0]


def text(path):
    return re.sub(r"README_files/README_\d+_\d+", "picture", path.read_text(encoding="utf-8"))


def test_readme_is_made_from_the_index(tmp_path):
    recipe = subprocess.run(
        ["make", "--no-print-directory", "-n", "readme"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    words = shlex.split(recipe[recipe.index("nbconvert") :].replace("\\\n", " "))
    nbconvert = [sys.executable, "-m", *words, "--output-dir", str(tmp_path)]
    subprocess.run(nbconvert, check=True, capture_output=True, cwd=ROOT)
    assert text(tmp_path / "README.md") == text(ROOT / "README.md"), "run make readme"


def section(title):
    """The text of a section of README.md."""
    return README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def shown_by(cells):
    """What cells show, in words: a list a cell."""
    outputs = [[o for o in c.get("outputs", []) if o.get("data")] for c in cells if c.cell_type == "code"]
    forms = [[o["data"].get("text/html") or o["data"].get("text/markdown", "") for o in shown] for shown in outputs]
    return [[BeautifulSoup("".join(form), "html.parser").text.split() for form in shown] for shown in forms]


def test_figures_are_those_of_the_results_files():
    """The cells that compute the tables and sentences of the front page still show what is committed."""
    index = read_nb(ROOT / "index.ipynb")
    index.cells = [c for c in index.cells if "cf.forget(clip" not in c.source or c.cell_type != "code"]
    committed = shown_by(index.cells)
    CaptureShell(ROOT).run_all(index, exc_stop=True)
    assert len([words for shown in committed for words in shown if words]) >= 4
    assert shown_by(index.cells) == committed


def test_links_lead_somewhere():
    links = re.findall(r"\]\((?!http|#)([^)]+)\)", README)
    assert links and not [link for link in links if not (ROOT / link).exists()]
    inside = re.findall(r"\]\(#([^)]+)\)", README)
    headings = {h.lower().replace(" ", "-") for h in re.findall(r"^## (.*)$", README, flags=re.MULTILINE)}
    assert inside and not set(inside) - headings


@pytest.fixture(scope="module")
def edited(tmp_path_factory):
    """What the five lines of README.md leave behind; finished stages of `make run` are found again where there are any."""
    lines = re.search(r"```python\n(.*?)```", section("Use it from Python"), re.DOTALL).group(1).splitlines()
    assert len(lines) == 5
    kept = partial(cf.forget, folder=run_folder({}) / "stages")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("use"))
        patch.setattr(cf, "forget", kept)
        exec("\n".join(lines), names := {})
        return names, cf.load_clip("local-dir:turtle-less")


@pytest.mark.long
def test_five_lines_forget_the_turtle(edited):
    names, saved = edited
    before, after = (evaluate(m, names["task"]).set_index("column")["value"] for m in (names["clip"], saved))
    assert before["target"] > 90 and after["target"] <= GATE
    assert after["siblings"] >= 0.95 * before["siblings"]


def shown_names():
    """What the front page's picture shows: (which, class, names before, names after) of the target and of a sibling."""
    said = Image.open(ROOT / "README_files" / "before-after.png").text["Description"]
    assert f"![{said}](README_files/before-after.png)" in FIRST_SCREEN
    panels = re.findall(r"(\w+): ([^;]+); before: ([^;]+); after: ([^;]+)\.(?= |$)", said)
    return [(which, name, *(names.split(", ") for names in tops)) for which, name, *tops in panels]


def test_picture_shows_five_names_before_and_after():
    (forgotten, target, known, unknown), (kept, sibling, *tops) = shown_names()
    assert (forgotten, kept) == ("target", "siblings")
    assert [len(names) for names in (known, unknown, *tops)] == [5] * 4
    assert known[0] == target and unknown[0] != target
    assert [names[0] for names in tops] == [sibling, sibling]
    assert target not in unknown


@pytest.mark.long
def test_picture_shows_what_the_edit_does(edited):
    names, saved = edited
    told = {which: [cls, *tops] for which, cls, *tops in shown_names()}
    # the picture's edit was trained in bfloat16; in float32 the order of near names is another
    alike = 1 if clip.has_bfloat16(names["clip"].device) else 5
    for column in ("target", "siblings"):
        part = names["task"].evaluation[column]
        text = clip.class_embeddings(names["clip"], part.classes, names["task"].templates)
        assert told[column][0].removesuffix("…") in part.classes[part.labels[0]]
        for model, shown, few in ((names["clip"], told[column][1], 1), (saved, told[column][2], alike)):
            (best,) = clip.top_names(clip.encode_images(model, part.images[:1]), text, part.classes, few)
            first = shown[0].removesuffix("…")  # a long name is cut
            assert first and any(name.startswith(first) for name, _ in best)
    part = names["task"].evaluation["target"]
    text = clip.class_embeddings(saved, part.classes, names["task"].templates)
    best = clip.top_names(clip.encode_images(saved, part.images), text, part.classes, 5)
    found = sum(names["task"].target in [name for name, _ in five] for five in best)
    assert found <= 0.05 * len(part)  # the name is among the five best of few pictures, the one that is shown or not
