// The games' rules, as envs/arcade and Gymnasium have them. A game: start(s), step(s, action, options) ->
// [reward, over], look(s) -> what the network reads. `s` is the whole state; tests compare it with Python's.
const WORD = (1n << 64n) - 1n;

function draw(s) {  // SplitMix64: the arcade's own generator, so that one counter means one game
  s.rng = (s.rng + 0x9E3779B97F4A7C15n) & WORD;
  let z = s.rng;
  z = (z ^ z >> 30n) * 0xBF58476D1CE4E5B9n & WORD;
  z = (z ^ z >> 27n) * 0x94D049BB133111EBn & WORD;
  return z ^ z >> 31n;
}
const uniform = s => Number(draw(s) >> 11n) * 2 ** -53;
const between = (s, low, high) => low + (high - low) * uniform(s);
const below = (s, n) => Number((draw(s) >> 32n) * BigInt(n) >> 32n);
const clamp = (x, low, high) => Math.min(Math.max(x, low), high);
const GAMES = {};

function begin(game, rng, options) {
  const s = {rng, elapsed: 0, score: 0, last_action: 0, ended: false};
  game.start(s, options);
  return s;
}

function advance(game, s, action, options) {  // options: limit, and of the arcade sticky and ramping
  if (game.codes) {
    action = uniform(s) < options.sticky ? s.last_action : game.codes[action];
    s.last_action = action;
  }
  const [reward, over] = game.step(s, action, options);
  s.score += reward;
  s.elapsed += 1;
  s.ended = over || s.elapsed >= options.limit;
  return reward;
}

// Classic control: s.x is Gymnasium's state
GAMES.CartPole = {
  inputs: ["position", "velocity", "angle", "turning"],
  start(s) { s.x = [0, 0, 0, 0].map(() => between(s, -0.05, 0.05)); },
  step(s, action) {
    let [x, v, angle, turn] = s.x;
    const cos = Math.cos(angle), sin = Math.sin(angle), force = action === 1 ? 10 : -10;
    const push = (force + 0.05 * (turn * turn) * sin) / 1.1;
    const bend = (9.8 * sin - cos * push) / (0.5 * (4 / 3 - 0.1 * (cos * cos) / 1.1));
    const gain = push - 0.05 * bend * cos / 1.1;
    s.x = [x, v, angle, turn] = [x + 0.02 * v, v + 0.02 * gain, angle + 0.02 * turn, turn + 0.02 * bend];
    const most = 12 * 2 * Math.PI / 360;
    return [1, x < -2.4 || x > 2.4 || angle < -most || angle > most];
  },
  look: s => s.x,
};

GAMES.MountainCar = {
  inputs: ["position", "velocity"],
  start(s) { s.x = [between(s, -0.6, -0.4), 0]; },
  step(s, action) {
    let [x, v] = s.x;
    v = clamp(v + ((action - 1) * 0.001 + Math.cos(3 * x) * -0.0025), -0.07, 0.07);
    x = clamp(x + v, -1.2, 0.6);
    if (x === -1.2 && v < 0) v = 0;
    s.x = [x, v];
    return [-1, x >= 0.5 && v >= 0];
  },
  look: s => s.x,
};

GAMES.MountainCarContinuous = {
  inputs: ["position", "velocity"],
  start(s) { s.x = [between(s, -0.6, -0.4), 0]; s.force = 0; },
  step(s, [action]) {
    const f = s.elapsed ? Math.fround : x => x;  // Gymnasium's state is float64 at first, then float32
    let [x, v] = s.x;
    const push = Math.abs(action) > 1 ? clamp(action, -1, 1) * 0.0015 : Math.fround(action * Math.fround(0.0015));
    const slope = 0.0025 * Math.cos(f(3 * x));
    const change = Math.abs(action) > 1 ? push - slope : Math.fround(push - Math.fround(slope));
    v = clamp(f(v + f(change)), -0.07, 0.07);
    x = clamp(f(x + f(v)), -1.2, 0.6);
    if (x === -1.2 && v < 0) v = 0;
    s.x = [Math.fround(x), Math.fround(v)];
    s.force = clamp(action, -1, 1);
    const over = x >= 0.45 && v >= 0;
    return [(over ? 100 : 0) - action ** 2 * 0.1, over];
  },
  look: s => s.x,
};

GAMES.Acrobot = {
  inputs: ["cos upper", "sin upper", "cos lower", "sin lower", "turning upper", "turning lower"],
  start(s) { s.x = [0, 0, 0, 0].map(() => Math.fround(between(s, -0.1, 0.1))); },
  slope([a, b, da, db], torque) {
    const {sin, cos, PI} = Math;
    const d1 = 0.25 + (1.25 + cos(b)) + 2, d2 = 0.25 + 0.5 * cos(b) + 1, low = 0.5 * 9.8 * cos(a + b - PI / 2);
    const high = -0.5 * db ** 2 * sin(b) - db * da * sin(b) + 1.5 * 9.8 * cos(a - PI / 2) + low;
    const bend = (torque + d2 / d1 * high - 0.5 * da ** 2 * sin(b) - low) / (1.25 - d2 ** 2 / d1);
    return [da, db, -(d2 * bend + high) / d1, bend];
  },
  step(s, action) {  // one step of Runge-Kutta
    const at = (k, dt) => s.x.map((v, i) => v + dt * k[i]), f = x => this.slope(x, action - 1), dt = 0.2;
    const k1 = f(s.x), k2 = f(at(k1, dt / 2)), k3 = f(at(k2, dt / 2)), k4 = f(at(k3, dt));
    const wrap = x => { while (x > Math.PI) x -= 2 * Math.PI; while (x < -Math.PI) x += 2 * Math.PI; return x; };
    const [a, b, da, db] = s.x.map((v, i) => v + dt / 6 * (k1[i] + 2 * k2[i] + 2 * k3[i] + k4[i]));
    s.x = [wrap(a), wrap(b), clamp(da, -4 * Math.PI, 4 * Math.PI), clamp(db, -9 * Math.PI, 9 * Math.PI)];
    const over = -Math.cos(s.x[0]) - Math.cos(s.x[1] + s.x[0]) > 1;
    return [over ? 0 : -1, over];
  },
  look: ({x: [a, b, da, db]}) => [Math.cos(a), Math.sin(a), Math.cos(b), Math.sin(b), da, db],
};

GAMES.Pendulum = {
  inputs: ["cos angle", "sin angle", "turning"],
  start(s) { s.x = [between(s, -Math.PI, Math.PI), between(s, -1, 1)]; s.force = 0; },
  step(s, [action]) {
    const f = Math.fround, [angle, turn] = s.x, u = clamp(action, -2, 2), round = 2 * Math.PI;
    const off = ((angle + Math.PI) % round + round) % round - Math.PI;
    const cost = off ** 2 + 0.1 * turn ** 2 + f(f(0.001) * f(u * u));
    const faster = clamp(turn + (15 * Math.sin(angle) + f(3 * u)) * 0.05, -8, 8);
    s.x = [angle + faster * 0.05, faster];
    s.force = u;
    return [-cost, false];
  },
  look: ({x: [angle, turn]}) => [Math.cos(angle), Math.sin(angle), turn],
};
