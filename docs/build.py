"""Build the site: clean copies of the notebooks that teach, and a page of reference a room, go to site/source; Sphinx makes site/html of them."""

import argparse
import ast
import base64
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from html import unescape
from io import BytesIO
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
HIDDEN = re.compile(r"^#\|\s*(hide|default_exp)\b")
PREPARES = {"use_style()", "before = set(globals())", "started = time.perf_counter()"}
NUMBER = re.compile(
    r'<td(?=[^>]*>(?:[-−+]?[\d.,]+(?: %| (?:of|to|±) [\d.]+| ?\([^<]*\))?|–|NaN)</td>)(?: class="([^"]*)")?'
)
COLUMNS = 110  # of printed text; a longer line is a sentence
FLAG = re.compile(r"^#\|.*\n?", re.MULTILINE)
# The margin's four parts. A name is a page of nbs/. A listing (title, what it lists, pages) is a page that leads to others,
# which stay folded under it. Library pages that are not here teach nothing: the reference of their room has their docstrings.
Listing = tuple[str, str, list[str]]
PARTS: dict[str, list[str | Listing]] = {
    "Start": ["run", "guide/paper", "guide/explorer", "guide/glossary"],
    "Tasks": [
        "guide/own_images",
        "tour",
        (
            "More tasks",
            "Other data sets, several targets, poor siblings.",
            ["guide/imagenet", "experiments/continual", "experiments/siblings"],
        ),
    ],
    "Concepts": [
        (
            "The method",
            "Three stages, their parts, and what is made of them.",
            [
                *("method/importance", "method/forgetting", "method/alignment", "method/reminding"),
                *("method/restoring", "method/three_stages", "method/adapters"),
            ],
        ),
        "guide/judging",
        (
            "Experiments",
            "What was measured, and what it says.",
            [
                *("experiments/photos", "experiments/paper_table", "experiments/rivals", "experiments/ablation"),
                *(
                    "experiments/paper_search",
                    "experiments/audit",
                    "experiments/pretrain",
                    "experiments/pretrain_emoji",
                ),
            ],
        ),
    ],
    "Reference": [
        (
            "Models and tasks",
            "CLIP, tasks, settings, and what images are asked about.",
            ["core/clip", "core/task", "core/settings", "data/own", "data/subgroups", "data/suite", "data/pictograms"],
        ),
        (
            "How edits are judged",
            "Scores, forecasts, the questions of the audit and its verdict.",
            ["judging/scores", "judging/frontier", "judging/outside", "judging/inside", "judging/verdict"],
        ),
        (
            "Rivals",
            "The other methods by family, and the registry of all.",
            [
                *("rivals/methods", "rivals/finetune", "rivals/ascent", "rivals/regularised", "rivals/noise"),
                *("rivals/saliency", "rivals/text_edits"),
            ],
        ),
    ],
}
ROOMS = {
    "core": "What everything stands on",
    "data": "Data sets and their tasks",
    "method": "The three stages",
    "judging": "Scores, audit, verdict",
    "rivals": "The other methods",
    "exchange": "Models from elsewhere, and models for others",
    "report": "Edits, figures, reports",
    "run": "Parameters and jobs",
}
FOLDED = ("experiments", "guide", *ROOMS)  # folders where code that does not teach is folded


def title_of(notebook: dict) -> str:
    """The text of the first heading."""
    return next(line for line in "".join(notebook["cells"][0]["source"]).splitlines() if line.startswith("# "))[2:]


def shown(cell: dict) -> bool:
    """Whether a reader of the site sees a cell."""
    source = "".join(cell["source"])
    return bool(source.strip()) and not HIDDEN.match(source) and "remove_cell" not in cell["metadata"].get("tags", [])


def only_prepares(source: str) -> bool:
    """Whether a cell does no more than import and set the figures' style: a reader unfolds it if need be."""
    return all(
        isinstance(part, (ast.Import, ast.ImportFrom)) or ast.unparse(part) in PREPARES
        for part in ast.parse(source).body
    )


