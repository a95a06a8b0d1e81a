// Draws a state in the colours of envs/drawing.py. The arcade places the very stamps of envs/arcade/picture.py.
const INK = "#0a0e1c", PANEL = "#131a30", EDGE = "#2a365c", TEXT = "#eaeffa", MUTED = "#8a96b8", RED = "#ff5c5c",
  ORANGE = "#ff9f43", YELLOW = "#ffd54a", GREEN = "#4cd97b", CYAN = "#4cc9f0", BLUE = "#5680ff", VIOLET = "#a46eff",
  STEEL = "#b2bed6";

// paint(c, w, h, now, part): `now` is between two states, see `glide`; `c` has the units of CSS pixels.
const PAINT = {};

function shape(c, points, fill) {
  c.beginPath();
  points.forEach(([x, y], i) => i ? c.lineTo(x, y) : c.moveTo(x, y));
  c.closePath();
  c.fillStyle = fill;
  c.fill();
}
function stroke(c, points, colour, width) {
  c.beginPath();
  points.forEach(([x, y], i) => i ? c.lineTo(x, y) : c.moveTo(x, y));
  Object.assign(c, {strokeStyle: colour, lineWidth: width, lineCap: "round", lineJoin: "round"});
  c.stroke();
}
function disc(c, x, y, r, fill) {
  c.beginPath();
  c.arc(x, y, Math.max(0, r), 0, 7);
  c.fillStyle = fill;
  c.fill();
}
function box(c, x, y, w, h, r, fill) {
  c.beginPath();
  c.roundRect(x, y, w, h, r);
  c.fillStyle = fill;
  c.fill();
}
function glow(c, x, y, r, colour, strength = 0.5) {
  const light = c.createRadialGradient(x, y, 0, x, y, r);
  light.addColorStop(0, colour + Math.round(255 * strength).toString(16).padStart(2, "0"));
  light.addColorStop(1, colour + "00");
  disc(c, x, y, r, light);
}
function down(c, h, ...stops) {
  const g = c.createLinearGradient(0, 0, 0, h);
  stops.forEach((colour, i) => g.addColorStop(i / (stops.length - 1), colour));
  return g;
}
function words(c, text, x, y, size, colour = TEXT, align = "center", weight = 600) {
  Object.assign(c, {font: `${weight} ${size}px system-ui, sans-serif`, fillStyle: colour, textAlign: align, textBaseline: "middle"});
  c.fillText(text, x, y);
}

// Runs `paint` once for each size, and places the picture.
function backdrop(c, w, h, paint) {
  const {a: dense} = c.getTransform(), wide = Math.round(w * dense), high = Math.round(h * dense), made = paint.made ??= {};
  const picture = made[wide] ??= document.createElement("canvas");
  if (picture.width !== wide || picture.height !== high) {
    Object.assign(picture, {width: wide, height: high});
    const own = picture.getContext("2d");
    own.scale(dense, dense);
    paint(own, w, h);
  }
  c.drawImage(picture, 0, 0, w, h);
}
// A picture of `ART` in the device's pixels, scaled once for each size: Firefox takes 4 ms to scale a whole board.
function sized(name, wide, high, facing = 1) {
  const key = `${name} ${wide} ${high} ${facing}`, made = sized.made ??= new Map();
  if (made.has(key) || !ART[name].complete) return made.get(key) ?? ART[name];
  if (made.size > 400) made.clear();  // a window that is being resized
  const picture = Object.assign(document.createElement("canvas"), {width: wide, height: high}), own = picture.getContext("2d");
  own.imageSmoothingQuality = "high";
  own.setTransform(facing, 0, 0, 1, facing < 0 ? wide : 0, 0);
  own.drawImage(ART[name], 0, 0, wide, high);
  made.set(key, picture);
  return picture;
}
function night(c, w, h) {  // a dark court with a faint grid of lights, as behind the arcade's Breakout
  c.fillStyle = down(c, h, "#181a3e", "#090c1c");
  c.fillRect(0, 0, w, h);
  const step = w / 16;
  for (let x = step / 2; x < w; x += step) stroke(c, [[x, 0], [x, h]], "#5680ff12", 1);
  for (let y = step / 2; y < h; y += step) stroke(c, [[0, y], [w, y]], "#5680ff12", 1);
}
const STARS = Array.from({length: 90}, (_, i) => {  // the same sky on every page
  const r = k => { const v = Math.sin(i * 127.1 + k * 311.7) * 43758.5453; return v - Math.floor(v); };
  return [r(1), r(2), 0.4 + r(3) * 0.9, 0.25 + r(4) * 0.7];
});
function sky(c, w, h) {
  c.fillStyle = down(c, h, "#0c0a22", "#1a123a", "#2c2258");
  c.fillRect(0, 0, w, h);
  glow(c, w * 0.25, h * 0.3, w * 0.4, VIOLET, 0.14);
  for (const [x, y, r, light] of STARS) disc(c, x * w, y * h * 0.8, r * w / 700, `rgba(255,255,255,${light})`);
}
function arrow(c, x, y, length, colour, size) {
  if (Math.abs(length) < size) return;
  const way = Math.sign(length), tip = x + length;
  stroke(c, [[x, y], [tip - way * size, y]], colour, size * 0.55);
  shape(c, [[tip, y], [tip - way * size * 1.5, y - size * 0.9], [tip - way * size * 1.5, y + size * 0.9]], colour);
}

