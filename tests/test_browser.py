"""The site in headless Chromium without a network: no page complains, fits narrow and wide, light and dark, search and slider work, axe-core finds nothing serious."""

import json
import shutil
from pathlib import Path

import pytest

WHY = "make browser-test installs playwright and axe-playwright-python"
playwright = pytest.importorskip("playwright.sync_api", reason=WHY)
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason=WHY)

ROOT = Path(__file__).resolve().parents[1]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [pytest.mark.long, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")]
READ = ("index", "nbs/run", "nbs/guide/explorer", "nbs/guide/paper", "nbs/guide/glossary", "nbs/method/reminding")
READ += ("nbs/experiments/audit", "api/method")


@pytest.fixture(scope="module")
def browser():
    """Chromium that finds no host."""
    args = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND", "--disable-background-networking"]
    with playwright.sync_playwright() as p:
        started = p.chromium.launch(executable_path=CHROMIUM, args=args)
        yield started
        started.close()


def opened(browser, path, **how):
    """A page and the list that its console's errors and failed requests go to."""
    page, said = browser.new_page(**how), []
    page.on("console", lambda m: said.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda e: said.append(str(e)))
    page.on("requestfailed", lambda r: said.append(f"failed: {r.url}"))
    page.goto(path.as_uri(), wait_until="load")
    return page, said


@pytest.fixture(scope="module")
def visited(html, browser):
    """What every page's console said, by path, and by how many pixels it is wider than a telephone and than a screen."""
    page, said = opened(browser, html / "index.html", color_scheme="dark")
    told, wide = {}, {}
    for path in sorted(p for p in html.rglob("*.html") if "_static" not in p.parts):  # the theme's templates are there
        page.set_viewport_size({"width": 1280, "height": 800})
        page.goto(path.as_uri(), wait_until="load")
        for width in (1280, 360):
            page.set_viewport_size({"width": width, "height": 800})
            over = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            if over > 1:
                wide[path.name, width] = over
        told[path.name] = [*said]
        said.clear()
    page.close()
    return told, wide


def test_every_page_loads_without_a_complaint_and_does_not_scroll_sideways(visited):
    told, wide = visited
    assert told and not {name: said for name, said in told.items() if said} and not wide


def test_code_scrolls_in_a_box_and_figures_stay_legible_on_a_telephone(html, browser):
    measure = """() => [...document.querySelectorAll('div.cell_input pre')].filter((pre) => !pre.closest('details:not([open])')).map((pre) => ({
        hidden: pre.scrollWidth - pre.clientWidth,
        told: pre.classList.contains('scrolls') && pre.tabIndex === 0,
    }))"""
    page = browser.new_page(viewport={"width": 360, "height": 800})
    page.goto((html / "nbs" / "method" / "reminding.html").as_uri(), wait_until="load")
    page.wait_for_function(f"({measure})().every((code) => code.told || code.hidden <= 1)", timeout=10_000)
    assert any(code["told"] for code in page.evaluate(measure))
    page.goto((html / "nbs" / "run.html").as_uri(), wait_until="load")
    scales = page.eval_on_selector_all("article .cell_output img", "all => all.map((i) => i.width / i.naturalWidth)")
    page.close()
    assert scales and min(scales) > 0.5


def test_the_buttons_open_what_they_promise(html, browser):
    """Of which there is one to search with, and each has its icon."""
    page, said = opened(browser, html / "nbs" / "run.html", viewport={"width": 360, "height": 800})
    style = "all => all.map((i) => [i.className, getComputedStyle(i, '::before').maskImage])"
    drawn = page.eval_on_selector_all(".fa-solid", style)
    assert drawn and not [name for name, image in drawn if "svg" not in image]
    for button, dialog in (("primary", "#pst-primary-sidebar-modal"), ("secondary", "#pst-secondary-sidebar-modal")):
        page.locator(f".{button}-toggle:visible").click()
        page.locator(f"{dialog}[open] a:visible").first.wait_for(timeout=5_000)
        page.keyboard.press("Escape")
        page.mouse.move(180, 700)
    page.set_viewport_size({"width": 1280, "height": 800})
    assert page.locator(".search-button__button:visible").count() == 1
    page.locator(".primary-toggle:visible").click()
    page.locator(".pst-sidebar-hidden").wait_for(state="attached", timeout=5_000)
    page.locator(".bd-header-article .search-button").click()
    page.keyboard.type("fisher")
    page.keyboard.press("Enter")
    page.wait_for_selector("#search-results p.context", timeout=10_000)
    links = page.eval_on_selector_all("#search-results li a", "links => links.map(a => a.href)")
    assert "q=fisher" in page.url and any("importance" in link for link in links)
    assert any("fisher" in line.lower() for line in page.locator("#search-results p.context").all_inner_texts())
    assert not said
    page.close()


def test_the_slider_moves_the_numbers_by_keyboard(html, browser):
    page, said = opened(browser, html / "nbs" / "guide" / "explorer.html")
    said_by = lambda: page.inner_text(".explorer-said")
    slider = page.locator(".explorer input[type=range]")
    slider.focus()
    edited, names = said_by(), page.inner_text(".explorer-card")
    for _ in range(10):
        page.keyboard.press("ArrowLeft")
    assert page.inner_text(".explorer output") == "a = 0.0"
    assert said_by() != edited and page.inner_text(".explorer-card") != names
    chosen = page.locator(".explorer-said", has_text="third stage")
    stored = json.loads((ROOT / "nbs" / "experiments" / "measured" / "explorer.json").read_text(encoding="utf-8"))
    would = f"would take a = {stored['targets'][0]['a']:.2f}."
    assert chosen.inner_text() == f"▲ a soup, the third stage if you ask for it, {would}"
    page.locator(".explorer input[type=radio]").last.check()  # after forgetting, where nothing is restored
    assert chosen.count() == 0
    page.keyboard.press("Tab")
    assert not said


def test_the_explorer_computes_in_the_page(html, browser):
    """The graph, run by the browser, says of a stored picture what the page's cell stored; a drawing and a damaged file are answered."""
    page, said = opened(browser, html / "nbs" / "guide" / "explorer.html")
    page.get_by_role("button", name="Load the model").click()
    page.locator(".explorer-sheet").wait_for(timeout=90_000)
    lists = page.locator(".explorer-both ol")
    names = lambda k: lists.nth(k).locator(".explorer-name").all_inner_texts()
    page.wait_for_function("document.querySelectorAll('.explorer-both li').length === 10", timeout=60_000)
    first = page.locator(".explorer-cards .explorer-card").first
    bare = lambda texts: [t.removeprefix("✓ ") for t in texts]
    page.wait_for_timeout(1_000)
    original, edited = names(0), names(1)
    target = page.locator(".explorer input[type=radio]:checked").first.locator("xpath=..").inner_text().strip()
    assert original[0] == target != edited[0]
    shown = lambda: bare(first.locator(".explorer-name").all_inner_texts())[0]
    assert edited[0] == shown()  # the slider stands at the edited model
    page.locator(".explorer-slider input").focus()
    page.keyboard.press("Home")
    told = f"document.querySelectorAll('.explorer-both ol')[1].innerText.includes({target!r})"
    page.wait_for_function(told, timeout=30_000)
    assert names(1) == names(0) and names(0)[0] == shown()
    page.get_by_role("button", name="Clear").click()
    page.locator(".explorer-sheet").hover()
    page.mouse.down()
    page.mouse.move(*[v + 40 for v in page.locator(".explorer-sheet").bounding_box().values()][:2])
    page.mouse.up()
    page.wait_for_timeout(2_000)
    assert names(0) != original
    damaged = {"name": "no.png", "mimeType": "image/png", "buffer": b"no picture"}
    page.locator(".explorer-tools input[type=file]").set_input_files(damaged)
    page.get_by_text("That is no picture that this browser can open").wait_for(timeout=10_000)
    page.set_viewport_size({"width": 360, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 361
    assert not said
    page.close()


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(html, browser, name, scheme):
    page, _ = opened(browser, html / f"{name}.html", color_scheme=scheme)
    found = axe.Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    page.close()
    told = lambda v: f"{v['id']}: {v['help']} ({len(v['nodes'])}: {v['nodes'][0]['html'][:200]})"
    assert not [told(v) for v in found if v["impact"] in ("serious", "critical")]