def said_by_panels(svg: str) -> list[str]:
    """What a figure's panels say, a line each: title, axes and legend, of which Matplotlib leaves comments beside the outlines."""
    panels: dict[str, dict[str, list[str]]] = {}

    def walk(element: ElementTree.Element, at: tuple[str, ...]) -> None:
        for child in element:
            if child.tag is ElementTree.Comment:
                inside = [name.partition("_")[0].partition(".")[0] for name in at]
                if "xtick" not in inside and "ytick" not in inside and len(at) > 1:
                    words = panels.setdefault(at[1], {"axes": [], "matplotlib": [], "legend": []})
                    words[inside[2] if len(at) > 3 and inside[2] in words else "axes"].append(child.text.strip())
            else:
                walk(child, (*at, child.get("id", "")))

    walk(ElementTree.fromstring(svg, ElementTree.XMLParser(target=ElementTree.TreeBuilder(insert_comments=True))), ())
    parts = lambda words: (words["axes"][-1:], [" against ".join(words["matplotlib"][::-1])], words["legend"])
    return ["; ".join(text for part in parts(words) for text in part if text) for words in panels.values()]


def is_figure(output: dict) -> bool:
    """Whether an output of a cell is a picture."""
    return bool({"image/svg+xml", "image/png"} & output.get("data", {}).keys())


def announced(markdown: str) -> str:
    """The first sentence of the last paragraph of a text, without its markup: what announces the figure that follows."""
    paragraph = re.split(r"\n\s*\n", markdown.strip())[-1]
    words = re.sub(r"!?\[([^]]*)\]\([^)]*\)", r"\1", re.sub(r"(?m)^#+ .*$|[`*$_]|^[>-] ", "", paragraph))
    return re.split(r"(?<=[.!?])\s", " ".join(words.split()))[0].rstrip(".:")


def alternative(output: dict, before: str) -> str:
    """The alternative text of one figure: what it says itself; the sentence before it, too, if it has no title."""
    data = output["data"]
    if "image/svg+xml" in data:
        panels = said_by_panels("".join(data["image/svg+xml"]))
        said = " | ".join(filter(None, panels))
        titled = len(said) >= 30 and any(re.match(r"[^;]{12,}", panel) for panel in panels)
    else:
        found = re.fullmatch(
            r"<\w+(?: size \S+ with| of) (\d+) (?:Axes|parts:? ?(.*))>", "".join(data["text/plain"]), re.DOTALL
        )
        count, words = found.groups() if found else ("", "")
        titled = bool(words) and words != "pictures"
        said = f"{count} pictures: {words}" if titled else "" if count == "1" else f"{count} pictures"
    return (said if titled else f"{announced(before)}. {said}").replace("$", "").strip()


# On a dark page: paper, words and lines, and the three colours of the palette that are too dark there.
DARK = {
    "#ffffff": "#121212",
    "#262626": "#dddddd",
    "#000000": "#dddddd",
    "#333333": "#cccccc",
    "#424242": "#bbbbbb",
    "#cccccc": "#4a4a4a",
    "#332288": "#9184e8",
    "#882255": "#d43d51",
    "#0072b2": "#4aa3df",
}
RULES = "".join(
    f'[style*="{kind}: {light}"]{{{kind}: {dark} !important}}'
    for light, dark in DARK.items()
    for kind in ("fill", "stroke")
)


def with_dark_colours(svg: str) -> str:
    """A drawing that takes other colours where its page is dark, which site.css tells it."""
    return svg.replace("</style>", f"@media (prefers-color-scheme: dark) {{{RULES}}}</style>", 1)


def small(svg: str) -> str:
    """A figure without what a browser does not draw: comments, metadata, more than a hundredth of a point."""
    svg = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    rounded = lambda found: re.sub(r"(\.\d\d)\d+", r"\1", found.group())
    return re.sub(r'(?<= )(?:d|x|y|points)="[^"]*"', rounded, re.sub(r"\n\s*", "\n", svg))