PAINT.CartPole = {
  ratio: 16 / 9,
  paint(c, w, h, s) {
    backdrop(c, w, h, night);
    const [x, , angle] = s.x, unit = w / 5.4, y = h * 0.76, cx = w / 2 + x * unit, long = unit * 1.35, u = unit / 8;
    box(c, w / 2 - 2.62 * unit, y + 2.1 * u, 5.24 * unit, u * 0.9, u * 0.45, "#2a365c");
    box(c, w / 2 - 2.62 * unit, y + 2.1 * u, 5.24 * unit, u * 0.3, u * 0.15, "#5a6a9c");
    for (let k = -4; k <= 4; k++) stroke(c, [[w / 2 + k * 0.6 * unit, y + 3.3 * u], [w / 2 + k * 0.6 * unit, y + 3.8 * u]], "#8a96b860", 2);
    for (const side of [-1, 1]) { const e = w / 2 + side * 2.4 * unit; box(c, e - u * 0.2, y - 1.4 * u, u * 0.4, 4 * u, u * 0.2, RED + "a0"); }
    const limit = 12 * Math.PI / 180, pivot = y - u * 0.9;
    c.beginPath();
    c.moveTo(cx, pivot);
    c.arc(cx, pivot, long * 1.12, -Math.PI / 2 - limit, -Math.PI / 2 + limit);
    c.closePath();
    c.fillStyle = "#4cc9f014";
    c.fill();
    glow(c, cx, y, unit * 0.9, BLUE, 0.35);
    box(c, cx - 2.4 * u, y - 1.5 * u, 4.8 * u, 3 * u, u * 0.6, "#6b768e");
    box(c, cx - 2.4 * u, y - 1.5 * u, 4.8 * u, 2.6 * u, u * 0.6, STEEL);
    box(c, cx - 2.4 * u, y + 0.3 * u, 4.8 * u, 0.6 * u, 0, ORANGE);
    box(c, cx - 2.0 * u, y - 1.2 * u, 4.0 * u, 0.4 * u, u * 0.2, "#ffffffb0");
    for (const side of [-1.4, 1.4]) { disc(c, cx + side * u, y + 1.5 * u, 0.85 * u, "#0e1018"); disc(c, cx + side * u, y + 1.5 * u, 0.4 * u, STEEL); }
    const tip = [cx + Math.sin(angle) * long, pivot - Math.cos(angle) * long];
    stroke(c, [[cx, pivot], tip], "#a0741f", u * 1.05);
    stroke(c, [[cx - u * 0.08, pivot], [tip[0] - u * 0.08, tip[1]]], YELLOW, u * 0.85);
    glow(c, ...tip, u * 3, YELLOW, 0.55);
    disc(c, ...tip, u * 0.62, "#fff0be");
    disc(c, cx, pivot, u * 0.75, "#3c4666");
    disc(c, cx, pivot, u * 0.4, CYAN);
    if (s.played !== undefined) arrow(c, cx + (s.played ? 1 : -1) * 2.8 * u, y - 0.2 * u, (s.played ? 1 : -1) * 2.2 * u, CYAN + "c0", u * 0.8);
  },
};

