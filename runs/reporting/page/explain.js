// Draws the panels of `rl explain` from the page's own JSON. Nothing is fetched, and all text is set as text.
"use strict";
addEventListener("DOMContentLoaded", () => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const SVG = "http://www.w3.org/2000/svg";
  const element = (name, attributes = {}, ...children) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) key in made && key !== "style" ? (made[key] = value) : made.setAttribute(key, value);
    made.append(...children.filter((child) => child !== null && child !== undefined));
    return made;
  };
  const drawn = (name, attributes = {}, text = "") => {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text) made.textContent = text;
    return made;
  };
  const number = (x) => {
    if (x === null || x === undefined) return "–";
    const size = Math.abs(x);
    const text = x === 0 ? "0" : size >= 1e5 || size < 1e-3 ? x.toExponential(2) : String(Number(x.toPrecision(4)));
    return text.replaceAll("-", "−");
  };
  const shape = (s) => (s.length ? s.join(" × ") : "one number");
  const table = (rows, head) => {
    const body = rows.map((row) => element("tr", {}, ...row.map((cell, k) => element("td", { className: k && typeof cell === "number" ? "n" : "" },
      typeof cell === "number" ? number(cell) : cell))));
    const top = head ? element("thead", {}, element("tr", {}, ...head.map((word) => element("th", {}, word)))) : null;
    return element("div", { className: "facts" }, element("table", {}, top, element("tbody", {}, ...body)));
  };
  const dotted = (name) => element("span", {}, ...name.split(/(?<=\.)/).flatMap((part) => [part, element("wbr")])); // breaks after dots
  const verdict = (ok, difference) => element("span", { className: ok ? "good" : "bad" }, `${ok ? "equal" : "differs"} (${number(difference)})`);
  const preview = (p) => (p?.first ? `${p.first.map(number).join(", ")}${p.shape.reduce((a, b) => a * b, 1) > p.first.length ? ", …" : ""}` +
    ` (${shape(p.shape)}; ${number(p.least)} to ${number(p.most)}, mean ${number(p.mean)})` : "–");

  // the graph of the loss: one row a rank, each operation below the mean of those that it reads
  const graph = (nodes, choose) => {
    const wide = 140, high = 46, gap = { x: 14, y: 26 };
    const ranks = [];
    nodes.forEach((n, k) => (ranks[n.rank] ??= []).push(k));
    const columns = Math.max(...ranks.map((r) => r.length)), place = [];
    for (const row of ranks) {
      const wish = (k) => (nodes[k].before.length ? nodes[k].before.reduce((sum, p) => sum + place[p].x, 0) / nodes[k].before.length : 0);
      row.sort((a, b) => wish(a) - wish(b) || a - b);
      const left = ((columns - row.length) * (wide + gap.x)) / 2;
      row.forEach((k, at) => (place[k] = { x: left + at * (wide + gap.x) + 8, y: nodes[k].rank * (high + gap.y) + 8 }));
    }
    const size = { x: columns * (wide + gap.x) + 8, y: ranks.length * (high + gap.y) };
    const svg = drawn("svg", { width: size.x, height: size.y, viewBox: `0 0 ${size.x} ${size.y}`, role: "img", "aria-label": "computation graph of the loss" });
    nodes.forEach((n, k) => n.before.forEach((p) => {
      const [x0, y0, x1, y1] = [place[p].x + wide / 2, place[p].y + high, place[k].x + wide / 2, place[k].y];
      svg.append(drawn("path", { d: `M${x0},${y0}C${x0},${(y0 + y1) / 2 + 6} ${x1},${(y0 + y1) / 2 - 6} ${x1},${y1}` }));
    }));
    nodes.forEach((n, k) => {
      const state = n.rule_ok ? (n.ok ? "" : " differs") : " wrong";
      const group = drawn("g", { class: `op${n.weights.length ? " weighted" : ""}${state}`, tabindex: 0, transform: `translate(${place[k].x},${place[k].y})` });
      group.append(drawn("rect", { width: wide, height: high, rx: 6 }), drawn("text", { x: 8, y: 15, class: "name" }, `${n.name}${n.rule_ok ? "" : " ≠"}`));
      group.append(drawn("text", { x: 8, y: 29 }, shape(n.shape)));
      if (n.label) group.append(drawn("text", { x: 8, y: 41 }, n.label.length > 21 ? "…" + n.label.slice(-20) : n.label));
      const pick = () => {
        svg.querySelector(".chosen")?.classList.remove("chosen");
        group.classList.add("chosen");
        choose(n, k);
      };
      group.addEventListener("click", pick);
      group.addEventListener("keydown", (event) => event.key === "Enter" && pick());
      svg.append(group);
    });
    return element("div", { className: "graph" }, svg);
  };
  const facts = (n, k) => element("div", {}, element("h3", {}, `#${k} ${n.name}${n.label ? `, ${n.label}` : ""}`), table([
    ["value y", preview(n.value)],
    ...n.weights.map((w) => [w.name, preview(w)]),
    ...n.constants.map((c) => ["constant input", preview(c)]),
    ["gradient that arrives, g", preview(n.arrives)],
    ["its derivative", n.formula],
    ...(n.local ? [["derivative at g = 1", preview(n.local)]] : []),
    ...n.passes.map((p) => [`passes to ${p.to}`, preview(p)]),
    ["this derivative and autograd's", verdict(n.rule_ok, n.rule)],
    ["the chain from the loss to y and autograd's", verdict(n.ok || n.chain < 1e-6, n.chain)],
  ]));
  const step = (s) => {
    if (s.why_not) return element("p", {}, s.why_not);
    const rms = s.optimizer === "rmsprop", rows = [
      ["weight θ", s.weight], ["gradient of the loss", s.gradient],
      [`norm of the whole gradient${s.limit === null ? ", not limited" : `, limit ${number(s.limit)}`}`, s.norm],
      ["g, after clipping", s.clipped],
      ...(rms ? [] : [[`m ← ${s.beta1} · ${number(s.m_before)} + ${number(1 - s.beta1)} g`, s.m]]),
      [`v ← ${s.beta2} · ${number(s.v_before)} + ${number(1 - s.beta2)} g²`, s.v],
      ...(rms ? [] : [[`m / (1 − β₁ᵗ), t = ${s.t}`, s.m_hat], ["v / (1 − β₂ᵗ)", s.v_hat]]),
      [`θ − ${number(s.lr)} · ${rms ? "g" : "m̂"} / (√v̂ + ${number(s.eps)})`, s.after],
      ["the step", s.after - s.weight], ["the optimizer's own result", s.theirs],
    ];
    return element("div", {}, element("h3", {}, `The ${s.optimizer} step of one weight: ${s.name}[${s.index}]`), table(rows),
      element("p", {}, element("span", { className: s.ok ? "good" : "bad" }, s.ok ? "By hand and by the optimizer equal." : "By hand and by the optimizer differ."),
        s.lr === 0 ? " The schedule of the learning rate has ended at 0: no weight moves." : ""));
  };
  const update = (u) => {
    const shown = element("div", {}, element("p", { className: "quiet" }, "Click an operation of the graph."));
    const choose = (n, k) => shown.replaceChildren(facts(n, k));
    const names = u.without_rule.length ? ` PyTorch's own derivative stands in for: ${u.without_rule.join(", ")}.` : "";
    const check = element("p", {}, `Loss ${number(u.loss)} of ${u.rows} transitions. Largest difference from autograd over ${u.nodes.length} operations and ${u.weights.length} weights: `,
      verdict(u.agrees, u.difference), `, allowed ${number(u.tolerance)}.${names}`);
    const drawing = graph(u.nodes, choose);
    const wrong = u.nodes.findLastIndex((n) => !n.rule_ok), first = drawing.querySelectorAll(".op")[wrong >= 0 ? wrong : u.nodes.length - 1];
    first.dispatchEvent(new Event("click"));
    requestAnimationFrame(() => { // once it has a size: the chosen operation comes into the middle
      const [view, at] = [drawing, first].map((x) => x.getBoundingClientRect());
      drawing.scrollBy(at.x - view.x - view.width / 2, at.y - view.y - view.height / 2);
    });
    return [check, element("div", { className: "columns" }, drawing, shown), step(u.step),
      element("h3", {}, "Gradient of each weight"), table(u.weights.map((w) => [dotted(w.name), shape(w.shape), w.norm, verdict(w.difference <= u.tolerance, w.difference)]),
        ["weight", "shape", "gradient's norm", "check"])];
  };

  // pictures of numbers
  const ramp = (t) => `hsl(${250 - 200 * t}, ${65 + 20 * t}%, ${22 + 50 * t}%)`;
  const canvas = (width, height, label) => element("canvas", { width, height, role: "img", "aria-label": label });
  const heat = (grid, label, scale = 1, low = Math.min(...grid.flat()), high = Math.max(...grid.flat())) => {
    const made = canvas(grid[0].length * scale, grid.length * scale, label), pen = made.getContext("2d");
    grid.forEach((row, y) => row.forEach((v, x) => {
      pen.fillStyle = ramp((v - low) / (high - low || 1));
      pen.fillRect(x * scale, y * scale, scale, scale);
    }));
    return made;
  };

  const surface = (s) => {
    const n = s.size, least = Math.min(...s.loss), middle = [...s.loss].sort((a, b) => a - b)[s.loss.length >> 1] - least || 1;
    const lifted = s.loss.map((v) => Math.log1p((v - least) / middle)), top = Math.max(...lifted);
    const z = lifted.map((v) => v / (top || 1)), side = 460, unit = side / (n - 1);
    const flat = canvas(side, side, "contours of the loss"), pen = flat.getContext("2d");
    for (let y = 0; y < n - 1; y++)
      for (let x = 0; x < n - 1; x++) {
        pen.fillStyle = ramp((z[y * n + x] + z[y * n + x + 1] + z[(y + 1) * n + x] + z[(y + 1) * n + x + 1]) / 4);
        pen.fillRect(x * unit, side - (y + 1) * unit, unit + 0.6, unit + 0.6);
      }
    pen.strokeStyle = "#fff9";
    for (let level = 0.08; level < 1; level += 0.08) // each cell is two triangles; a contour crosses two of three sides
      for (let y = 0; y < n - 1; y++)
        for (let x = 0; x < n - 1; x++)
          for (const corners of [[[x, y], [x + 1, y], [x, y + 1]], [[x + 1, y + 1], [x + 1, y], [x, y + 1]]]) {
            const cut = [];
            for (let k = 0; k < 3; k++) {
              const [a, b] = [corners[k], corners[(k + 1) % 3]], [u, v] = [z[a[1] * n + a[0]], z[b[1] * n + b[0]]];
              if (u < level !== v < level) cut.push([a[0] + ((level - u) / (v - u)) * (b[0] - a[0]), a[1] + ((level - u) / (v - u)) * (b[1] - a[1])]);
            }
            if (cut.length !== 2) continue;
            pen.beginPath();
            cut.forEach(([cx, cy], k) => (k ? pen.lineTo(cx * unit, side - cy * unit) : pen.moveTo(cx * unit, side - cy * unit)));
            pen.stroke();
          }
    const grid = (c) => Math.min(n - 1, Math.max(0, ((c / s.reach + 1) / 2) * (n - 1)));
    pen.lineWidth = 2;
    pen.strokeStyle = pen.fillStyle = "#fff";
    pen.beginPath();
    s.path.forEach((p, k) => pen[k ? "lineTo" : "moveTo"](grid(p.x) * unit, side - grid(p.y) * unit));
    pen.stroke();
    for (const p of s.path) pen.fillRect(grid(p.x) * unit - 3, side - grid(p.y) * unit - 3, 6, 6);
    pen.font = "bold 13px sans-serif";
    const [start, end] = [s.path[0], s.path[s.path.length - 1]], apart = Math.hypot(grid(start.x) - grid(end.x), grid(start.y) - grid(end.y)) * unit;
    for (const p of apart > 20 ? [start, end] : [end]) // two labels would cover each other
      pen.fillText(`${p.step.toLocaleString("en-US")} steps`, Math.min(side - 95, grid(p.x) * unit + 7), Math.max(14, side - grid(p.y) * unit - 7));

    const solid = canvas(side, side * 0.8, "the loss in three dimensions, drag to turn");
    let turn = 0.7;
    const draw = () => {
      const ink = solid.getContext("2d"), cos = Math.cos(turn), sin = Math.sin(turn);
      ink.clearRect(0, 0, side, side);
      const at = (gx, gy, height) => {
        const [u, v] = [gx / (n - 1) - 0.5, gy / (n - 1) - 0.5], right = u * cos - v * sin, deep = u * sin + v * cos;
        return [side / 2 + right * side * 0.66, side * 0.5 - deep * side * 0.3 - (height - 0.4) * side * 0.4, deep];
      };
      const cells = [];
      for (let y = 0; y < n - 1; y += 1) for (let x = 0; x < n - 1; x += 1) cells.push([x, y, at(x + 0.5, y + 0.5, 0)[2]]);
      cells.sort((a, b) => b[2] - a[2]);
      for (const [x, y] of cells) {
        ink.beginPath();
        [[x, y], [x + 1, y], [x + 1, y + 1], [x, y + 1]].forEach(([gx, gy], k) => ink[k ? "lineTo" : "moveTo"](...at(gx, gy, z[gy * n + gx])));
        ink.closePath();
        ink.fillStyle = ink.strokeStyle = ramp((z[y * n + x] + z[(y + 1) * n + x + 1]) / 2);
        ink.fill();
        if (x % 5 === 0 || y % 5 === 0) ink.strokeStyle = "#0004";
        ink.stroke();
      }
      ink.fillStyle = ink.strokeStyle = "#e00";
      const points = s.path.map((p) => {
        const [gx, gy] = [grid(p.x), grid(p.y)];
        return at(gx, gy, z[Math.round(gy) * n + Math.round(gx)] + 0.02);
      });
      ink.lineWidth = 2;
      ink.beginPath();
      points.forEach(([px, py], k) => (k ? ink.lineTo(px, py) : ink.moveTo(px, py)));
      ink.stroke();
      ink.lineWidth = 1;
      for (const [px, py] of points) ink.fillRect(px - 3, py - 3, 6, 6);
    };
    solid.addEventListener("pointermove", (event) => {
      if (!event.buttons) return;
      turn += event.movementX / 120;
      draw();
    });
    draw();
    const inside = s.captured === null ? "" : ` The plane holds ${(100 * s.captured).toFixed(0)} % of the squared distance between the checkpoints and the end.`;
    const grids = n === s.finest ? `${n} × ${n} points.` : `${n} × ${n} of ${s.finest} × ${s.finest} points: time allowed no finer grid.`;
    return [element("div", { className: "columns pictures" }, flat, solid), element("p", { className: "quiet" },
      `${grids} Directions: ${s.directions}. Both axes run from ${number(-s.reach)} to ${number(s.reach)} times each filter's norm; ${s.rows} rows of the batch.` +
      ` Loss from ${number(least)} to ${number(Math.max(...s.loss))}, coloured by its logarithm.${inside}`)];
  };

  const sight = (s) => {
    const image = (k, width) => (s.frames.length ? element("img", { src: s.frames[k], alt: `state ${k}`, width }) : element("span", {}, `state ${k}`));
    const shown = element("div");
    const show = (k) => {
      const state = s.chosen[k], parts = [];
      const seen = element("div", { className: "row" }, element("figure", {}, image(state, 112), element("figcaption", {}, `value ${number(s.value[state])}`)));
      if (s.saliency.maps) seen.append(element("figure", {}, heat(s.saliency.maps[k], "saliency", Math.max(1, Math.round(84 / s.saliency.maps[k].length))), element("figcaption", {}, `saliency: |∂ value / ∂ ${s.saliency.leaf}|`)));
      else if (s.saliency.bars) {
        const most = Math.max(...s.saliency.bars[k]) || 1;
        seen.append(element("figure", {}, ...s.saliency.bars[k].slice(0, 24).map((v, i) => element("div", { className: "bar" },
          element("span", {}, `${s.saliency.leaf}[${i}]`), element("i", { style: `width:${(100 * v) / most}px` }), number(v))),
          element("figcaption", {}, "saliency: |∂ value / ∂ input|")));
      } else seen.append(element("p", {}, `No saliency: ${s.saliency.why_not}`));
      parts.push(seen);
      for (const layer of s.layers) {
        const strip = element("div", { className: "row" });
        if (layer.planes) {
          const all = layer.planes[k].flat(2), low = Math.min(...all), high = Math.max(...all);
          for (const plane of layer.planes[k]) strip.append(heat(plane, layer.title, Math.max(1, Math.round(56 / plane.length)), low, high));
        } else strip.append(heat([layer.units[k]], layer.title, 1));
        strip.classList.toggle("units", !layer.planes);
        parts.push(element("p", { className: "caption" }, layer.title), strip);
      }
      shown.replaceChildren(...parts);
    };
    const choices = element("div", { className: "row" }, ...s.chosen.map((state, k) => {
      const button = element("button", { type: "button" }, image(state, 72));
      button.addEventListener("click", () => show(k));
      return button;
    }));
    show(0);

    const side = 440;
    const onto = (v, all, flip) => {
      const share = (v - Math.min(...all)) / (Math.max(...all) - Math.min(...all) || 1);
      return 10 + (flip ? 1 - share : share) * (side - 20);
    };
    const svg = drawn("svg", { viewBox: `0 0 ${side} ${side}`, role: "img", "aria-label": "map of states" });
    const [low, high] = [Math.min(...s.value), Math.max(...s.value)];
    const near = element("div", { className: "near" }, element("p", { className: "quiet" }, "Point at a state."));
    const place = (map) => {
      const [xs, ys] = [0, 1].map((c) => map.map((p) => p[c]));
      svg.replaceChildren(...map.map((p, k) => {
        const dot = drawn("circle", { cx: onto(p[0], xs), cy: onto(p[1], ys, true), r: 5, fill: ramp((s.value[k] - low) / (high - low || 1)), stroke: "#8888" });
        dot.addEventListener("pointerenter", () => near.replaceChildren(image(k, 160), element("p", {},
          `game ${s.places[k][0]}, row ${s.places[k][1]}: value ${number(s.value[k])}, return that followed ${number(s.followed[k])}`)));
        return dot;
      }));
    };
    place(s.map);
    const maps = element("div", { className: "row" }, ...[["principal components", s.map], ["neighbours (t-SNE)", s.neighbours]].map(([name, map]) => {
      const button = element("button", { type: "button" }, name);
      button.addEventListener("click", () => place(map));
      return button;
    }));
    const field = s.field.map ? element("figure", {}, heat(s.field.map, "receptive field", Math.max(1, Math.round(160 / s.field.map.length))),
      element("figcaption", {}, `The middle unit of channel ${s.field.channel} reads ${shape(s.field.size)} of ${shape(s.field.of)} cells.`))
      : element("p", { className: "quiet" }, `Does not apply: ${s.field.why_not}.`);
    return [choices, shown, element("h3", {}, "Map of states"), element("div", { className: "columns" }, element("div", {}, maps, svg), element("div", {}, near,
      element("p", { className: "quiet" }, `All states by the last layer's features, coloured by value from ${number(low)} (dark) to ${number(high)} (light).`),
      element("h3", {}, "Receptive field of a unit"), field))];
  };

  const panels = { update, surface, sight };
  for (const [name, draw] of Object.entries(panels))
    for (const place of document.querySelectorAll(`[data-panel="${name}"] [data-run]`)) {
      const found = data.runs[place.dataset.run][name];
      place.append(...(found.why_not ? [element("p", { className: "quiet" }, `Does not apply: ${found.why_not}`)] : draw(found)));
    }
});
