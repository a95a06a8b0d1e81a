// The page: one or two boards, each a game in progress and whoever plays it, and what the network computes beside it.
const $ = id => document.getElementById(id);
const DATA = JSON.parse($("data").textContent), G = DATA.game, GAME = GAMES[G.name], LOOK = PAINT[G.name], TURNS = !G.fps || GAME.turns;
const ART = Object.fromEntries(Object.entries(DATA.art).map(([name, src]) => [name, Object.assign(new Image(), {src})]));
const SIGNS = {left: "◀", right: "▶", up: "▲", down: "▼", fire: "●"};
const KEYS = {ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down", a: "left", d: "right", w: "up", s: "down", " ": "fire"};
const used = new Set(GAME.typed ? [] : [...G.buttons.flat(), ...Object.keys(G.axes)]), held = new Set();
const view = {mode: "watch", hand: false, paused: false, waiting: false, speed: 1, age: DATA.generations.length - 1, sampled: DATA.sample, overlay: false, games: 0, won: [0, 0, 0]};
const loaded = [];

function make(tag, properties = {}, ...inside) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...inside);
  return element;
}
const kept = {  // best scores outlive the page where the browser lets a file keep anything
  read(name) { try { return JSON.parse(localStorage.getItem(`ludo:${DATA.env}:${name}`)); } catch { return null; } },
  write(name, value) { try { localStorage.setItem(`ludo:${DATA.env}:${name}`, JSON.stringify(value)); } catch { /* a private window */ } },
};
const best = {you: kept.read("best"), agent: null};
const shown = x => x === null || x === undefined ? "–" : Math.abs(x) >= 1000 ? Math.round(x).toLocaleString("en") : String(+x.toFixed(Number.isInteger(x) ? 0 : Math.abs(x) < 10 ? 2 : 1));
const counter = () => crypto.getRandomValues(new BigUint64Array(1))[0];

function network() {
  loaded[view.age] ??= floatsOf(DATA.generations[view.age].weights, DATA.half);
  return new Net(DATA.plan, loaded[view.age]);
}

class Seat {  // one board: its game, its network (which also judges a person's position) and who plays
  constructor(who) {
    this.who = who;
    this.canvas = make("canvas");
    this.hud = make("div", {className: "hud"});
    this.element = make("div", {className: "board"}, this.hud, this.canvas);
    this.net = network();
    this.canvas.addEventListener("pointerdown", e => {
      start();
      const r = this.canvas.getBoundingClientRect(), s = this.s;
      if (GAME.pick && this.human && !s.ended) {
        const [left, top, cell] = LOOK.place(r.width, r.height), [rows, columns] = GAME.grid;
        press(GAME.pick(s, clamp((e.clientX - r.x - left) / cell / columns, 0, 0.999), clamp((e.clientY - r.y - top) / cell / rows, 0, 0.999)));
      }
      else if (this.over) again();
    });
  }
  get human() { return (this.who === "you" || view.hand) && (!GAME.two || this.s.player === this.s.seat); }
  get over() { return this.s.ended; }
  restart(rng) {
    this.s = begin(GAME, rng, G);
    this.s.seat = view.games++ % 2;  // of two players the one that a person plays
    this.before = null;
    this.net.restart();
    this.frames = Array(DATA.plan.stack).fill(this.look());
    Object.assign(this, {trace: [], range: [Infinity, -Infinity], played: G.rest ?? 0, ended: 0, moved: 0, peak: 0});
    this.think();
  }
  look() {
    const all = Array.from(GAME.look(this.s), Math.fround);
    return G.seen ? G.seen.map(i => all[i]) : all;
  }
  think() {
    this.out = this.net.act(this.frames.flat(), GAME.legal && GAME.legal(this.s));
    const {kind, bars, value} = this.out;
    if (kind === "values") this.range = [Math.min(this.range[0], ...bars), Math.max(this.range[1], ...bars)];
    if (value !== null) this.trace.push(GAME.two && this.s.player ? -value : value);
    this.heat = null;
  }
  choice() {
    if (GAME.two && this.s.elapsed < (view.mode === "watch" ? 2 : 1)) return this.opening();
    if (this.out.kind !== "probabilities" || !view.sampled) return this.out.choice;
    let left = Math.random();
    const drawn = this.out.bars.findIndex(chance => (left -= chance) < 0);
    return drawn < 0 ? this.out.choice : drawn;
  }
  opening() {  // the agent's first move of a board game is any legal one: no two games are the same
    const free = GAME.legal(this.s).flatMap((ok, k) => ok ? [k] : []);
    return free[Math.floor(Math.random() * free.length)];
  }
  tick(action) {
    this.moved = performance.now();
    this.before = structuredClone(this.s);
    this.played = action;
    this.s.played = action.length ? undefined : action;
    advance(GAME, this.s, action, G);
    if (this.s.ended) return this.finish();
    this.frames = [...this.frames.slice(1), this.look()];
    this.think();
  }
  finish() {
    const who = this.who === "you" || view.hand ? "you" : "agent";
    this.ended = performance.now();
    if (GAME.two) return view.won[this.s.winner < 0 ? 1 : this.s.winner === (who === "you" ? this.s.seat : 0) ? 0 : 2]++;
    if (best[who] === null || this.s.score > best[who]) {
      best[who] = this.s.score;
      if (who === "you") kept.write("best", best.you);
    }
  }
  step() {  // true if it moved
    if (this.over || (this.human && TURNS && queued === null)) return false;
    this.tick(this.human ? TURNS ? take() : wanted(this.played) : this.choice());
    return true;
  }
  saliency() {  // board: [H * W] from 0 to 1; vector: a share for each input
    if (this.heat || this.over) return this.heat;
    const slope = this.net.saliency(this.out), size = this.frames[0].length;
    if (!slope) return null;
    const cells = GAME.grid ? GAME.grid[0] * GAME.grid[1] : size, sum = new Float64Array(cells);
    slope.forEach((g, i) => { sum[GAME.grid ? i % cells : i % size] += g; });
    if (!GAME.grid) {
      const change = sum.map((g, i) => g * usual(i)), all = change.reduce((a, b) => a + b, 0) || 1;
      return this.heat = change.map(v => v / all);
    }
    const middle = [...sum].sort((a, b) => a - b)[cells >> 1];
    this.peak = Math.max(...sum, 0.95 * this.peak, 1e-12);
    return this.heat = sum.map(v => Math.min(1, Math.max(0, (v - middle) / Math.max(this.peak - middle, 1e-12))));
  }
}