function mountain(goal) {
  return {
    ratio: 16 / 10,
    paint(c, w, h, s) {
      backdrop(c, w, h, sky);
      const X = x => (x + 1.2) / 1.8 * w, H = x => Math.sin(3 * x) * 0.45 + 0.55, Y = x => h * (0.93 - 0.62 * H(x)), u = w / 90;
      const ridge = Array.from({length: 91}, (_, i) => -1.2 + 1.8 * i / 90).map(x => [X(x), Y(x)]);
      shape(c, [[0, h], ...ridge.map(([x, y]) => [x, y + u * 0.3]), [w, h]], down(c, h, "#24543a", "#1e4e50", "#0e2230"));
      stroke(c, ridge, "#46aa82", u * 0.45);
      const top = [X(goal), Y(goal)];
      glow(c, top[0], top[1] - 8 * u, 9 * u, GREEN, 0.25);
      stroke(c, [top, [top[0], top[1] - 10 * u]], "#dfe6f6", u * 0.4);
      shape(c, [[top[0], top[1] - 10 * u], [top[0] + 5 * u, top[1] - 8.5 * u], [top[0], top[1] - 7 * u]], GREEN);
      const x = s.x[0], tilt = Math.atan2(Y(x + 0.02) - Y(x - 0.02), X(x + 0.02) - X(x - 0.02));
      c.save();
      c.translate(X(x), Y(x));
      c.rotate(tilt);
      c.scale(u, u);
      glow(c, 0, -2.4, 8, ORANGE, 0.3);
      box(c, -4, -4.1, 8, 2.7, 1.1, "#a8512a");
      box(c, -4, -4.1, 8, 2.2, 1.1, ORANGE);
      shape(c, [[-2.4, -4], [-1.5, -5.8], [1.4, -5.8], [2.4, -4]], "#182038");
      shape(c, [[-1.2, -4.2], [-0.8, -5.4], [0.9, -5.4], [1.5, -4.2]], "#bcecff");
      disc(c, 3.7, -2.9, 0.4, "#fff6c8");
      for (const wheel of [-2.3, 2.3]) { disc(c, wheel, -1.25, 1.25, "#0e1018"); disc(c, wheel, -1.25, 0.55, STEEL); }
      const push = s.force !== undefined ? s.force : (s.played === undefined ? 1 : s.played) - 1;
      arrow(c, push > 0 ? 4.8 : -4.8, -2.6, push * 5, CYAN + "d0", 0.9);
      c.restore();
    },
  };
}
PAINT.MountainCar = mountain(0.5);
PAINT.MountainCarContinuous = mountain(0.45);

function link(c, from, to, width, colour, shade) {
  stroke(c, [from, to], shade, width);
  stroke(c, [from, to], colour, width * 0.68);
}
PAINT.Acrobot = {
  ratio: 4 / 3,
  paint(c, w, h, s) {
    backdrop(c, w, h, night);
    const unit = h / 4.7, at = [w / 2, h / 2 + unit * 0.1], [a, b] = s.x, u = unit / 9;
    const elbow = [at[0] + Math.sin(a) * unit, at[1] + Math.cos(a) * unit];
    const tip = [elbow[0] + Math.sin(a + b) * unit, elbow[1] + Math.cos(a + b) * unit], high = at[1] - unit, won = tip[1] < high;
    c.setLineDash([u * 1.2, u * 1.2]);
    stroke(c, [[w * 0.08, high], [w * 0.92, high]], won ? GREEN : CYAN + "a0", u * 0.35);
    c.setLineDash([]);
    words(c, "swing the tip above the line", w * 0.08, high - u * 1.6, Math.max(11, u * 1.5), MUTED, "left", 500);
    link(c, at, elbow, u * 2, BLUE, "#2a4290");
    link(c, elbow, tip, u * 1.8, ORANGE, "#94561c");
    glow(c, ...tip, u * 5, won ? GREEN : YELLOW, 0.55);
    disc(c, ...tip, u * 0.85, "#fff0be");
    for (const [p, r] of [[at, 1.5], [elbow, 1.25]]) { disc(c, ...p, u * r, "#3c4666"); disc(c, ...p, u * r * 0.55, STEEL); }
    const push = s.played === undefined ? 0 : s.played - 1;
    if (push) turn(c, elbow, u * 3.2, push, CYAN);
  },
};
function turn(c, [x, y], r, push, colour) {  // an arc with a tip: a torque, positive against the clock
  const end = -Math.PI / 2 - push * 1.9, way = -Math.sign(push), p = [x + r * Math.cos(end), y + r * Math.sin(end)], k = r * 0.34;
  c.beginPath();
  c.arc(x, y, r, -Math.PI / 2, end, push > 0);
  Object.assign(c, {strokeStyle: colour, lineWidth: r * 0.14, lineCap: "round"});
  c.stroke();
  const t = [-Math.sin(end) * way, Math.cos(end) * way], n = [Math.cos(end), Math.sin(end)];
  shape(c, [[p[0] + t[0] * k, p[1] + t[1] * k], [p[0] + n[0] * k, p[1] + n[1] * k], [p[0] - n[0] * k, p[1] - n[1] * k]], colour);
}
PAINT.Pendulum = {
  ratio: 4 / 3,
  paint(c, w, h, s) {
    backdrop(c, w, h, night);
    const unit = h / 2.6, at = [w / 2, h / 2], u = unit / 14, [angle] = s.x;
    const tip = [at[0] - Math.sin(angle) * unit, at[1] - Math.cos(angle) * unit];
    c.setLineDash([u, u]);
    stroke(c, [at, [at[0], at[1] - unit]], GREEN + "70", u * 0.35);
    c.setLineDash([]);
    link(c, at, tip, u * 2.6, RED, "#8e3340");
    glow(c, ...tip, u * 5, YELLOW, 0.5);
    disc(c, ...tip, u * 1.7, "#fff0be");
    disc(c, ...at, u * 1.6, "#3c4666");
    disc(c, ...at, u * 0.8, STEEL);
    if (Math.abs(s.force) > 0.05) turn(c, at, u * 5.5, s.force / 2, CYAN);
  },
};