def split(cell: dict, before: str) -> list[dict]:
    """The cell, and a cell without code for each figure after its first, so that every figure has its own alternative text."""
    groups: list[list[dict]] = [[]]
    for output in cell.get("outputs", []):
        if is_figure(output) and any(map(is_figure, groups[-1])):
            groups.append([])
        groups[-1].append(output)
    cells = []
    for k, outputs in enumerate(groups):
        meta = json.loads(json.dumps(cell["metadata"]))
        if figure := next(filter(is_figure, outputs), None):
            meta.setdefault("mystnb", {})["image"] = {"alt": alternative(figure, before)}
            if svg := figure["data"].get("image/svg+xml"):
                figure["data"]["image/svg+xml"] = svg = small("".join(svg))
                if "<image" not in svg:
                    figure["data"]["image/svg+xml"] = with_dark_colours(svg)
                    meta["mystnb"]["image"]["classes"] = "drawing"
        if k:
            meta["tags"] = [*(t for t in meta.get("tags", []) if t != "hide-input"), "remove-input"]
        cells.append({**cell, "id": f"{cell['id']}-{k}" if k else cell["id"], "metadata": meta, "outputs": outputs})
    return cells


def is_prose(outputs: list[dict]) -> bool:
    """Whether a cell prints sentences or lists, which may wrap, and no columns, which may not; what is shown as a table or a figure does not count."""
    as_text = lambda data: "".join(data.get("text/plain", "")) if data.keys() == {"text/plain"} else ""
    printed = "".join("".join(o.get("text", "")) or as_text(o.get("data", {})) for o in outputs)
    return bool(printed) and (max(map(len, printed.splitlines())) > COLUMNS or not re.search(r"\S {2,}\S", printed))


def words_in(html: str) -> str:
    """What a cell of a table says."""
    return re.sub(r"<[^>]*>|&nbsp;", "", html).strip()


def one_head(found: re.Match[str]) -> str:
    """A table's head with the names of its rows' levels beside those of the columns, where pandas gives them a line of their own."""
    rows = re.findall(r"<tr.*?</tr>", found[0], re.DOTALL)
    if len(rows) < 2:
        return found[0]
    heads, names = (re.findall(r"<th.*?</th>", row, re.DOTALL) for row in rows[-2:])
    said = [*filter(None, map(words_in, names))]
    levels = len(said)
    first = [words_in(name) for name in names[:levels]] == said and not any(map(words_in, heads[:levels]))
    if not levels or not first or len(heads) != len(names):
        return found[0]
    merged = [f'<th class="level">{name}</th>' for name in said] + heads[levels:]
    return f"<thead>{''.join(rows[:-2])}<tr>{''.join(merged)}</tr></thead>"


def for_the_site(html: str) -> str:
    """A cell's HTML with numbers marked as such, tables that look alike, colours that change with the page, and no copy of what every page loads."""
    html = re.sub(r'<table id="(T_\w+)"(?! class)', r'<table id="\1" class="dataframe"', html)  # pandas' styled ones
    html = NUMBER.sub(r'<td class="number \1"', html)
    html = re.sub(r"<thead>.*?</thead>", one_head, html, flags=re.DOTALL)
    if "background-color" not in html:
        html = re.sub(r"(?<![-\w])color: ?(#\w{6})", r"color: light-dark(\1, color-mix(in srgb, \1 45%, white))", html)
    if "class='explorer'" in html:
        return re.sub(r"<style>.*?</style>|<script>.*?</script>", "", html, flags=re.DOTALL)
    return html


def is_aside(source: str, place: str) -> bool:
    """Whether the code of a cell is folded on a page in the folder `place`: all of an experiment's, whose figures and tables are what counts; elsewhere tests and the drawing of figures, unless they are part of the library."""
    exported = re.search(r"^#\|\s*export", source, re.MULTILINE)
    return place == "experiments" or (
        not exported and bool(re.search(r"^\s*(assert|test_\w+\()|\b(plt|sns|ax|fig)\.", source, re.MULTILINE))
    )