// How much each input usually varies, so that a gradient becomes the change that it stands for.
const moments = {count: 0, mean: [], square: []};
function notice(x) {
  moments.count++;
  x.forEach((v, i) => {
    const d = v - (moments.mean[i] ??= 0);
    moments.mean[i] += d / moments.count;
    moments.square[i] = (moments.square[i] ?? 0) + d * (v - moments.mean[i]);
  });
}
const usual = i => moments.count > 8 ? Math.sqrt(moments.square[i] / moments.count) : 1;

let seats = [], clock = 0, last = 0, queued = null, letter = null, dirty = true, paneled = 0;
const focus = () => seats[seats.length - 1];

function wanted(before) {  // the action for what is held, as envs/controls.py has it
  if (G.zero.length) {
    const action = [...G.zero];
    for (const button of Object.keys(G.axes)) if (held.has(button)) action[G.axes[button][0]] = G.axes[button][1];
    return action;
  }
  let found = -1, most = 0;
  G.buttons.forEach((needed, i) => { if (needed.length > most && needed.every(b => held.has(b))) { found = i; most = needed.length; } });
  return found >= 0 ? found : G.rest ?? before;
}
const take = () => { const action = queued; queued = null; return action; };
function press(action) { const legal = GAME.legal && GAME.legal(seats[0].s); if (action >= 0 && (!legal || legal[action])) queued = action; }

function arrange(mode) {
  Object.assign(view, {mode, hand: false, paused: false, won: [0, 0, 0]});
  seats = (mode === "watch" ? ["agent"] : mode === "play" ? ["you"] : ["you", "agent"]).map(who => new Seat(who));
  held.clear();
  $("boards").replaceChildren(...seats.map(seat => seat.element));
  document.body.className = GAME.two ? `${mode} two` : mode;
  for (const name of ["watch", "play", "race"]) $(name).classList.toggle("on", name === mode);
  again();
}
function again() {
  const rng = counter();
  for (const seat of seats) seat.restart(rng);
  clock = 0;
  queued = letter = null;
  view.waiting = view.mode !== "watch" && !TURNS;
  refresh();
}
function start() { if (view.waiting) { view.waiting = false; clock = 0; refresh(); } }
function handOver() {
  if (view.mode !== "watch" || GAME.two) return;
  view.hand = !view.hand;
  held.clear();
  refresh();
}

