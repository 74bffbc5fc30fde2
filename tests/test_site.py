"""The site as a browser would get it: it builds without a warning, needs nothing from elsewhere, and every link leads somewhere."""

import json
import re
from collections import Counter
from importlib import import_module
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest
from bs4 import BeautifulSoup

pytestmark = pytest.mark.long
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def pages(html):
    """The parsed pages of the site, by path."""
    return {
        path: BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser") for path in sorted(html.rglob("*.html"))
    }


def test_every_page_of_the_project_is_there(pages):
    html = min(pages, key=lambda p: len(p.parts)).parent
    for notebook in [p for p in (ROOT / "nbs").rglob("*.ipynb") if p.stem != "index"]:
        assert (html / notebook.relative_to(ROOT)).with_suffix(".html") in pages, notebook.name


def test_the_margin_has_four_parts_and_few_links(pages):
    """At most twenty are in sight; what a listing leads to stays folded under it."""
    (margin,) = next(page for path, page in pages.items() if path.name == "index.html").select("nav.bd-links")
    parts = margin.select("p.caption")
    assert [part.text.strip() for part in parts] == ["Start", "Tasks", "Concepts", "Reference"]
    entries = [li for part in parts for li in part.find_next_sibling("ul").find_all("li", recursive=False)]
    assert len(entries) <= 20
    folded = [li for li in entries if li.select("li")]
    assert folded and all(li.select("details:not([open])") or li.select("input:not([checked])") for li in folded)


def test_a_page_begins_with_its_answer_and_a_figure(pages):
    """In the guide, the experiments and the stages a figure, the explorer or the drawing of the stages comes within a few lines."""
    read = [p for p in pages if "nbs" in p.parts and p.parent.name in ("experiments", "guide")]
    stages = [p for p in pages if p.parent.name == "method" and "1 forgetting ─" in pages[p].text]
    assert len(read) > 12 and len(stages) == 5
    for path in read + stages:
        article, words = pages[path].select_one("article"), 0
        drawn = article.select("img, .explorer") + [
            pre for pre in article.select("pre") if "1 forgetting ─" in pre.text
        ]
        for text in article.find_all(string=True):
            if any(text.find_previous(figure.name) is figure or figure in text.parents for figure in drawn):
                break
            words += 0 if text.find_parent(("details", "style", "script")) else len(text.split())
        assert words < 150, f"{path.name}: {words} words before the first figure"


def test_nothing_comes_from_elsewhere(pages):
    for path, page in pages.items():
        loaded = [
            t.get("src") or t.get("href")
            for t in page.select(
                "script[src], img[src], iframe[src], link[rel=stylesheet], link[rel=preload], source[src]"
            )
        ]
        assert not [u for u in loaded if u and u.startswith(("http:", "https:", "//"))], path.name


def test_links_anchors_and_pictures_lead_somewhere(pages):
    anchors = {path: {t["id"] for t in page.select("[id]")} for path, page in pages.items()}
    lost = []
    for path, page in pages.items():
        for tag in page.select("a[href], img[src]"):
            address, anchor = urldefrag(unquote(tag.get("href") or tag.get("src")))
            if ":" in address.split("/")[0] or address.startswith("//") or not (address or anchor):
                continue
            target = (path.parent / address).resolve() if address else path
            if not target.is_file() or (anchor and target in anchors and anchor not in anchors[target]):
                lost.append(f"{path.name}: {tag.get('href') or tag.get('src')}")
    assert not lost, lost[:10]


def loaded_by(path, page):
    """The files that a browser may load for a page: itself, pictures, scripts, style sheets and what these name."""
    tags = page.select("img[src], script[src], link[rel=stylesheet], link[rel=preload], link[rel=icon]")
    addresses = [t.get("src") or t["href"] for t in tags]
    files = {(path.parent / a.partition("?")[0]).resolve() for a in addresses if not a.startswith("data:")}
    for sheet in [f for f in files if f.suffix == ".css"]:
        named = re.findall(r"url\(['\"]?(?!data:|#)([^'\")?]+)", sheet.read_text(encoding="utf-8"))
        files |= {file for file in ((sheet.parent / a).resolve() for a in named) if file.is_file()}
    return {path, *files}