def quiet(cell: dict) -> bool:
    """Whether a cell is folded code that shows nothing, other than imports."""
    return cell["cell_type"] == "code" and not cell["outputs"] and "mystnb" in cell["metadata"]


def with_its_answer(cells: list[dict]) -> list[dict]:
    """The cells of a page, those with the tag "head" right after its first lines: a figure that a notebook computes late, and its sentence, belong to the answer."""
    at_head = lambda cell: "head" in cell["metadata"].get("tags", [])
    if not any(map(at_head, cells)):
        return cells
    lines, rest = re.match(r"(# [^\n]*\n+(?:>[^\n]*\n?)*)(.*)", "".join(cells[0]["source"]), re.DOTALL).groups()
    first, then = {**cells[0], "source": lines}, {**cells[0], "id": f"{cells[0]['id']}-rest", "source": rest.strip()}
    cells = [then] * bool(then["source"]) + cells[1:]
    return [first, *filter(at_head, cells), *(cell for cell in cells if not at_head(cell))]


def cleaned(notebook: dict, place: str = "") -> dict:
    """The notebook, of the folder `place`, without nbdev's flags, hidden cells and error streams; imports are folded into one cell, code that does not teach is folded, notes beside the code go to the margin."""
    cells: list[dict] = []
    before = ""
    for cell in filter(shown, notebook["cells"]):
        if cell["cell_type"] == "markdown":
            before = "".join(cell["source"])
        # a formula and the lines that compute it: in the margin where there is room
        if "beside" in cell["metadata"].get("tags", []):
            cell["source"] = f"````{{margin}}\n{''.join(cell['source'])}\n````"
        if cell["cell_type"] != "code":
            cells.append(cell)
            continue
        if place and is_aside("".join(cell["source"]), place):
            cell["metadata"].setdefault("tags", []).append("hide-input")
        cell["source"] = FLAG.sub("", "".join(cell["source"])).strip("\n")
        cell["outputs"] = [o for o in cell["outputs"] if o.get("name") != "stderr"]
        for data in (o["data"] for o in cell["outputs"] if "text/html" in o.get("data", {})):
            data["text/html"] = for_the_site("".join(data["text/html"]))
        if "remove_input" in cell["metadata"].get("tags", []):
            cell["metadata"]["tags"] = ["remove-input"]
        elif only_prepares(cell["source"]):
            cell["metadata"]["tags"] = ["hide-input"]
            if cells and cells[-1]["metadata"].get("tags") == ["hide-input"]:
                cells[-1]["source"] += "\n\n" + cell["source"]
                continue
        elif "hide-input" in cell["metadata"].get("tags", []):
            words = {"code_prompt_show": "Show the code", "code_prompt_hide": "Hide the code"}
            cell["metadata"].setdefault("mystnb", {}).update(words)
        if "hide-output" in cell["metadata"].get("tags", []):
            words = {"code_prompt_show": "Show what it prints", "code_prompt_hide": "Hide what it prints"}
            cell["metadata"].setdefault("mystnb", {}).update(words)
        if not cell["outputs"] and cells and quiet(cells[-1]) and quiet(cell):  # one fold for what stands together
            cells[-1]["source"] += "\n\n\n" + cell["source"]
            continue
        if is_prose(cell["outputs"]):
            cell["metadata"].setdefault("tags", []).append("prose")
        cells += split(cell, before)
    return {**notebook, "cells": with_its_answer(cells)}


def to_reference(text: str, folder: str, modules: dict[str, str]) -> str:
    """The markdown `text` of a page in `folder`, its links to pages of `modules`, which the site does not show, led to the reference."""

    def led(found: re.Match[str]) -> str:
        page = os.path.normpath(os.path.join(folder, found[1]))
        if page not in modules:
            return found[0]
        room, _, name = modules[page].partition(".")
        return f"]({os.path.relpath(f'api/{room}.md', folder or '.')}#clipforget-{room}-{name.replace('_', '-')})"

    return re.sub(r"\]\(([^)#\s:]+)\.ipynb(?:#[^)]*)?\)", led, text)


