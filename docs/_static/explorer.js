// The explorer: pictures and curves that were computed by nbs/guide/explorer.ipynb, moved by a slider. No library, no network.
(function () {
  "use strict";
  const SVG = "http://www.w3.org/2000/svg";
  const LINES = { target: "the target", siblings: "its siblings", suite: "everything else" };
  const DASHES = { target: "none", siblings: "9 4", suite: "2 4" };
  const ROLES = { target: "to forget", siblings: "sibling", others: "something else" };

  function element(tag, attributes, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  function drawn(tag, attributes) {
    const made = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  }

  function choice(legend, name, options, change) {
    const set = element("fieldset", {}, element("legend", {}, legend));
    options.forEach(([value, text], k) => {
      const input = element("input", { type: "radio", name, value });
      input.checked = k === 0;
      input.addEventListener("change", () => change(value));
      set.append(element("label", {}, input, " " + text));
    });
    return set;
  }

  // Accuracies of target, siblings and suite against a, with a line where the slider stands.
  function curve(palette) {
    const width = 440, height = 210, left = 40, bottom = 40;
    const x = (a) => left + a * (width - left - 12), y = (v) => 10 + (1 - v / 100) * (height - bottom - 10);
    const svg = drawn("svg", { viewBox: `0 0 ${width} ${height}`, role: "img" });
    for (const v of [0, 50, 100]) {
      svg.append(drawn("line", { x1: left, x2: width - 12, y1: y(v), y2: y(v), stroke: "currentColor", "stroke-opacity": 0.2 }));
      const text = drawn("text", { x: left - 6, y: y(v) + 4, "text-anchor": "end" });
      text.textContent = v;
      svg.append(text);
    }
    const below = drawn("text", { x: (left + width) / 2, y: height - 6, "text-anchor": "middle" });
    below.textContent = "a: 0 is the original, 1 the edited model; accuracy in %";
    const parts = {}, points = {};
    for (const name of Object.keys(LINES)) {
      parts[name] = drawn("polyline", { fill: "none", stroke: palette[name], "stroke-width": 2.5, "stroke-dasharray": DASHES[name] });
      points[name] = drawn("circle", { r: 6, fill: palette[name] });
    }
    const here = drawn("line", { y1: 10, y2: height - bottom, stroke: "currentColor", "stroke-dasharray": "4 3" });
    const chosen = drawn("path", { fill: "currentColor" });
    svg.append(below, chosen, here, ...Object.values(parts), ...Object.values(points));
    return { svg, show(found, k, restored) {
      chosen.setAttribute("d", restored === null ? "" : `M${x(restored)} ${y(0) + 2} l6 10 h-12 z`);
      for (const name of Object.keys(LINES)) {
        parts[name].setAttribute("points", found.a.map((a, j) => `${x(a)},${y(found[name][j])}`).join(" "));
        points[name].setAttribute("cx", x(found.a[k]));
        points[name].setAttribute("cy", y(found[name][k]));
      }
      here.setAttribute("x1", x(found.a[k]));
      here.setAttribute("x2", x(found.a[k]));
      svg.setAttribute("aria-label", "Accuracies at a = " + found.a[k].toFixed(1) + ": " + Object.entries(LINES).map(([n, t]) => `${t} ${found[n][k].toFixed(0)} percent`).join(", "));
    } };
  }

  // One picture with its five best names as bars.
  function card(picture, palette) {
    const bars = element("ol", {});
    const role = element("span", { class: "explorer-role" }, ROLES[picture.role]);
    role.style.borderColor = palette[picture.role === "others" ? "suite" : picture.role];
    const node = element("div", { class: "explorer-card" }, role, element("img", { src: picture.src, alt: "A picture of: " + picture.truth, width: 64, height: 64 }), bars);
    return { node, show(best, names) {
      bars.replaceChildren(...best.map(([k, share]) => {
        const right = names[k] === picture.truth;
        const bar = element("span", { class: "explorer-bar" });
        bar.style.width = share + "%";
        return element("li", right ? { class: "explorer-right" } : {}, bar, element("span", { class: "explorer-name" }, (right ? "✓ " : "") + names[k]), element("span", { class: "explorer-share" }, share + " %"));
      }));
    } };
  }

  function start(root) {
    if (root.dataset.ready) return;
    root.dataset.ready = "yes";
    const data = JSON.parse(root.querySelector("script[type='application/json']").textContent);
    let target = 0, stage = data.stages[0];
    const slider = element("input", { type: "range", min: 0, max: data.a.length - 1, step: 1, value: data.a.length - 1, "aria-label": "a, the share of the edit" });
    const output = element("output", {}), said = element("p", { class: "explorer-said", "aria-live": "polite" });
    const stopped = element("p", { class: "explorer-said" });
    const chart = curve(data.palette), cards = element("div", { class: "explorer-cards" });
    let shown = [];

    function show() {
      const one = data.targets[target], k = Number(slider.value), found = { a: data.a, ...one.curves[stage] };
      output.textContent = "a = " + data.a[k].toFixed(1);
      const restored = stage === "reminding" ? one.a : null; // the third stage goes on from the second
      chart.show(found, k, restored);
      said.replaceChildren(...Object.entries(LINES).map(([n, t]) => {
        const part = element("span", { class: "explorer-role" }, `${t}: ${found[n][k].toFixed(0)} %`);
        part.style.borderColor = data.palette[n];
        return part;
      }));
      stopped.textContent = restored === null ? "" : `▲ restoring, the third stage, chose a = ${restored.toFixed(2)}.`;
      one.pictures.forEach((picture, j) => shown[j].show(picture.best[stage][k], one.names));
    }

    function fill() {
      shown = data.targets[target].pictures.map((picture) => card(picture, data.palette));
      cards.replaceChildren(...shown.map((c) => c.node));
      show();
    }

    const mark = "explorer-" + Math.random().toString(36).slice(2);
    slider.addEventListener("input", show);
    root.append(
      choice("Forget", mark + "-target", data.targets.map((t, k) => [k, t.name]), (v) => { target = Number(v); fill(); }),
      choice("The edit", mark + "-stage", data.stages.map((s) => [s, "after " + s]), (v) => { stage = v; show(); }),
      element("div", { class: "explorer-slider" }, element("span", {}, "original"), slider, element("span", {}, "edited"), output),
      said, chart.svg, stopped, cards);
    fill();
  }

  function all() { document.querySelectorAll(".explorer").forEach(start); }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", all); else all();
})();