function refresh() {
  const human = view.hand || seats.some(seat => seat.who === "you");
  for (const seat of seats) seat.element.classList.toggle("you", seat.who === "you" || view.hand);
  $("hand").hidden = view.mode !== "watch" || Boolean(GAME.two);
  $("hand").textContent = view.hand ? "Hand back" : "Take over";
  $("hand").classList.toggle("on", view.hand);
  $("pause").innerHTML = `<svg width="14" height="14" viewBox="0 0 14 14" fill="currentColor"><path d="${view.paused ? "M3 1l10 6-10 6z" : "M2 1h4v12H2zM8 1h4v12H8z"}"/></svg>`;
  $("pause").setAttribute("aria-label", view.paused ? "Go on" : "Pause");
  $("step").disabled = !view.paused;
  if ($("pad").hidden === human) {
    $("pad").hidden = !human;
    $("pad").replaceChildren(...(human ? pads() : []));
  }
  $("seeing").hidden = !GAME.grid && !GAME.inputs || JSON.stringify(DATA.plan).includes('"op":"core"');
  const age = DATA.generations[view.age], scored = age.score === null ? (age.step ? "not evaluated" : "untrained") : `last evaluation ${shown(age.score)}` + (age.scored === age.step ? "" : ` (at ${age.scored.toLocaleString("en")})`);
  $("aged").replaceChildren(make("b", {textContent: `${age.step.toLocaleString("en")} steps`}), ` · ${scored}`);
  dirty = true;
}
function pads() {
  const order = ["left", "up", "down", "right", "fire"].filter(b => used.has(b)), own = GAME.pick ? [] : [...used].filter(b => !SIGNS[b]);
  return [...order, ...own].map(name => {
    const index = G.buttons.findIndex(needed => needed.length === 1 && needed[0] === name);
    const button = make("button", {textContent: SIGNS[name] ?? G.names[index], ariaLabel: index >= 0 ? G.names[index] : name});
    const let_go = () => { held.delete(name); button.classList.remove("held"); };
    button.addEventListener("pointerdown", e => { e.preventDefault(); start(); held.add(name); button.classList.add("held"); if (TURNS) press(wanted(null) ?? -1); });
    for (const end of ["pointerup", "pointercancel", "pointerleave"]) button.addEventListener(end, let_go);
    button.addEventListener("contextmenu", e => e.preventDefault());
    return button;
  });
}

const SIDES = {ConnectFour: ["RED", "YELLOW"], TicTacToe: ["X", "O"], Othello6: ["BLACK", "WHITE"], Othello: ["BLACK", "WHITE"]}[G.name];
const outcome = s => s.winner < 0 ? "DRAW" : view.mode === "play" || view.hand ? s.winner === s.seat ? "YOU WIN" : "THE AGENT WINS" : `${SIDES[s.winner]} WINS`;
function overlayText(seat, c, w, h) {
  const size = Math.max(13, w / 22), line = (text, y, s, colour) => words(c, text, w / 2, y, s, colour);
  if ((!seat.over && !view.waiting) || (GAME.two && performance.now() - seat.ended < 900)) return;
  c.fillStyle = GAME.two ? "#06091480" : "#060914b8";
  c.fillRect(0, 0, w, h);
  if (view.waiting) {
    line(view.mode === "race" && seat.who === "agent" ? "THE AGENT" : "YOUR GAME", h * 0.44, size * 1.5, TEXT);
    return line(seat.who === "agent" ? "starts from the same state" : "press a key or touch to start", h * 0.57, size * 0.75, YELLOW);
  }
  const both = view.mode === "race" && seats.every(s => s.over), other = seats.find(s => s !== seat);
  const head = !both ? "GAME OVER" : seat.s.score > other.s.score ? "WINS" : seat.s.score < other.s.score ? "LOSES" : "A DRAW";
  line(both && head !== "A DRAW" ? `${seat.who === "you" ? "YOU" : "AGENT"} ${seat.who === "you" ? head.slice(0, -1) : head}` : GAME.two ? outcome(seat.s) : head, h * 0.44, size * 1.7, TEXT);
  if (!GAME.two) line(`score ${shown(seat.s.score)}`, h * 0.57, size * 0.9, YELLOW);
  if (view.mode !== "watch" && (view.mode === "play" || both)) line("Enter or touch: again", h * 0.68, size * 0.65, MUTED);
}