def copy_notebook(path: Path, target: Path, folder: str, modules: dict[str, str], module: str = "") -> None:
    """Write the clean copy of a page in `folder`, with a link to the reference of the module that it exports, if there is one."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    target.parent.mkdir(parents=True, exist_ok=True)
    pages = cleaned(notebook, path.parent.name if path.parent.name in FOLDED else "")
    if module:
        text = f"Parameters, results and errors, function by function: [clipforget.{module}](../../api/{module.partition('.')[0]}.md)."
        pages["cells"].append({"cell_type": "markdown", "id": "reference", "metadata": {}, "source": text})
    for cell in (c for c in pages["cells"] if c["cell_type"] == "markdown"):
        cell["source"] = to_reference("".join(cell["source"]), folder, modules)
    target.write_text(json.dumps(pages), encoding="utf-8")


def api_page(room: str, pages: dict[str, str], titles: dict[str, str]) -> str:
    """The reference of a room: its modules by page, each with a link to the page that explains it, where the site has one."""
    parts = [f"# clipforget.{room}\n\n{ROOMS[room]}."]
    for page, module in pages.items():
        told = f"Use, explanation and tests: [{titles[page]}](../nbs/{page}.ipynb).\n\n" if page in titles else ""
        directive = f".. automodule:: clipforget.{module}\n   :members:\n   :exclude-members: set\n"
        parts.append(f"## clipforget.{module}\n\n{told}```{{eval-rst}}\n{directive}```")
    return "\n\n".join(parts) + "\n"


def module_of(path: Path) -> str | None:
    """The module that a library notebook exports."""
    found = re.search(r"#\| default_exp ([\w.]+)", path.read_text(encoding="utf-8"))
    return found.group(1) if found else None


def write_source(source: Path) -> None:
    """All pages and the table of contents."""
    shutil.rmtree(source, ignore_errors=True)
    (source / "api").mkdir(parents=True)
    nbs = ROOT / "nbs"
    names = [p.relative_to(nbs) for p in sorted(nbs.rglob("*.ipynb")) if p.stem != "index" and ".ipynb_" not in str(p)]
    modules = {n.with_suffix("").as_posix(): m for n in names if (m := module_of(nbs / n))}
    entries = [entry for part in PARTS.values() for entry in part]
    shown = [page for entry in entries for page in ([entry] if isinstance(entry, str) else entry[2])]
    if missing := {n.with_suffix("").as_posix() for n in names} - {*shown, *modules}:
        raise SystemExit(f"docs/build.py: no part of the site has {', '.join(sorted(missing))}; add them to PARTS.")
    unseen = {f"nbs/{page}": module for page, module in modules.items() if page not in shown}
    titles = {page: title_of(json.loads((nbs / f"{page}.ipynb").read_text(encoding="utf-8"))) for page in shown}
    for page in shown:
        file = source / "nbs" / f"{page}.ipynb"
        copy_notebook(nbs / f"{page}.ipynb", file, os.path.dirname(f"nbs/{page}"), unseen, modules.get(page, ""))
    for room in ROOMS:
        of_room = {page: module for page, module in modules.items() if module.startswith(f"{room}.")}
        (source / "api" / f"{room}.md").write_text(api_page(room, of_room, titles), encoding="utf-8")
    about = lambda page: (page, titles[page], summary_of(nbs / f"{page}.ipynb"))
    contents: dict[str, list[str]] = {}
    for part, entries in PARTS.items():
        listed = [
            f"nbs/{entry}"
            if isinstance(entry, str)
            else write_listing(source, *entry[:2], [about(n) for n in entry[2]])
            for entry in entries
        ]
        contents[part] = listed
    copy_notebook(ROOT / "index.ipynb", source / "index.ipynb", "", unseen)
    for folder in ("README_files", "_static", "_templates"):
        origin = ROOT / folder if folder == "README_files" else ROOT / "docs" / folder
        shutil.copytree(origin, source / folder, dirs_exist_ok=True)
    write_browser_model(source / "_static" / "browser")
    for page in [*(ROOT / "docs").glob("*.md"), ROOT / "NOTICE.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]:
        text = to_reference(page.read_text(encoding="utf-8"), "", unseen)
        (source / page.name).write_text(text, encoding="utf-8")
    for card in nbs.glob("*/models/*/README.md"):  # pages that only other pages lead to
        target = source / "nbs" / card.relative_to(nbs)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(f"---\norphan: true\n---\n{card.read_text(encoding='utf-8')}", encoding="utf-8")
    functions = [(f"../api/{room}", f"clipforget.{room}", about) for room, about in ROOMS.items()]
    contents["Reference"] += [write_listing(source, "All functions", "Module by module.", functions)]
    papers = [
        ("../CONTRIBUTING", "Contributing", ""),
        ("../CHANGELOG", "Changes", ""),
        ("../NOTICE", "Whose work is used", ""),
    ]
    contents["Reference"] += [
        write_listing(source, "About the project", "How to take part, what changed, licences.", papers)
    ]
    add_contents(source / "index.ipynb", contents)
    shutil.copy(ROOT / "docs" / "conf.py", source / "conf.py")


def write_browser_model(folder: Path) -> None:
    """What the explorer loads when it is asked to: the runtime and the graph, as scripts, since a page that is opened from a folder may fetch nothing."""
    runtime = ROOT / "docs" / "vendor" / "onnxruntime-web"
    as_text = lambda data: base64.b64encode(data).decode()
    graph = gzip.compress((ROOT / "nbs" / "experiments" / "measured" / "explorer.onnx").read_bytes(), 9, mtime=0)
    name = "ort-wasm-simd-threaded"
    parts = {
        "runtime.js": {
            "mjs": (runtime / f"{name}.mjs").read_text(encoding="utf-8"),
            "wasm": as_text((runtime / f"{name}.wasm.gz").read_bytes()),
        },
        "graph.js": {"graph": as_text(graph)},
    }
    folder.mkdir()
    shutil.copy(runtime / "ort.wasm.min.js", folder / "ort.js")
    shutil.copy(runtime / "LICENSE", folder / "ort-LICENSE.txt")
    for file, part in parts.items():
        text = f"window.explorerFiles = Object.assign(window.explorerFiles || {{}}, {json.dumps(part)});"
        (folder / file).write_text(text, encoding="utf-8")


def summary_of(path: Path) -> str:
    """The first sentence of a notebook's head, the text behind its title."""
    head = "".join(json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"])
    text = " ".join(line.lstrip("> ") for line in head.splitlines() if line.startswith(">"))
    return re.split(r"(?<=[.!?])\s", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text))[0]


