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
const below = (s, n) => s.fed ? s.fed.shift() : Number((draw(s) >> 32n) * BigInt(n) >> 32n);  // `fed`: a test's own draws
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
  inputs: ["cos upper", "sin upper", "cos lower", "sin lower", "turn upper", "turn lower"],
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

// The arcade, as envs/arcade has it: fields keep their names, rows of bits are whole numbers.
const NOOP = 0, LEFT = 1, UP = 2, RIGHT = 3, DOWN = 4, FIRE = 5;
const moved = (place, action, back, forth, low, high) => clamp(place + (action === forth) - (action === back), low, high);
const FULL = 1023, SWARM = 0b0011111100;

function planes(count, draw) {  // [count, 10, 10], flat: what the network reads
  const board = new Uint8Array(count * 100);
  draw((y, x, channel, on = true) => { board[channel * 100 + y * 10 + x] = on ? 1 : 0; });
  return board;
}

GAMES.Breakout = {
  codes: [NOOP, LEFT, RIGHT], grid: [10, 10],
  start(s) {
    const side = below(s, 2);
    Object.assign(s, {paddle: 4, ball_x: 9 * side, ball_y: 3, trail_x: 9 * side, trail_y: 3, dx: 1 - 2 * side, dy: 1, striking: 0});
    s.bricks = [FULL, FULL, FULL];
  },
  step(s, action) {
    let reward = 0, over = false, x = s.ball_x + s.dx, y = s.ball_y + s.dy;
    s.paddle = moved(s.paddle, action, LEFT, RIGHT, 0, 9);
    if (x < 0 || x > 9) { x = s.ball_x; s.dx = -s.dx; }
    const touching = y >= 1 && y <= 3 ? s.bricks[y - 1] >> x & 1 : 0;
    if (touching) {
      if (!s.striking) { reward = 1; s.bricks[y - 1] ^= 1 << x; y = s.ball_y; s.dy = -s.dy; }
    } else if (y < 0) {
      y = 0;
      s.dy = -s.dy;
    } else if (y === 9) {
      if (!s.bricks.some(row => row)) s.bricks = [FULL, FULL, FULL];
      if (s.paddle === s.ball_x) { y = s.ball_y; s.dy = -s.dy; }
      else if (s.paddle === x) { y = s.ball_y; s.dx = -s.dx; s.dy = -s.dy; }
      else over = true;
    }
    Object.assign(s, {striking: touching, trail_x: s.ball_x, trail_y: s.ball_y, ball_x: x, ball_y: y});
    return [reward, over];
  },
  look: s => planes(4, set => {
    set(9, s.paddle, 0);
    set(s.ball_y, s.ball_x, 1);
    set(s.trail_y, s.trail_x, 2);
    s.bricks.forEach((row, k) => { for (let x = 0; x < 10; x++) set(k + 1, x, 3, row >> x & 1); });
  }),
};