function drawSeat(seat, part) {
  const canvas = seat.canvas, w = canvas.clientWidth, h = Math.round(w / LOOK.ratio), dense = Math.min(2, devicePixelRatio || 1);
  if (!w) return;
  if (canvas.width !== Math.round(w * dense) || canvas.height !== Math.round(h * dense)) {
    canvas.width = Math.round(w * dense);
    canvas.height = Math.round(h * dense);
    canvas.style.height = `${h}px`;
  }
  const c = canvas.getContext("2d", {alpha: false});
  c.setTransform(dense, 0, 0, dense, 0, 0);
  LOOK.paint(c, w, h, GAME.grid ? seat.s : glide(seat.s, seat.before, part), seat.before, part);
  if (view.overlay && seat === focus() && GAME.grid) {
    const [left, top, cell] = LOOK.place ? LOOK.place(w, h) : [0, 0, 0];
    c.translate(left, top);
    heatOn(c, cell ? cell * GAME.grid[1] : w, cell ? cell * GAME.grid[0] : h, seat);
    c.translate(-left, -top);
  }
  overlayText(seat, c, w, h);
}
function heatOn(c, w, h, seat, strength = 190) {
  const heat = seat.saliency(), [rows, columns] = GAME.grid;
  if (!heat) return;
  const image = new ImageData(columns, rows), small = heatOn.canvas ??= make("canvas");
  heat.forEach((v, i) => image.data.set([255, 92, 92, v * strength], 4 * i));
  Object.assign(small, {width: columns, height: rows});
  small.getContext("2d").putImageData(image, 0, 0);
  c.imageSmoothingQuality = "high";
  c.drawImage(small, 0, 0, w, h);
}

function panels() {
  for (const seat of seats) {
    const you = seat.who === "you" || view.hand, tally = ["WON", "DRAWN", "LOST"].map((label, k) => ["", you ? label : [SIDES?.[0], label, SIDES?.[1]][k], view.won[k]]);
    const facts = GAME.two ? [["score", "TO MOVE", seat.over ? "–" : SIDES[seat.s.player]], ...(GAME.facts ? GAME.facts(seat.s, G) : []), ...tally] : [["score", "SCORE", shown(seat.s.score)], ["", "BEST", shown(best[you ? "you" : "agent"])], ...(GAME.facts ? GAME.facts(seat.s, G) : [["", "STEP", seat.s.elapsed]])];
    const said = [...facts, ["who", "", seat.who === "you" ? GAME.two ? seat.human && GAME.passes?.(seat.s) ? "YOU HAVE NO MOVE: PLAY ANY CELL TO PASS" : `YOU PLAY ${SIDES[seat.s.seat]}` : "YOU" : view.hand ? "YOU HOLD THE CONTROLS" : "AGENT"]];
    if (seat.hud.childElementCount !== said.length) seat.hud.replaceChildren(...said.map(([className]) => make("span", {className}, "", make("b"))));
    said.forEach(([, label, value], i) => { const [word, number] = seat.hud.children[i].childNodes; write(word, label); write(number, value); });
  }
  const seat = focus(), {kind, bars, choice} = seat.out, [low, high] = seat.range;
  bars.forEach((v, i) => {
    const row = $("bars").children[i], bar = row.children[1].style;
    const part = kind === "values" ? (v - low) / Math.max(high - low, 1e-9) : kind === "probabilities" ? v : (v - G.low[i]) / (G.high[i] - G.low[i]);
    const from = kind === "continuous" ? Math.min(0.5, part) : 0;
    bar.setProperty("--from", `${100 * from}%`);
    bar.setProperty("--part", `${100 * Math.min(1, Math.max(0.01, kind === "continuous" ? Math.abs(part - 0.5) : part))}%`);
    write(row.children[2], kind === "probabilities" ? `${(100 * v).toFixed(1)}%` : v.toFixed(Math.abs(v) < 1000 ? 2 : 0));
    if (GAME.typed && !seat.over) row.hidden = !GAME.legal(seat.s)[i];  // dozens of moves, few of them legal
    row.classList.toggle("best", kind === "continuous" || i === choice);
    row.classList.toggle("taken", seat.human && kind !== "continuous" && i === seat.played);
  });
  drawTrace(seat.trace);
  const heat = seat.saliency();
  if (GAME.grid) drawMap(seat);
  else if (heat && GAME.inputs) heat.forEach((v, i) => { const row = $("inputs").children[i]; row.children[1].style.setProperty("--part", `${100 * v}%`); write(row.children[2], `${Math.round(100 * v)}%`); });
}
function write(node, text) { if (node.textContent !== String(text)) node.textContent = text; }  // a changed text costs a layout
function fitted(canvas, ratio) {
  const w = canvas.clientWidth, h = ratio ? Math.round(w / ratio) : canvas.clientHeight, dense = Math.min(2, devicePixelRatio || 1);
  if (canvas.width !== Math.round(w * dense) || canvas.height !== Math.round(h * dense)) {
    canvas.width = Math.round(w * dense);
    canvas.height = Math.round(h * dense);
    if (ratio) canvas.style.height = `${h}px`;
  }
  const c = canvas.getContext("2d");
  c.setTransform(dense, 0, 0, dense, 0, 0);
  c.globalAlpha = 1;
  c.clearRect(0, 0, w, h);
  return [c, w, h];
}
function drawTrace(all) {
  const [c, w, h] = fitted($("trace")), values = all.slice(-300), ink = getComputedStyle(document.body).color;
  if (values.length < 2) return;
  const low = Math.min(...values), high = Math.max(...values), span = Math.max(high - low, 1e-9), colour = document.documentElement.dataset.theme === "dark" ? CYAN : "#3558d8";
  const line = values.map((v, i) => [44 + (w - 50) * i / Math.max(values.length - 1, 60), 8 + (h - 16) * (1 - (v - low) / span)]);
  shape(c, [[44, h - 4], ...line, [line.at(-1)[0], h - 4]], colour + "22");
  stroke(c, line, colour, 1.6);
  disc(c, ...line.at(-1), 3, colour);
  c.globalAlpha = 0.7;
  words(c, high.toFixed(span < 1 ? 2 : 1), 38, 10, 11, ink, "right", 400);
  words(c, low.toFixed(span < 1 ? 2 : 1), 38, h - 10, 11, ink, "right", 400);
}
function drawMap(seat) {
  const [c, w, h] = fitted($("map"), GAME.grid[1] / GAME.grid[0] * (GAME.two ? 1 : 4 / 3));
  const [rows, columns] = GAME.grid, cell = [w / columns, h / rows], frame = seat.frames.at(-1);
  c.fillStyle = INK;
  c.fillRect(0, 0, w, h);
  frame.forEach((on, i) => { if (on) { const at = i % (rows * columns); box(c, at % columns * cell[0] + 1, Math.floor(at / columns) * cell[1] + 1, cell[0] - 2, cell[1] - 2, 2, "#4663b866"); } });
  heatOn(c, w, h, seat, 235);
}