// A state `part` of the way from the one before: classic control glides in its numbers, the arcade in its sprites.
function glide(s, before, part) {
  if (!before || part >= 1 || !s.x || !s.x.map) return s;
  const turned = d => d > Math.PI ? d - 2 * Math.PI : d < -Math.PI ? d + 2 * Math.PI : d;
  return {...s, x: s.x.map((v, i) => before.x[i] + turned(v - before.x[i]) * part)};
}

// The arcade: sprites as envs/arcade/scene.py reads them from a state and the one before.
const change = (s, old, field) => { const d = old ? s[field] - old[field] : 0; return Math.abs(d) <= 1 ? d : 0; };
const SPRITES = {
  Breakout(s, old, put) {
    s.bricks.forEach((row, k) => { for (let x = 0; x < 10; x++) if (row >> x & 1) put(`brick${k}`, x, k + 1); });
    put("paddle0", s.paddle, 9, {moved: [change(s, old, "paddle"), 0]});
    const came = [s.ball_x - s.trail_x, s.ball_y - s.trail_y];
    put("ball0", s.ball_x, s.ball_y, {moved: came, sparks: came});
  },
  Asterix(s, old, put) {
    const crossed = old ? old.move_timer === 0 : s.move_timer >= s.move_period - 1 && s.elapsed > 0;
    s.kind.forEach((kind, k) => {
      if (kind) put(kind === 2 ? "gold0" : "enemy0", s.lane_x[k], k + 1, {facing: s.heading[k], streak: "streak2", moved: [crossed ? s.heading[k] : 0, 0]});
    });
    put("hero0", s.x, s.y, {moved: [change(s, old, "x"), change(s, old, "y")]});
  },
  Freeway(s, old, put) {
    s.car_x.forEach((x, k) => {
      const speed = s.car_speed[k], way = Math.sign(speed), pace = 5 - Math.abs(speed);
      put(`car${pace}`, x, k + 1, {facing: way, streak: `streak${pace}`, moved: [s.car_timer[k] === Math.abs(speed) && s.elapsed ? way : 0, 0]});
    });
    put("chicken0", 4, s.y, {moved: [0, change(s, old, "y")]});
  },
  Seaquest(s, old, put) {
    for (const [list, kind] of [["shots", "torpedo0"], ["bombs", "enemy_torpedo0"]]) {
      for (const [x, y, right] of s[list]) put(kind, x, y, {facing: right ? 1 : -1, moved: [right ? 1 : -1, 0]});
    }
    for (const [list, kind] of [["fish", "fish0"], ["subs", "enemy_submarine0"], ["divers", "diver0"]]) for (const [x, y, right, move] of s[list]) {
      const way = right ? 1 : -1, period = list === "divers" ? 5 : s.move_period;
      const swam = old ? old[list].some(t => t[3] === 0 && t[0] === x - way && t[1] === y && t[2] === right) : move >= period;
      put(kind, x, y, {facing: way, streak: "streak2", moved: [swam ? way : 0, 0]});
    }
    put("submarine0", s.x, s.y, {facing: s.facing_right ? 1 : -1, moved: [change(s, old, "x"), change(s, old, "y")]});
  },
  SpaceInvaders(s, old, put) {
    const top = Math.max(0, s.aliens.findIndex(row => row)), many = rows => rows.reduce((n, row) => n + bits(row), 0);
    const marched = old && s.march_timer >= old.march_timer && many(s.aliens) <= many(old.aliens) ? (s.heading !== old.heading ? [0, 1] : [s.heading, 0]) : [0, 0];
    for (let y = 0; y < 10; y++) for (let x = 0; x < 10; x++) {
      if (s.shots[y] >> x & 1) put("shot0", x, y, {moved: [0, -1], fall: -1});
      if (s.bombs[y] >> x & 1) put("enemy_shot0", x, y, {moved: [0, !old || (y > 0 && old.bombs[y - 1] >> x & 1) ? 1 : 0], fall: 1});
      if (s.aliens[y] >> x & 1) put(`alien${(y - top) % 4}`, x, y, {moved: marched});
    }
    put("cannon0", s.x, 9, {moved: [change(s, old, "x"), 0]});
  },
};

