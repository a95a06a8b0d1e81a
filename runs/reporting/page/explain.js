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
  const verdict = (ok, difference) => element("span", { className: ok ? "good" : "bad" }, `${ok ? "equal" : "differs"} (${number(difference)})`);
  const preview = (p) => (p ? `${p.first.map(number).join(", ")}${p.shape.reduce((a, b) => a * b, 1) > p.first.length ? ", …" : ""}` +
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
      [`v ← ${rms ? 0.99 : s.beta2} · ${number(s.v_before)} + ${number(rms ? 0.01 : 1 - s.beta2)} g²`, s.v],
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
    const worst = u.nodes.findLastIndex((n) => !n.rule_ok);
    const first = worst >= 0 ? worst : u.nodes.length - 1;
    choose(u.nodes[first], first);
    return [check, element("div", { className: "columns" }, drawing, shown), step(u.step),
      element("h3", {}, "Gradient of each weight"), table(u.weights.map((w) => [w.name, shape(w.shape), w.norm, verdict(w.difference <= u.tolerance, w.difference)]),
        ["weight", "shape", "norm of the gradient", "ours and autograd's"])];
  };

  const panels = { update };
  for (const [name, draw] of Object.entries(panels))
    for (const place of document.querySelectorAll(`[data-panel="${name}"] [data-run]`)) {
      const found = data.runs[place.dataset.run][name];
      place.append(...(found.why_not ? [element("p", { className: "quiet" }, `Does not apply: ${found.why_not}`)] : draw(found)));
    }
});
