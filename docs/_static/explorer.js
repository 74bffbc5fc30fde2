// The explorer: pictures and curves that were computed by nbs/guide/explorer.ipynb, moved by a slider; and the model itself,
// loaded when the reader asks for it, which names what is drawn or dropped. No network besides the site's own files.
(function () {
  "use strict";
  const SVG = "http://www.w3.org/2000/svg";
  const LINES = { target: "the target", siblings: "its siblings", suite: "everything else" };
  const DASHES = { target: "none", siblings: "9 4", suite: "2 4" };
  const HERE = document.currentScript && document.currentScript.src ? document.currentScript.src.replace(/[^/]*$/, "browser/") : null; // none in a notebook
  const SIZE = 64; // of the model's pictures
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
      bars.replaceChildren(...best.map(([k, share]) => answer(names[k], share, names[k] === picture.truth)));
    } };
  }

  // A name with its share as a bar.
  function answer(name, share, right) {
    const bar = element("span", { class: "explorer-bar" });
    bar.style.width = share + "%";
    return element("li", right ? { class: "explorer-right" } : {}, bar, element("span", { class: "explorer-name" }, (right ? "✓ " : "") + name), element("span", { class: "explorer-share" }, share + " %"));
  }

  // The graph, once it is asked for: scripts, so that it works from a folder as well, which a browser lets no page fetch from.
  const load = (file) => new Promise((done, failed) => {
    const script = element("script", { src: HERE + file });
    script.onload = done;
    script.onerror = () => failed(new Error("The file " + script.src + " was not found."));
    document.head.append(script);
  });

  async function inflated(text) {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  async function openGraph() {
    await Promise.all(["ort.js", "runtime.js", "graph.js"].map(load));
    const { ort, explorerFiles } = window, address = (part, type) => URL.createObjectURL(new Blob([part], { type }));
    ort.env.wasm.numThreads = 1;
    ort.env.wasm.wasmPaths = { mjs: address(explorerFiles.mjs, "text/javascript"), wasm: address(await inflated(explorerFiles.wasm), "application/wasm") };
    const session = await ort.InferenceSession.create(await inflated(explorerFiles.graph), { executionProviders: ["wasm"] });
    delete window.explorerFiles;
    return async (pixels, k, a) => (await session.run({
      pixels: new ort.Tensor("float32", pixels, [1, 3, SIZE, SIZE]),
      k: new ort.Tensor("int64", BigInt64Array.from([BigInt(k)]), []),
      a: new ort.Tensor("float32", Float32Array.from([a]), []),
    })).p.data;
  }

  const bestOf = (p, count = 5) => [...p.keys()].sort((i, j) => p[j] - p[i]).slice(0, count).map((k) => [k, Math.round(100 * p[k])]);

  // A sheet of 64 by 64 pixels to draw on, or to put a picture on; `changed` is called after every change.
  function sheet(changed) {
    const canvas = element("canvas", { width: SIZE, height: SIZE, class: "explorer-sheet", role: "img", "aria-label": "the picture that both models name" });
    const ink = canvas.getContext("2d", { willReadFrequently: true });
    const colour = element("input", { type: "color", value: "#2e7d32" }), width = element("input", { type: "range", min: 1, max: 20, value: 6 });
    let at = null;
    const place = (event) => { const box = canvas.getBoundingClientRect(); return [(event.clientX - box.left) * SIZE / box.width, (event.clientY - box.top) * SIZE / box.height]; };
    function stroke(event) {
      const to = place(event);
      Object.assign(ink, { strokeStyle: colour.value, lineWidth: Number(width.value), lineCap: "round" });
      ink.beginPath();
      ink.moveTo(...(at || to));
      ink.lineTo(...to);
      ink.stroke();
      at = to;
      changed();
    }
    canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); stroke(event); });
    canvas.addEventListener("pointermove", (event) => { if (at) stroke(event); });
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { at = null; });
    function clear() { ink.fillStyle = "#fff"; ink.fillRect(0, 0, SIZE, SIZE); changed(); }
    // The middle square of a picture, as CLIP crops it.
    async function put(source) {
      const image = await createImageBitmap(source), side = Math.min(image.width, image.height);
      Object.assign(ink, { imageSmoothingQuality: "high", fillStyle: "#fff" });
      ink.fillRect(0, 0, SIZE, SIZE);
      ink.drawImage(image, (image.width - side) / 2, (image.height - side) / 2, side, side, 0, 0, SIZE, SIZE);
      changed();
    }
    function pixels() {
      const bytes = ink.getImageData(0, 0, SIZE, SIZE).data, n = SIZE * SIZE;
      return Float32Array.from({ length: 3 * n }, (_, j) => bytes[4 * (j % n) + Math.floor(j / n)] / 255);
    }
    return { canvas, colour, width, clear, put, pixels };
  }

  // The part of the explorer that asks the model: `state` gives the target's number and a, `pictures` the stored ones.
  function workshop(data, state, pictures) {
    const said = element("p", { class: "explorer-said", role: "status" });
    const node = element("div", { class: "explorer-own" });
    if (!HERE) {
      node.append(element("p", {}, "On the project's site you can draw here, or drop a picture, and both models name it."));
      return { node, ask() {}, fill() {} };
    }
    const button = element("button", { type: "button" }, `Load the model (${data.megabytes} MB) and draw`);
    const lists = ["original", "edited"].map((name) => ({ head: element("span", { class: "explorer-role" }, name), list: element("ol", {}) }));
    let graph = null, busy = false, again = false;
    async function ask() {
      if (!graph) return;
      if (busy) { again = true; return; }
      busy = true;
      const { target, a } = state(), drawn = paper.pixels();
      try {
        for (const [k, share] of [0, a].entries()) {
          const best = bestOf(await graph(drawn, target, share));
          lists[k].list.replaceChildren(...best.map(([j, p]) => answer(data.vocabulary[j], p, false)));
        }
        lists[1].head.textContent = `"${data.targets[target].name}" forgotten, a = ${a.toFixed(1)}`;
      } finally { busy = false; }
      if (again) { again = false; ask(); }
    }
    const paper = sheet(ask);
    const file = element("input", { type: "file", accept: "image/*" }), from = element("select", {});
    const take = (source) => paper.put(source).then(() => { said.textContent = ""; }, () => { said.textContent = "That is no picture that this browser can open. Take a PNG, JPEG or WebP file."; });
    file.addEventListener("change", () => { if (file.files.length) take(file.files[0]); });
    from.addEventListener("change", () => { if (from.value === "") paper.clear(); else take(pictures()[Number(from.value)].node.querySelector("img")); });
    node.addEventListener("dragover", (event) => event.preventDefault());
    node.addEventListener("drop", (event) => { event.preventDefault(); if (event.dataTransfer.files.length) take(event.dataTransfer.files[0]); });
    const clear = element("button", { type: "button" }, "Clear");
    clear.addEventListener("click", () => { from.value = ""; paper.clear(); });
    button.addEventListener("click", async () => {
      button.disabled = true;
      said.textContent = "The model is loading ...";
      try {
        graph = await openGraph();
        said.textContent = "";
        button.replaceWith(tools);
        fill();
        from.value = "0";
        from.dispatchEvent(new Event("change"));
      } catch (error) {
        button.disabled = false;
        said.textContent = `The model could not be loaded (${error.message}). Try again, or another browser.`;
      }
    });
    const tools = element("div", { class: "explorer-tools" },
      element("label", {}, "Begin with ", from), element("label", {}, "or a file ", file), element("label", {}, "Colour ", paper.colour), element("label", {}, "Brush ", paper.width), clear,
      element("div", { class: "explorer-both" }, paper.canvas, ...lists.map((l) => element("div", { class: "explorer-card" }, l.head, l.list))));
    function fill() {
      const kept = from.value;
      from.replaceChildren(element("option", { value: "" }, "white paper"), ...data.targets[state().target].pictures.map((p, k) => element("option", { value: k }, `${p.truth} (${ROLES[p.role]})`)));
      from.value = kept;
      if (graph && kept !== "") from.dispatchEvent(new Event("change"));
      ask();
    }
    node.append(element("p", {}, "Ask both models about a picture of yours: draw it, drop it here, or begin with one from above. It stays in your browser."), button, said);
    return { node, ask, fill };
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
    const own = workshop(data, () => ({ target, a: data.a[Number(slider.value)] }), () => shown);

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
      stopped.textContent = restored === null ? "" : `▲ a soup, the third stage if you ask for it, would take a = ${restored.toFixed(2)}.`;
      one.pictures.forEach((picture, j) => shown[j].show(picture.best[stage][k], one.names));
      own.ask();
    }

    function fill() {
      shown = data.targets[target].pictures.map((picture) => card(picture, data.palette));
      cards.replaceChildren(...shown.map((c) => c.node));
      own.fill();
      show();
    }

    const mark = "explorer-" + Math.random().toString(36).slice(2);
    slider.addEventListener("input", show);
    root.append(
      choice("Forget", mark + "-target", data.targets.map((t, k) => [k, t.name]), (v) => { target = Number(v); fill(); }),
      choice("The edit", mark + "-stage", data.stages.map((s) => [s, "after " + s]), (v) => { stage = v; show(); }),
      element("div", { class: "explorer-slider" }, element("span", {}, "original"), slider, element("span", {}, "edited"), output),
      said, chart.svg, stopped, cards, own.node);
    fill();
  }

  function all() { document.querySelectorAll(".explorer").forEach(start); }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", all); else all();
})();