def write_listing(source: Path, title: str, text: str, pages: list[tuple[str, str, str]]) -> str:
    """Write a page that lists `pages` (name as seen from nbs/, title, sentence), and return its name."""
    name = "parts/" + re.sub(r"\W+", "-", title.lower())
    link = lambda page: f"../{page[3:]}" if page.startswith("../") else f"../nbs/{page}"
    suffix = lambda page: ".md" if page.startswith("../") else ".ipynb"
    lines = [f"* [{said}]({link(page)}{suffix(page)}){': ' if about else ''}{about}" for page, said, about in pages]
    tree = "\n".join(link(page) for page, _, _ in pages)
    (source / name).parent.mkdir(exist_ok=True)
    shown = "\n".join(lines)
    page = f"# {title}\n\n{text}\n\n{shown}\n\n```{{toctree}}\n:hidden:\n\n{tree}\n```\n"
    (source / f"{name}.md").write_text(page, encoding="utf-8")
    return name


def add_contents(index: Path, parts: dict[str, list[str]]) -> None:
    """A hidden table of contents, a part a tree, at the end of the front page."""
    notebook = json.loads(index.read_text(encoding="utf-8"))
    for part, names in parts.items():
        text = f"```{{toctree}}\n:hidden:\n:caption: {part}\n\n" + "\n".join(names) + "\n```"
        cell = {"cell_type": "markdown", "id": f"toc-{part.lower()}", "metadata": {}, "source": text}
        notebook["cells"].append(cell)
    index.write_text(json.dumps(notebook), encoding="utf-8")