function arcade(name) {
  return {
    ratio: 4 / 3,
    paint(c, w, h, s, before, part) {
      const u = w / 10, v = h / 10, old = before && before.elapsed + 1 === s.elapsed ? before : null, {a: dense} = c.getTransform();
      const place = (name, x, y, wide, high, facing) => {  // in whole pixels of the device, so that nothing is scaled
        [x, y, wide, high] = [x, y, wide, high].map(k => Math.round(k * dense));
        c.drawImage(sized(name, wide, high, facing), x / dense, y / dense, wide / dense, high / dense);
      };
      const stamp = (picture, x, y, facing = 1, size = 1) => place(picture, x - 0.75 * u * size, y - 0.75 * v * size, 1.5 * u * size, 1.5 * v * size, facing);
      place("backdrop", 0, 0, w, h);
      SPRITES[name](s, old, (picture, x, y, {facing = 1, moved = [0, 0], streak, sparks, fall} = {}) => {
        const at = [(x + 0.5 - moved[0] * (1 - part)) * u, (y + 0.5 - moved[1] * (1 - part)) * v];
        for (let age = 6; sparks && age; age--) stamp(`spark${age}`, at[0] - sparks[0] * age / 5 * u, at[1] - sparks[1] * age / 5 * v);
        if (streak) stamp(streak, at[0] - facing * 0.78 * u, at[1], facing);
        if (fall) stamp("fall0", at[0], at[1] - fall * 0.7 * v);
        stamp(picture, ...at, facing);
      });
      if (name !== "Seaquest") return;
      const y = 9.53 * v, size = v * 0.36;
      words(c, "OXYGEN", 0.3 * u, y, size, TEXT, "left");
      const from = 0.3 * u + size * 5, long = 5.8 * u - from, air = Math.max(0, s.oxygen / 200);
      box(c, from, y - v * 0.15, long, v * 0.3, v * 0.15, "#3a2e2e");
      if (air > 0) box(c, from, y - v * 0.15, Math.max(v * 0.3, long * air), v * 0.3, v * 0.15, air > 0.3 ? CYAN : RED);
      for (let k = 0; k < 6; k++) stamp(k < s.divers_aboard ? "diver0" : "no_diver0", (6.3 + k * 0.64) * u, y, 1, 0.62);
    },
  };
}
for (const name of Object.keys(SPRITES)) PAINT[name] = arcade(name);