const bits = row => { let n = 0; for (; row; row &= row - 1) n++; return n; };
GAMES.SpaceInvaders = {
  codes: [NOOP, LEFT, RIGHT, FIRE], grid: [10, 10],
  facts: s => [["", "LEVEL", s.ramp_level + 1]],
  start(s) {
    Object.assign(s, {x: 5, heading: -1, reload_timer: 0, bomb_timer: 10, march_timer: 12, march_period: 12, ramp_level: 0});
    s.shots = Array(10).fill(0);
    s.bombs = Array(10).fill(0);
    this.land(s);
  },
  land(s) { s.aliens = Array.from({length: 10}, (_, y) => y < 4 ? SWARM : 0); },
  march(s) {
    const columns = s.aliens.reduce((a, b) => a | b);
    if (columns & (s.heading < 0 ? 1 : 1 << 9)) {
      s.heading = -s.heading;
      const bottom = s.aliens.pop();
      s.aliens.unshift(bottom);
      return bottom !== 0;
    }
    s.aliens = s.aliens.map(row => s.heading < 0 ? row >> 1 : row << 1);
    return false;
  },
  bomb(s) {
    for (let d = 0; d < 10; d++) for (const x of [s.x - d, s.x + d]) {
      if (x < 0 || x > 9) continue;
      for (let y = 9; y >= 0; y--) if (s.aliens[y] >> x & 1) { s.bombs[y] |= 1 << x; return; }
    }
  },
  step(s, action, {ramping}) {
    let reward = 0, left = 0;
    if (action === FIRE && s.reload_timer === 0) { s.shots[9] |= 1 << s.x; s.reload_timer = 5; }
    s.x = moved(s.x, action, LEFT, RIGHT, 0, 9);
    const cannon = 1 << s.x;
    s.shots = [...s.shots.slice(1), 0];
    s.bombs = [0, ...s.bombs.slice(0, 9)];
    let over = Boolean((s.bombs[9] | s.aliens[9]) & cannon);
    if (s.march_timer === 0) {
      s.march_timer = Math.min(s.aliens.reduce((n, row) => n + bits(row), 0), s.march_period);
      over = this.march(s) || over;
      over ||= Boolean(s.aliens[9] & cannon);
    }
    if (s.bomb_timer === 0) { s.bomb_timer = 10; this.bomb(s); }
    for (let y = 0; y < 10; y++) {
      const hits = s.aliens[y] & s.shots[y];
      reward += bits(hits);
      s.aliens[y] ^= hits;
      s.shots[y] ^= hits;
      left |= s.aliens[y];
    }
    s.reload_timer = Math.max(s.reload_timer - 1, 0);
    s.march_timer -= 1;
    s.bomb_timer -= 1;
    if (!left) {
      if (ramping && s.march_period > 6) { s.march_period -= 1; s.ramp_level += 1; }
      this.land(s);
    }
    return [reward, over];
  },
  look: s => planes(6, set => {
    set(9, s.x, 0);
    for (let y = 0; y < 10; y++) for (let x = 0; x < 10; x++) {
      if (s.aliens[y] >> x & 1) { set(y, x, 1); set(y, x, s.heading < 0 ? 2 : 3); }
      if (s.shots[y] >> x & 1) set(y, x, 4);
      if (s.bombs[y] >> x & 1) set(y, x, 5);
    }
  }),
};

const wrapped = x => x > 9 ? 0 : x < 0 ? 9 : x;
GAMES.Freeway = {
  codes: [NOOP, UP, DOWN], grid: [10, 10],
  facts: s => [["", "TIME", Math.max(0, s.time_left)]],
  start(s) {
    Object.assign(s, {y: 9, move_timer: 3, time_left: 2500, car_x: Array(8).fill(0)});
    this.redraw(s);
  },
  redraw(s) {
    s.car_speed = s.car_x.map(() => 1 + below(s, 5));
    s.car_timer = [...s.car_speed];
    s.car_speed = s.car_speed.map(speed => uniform(s) < 0.5 ? -speed : speed);
  },
  step(s, action) {
    let reward = 0;
    if (action !== NOOP && s.move_timer === 0) { s.move_timer = 3; s.y = moved(s.y, action, UP, DOWN, 0, 9); }
    if (s.y === 0) { reward = 1; s.y = 9; this.redraw(s); }
    const met = () => s.y >= 1 && s.y <= 8 && s.car_x[s.y - 1] === 4, hit = met();
    for (let k = 0; k < 8; k++) {
      const moves = s.car_timer[k] === 0;
      s.car_timer[k] += (moves ? Math.abs(s.car_speed[k]) + 1 : 0) - 1;
      if (moves) s.car_x[k] = wrapped(s.car_x[k] + Math.sign(s.car_speed[k]));
    }
    if (hit || met()) s.y = 9;
    s.move_timer = Math.max(s.move_timer - 1, 0);
    s.time_left -= 1;
    return [reward, s.time_left < 0];
  },
  look: s => planes(7, set => {
    set(s.y, 4, 0);
    s.car_x.forEach((x, k) => {
      set(k + 1, x, 1);
      set(k + 1, wrapped(x - Math.sign(s.car_speed[k])), 1 + Math.abs(s.car_speed[k]));
    });
  }),
};