def test_pages_are_light(pages):
    weights = {
        path: sum(f.stat().st_size for f in loaded_by(path, page))
        for path, page in pages.items()
        if "_static" not in path.parts  # the theme's templates
    }
    assert min(weights.values()) > 300_000, "the theme's style sheets count"
    heavy = {path.name: f"{w / 1e6:.2f} MB" for path, w in weights.items() if w > 1_500_000}
    assert not heavy


def test_formulas_are_mathml_and_parameters_are_explained(pages):
    by_name = {"/".join(path.parts[-2:]): page for path, page in pages.items()}
    assert len(by_name["method/forgetting.html"].select("math")) >= 3
    forget = by_name["api/method.forgetting.html"].find(id="clipforget.method.forgetting.forget").find_parent("dl")
    assert "settings – of stage 1" in forget.text
    settings = by_name["api/tools.settings.html"].find(id="clipforget.core.settings.Settings").find_parent("dl")
    assert "forget_steps – at most so many steps of stage 1" in settings.text


def test_the_reference_tells_returns_errors_and_source(pages):
    reference = {path.stem: page for path, page in pages.items() if path.parent.name == "api"}
    entry = lambda name: reference[".".join(name.split(".")[1:3])].find(id=name).find_parent("dl")
    load_patch = entry("clipforget.method.adapters.load_patch").text
    assert "Returns:The image tower" in load_patch.replace("\n", "") and "Raises:" in load_patch
    about = str(import_module("clipforget.method.forgetting").__doc__).partition(",")[0]  # what a module is about
    assert len(about) > 20 and about in reference["method.forgetting"].select_one("article").text
    for name, page in reference.items():
        assert "\\" not in page.select_one("article").text, f"{name}: a backslash is shown"
        assert page.select_one("article a[href^='../nbs/'][href$='.html']"), f"{name}: no link to its page"
        for entry in page.select("dl.function > dt, dl.class > dt"):
            assert entry.select_one("a.source-link") or entry["id"].count(".") > 3, entry["id"]


def test_notes_stand_in_the_margin_of_their_code(pages):
    by_name = {path.stem: page for path, page in pages.items() if "nbs" in path.parts}
    noted = 0
    for path in (ROOT / "nbs").rglob("*.ipynb"):
        notes = [
            c
            for c in json.loads(path.read_text(encoding="utf-8"))["cells"]
            if "beside" in c["metadata"].get("tags", [])
        ]
        found = by_name[path.stem].select("aside.margin") if notes else []
        assert len(found) == len(notes), path.name
        assert all("cell" in note.find_next_sibling()["class"] for note in found), path.name
        noted += len(notes)
    assert noted


def test_sentences_wrap_and_columns_do_not(pages):
    by_name = {path.name: page for path, page in pages.items() if "nbs" in path.parts}
    printed = lambda page, words: next(p for p in page.select("div.cell_output pre") if words in p.text)
    sentence = printed(by_name["audit.html"], "is forgotten by name")
    assert max(map(len, sentence.text.splitlines())) > 300 and sentence.find_parent(class_="tag_prose")
    columns = printed(by_name["alignment.html"], "no alignment")
    assert not columns.find_parent(class_="tag_prose")


def test_a_table_has_no_line_for_its_rows_name_alone(pages):
    heads = [head for page in pages.values() for head in page.select("div.cell_output table thead")]
    rows = [[cell.text.strip() for cell in head.select("tr")[-1].select("th")] for head in heads]
    alone = [row for row in rows if len(row) > 2 and row[0] and not any(row[1:])]
    named = [row for head, row in zip(heads, rows) if row in alone and not head.select_one("tr th").text.strip()]
    assert len(heads) > 80 and not named
    stages = next(row for row in rows if row[:3] == ["stage", "target", "siblings"])
    assert stages[-1] == "worst retention"


def test_figures_say_what_they_show(pages):
    silent = [
        f"{path.name}: {img['alt']!r}"
        for path, page in pages.items()
        for img in page.select("main img")
        if not img["alt"] or img["alt"].endswith((".svg", ".png"))
    ]
    assert not silent, silent[:10]
    shared = {
        f"{path.name}: {alt}"
        for path, page in pages.items()
        for alt, times in Counter(img["alt"] for img in page.select("main .cell_output > img")).items()
        if times > 1
    }
    assert not shared
    stage = next(page for path, page in pages.items() if path.parts[-2:] == ("method", "forgetting.html"))
    said = [img["alt"] for img in stage.select("main img")]
    assert sum("mean s(x, t), n = 64 a step (cosine) against step" in alt for alt in said) == 1