function frame(now) {
  const dt = Math.min(0.25, (now - last) / 1000), human = seats.some(seat => seat.human);
  last = now;
  if (!view.paused && !view.waiting) {
    clock = TURNS && human && queued !== null ? Math.max(clock, 1) : clock + dt * (G.fps || 1.5) * view.speed;
    for (let n = 0; clock >= 1 && n < 400; n++, clock--) if (!advanceAll()) { clock = 0.999; break; }
    if (view.mode === "watch" && focus().over && now - focus().ended > 1800) again();
  }
  for (const seat of seats) drawSeat(seat, TURNS ? Math.min(1, (now - seat.moved) / 400) : Math.min(1, clock));
  if (dirty && now - paneled > 40) {
    panels();
    dirty = false;
    paneled = now;
  }
  requestAnimationFrame(frame);
}
function advanceAll() {
  let moved = false;
  for (const seat of seats) if (seat.step()) { moved = true; if (GAME.inputs && !seat.over) notice(seat.frames.at(-1)); }
  dirty ||= moved;
  return moved;
}
function setSpeed(power) { $("speed").value = power = Math.min(4, Math.max(-3, power)); view.speed = 2 ** power; $("pace").textContent = power < 0 ? `1/${2 ** -power}×` : `${view.speed}×`; }
function pause() { if (view.waiting) return start(); view.paused = !view.paused; refresh(); }
function setAge(k) { view.age = k; for (const seat of seats) { seat.net = network(); seat.range = [Infinity, -Infinity]; seat.think(); } refresh(); }
function setTheme(dark) { document.documentElement.dataset.theme = dark ? "dark" : "light"; dirty = true; }