GAMES.Asterix = {
  codes: [NOOP, LEFT, UP, RIGHT, DOWN], grid: [10, 10],
  facts: s => [["", "LEVEL", s.ramp_level + 1]],
  start(s) {
    Object.assign(s, {x: 5, y: 5, spawn_timer: 10, spawn_period: 10, move_timer: 5, move_period: 5, ramp_timer: 100, ramp_level: 0});
    for (const field of ["kind", "lane_x", "heading"]) s[field] = Array(8).fill(0);
  },
  spawn(s) {
    const left = uniform(s) < 0.5, gold = uniform(s) < 1 / 3, empty = s.kind.flatMap((kind, k) => kind ? [] : [k]);
    if (!empty.length) return;
    const k = empty[below(s, empty.length)];
    [s.kind[k], s.lane_x[k], s.heading[k]] = [gold ? 2 : 1, left ? 0 : 9, left ? 1 : -1];
  },
  step(s, action, {ramping}) {
    let reward = 0, over = false;
    if (s.spawn_timer === 0) { s.spawn_timer = s.spawn_period; this.spawn(s); }
    s.x = moved(s.x, action, LEFT, RIGHT, 0, 9);
    s.y = moved(s.y, action, UP, DOWN, 1, 8);
    const mine = s.y - 1;
    const meet = met => {
      if (met && s.kind[mine] === 2) { reward += 1; s.kind[mine] = s.lane_x[mine] = s.heading[mine] = 0; }
      else if (met && s.kind[mine] === 1) over = true;
    };
    let met = s.lane_x[mine] === s.x;
    if (s.move_timer === 0) {
      s.move_timer = s.move_period;
      meet(met);
      for (let k = 0; k < 8; k++) {
        const x = s.lane_x[k] + s.heading[k], inside = x >= 0 && x <= 9;
        s.lane_x[k] = inside ? x : 0;
        if (!inside) s.heading[k] = s.kind[k] = 0;
      }
      met = s.lane_x[mine] === s.x;
    }
    meet(met);
    s.spawn_timer -= 1;
    s.move_timer -= 1;
    if (ramping && (s.spawn_period > 1 || s.move_period > 1)) {
      if (s.ramp_timer >= 0) {
        s.ramp_timer -= 1;
      } else {
        s.ramp_timer = 100;
        if (s.move_period > 1 && s.ramp_level % 2 === 1) s.move_period -= 1;
        if (s.spawn_period > 1) s.spawn_period -= 1;
        s.ramp_level += 1;
      }
    }
    return [reward, over];
  },
  look: s => planes(4, set => {
    set(s.y, s.x, 0);
    s.kind.forEach((kind, k) => {
      if (!kind) return;
      set(k + 1, s.lane_x[k], kind === 2 ? 3 : 1);
      const behind = s.lane_x[k] - s.heading[k];
      if (behind >= 0 && behind <= 9) set(k + 1, behind, 2);
    });
  }),
};