def lighten(html: Path) -> None:
    """Take Font Awesome (1.8 MB a page) out of the theme's files; docs/_static/site.css draws the icons that are used."""
    sheet = html / "_static" / "styles" / "pydata-sphinx-theme.css"
    text = sheet.read_text(encoding="utf-8")
    icons = r"\.fa-[\w-]+(?:,\.fa-[\w-]+)*\{--fa:[^}]*\}|@font-face\{[^}]*fontawesome[^}]*\}"
    sheet.write_text(re.sub(icons, "", text), encoding="utf-8")
    shutil.rmtree(html / "_static" / "vendor" / "fontawesome")
    for script in (html / "_static" / "scripts").glob("fontawesome.js*"):
        script.unlink()
    for picture in (html / "_images").glob("*.png"):
        few_colours(picture)
    for page in html.rglob("*.html"):  # the theme's toggles have no words
        text = page.read_text(encoding="utf-8")
        named = text.replace(
            '<summary><span class="toctree-toggle"', '<summary aria-label="pages under it"><span class="toctree-toggle"'
        )
        page.write_text(named, encoding="utf-8")


def write_search_text(html: Path) -> None:
    """The sentences of all pages as a script of the search page, which shows the line that it found: the theme would fetch every page for it, which a browser refuses from a folder."""
    texts = {}
    for page in sorted(html.rglob("*.html")):
        found = re.search(r"<article[^>]*>(.*?)</article>", page.read_text(encoding="utf-8"), re.DOTALL)
        words = re.sub(
            r"<(script|style|svg|pre|table|summary)\b.*?</\1>|<dt class=\"sig.*?</dt>|<a class=\"headerlink.*?</a>|<[^>]*>",
            " ",
            found[1] if found else "",
            flags=re.DOTALL,
        )
        texts[f"./{page.relative_to(html).as_posix()}"] = " ".join(unescape(words).split())
    script = f"""const pageTexts = {json.dumps(texts, ensure_ascii=False)};
window.fetch = (address) => Promise.resolve({{ text: () => pageTexts[address] }});
Search.htmlToText = (text) => text;"""
    (html / "_static" / "searchtext.js").write_text(script, encoding="utf-8")
    search = html / "search.html"
    text = search.read_text(encoding="utf-8")
    search.write_text(
        text.replace("</body>", '<script src="_static/searchtext.js"></script>\n</body>'), encoding="utf-8"
    )


def few_colours(path: Path, heavy: int = 60_000) -> None:
    """A PNG of at least `heavy` bytes with the 256 colours that suit it best, if that makes it smaller; its notebook keeps all of them."""
    if path.stat().st_size < heavy:
        return
    with Image.open(path) as picture:
        fewer = picture.convert("RGB").quantize(256)
    content = BytesIO()
    fewer.save(content, "PNG", optimize=True)
    if len(content.getvalue()) < path.stat().st_size:
        path.write_bytes(content.getvalue())


def main() -> int:
    """Write the pages and run Sphinx; warnings are errors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "site", help="folder of the site")
    out = parser.parse_args().out.resolve()
    write_source(out / "source")
    shutil.rmtree(out / "html" / "_static", ignore_errors=True)  # what `lighten` changed is copied anew
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-W",
        "--keep-going",
        "-q",
        "-j",
        "auto",
        "-b",
        "html",
        "-d",
        str(out / "doctrees"),
        str(out / "source"),
        str(out / "html"),
    ]
    done = subprocess.run(command, check=False).returncode
    if not done:
        lighten(out / "html")
        write_search_text(out / "html")
    return done


if __name__ == "__main__":
    raise SystemExit(main())
