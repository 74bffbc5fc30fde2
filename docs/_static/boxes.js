// Code, tables and figures that are wider than the text: on a wide screen they use the margin, else they scroll in a box of their own.
(function () {
  "use strict";
  const BOXES = "div.highlight > pre, div.cell_output, div.cell_output .output, .pst-scrollable-table-container, .formula";
  const overflows = (box) => box.scrollWidth > box.clientWidth + 1;
  const block = (box) => box.closest("div.cell") || box.closest("div[class*='highlight-']") || box;
  const noted = (node) => (node.previousElementSibling || node).matches("aside.margin");
  const said = (box) => (box.matches("pre") ? "code" : box.querySelector("table") ? "table" : box.matches(".formula") ? "formula" : "figure");

  // A box that still scrolls says so: site.css fades its edge until the end is reached; the keyboard gets at it.
  function mark(box) {
    const more = overflows(box);
    box.classList.toggle("scrolls", more);
    box.classList.toggle("at-end", box.scrollLeft + box.clientWidth >= box.scrollWidth - 1);
    if (more && !box.hasAttribute("tabindex")) {
      box.tabIndex = 0;
      box.setAttribute("role", "region");
      box.setAttribute("aria-label", said(box) + ", scrolls sideways");
    }
  }

  // The page's contents lie in the margin: they fold up while something else needs it.
  const contents = document.getElementsByClassName("bd-sidebar-secondary");
  const inView = new Set();
  const watcher = new IntersectionObserver((seen) => {
    for (const { target, isIntersecting } of seen) inView[isIntersecting ? "add" : "delete"](target);
    if (contents.length) contents[0].classList.toggle("folded", inView.size > 0);
  }, { rootMargin: "0px 0px -33% 0px" });

  function fit() {
    const boxes = [...document.querySelectorAll(BOXES)].filter((box) => box.closest("article") && !box.closest("details:not([open])"));
    document.querySelectorAll("aside.above").forEach((note) => note.classList.remove("above"));
    for (const wide of document.querySelectorAll("article .wide")) {
      wide.classList.remove("wide");
      watcher.unobserve(wide);
      inView.delete(wide);
    }
    const wide = new Set(boxes.filter((b) => !b.matches(".formula") && overflows(b)).map(block));
    for (const one of wide) {
      if (noted(one)) one.previousElementSibling.classList.add("above"); // it had the margin
      one.classList.add("wide");
      watcher.observe(one);
    }
    boxes.forEach(mark);
  }

  function start() {
    const article = document.querySelector("article");
    if (!article) return; // the search
    let width = 0;
    new ResizeObserver(([{ contentRect }]) => {
      if (contentRect.width === width) return; // it became longer only
      width = contentRect.width;
      fit();
    }).observe(article);
    window.addEventListener("load", fit); // pictures have their sizes then
    document.addEventListener("toggle", fit, true); // what was folded can be measured now
    document.addEventListener("scroll", (event) => {
      if (event.target instanceof Element && event.target.matches(BOXES)) mark(event.target);
    }, true);
  }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start); else start();
})();