const X = 0, Y = 1, HEADS = 2, MOVE = 3, SHOOT = 4;  // of the things in Seaquest's lists
function swim(thing, period) {
  if (thing[MOVE] > 0) { thing[MOVE] -= 1; return true; }
  thing[MOVE] = period;
  thing[X] += thing[HEADS] ? 1 : -1;
  return thing[X] >= 0 && thing[X] <= 9;
}
GAMES.Seaquest = {
  codes: [NOOP, LEFT, UP, RIGHT, DOWN, FIRE], grid: [10, 10],
  facts: s => [["", "LEVEL", s.ramp_level + 1], ["", "DIVERS", Math.max(0, s.divers_aboard)]],
  start(s) {
    Object.assign(s, {x: 5, y: 0, facing_right: 0, oxygen: 200, divers_aboard: 0, surfaced: 1, reload_timer: 0, spawn_timer: 20});
    Object.assign(s, {spawn_period: 20, diver_timer: 30, move_period: 5, ramp_level: 0, shots: [], bombs: [], fish: [], subs: [], divers: []});
  },
  enemy(s) {
    const right = uniform(s) < 0.5 ? 1 : 0, sub = uniform(s) < 1 / 3, y = 1 + below(s, 8);
    if ([...s.fish, ...s.subs].some(other => other[Y] === y && other[HEADS] !== right)) return;
    const thing = [right ? 0 : 9, y, right, s.move_period];
    if (sub) s.subs.push([...thing, 10]);
    else s.fish.push(thing);
  },
  diver(s) {
    const right = uniform(s) < 0.5 ? 1 : 0;
    s.divers.push([right ? 0 : 9, 1 + below(s, 8), right, 5]);
  },
  at: (s, thing) => thing[X] === s.x && thing[Y] === s.y,
  hit(s, list) {  // an enemy swims: [left the board or ran into a bullet, the bullet, whether it touched us]
    let hits = 0, touched = false;
    for (let k = s[list].length - 1; k >= 0; k--) {
      const thing = s[list][k];
      touched ||= this.at(s, thing);
      if (!swim(thing, s.move_period)) { s[list].splice(k, 1); continue; }
      touched ||= this.at(s, thing);
      const shot = s.shots.findIndex(other => other[X] === thing[X] && other[Y] === thing[Y]);
      if (shot >= 0) {
        hits++;
        s.shots.splice(shot, 1);
        s[list].splice(k, 1);
      } else if (list === "subs") {
        if (thing[SHOOT] === 0) { thing[SHOOT] = 10; s.bombs.push(thing.slice(0, 3)); }
        else thing[SHOOT] -= 1;
      }
    }
    return [hits, touched];
  },
  shoot(s) {
    let hits = 0;
    for (let k = s.shots.length - 1; k >= 0; k--) {
      const shot = s.shots[k], there = other => other[X] === shot[X] && other[Y] === shot[Y];
      shot[X] += shot[HEADS] ? 1 : -1;
      const list = s.fish.some(there) ? s.fish : s.subs, target = list.findIndex(there);
      if (shot[X] < 0 || shot[X] > 9) { s.shots.splice(k, 1); continue; }
      if (target >= 0) { hits++; list.splice(target, 1); s.shots.splice(k, 1); }
    }
    return hits;
  },
  rescue(s) {
    for (let k = s.divers.length - 1; k >= 0; k--) {
      const thing = s.divers[k], room = () => this.at(s, thing) && s.divers_aboard < 6;
      if (room()) { s.divers_aboard += 1; s.divers.splice(k, 1); }
      else if (!swim(thing, 5)) s.divers.splice(k, 1);
      else if (room()) { s.divers_aboard += 1; s.divers.splice(k, 1); }
    }
  },
  bombs(s) {
    let touched = false;
    for (let k = s.bombs.length - 1; k >= 0; k--) {
      const bomb = s.bombs[k];
      touched ||= this.at(s, bomb);
      bomb[X] += bomb[HEADS] ? 1 : -1;
      if (bomb[X] < 0 || bomb[X] > 9) s.bombs.splice(k, 1);
      else touched ||= this.at(s, bomb);
    }
    return touched;
  },
  surface(s, ramping) {
    let reward = 0;
    s.surfaced = 1;
    if (s.divers_aboard === 6) { s.divers_aboard = 0; reward = Math.floor(s.oxygen * 10 / 200); }
    s.divers_aboard -= 1;
    s.oxygen = 200;
    if (ramping && (s.spawn_period > 1 || s.move_period > 2)) {
      if (s.move_period > 2 && s.ramp_level % 2 === 1) s.move_period -= 1;
      if (s.spawn_period > 1) s.spawn_period -= 1;
      s.ramp_level += 1;
    }
    return reward;
  },
  step(s, action, {ramping}) {
    if (s.spawn_timer === 0) { this.enemy(s); s.spawn_timer = s.spawn_period; }
    if (s.diver_timer === 0) { this.diver(s); s.diver_timer = 30; }
    if (action === FIRE && s.reload_timer === 0) { s.reload_timer = 5; s.shots.push([s.x, s.y, s.facing_right]); }
    if (action === LEFT || action === RIGHT) s.facing_right = action === RIGHT ? 1 : 0;
    s.x = moved(s.x, action, LEFT, RIGHT, 0, 9);
    s.y = moved(s.y, action, UP, DOWN, 0, 8);
    let reward = this.shoot(s);
    this.rescue(s);
    const [sunk, rammed] = this.hit(s, "subs"), bombed = this.bombs(s), [caught, bitten] = this.hit(s, "fish");
    reward += sunk + caught;
    let over = rammed || bombed || bitten || s.oxygen <= 0;
    for (const timer of ["spawn_timer", "diver_timer", "reload_timer"]) s[timer] = Math.max(s[timer] - 1, 0);
    if (s.y > 0) { s.oxygen -= 1; s.surfaced = 0; }
    else if (!s.surfaced) {
      if (s.divers_aboard === 0) over = true;
      else reward += this.surface(s, ramping);
    }
    return [reward, over];
  },
  look: s => planes(10, set => {
    set(s.y, s.x, 0);
    set(s.y, s.facing_right ? s.x - 1 : s.x + 1, 1);
    for (let x = 0; x < 10; x++) set(9, x, 7, x < Math.floor(s.oxygen * 10 / 200));
    for (let x = 3; x < 9; x++) set(9, x, 8, x >= 9 - s.divers_aboard);
    for (const shot of s.shots) set(shot[Y], shot[X], 2);
    for (const bomb of s.bombs) set(bomb[Y], bomb[X], 4);
    for (const [list, channel] of [["fish", 5], ["subs", 6], ["divers", 9]]) for (const thing of s[list]) {
      const behind = thing[HEADS] ? thing[X] - 1 : thing[X] + 1;
      set(thing[Y], thing[X], channel);
      if (behind >= 0 && behind <= 9) set(thing[Y], behind, 3);
    }
  }),
};

