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
    """The parsed pages of the site, by name: nbs/method/forgetting."""
    files = {path.relative_to(html).with_suffix("").as_posix(): path for path in sorted(html.rglob("*.html"))}
    return {name: BeautifulSoup(file.read_text(encoding="utf-8"), "html.parser") for name, file in files.items()}


def test_every_page_of_the_project_is_there_or_in_the_reference_of_its_room(pages):
    made = {p.relative_to(ROOT).with_suffix("").as_posix() for p in (ROOT / "nbs").rglob("*.ipynb")}
    unseen = made - {"nbs/index"} - pages.keys()
    modules = {"clipforget." + ".".join(name.split("/")[1:]) for name in unseen}
    told = {head.text.rstrip("#") for name, page in pages.items() if name.startswith("api/") for head in page("h2")}
    assert unseen and modules <= told


def test_the_margin_has_four_parts_and_a_listing_for_every_room(pages):
    """What a listing leads to stays folded under it."""
    (margin,) = pages["index"].select("nav.bd-links")
    parts = margin.select("p.caption")
    assert [part.text.strip() for part in parts] == ["Start", "Tasks", "Concepts", "Reference"]
    entries = [li for part in parts for li in part.find_next_sibling("ul").find_all("li", recursive=False)]
    folded = [li for li in entries if li.select("li")]
    assert folded and all(li.select("details:not([open])") or li.select("input:not([checked])") for li in folded)
    listed = {a["href"].removeprefix("api/") for li in folded for a in li.select("li a[href^='api/']")}
    assert listed == {f"{p.parent.name}.html" for p in (ROOT / "clipforget").glob("*/__init__.py")}


def test_nothing_comes_from_elsewhere(pages):
    what = "script[src], img[src], iframe[src], link[rel=stylesheet], link[rel=preload], source[src]"
    for name, page in pages.items():
        loaded = [t.get("src") or t.get("href") or "" for t in page.select(what)]
        assert not [u for u in loaded if u.startswith(("http:", "https:", "//"))], name


def test_links_anchors_and_pictures_lead_somewhere(pages, html):
    anchors = {html / f"{name}.html": {t["id"] for t in page.select("[id]")} for name, page in pages.items()}
    lost = []
    for name, page in pages.items():
        for given in [tag.get("href") or tag.get("src") for tag in page.select("a[href], img[src]")]:
            address, anchor = urldefrag(unquote(given))
            if ":" in address.split("/")[0] or address.startswith("//") or not (address or anchor):
                continue
            here = html / f"{name}.html"
            target = (here.parent / address).resolve() if address else here
            if not target.is_file() or (anchor and target in anchors and anchor not in anchors[target]):
                lost.append(f"{name}: {given}")
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


def test_pages_are_light(pages, html):
    of = {n: loaded_by(html / f"{n}.html", page) for n, page in pages.items() if not n.startswith("_static")}
    weights = {name: sum(f.stat().st_size for f in files) for name, files in of.items()}
    assert min(weights.values()) > 300_000, "the theme's style sheets count"
    assert not {name: f"{w / 1e6:.2f} MB" for name, w in weights.items() if w > 1_500_000}


def test_formulas_are_mathml(pages):
    assert len(pages["nbs/method/forgetting"].select("math")) >= 3


def test_the_reference_tells_parameters_and_leads_to_pages_and_sources(pages):
    entry = lambda name: pages[f"api/{name.split('.')[1]}"].find(id=name).find_parent("dl").text
    assert "forget_steps – at most so many steps of stage 1" in entry("clipforget.core.settings.Settings")
    told = entry("clipforget.report.forget.forget")  # its docstring is numpy's
    assert re.search(r"Parameters:.*task.* – .*Returns:", told, re.DOTALL) and "----" not in told
    reference = {name[4:]: page for name, page in pages.items() if name.startswith("api/")}
    about = str(import_module("clipforget.method.forgetting").__doc__).partition(",")[0]  # what a module is about
    assert len(about) > 20 and about in reference["method"].select_one("article").text
    for name, page in reference.items():
        explained = any(shown.startswith(f"nbs/{name}/") for shown in pages)
        assert bool(page.select_one("article a[href^='../nbs/'][href$='.html']")) == explained, name
        for term in page.select("dl.function > dt, dl.class > dt"):
            assert term.select_one("a:has(.viewcode-link)"), term["id"]


def test_notes_stand_in_the_margin_of_their_code(pages):
    noted = 0
    for path in (ROOT / "nbs").rglob("*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        notes = [c for c in cells if "beside" in c["metadata"].get("tags", [])]
        name = path.relative_to(ROOT).with_suffix("").as_posix()
        found = pages[name].select("aside.margin") if notes else []
        assert len(found) == len(notes), name
        assert all("cell" in note.find_next_sibling()["class"] for note in found), name
        noted += len(notes)
    assert noted


def test_sentences_wrap_and_columns_do_not(pages):
    printed = lambda name, words: next(p for p in pages[name].select("div.cell_output pre") if words in p.text)
    assert printed("nbs/experiments/audit", "is forgotten by name").find_parent(class_="tag_prose")
    assert not printed("nbs/judging/scores", "EMMN").find_parent(class_="tag_prose")


def test_a_table_has_no_line_for_its_rows_name_alone(pages):
    heads = [head for page in pages.values() for head in page.select("div.cell_output table thead")]
    rows = [[cell.text.strip() for cell in head.select("tr")[-1].select("th")] for head in heads]
    alone = [row for row in rows if len(row) > 2 and row[0] and not any(row[1:])]
    assert heads and not [r for h, r in zip(heads, rows) if r in alone and not h.select_one("tr th").text.strip()]


def test_figures_say_what_they_show(pages):
    for name, page in pages.items():
        said = [img["alt"] for img in page.select("main img")]
        assert all(alt and not alt.endswith((".svg", ".png")) for alt in said), name
        shown = Counter(img["alt"] for img in page.select("main .cell_output > img"))
        assert not [alt for alt, times in shown.items() if times > 1], name
    said = [img["alt"] for img in pages["nbs/method/forgetting"].select("main img")]
    assert any(" against step" in alt for alt in said)  # what its axes say