addEventListener("keydown", e => {
  if (e.ctrlKey || e.metaKey || e.altKey) return;
  if (GAME.typed && seats[0].human && e.key.length === 1) {
    const [column, action] = typed(GAME, seats[0].s, letter, e.key);
    letter = column;
    if (action !== null) press(action);
    if (column !== null || action !== null) return e.preventDefault();
  }
  const human = seats.some(seat => seat.human), digit = /^[1-9]$/.test(e.key) ? `key ${e.key}` : null, button = KEYS[e.key.length === 1 ? e.key.toLowerCase() : e.key] ?? digit;
  if (e.target.type === "range" && e.key.startsWith("Arrow")) return;
  if (human && (used.has(button) || (view.waiting && button))) {
    e.preventDefault();
    start();
    held.add(button);
    if (TURNS && !e.repeat) press(G.buttons.findIndex(needed => needed.length === 1 && needed[0] === button));
    return;
  }
  const does = {Tab: handOver, p: pause, " ": e.target.tagName === "BUTTON" ? null : pause, Enter: e.target.tagName === "BUTTON" ? null : again, "+": () => setSpeed(Math.log2(view.speed) + 1), "-": () => setSpeed(Math.log2(view.speed) - 1), v: () => $("overlay").click(), ArrowRight: () => view.paused && advanceAll() }[e.key];
  if (!does || (e.key === "Tab" && (e.shiftKey || view.mode !== "watch"))) return;
  e.preventDefault();
  does();
});
addEventListener("keyup", e => { held.delete(KEYS[e.key.length === 1 ? e.key.toLowerCase() : e.key] ?? `key ${e.key}`); });
addEventListener("blur", () => held.clear());
for (const name of ["watch", "play", "race"]) $(name).onclick = () => { arrange(name); $(name).blur(); };
Object.assign($("pause"), {onclick: pause});
$("step").onclick = () => { advanceAll(); clock = 0.999; };
$("again").onclick = () => { again(); $("again").blur(); };
$("hand").onclick = () => { handOver(); $("hand").blur(); };
$("speed").oninput = () => setSpeed(Number($("speed").value));
$("theme").onclick = () => setTheme(document.documentElement.dataset.theme !== "dark");
$("overlay").onchange = () => { view.overlay = $("overlay").checked; };
$("sampled").onchange = () => { view.sampled = $("sampled").checked; };
$("age").max = DATA.generations.length - 1;
$("age").value = view.age;
$("age").oninput = () => setAge(Number($("age").value));
$("ages").hidden = DATA.generations.length < 2;
$("race").hidden = Boolean(GAME.alone);
$("barstitle").textContent = {values: "Action values", probabilities: "Action probabilities", continuous: "Action"}[DATA.plan.kind];
$("drawn").hidden = DATA.plan.kind !== "probabilities";
$("sampled").checked = view.sampled;
const row = name => make("div", {className: "row"}, make("span", {textContent: name, title: name}), make("i"), make("span"));
$("bars").append(...G.names.map(row));
$("over").hidden = $("map").hidden = !GAME.grid;
document.querySelector("header p").append(DATA.plan.tanhValue ? " · the network alone, without search" : "");
if (GAME.inputs) $("inputs").append(...(G.seen ? G.seen.map(i => GAME.inputs[i]) : GAME.inputs).map(row));
const legend = [...(GAME.typed ? [["c 4", "that cell, or touch the board"]] : []), ...[...used].filter(b => SIGNS[b]).map(b => [b === "fire" ? "Space" : SIGNS[b], G.axes[b] ? `${G.names[G.axes[b][0]]} ${G.axes[b][1]}` : G.names[G.buttons.findIndex(n => n[0] === b)] ?? b]), ...([...used].some(b => b.startsWith("key")) ? [[`1 – ${Math.min(9, G.names.length)}`, GAME.pick ? "the moves above, or touch the board" : "the answers above"]] : []), ...(GAME.two ? [] : [["Tab", "take over, hand back"]]), ["P", "pause, go on"], ["+ −", "faster, slower"], ["Enter", "new game"]];
$("keys").append(...legend.flatMap(([key, does]) => [make("dt", {textContent: key}), make("dd", {textContent: does})]));
const scheme = matchMedia("(prefers-color-scheme: dark)");
scheme.onchange = e => setTheme(e.matches);
setTheme(scheme.matches);
addEventListener("resize", () => { dirty = true; });
arrange("watch");
requestAnimationFrame(now => { last = now; frame(now); });