// Board games, as in envs/boards/picture.py: a stone falls, grows, or turns over.
function room(c, w, h) { c.fillStyle = down(c, h, "#0f152a", "#070a16"); c.fillRect(0, 0, w, h); }
const placed = (W, H, rim) => (w, h) => { const cell = Math.min(h / (H + rim), w / (W + rim)); return [(w - cell * W) / 2, (h - cell * H) / 2, cell]; };
function board(W, H, colours, drops) {
  return {
    ratio: 4 / 3,
    place: placed(W, H, 0.7),
    paint(c, w, h, s, before, part) {
      backdrop(c, w, h, room);
      const [left, top, u] = this.place(w, h), spot = k => [left + (k % W + 0.5) * u, top + (Math.floor(k / W) + 0.5) * u];
      box(c, left - 0.16 * u, top - 0.16 * u, (W + 0.32) * u, (H + 0.32) * u, 0.3 * u, drops ? "#09102c" : "#26325a");
      for (let k = 0; !drops && k < W * H; k++) { const [x, y] = spot(k); box(c, x - 0.46 * u, y - 0.46 * u, 0.92 * u, 0.92 * u, 0.1 * u, "#141c36"); }
      s.cells.forEach((owner, k) => {
        if (owner < 0) return;
        const fresh = k === s.last && part < 1, [x, y] = spot(k), colour = colours[owner];
        const fall = fresh && drops ? top - 0.5 * u + (y - top + 0.5 * u) * part * part : y, r = 0.4 * u * (fresh && !drops ? 0.4 + 0.6 * Math.min(1, 2 * part) : 1);
        if (!drops) {
          if (owner) { c.beginPath(); c.arc(x, y, r * 0.72, 0, 7); Object.assign(c, {strokeStyle: colour, lineWidth: 0.13 * u}); c.stroke(); }
          else for (const side of [-1, 1]) stroke(c, [[x - r * 0.68, y - side * r * 0.68], [x + r * 0.68, y + side * r * 0.68]], colour, 0.13 * u);
          return;
        }
        disc(c, x, fall, r, colour);
        disc(c, x, fall, r * 0.8, "#00000030");
        disc(c, x, fall - r * 0.04, r * 0.76, colour);
        disc(c, x - r * 0.3, fall - r * 0.34, r * 0.14, "#ffffff70");
      });
      if (drops) {
        c.beginPath();
        c.roundRect(left - 0.16 * u, top - 0.16 * u, (W + 0.32) * u, (H + 0.32) * u, 0.3 * u);
        for (let k = 0; k < W * H; k++) { const [x, y] = spot(k); c.moveTo(x + 0.4 * u, y); c.arc(x, y, 0.4 * u, 0, 2 * Math.PI); }
        c.fillStyle = down(c, h, "#3a68ea", "#2448b4");
        c.fill("evenodd");
      }
      for (const k of part < 1 ? [] : s.line) { const [x, y] = spot(k); c.beginPath(); c.arc(x, y, 0.43 * u, 0, 7); Object.assign(c, {strokeStyle: "#fff", lineWidth: 0.06 * u}); c.stroke(); }
      if (part >= 1 && drops && !s.line.length && s.last !== undefined) disc(c, ...spot(s.last), 0.08 * u, "#0a0e1cb0");
    },
  };
}
PAINT.ConnectFour = board(7, 6, [RED, YELLOW], true);
PAINT.TicTacToe = board(3, 3, [CYAN, "#ff7ac6"], false);