// Board games: cells from the top left, -1 where free; every position is seen by the player to move.
const lookedAt = s => Uint8Array.from([...s.cells.map(owner => owner === s.player), ...s.cells.map(owner => owner === 1 - s.player)]);
function rowGame(W, H, need, drops) {
  const at = (x, y) => x >= 0 && y >= 0 && x < W && y < H ? y * W + x : -1;
  const lines = [];
  for (let y = 0; y < H; y++) for (let x = 0; x < W; x++) for (const [dx, dy] of [[1, 0], [0, 1], [1, 1], [1, -1]]) {
    const line = Array.from({length: need}, (_, k) => at(x + k * dx, y + k * dy));
    if (line.every(k => k >= 0)) lines.push(line);
  }
  return {
    grid: [H, W], turns: true, alone: true, two: true,
    start(s) { Object.assign(s, {cells: Array(W * H).fill(-1), player: 0, winner: -1, line: []}); },
    legal: s => s.ended ? [] : Array.from({length: drops ? W : W * H}, (_, k) => s.cells[k] < 0),
    step(s, action) {
      let cell = action;
      while (drops && cell + W < W * H && s.cells[cell + W] < 0) cell += W;
      s.cells[cell] = s.player;
      s.last = cell;
      s.line = lines.filter(line => line.every(k => s.cells[k] === s.player)).flat();
      if (s.line.length) s.winner = s.player;
      s.player = 1 - s.player;
      return [0, s.winner >= 0 || s.cells.every(owner => owner >= 0)];
    },
    look: lookedAt,
    pick: (s, x, y) => drops ? Math.floor(x * W) : Math.floor(y * H) * W + Math.floor(x * W),
  };
}
GAMES.ConnectFour = rowGame(7, 6, 4, true);
GAMES.TicTacToe = rowGame(3, 3, 3, false);

