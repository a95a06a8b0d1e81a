// What moves on the page: hover values, hidden contenders, single seeds, theme, downloads. The page is complete without it.
"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const box = { width: 440, height: 280, left: 52, right: 10, top: 10, bottom: 40 };
  const number = (x) => {
    if (x === null || x === undefined) return "–";
    const size = Math.abs(x), digits = size >= 100 ? 0 : size >= 10 ? 1 : size >= 0.01 || x === 0 ? 2 : 4;
    return x.toLocaleString("en-US", { maximumFractionDigits: digits }).replace("-", "−");
  };
  const duration = (s) => (s >= 3600 ? number(s / 3600) + " h" : s >= 60 ? number(s / 60) + " min" : number(s) + " s");
  const hidden = new Set();

  // The value of a series at x: linear between grid points, nothing outside them; a single point's also within `reach`.
  const at = (xs, ys, x, reach) => {
    if (ys && xs[0] === xs[xs.length - 1]) return Math.abs(x - xs[0]) <= reach ? ys[0] : null;
    if (!ys || x < xs[0] || x > xs[xs.length - 1]) return null;
    let k = 1;
    while (k < xs.length - 1 && xs[k] < x) k++;
    const share = (x - xs[k - 1]) / (xs[k] - xs[k - 1] || 1);
    return ys[k - 1] === null || ys[k] === null ? null : ys[k - 1] + share * (ys[k] - ys[k - 1]);
  };

  for (const figure of all("figure[data-chart]")) {
    const data = JSON.parse(figure.querySelector("script").textContent);
    const svg = figure.querySelector("svg"), cursor = svg.querySelector(".cursor");
    let tip = null;
    const leave = () => { cursor.setAttribute("hidden", ""); tip?.remove(); tip = null; };
    const move = (event) => {
      const place = svg.getBoundingClientRect();
      const inner = box.width - box.left - box.right;
      const u = ((event.clientX - place.left) / place.width) * box.width;
      const x = data.x0 + Math.min(1, Math.max(0, (u - box.left) / inner)) * (data.x1 - data.x0);
      const px = box.left + ((x - data.x0) / (data.x1 - data.x0)) * inner;
      cursor.setAttribute("x1", px);
      cursor.setAttribute("x2", px);
      cursor.removeAttribute("hidden");
      if (!tip) { tip = document.createElement("div"); tip.className = "tip"; figure.append(tip); }
      tip.replaceChildren();
      const head = document.createElement("div");
      head.textContent = data.clock ? duration(x) : number(x) + " " + data.x_label;
      tip.append(head);
      const reach = 0.04 * (data.x1 - data.x0);
      for (const s of data.series) {
        const middle = at(s.x, s.middle, x, reach);
        if (hidden.has(s.name) || middle === null) continue;
        const row = document.createElement("div"), name = document.createElement("i"), value = document.createElement("b");
        row.className = "s" + (s.colour % 8);
        name.textContent = s.name + " ";
        value.textContent = number(middle);
        row.append(name, value);
        const low = at(s.x, s.low, x, reach), high = at(s.x, s.high, x, reach);
        if (low !== null && high !== null) row.append(` (${number(low)} to ${number(high)})`);
        tip.append(row);
      }
      const left = (px / box.width) * place.width, width = tip.offsetWidth;
      tip.style.left = Math.max(0, Math.min(place.width - width, left + (left > place.width / 2 ? -width - 12 : 12))) + "px";
      tip.style.top = "8px";
    };
    svg.addEventListener("pointermove", move);
    svg.addEventListener("pointerdown", move);
    svg.addEventListener("pointerleave", leave);
  }

  for (const input of all("input[data-contender]"))
    input.addEventListener("change", () => {
      const name = input.dataset.contender;
      input.checked ? hidden.delete(name) : hidden.add(name);
      for (const twin of all("input[data-contender]")) if (twin.dataset.contender === name) twin.checked = input.checked;
      for (const group of all("g.series")) if (group.dataset.name === name) group.classList.toggle("off", !input.checked);
    });

  for (const input of all("input[data-runs]"))
    input.addEventListener("change", () => {
      for (const twin of all("input[data-runs]")) twin.checked = input.checked;
      document.body.classList.toggle("show-runs", input.checked);
    });

  const root = document.documentElement;
  document.getElementById("theme")?.addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });

  addEventListener("beforeprint", () => all("details").forEach((details) => (details.open = true)));

  const save = (name, type, text) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  const raw = () => document.getElementById("data").textContent;
  const cell = (v) => (v === null || v === undefined ? "" : /[",\n]/.test(String(v)) ? `"${String(v).replace(/"/g, '""')}"` : String(v));
  // One line a curve point and one a final score, for spreadsheets and data frames.
  const csv = (data) => {
    const lines = ["contender,task,seed,status,kind,step,seconds,score"];
    for (const r of data.results ?? []) {
      const who = [r.contender, r.task, r.seed, r.status];
      for (const [step, seconds, score] of r.curve ?? []) lines.push([...who, "curve", step, seconds, score].map(cell).join(","));
      lines.push([...who, "final", r.steps, r.seconds, r.score].map(cell).join(","));
    }
    return lines.join("\n") + "\n";
  };
  document.getElementById("save-json")?.addEventListener("click", () => save("comparison.json", "application/json", raw()));
  document.getElementById("save-csv")?.addEventListener("click", () => save("comparison.csv", "text/csv", csv(JSON.parse(raw()))));
  document.getElementById("copy")?.addEventListener("click", async (event) => {
    const text = document.getElementById("command").textContent;
    try { await navigator.clipboard.writeText(text); event.target.textContent = "Copied"; }
    catch { getSelection().selectAllChildren(document.getElementById("command")); }
  });
})();