function othelloBoard(size) {
  const felt = place => (c, w, h) => {
    room(c, w, h);
    const [left, top, u] = place(w, h), far = size * u, name = (text, x, y) => words(c, text, left + x * u, top + y * u, 0.3 * u, MUTED, "center", 500);
    box(c, left - 0.22 * u, top - 0.22 * u, far + 0.44 * u, far + 0.44 * u, 0.16 * u, "#5c4230");
    box(c, left - 0.07 * u, top - 0.07 * u, far + 0.14 * u, far + 0.14 * u, 0.05 * u, "#142c24");
    box(c, left, top, far, far, 0, down(c, h, "#288058", "#145e44"));
    for (let k = 1; k < size; k++) {
      stroke(c, [[left + k * u, top], [left + k * u, top + far]], "#0b3c2c", 0.028 * u);
      stroke(c, [[left, top + k * u], [left + far, top + k * u]], "#0b3c2c", 0.028 * u);
    }
    for (const x of [2, size - 2]) for (const y of [2, size - 2]) disc(c, left + x * u, top + y * u, 0.065 * u, "#0b3c2c");
    for (let k = 0; k < size; k++) { name("abcdefgh"[k], k + 0.5, size + 0.44); name(k + 1, -0.44, k + 0.5); }
  };
  const place = placed(size, size, 1.4), ground = felt(place);
  const stone = (c, x, y, r, owner, across) => {  // `across`: how wide it is while it turns over
    for (const [dy, part, fill] of [[0.03, 1, owner ? "#464c5c" : "#f0f2f6"], [0, 1, owner ? "#bbbdc0" : "#14161e"], [-0.01, 0.94, owner ? "#f0f2f6" : "#1e222e"]]) {
      c.beginPath();
      c.ellipse(x, y + dy * r * 2, r * part * across, r * part, 0, 0, 7);
      c.fillStyle = fill;
      c.fill();
    }
  };
  return {
    ratio: 4 / 3,
    place,
    paint(c, w, h, s, before, part) {
      backdrop(c, w, h, ground);
      const [left, top, u] = place(w, h), spot = k => [left + (k % size + 0.5) * u, top + (Math.floor(k / size) + 0.5) * u];
      s.cells.forEach((owner, k) => {
        if (owner < 0) {
          if (part >= 1 && !s.ended && s.free[k]) disc(c, ...spot(k), 0.13 * u, s.player ? "#f0f2f672" : "#1e222e72");
          return;
        }
        const far = Math.abs(k % size - Math.floor(k / size)), half = s.flipped.includes(k) ? clamp(2 * part - 0.7 - 0.05 * far, 0, 1) : 1;
        const grown = k === s.last ? 0.4 + 0.6 * Math.min(1, 2 * part) : 1;
        stone(c, ...spot(k), 0.4 * u * grown, half >= 0.5 ? owner : 1 - owner, Math.max(0.08, Math.abs(1 - 2 * half)));
      });
      if (part >= 1 && s.last < size * size) disc(c, ...spot(s.last), 0.08 * u, ORANGE);
    },
  };
}
PAINT.Othello6 = othelloBoard(6);
PAINT.Othello = othelloBoard(8);

// Memory tasks, as in envs/cards.py: a table with one card, which shows only what the player may see.
const SUITS = [CYAN, ORANGE, VIOLET, GREEN, "#ff7ac6", BLUE, YELLOW, RED], LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
function table(c, w, h, title, card, asks, said, right, gone) {
  c.fillStyle = INK;
  c.fillRect(0, 0, w, h);
  const u = h / 12, [x, y] = [w / 2 - 2.5 * u, 1.9 * u];
  words(c, title, w / 2, u, 0.65 * u, MUTED);
  box(c, x - 4, y - 4, 5 * u + 8, 7 * u + 8, 0.5 * u + 4, asks ? YELLOW : EDGE);
  box(c, x, y, 5 * u, 7 * u, 0.5 * u, card === null ? PANEL : SUITS[card % 8]);
  if (card !== null) words(c, LETTERS[card], w / 2, y + 3.7 * u, 3.6 * u, INK, "center", 700);
  else if (asks) words(c, "?", w / 2, y + 3.7 * u, 3.2 * u, YELLOW);
  if (said !== null) words(c, said === right ? `said ${LETTERS[said]}: right` : `said ${LETTERS[said]}, it was ${LETTERS[right]}`, w / 2, 10.1 * u, 0.75 * u, said === right ? GREEN : RED);
  box(c, u, 11.1 * u, w - 2 * u, 0.25 * u, 0.12 * u, EDGE);
  box(c, u, 11.1 * u, (w - 2 * u) * Math.min(1, gone), 0.25 * u, 0.12 * u, MUTED);
}
PAINT.RememberCue = {
  ratio: 4 / 3,
  paint(c, w, h, s) { const over = s.t > s.delay; table(c, w, h, "Remember the cue", s.t === 0 || over ? s.card : null, s.t === s.delay, over ? s.said : null, s.card, s.t / s.delay); },
};
PAINT.RepeatPrevious = {
  ratio: 4 / 3,
  paint(c, w, h, s) {
    const t = s.said.length, judged = t > s.k;
    table(c, w, h, s.k === 1 ? "What was it before?" : `What was it ${s.k} cards ago?`, s.shown[t], s.k <= t && t < s.length, judged ? s.said[t - 1] : null, judged ? s.shown[t - 1 - s.k] : null, t / s.length);
  },
};