// Othello: a move turns every line of enemy stones that it closes in; the last action passes, if nothing else is legal.
function othello(size) {
  const cells = size * size, half = size / 2, rays = [];  // of each cell: the cells in the eight directions, outwards
  for (let y = 0; y < size; y++) for (let x = 0; x < size; x++) {
    const ways = [[-1, -1], [0, -1], [1, -1], [-1, 0], [1, 0], [-1, 1], [0, 1], [1, 1]].map(([dx, dy]) => {
      const ray = [];
      for (let i = x + dx, j = y + dy; i >= 0 && j >= 0 && i < size && j < size; i += dx, j += dy) ray.push(j * size + i);
      return ray;
    });
    rays.push(ways);
  }
  const turned = (board, cell, player) => board[cell] >= 0 ? [] : rays[cell].flatMap(ray => {
    const end = ray.findIndex(k => board[k] !== 1 - player);
    return end > 0 && board[ray[end]] === player ? ray.slice(0, end) : [];
  });
  const places = (board, player) => board.map((_, k) => turned(board, k, player).length > 0);
  const count = (s, player) => s.cells.filter(owner => owner === player).length;
  return {
    grid: [size, size], turns: true, alone: true, two: true, typed: true,
    start(s) {
      Object.assign(s, {cells: Array(cells).fill(-1), player: 0, winner: -1, line: [], flipped: []});
      const [up, down] = [(half - 1) * size + half - 1, half * size + half - 1];
      Object.assign(s.cells, {[up]: 1, [up + 1]: 0, [down]: 0, [down + 1]: 1});
      s.free = places(s.cells, 0);
    },
    legal: s => s.ended ? [] : [...s.free, !s.free.includes(true)],
    passes: s => !s.ended && !s.free.includes(true),
    step(s, action) {
      s.last = action;
      s.flipped = action === cells ? [] : turned(s.cells, action, s.player);
      for (const k of s.flipped) s.cells[k] = s.player;
      if (action < cells) s.cells[action] = s.player;
      s.player = 1 - s.player;
      s.free = places(s.cells, s.player);
      const over = !s.free.includes(true) && !places(s.cells, 1 - s.player).includes(true), lead = count(s, 0) - count(s, 1);
      if (over && lead) s.winner = lead > 0 ? 0 : 1;
      return [0, over];
    },
    look: lookedAt,
    facts: s => [["", "BLACK", count(s, 0)], ["", "WHITE", count(s, 1)]],
    pick: (s, x, y) => s.free.includes(true) ? Math.floor(y * size) * size + Math.floor(x * size) : cells,
  };
}
GAMES.Othello6 = othello(6);
GAMES.Othello = othello(8);

// A cell typed as its letter and its number, such as c4: [the letter's column, the action], null where there is none.
function typed(game, s, column, key) {
  const [rows, columns] = game.grid, x = "abcdefgh".slice(0, columns).indexOf(key.toLowerCase()), y = "12345678".slice(0, rows).indexOf(key);
  if (x >= 0) return [x, null];
  return y < 0 || column === null ? [null, null] : [null, game.pick(s, (column + 0.5) / columns, (y + 0.5) / rows)];
}

// Memory: the card shown is one number of an observation of ones and zeros.
GAMES.RememberCue = {
  turns: true,
  start(s, {delay, cues}) { Object.assign(s, {delay, cues, t: 0, card: below(s, cues), said: null}); },
  step(s, action) {
    const over = s.t === s.delay;
    s.said = action;
    s.t += 1;
    return [over && action === s.card ? 1 : 0, over];
  },
  look: s => Array.from({length: s.cues + 1}, (_, k) => (s.t === 0 && k === s.card) || (s.t === s.delay && k === s.cues) ? 1 : 0),
};
GAMES.RepeatPrevious = {
  turns: true,
  start(s, {k, symbols, length}) { Object.assign(s, {k, symbols, length, shown: [], said: []}); s.shown.push(below(s, symbols)); },
  step(s, action) {
    const t = s.shown.length - 1, right = t >= s.k && action === s.shown[t - s.k];
    s.said.push(action);
    s.shown.push(below(s, s.symbols));
    return [right ? 1 / (s.length - s.k) : 0, t + 1 === s.length];
  },
  look: s => Array.from({length: s.symbols}, (_, k) => s.shown.at(-1) === k ? 1 : 0),
};
