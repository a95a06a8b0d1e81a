// The network of a trained agent: forward pass, and the gradient of its best value at the input (the saliency).
// `plan` comes from plan.py; weights are float32, sums float64.

// One layer: forward(x) keeps what backward(g) needs, which returns the gradient at x.
const LAYERS = {
  standardise(o, at) {
    const mean = at(o.mean), scale = at(o.scale);
    let inside;
    return {
      forward: x => {
        const y = x.map((v, i) => (v - mean[i % mean.length]) * scale[i % mean.length]);
        inside = y.map(v => Math.abs(v) < 10 ? 1 : 0);
        return y.map(v => Math.min(10, Math.max(-10, v)));
      },
      backward: g => g.map((v, i) => v * scale[i % mean.length] * inside[i]),
    };
  },
  dense(o, at) {
    const w = at(o.w), b = at(o.b), n = o.in, m = b.length;
    return {
      forward: x => {
        const y = new Float64Array(m);
        for (let j = 0; j < m; j++) {
          let sum = b[j];
          for (let i = 0, k = j * n; i < n; i++, k++) sum += w[k] * x[i];
          y[j] = sum;
        }
        return y;
      },
      backward: g => {
        const back = new Float64Array(n);
        for (let j = 0; j < m; j++) if (g[j]) for (let i = 0, k = j * n; i < n; i++, k++) back[i] += w[k] * g[j];
        return back;
      },
    };
  },
  conv(o, at) {  // x [C, H, W], w [O, C, K, K], all flat
    const w = at(o.w), b = at(o.b), [C, H, W] = o.shape, {k, stride, pad} = o;
    const h = Math.floor((H + 2 * pad - k) / stride) + 1, v = Math.floor((W + 2 * pad - k) / stride) + 1;
    const taps = Array.from({length: h * v}, (_, p) => {  // of each output pixel: (input pixel, place in the kernel)
      const found = [], top = Math.floor(p / v) * stride - pad, left = p % v * stride - pad;
      for (let i = 0; i < k; i++) for (let j = 0; j < k; j++) {
        const y = top + i, x = left + j;
        if (y >= 0 && y < H && x >= 0 && x < W) found.push(y * W + x, i * k + j);
      }
      return Int32Array.from(found);
    });
    const outputs = visit => {  // visit(output, its taps, its first weight, its channel)
      for (let q = 0, out = 0; q < b.length; q++) for (let p = 0; p < taps.length; p++, out++) visit(out, taps[p], q * C * k * k, q);
    };
    return {
      forward: x => {
        const y = new Float64Array(b.length * h * v);
        outputs((out, tap, first, q) => {
          let sum = b[q];
          for (let t = 0; t < tap.length; t += 2) {
            for (let c = 0, i = tap[t], n = first + tap[t + 1]; c < C; c++, i += H * W, n += k * k) sum += w[n] * x[i];
          }
          y[out] = sum;
        });
        return y;
      },
      backward: g => {
        const back = new Float64Array(C * H * W);
        outputs((out, tap, first) => {
          for (let t = 0; g[out] && t < tap.length; t += 2) {
            for (let c = 0, i = tap[t], n = first + tap[t + 1]; c < C; c++, i += H * W, n += k * k) back[i] += w[n] * g[out];
          }
        });
        return back;
      },
    };
  },
  norm(o, at) {  // LayerNorm over the channels of each of `pixels` places; a vector has one place
    const w = at(o.w), b = at(o.b), n = w.length, P = o.pixels;
    let unit, spread;
    return {
      forward: x => {
        const y = new Float64Array(x.length);
        unit = new Float64Array(x.length);
        spread = new Float64Array(P);
        for (let p = 0; p < P; p++) {
          let mean = 0, square = 0;
          for (let c = 0; c < n; c++) mean += x[c * P + p] / n;
          for (let c = 0; c < n; c++) square += (x[c * P + p] - mean) ** 2 / n;
          spread[p] = 1 / Math.sqrt(square + o.eps);
          for (let c = 0, k = p; c < n; c++, k += P) y[k] = (unit[k] = (x[k] - mean) * spread[p]) * w[c] + b[c];
        }
        return y;
      },
      backward: g => {
        const back = new Float64Array(g.length);
        for (let p = 0; p < P; p++) {
          let mean = 0, along = 0;
          for (let c = 0, k = p; c < n; c++, k += P) { mean += g[k] * w[c] / n; along += g[k] * w[c] * unit[k] / n; }
          for (let c = 0, k = p; c < n; c++, k += P) back[k] = (g[k] * w[c] - mean - unit[k] * along) * spread[p];
        }
        return back;
      },
    };
  },
  act(o) {
    const f = {
      relu: x => Math.max(0, x), tanh: Math.tanh, elu: x => x > 0 ? x : Math.expm1(x), silu: x => x / (1 + Math.exp(-x)),
    }[o.kind];
    const slope = {
      relu: x => x > 0 ? 1 : 0, tanh: x => 1 - Math.tanh(x) ** 2, elu: x => x > 0 ? 1 : Math.exp(x),
      silu: x => { const s = 1 / (1 + Math.exp(-x)); return s * (1 + x * (1 - s)); },
    }[o.kind];
    let before;
    return {forward: x => (before = x).map(f), backward: g => g.map((v, i) => v * slope(before[i]))};
  },
  residual(o, at) {
    const inner = sequence(o.ops, at);
    return {
      forward: x => { const y = inner.forward(x); return x.map((v, i) => v + y[i]); },
      backward: g => { const back = inner.backward(g); return g.map((v, i) => v + back[i]); },
    };
  },
  core(o, at) {  // one row of an LSTM (gates i, f, g, o) or a GRU (r, z, n), as PyTorch orders them
    const size = o.size, gates = o.kind === "lstm" ? 4 : 3;
    const into = LAYERS.dense({w: o.w, b: o.b, in: o.in}, at), hidden = LAYERS.dense({w: o.u, b: o.c, in: size}, at);
    const sigmoid = x => 1 / (1 + Math.exp(-x));
    let h = new Float64Array(size), c = new Float64Array(size);
    return {
      restart() { h = new Float64Array(size); c = new Float64Array(size); },
      forward: x => {
        const a = into.forward(x), b = hidden.forward(h), gate = (k, i) => a[k * size + i] + b[k * size + i];
        h = h.map((old, i) => {
          if (gates === 3) {
            const z = sigmoid(gate(1, i)), n = Math.tanh(a[2 * size + i] + sigmoid(gate(0, i)) * b[2 * size + i]);
            return (1 - z) * n + z * old;
          }
          c[i] = sigmoid(gate(1, i)) * c[i] + sigmoid(gate(0, i)) * Math.tanh(gate(2, i));
          return sigmoid(gate(3, i)) * Math.tanh(c[i]);
        });
        return h;
      },
      backward: () => null,  // no saliency through a memory
    };
  },
};

function sequence(ops, at) {
  const layers = ops.map(o => LAYERS[o.op](o, at));
  return {
    forward: x => layers.reduce((y, layer) => layer.forward(y), x),
    backward: g => layers.reduceRight((y, layer) => y && layer.backward(y), g),
    restart: () => layers.forEach(layer => layer.restart && layer.restart()),
  };
}

function softmax(x) {
  const top = Math.max(...x), e = x.map(v => Math.exp(v - top)), sum = e.reduce((a, b) => a + b, 0);
  return e.map(v => v / sum);
}

const argmax = x => x.reduce((top, v, i) => v > x[top] ? i : top, 0);
const dot = (a, b) => a.reduce((sum, v, i) => sum + v * b[i], 0);

class Net {
  // plan.body: observation to features. plan.critic: the same of a value network of its own, or null.
  constructor(plan, floats) {
    const at = ref => floats.subarray(ref[0], ref[0] + ref[1]), chain = ops => ops && sequence(ops, at);
    this.plan = plan;
    this.parts = {};
    for (const name of ["body", "critic", "out", "value"]) this.parts[name] = chain(plan[name]);
    this.support = plan.support && at(plan.support);
    this.prior = plan.prior && at(plan.prior);
    this.mix = plan.mix && at(plan.mix);  // IQN: what the features are multiplied with, [fractions, features]
  }

  restart() { for (const part of Object.values(this.parts)) if (part) part.restart(); }

  // {kind, bars [A], value, choice}: `bars` are action values, probabilities, or a continuous action.
  act(obs, legal) {
    const {body, critic, out, value} = this.parts, plan = this.plan;
    this.features = body.forward(Float64Array.from(obs));
    let bars, kind = plan.kind, worth = null;
    if (kind === "values") {
      bars = this.values(this.features);
    } else {
      bars = out.forward(this.features);
      if (kind === "probabilities") bars = softmax(legal ? bars.map((v, i) => legal[i] ? v : -1e30) : bars);
      else bars = bars.map((v, i) => Math.fround(plan.squash ? plan.centre[i] + plan.half[i] * Math.tanh(v) : v));
      if (value) worth = value.forward(critic ? critic.forward(Float64Array.from(obs)) : this.features)[0];
    }
    const allowed = legal && kind === "values" ? bars.map((v, i) => legal[i] ? v : -Infinity) : bars;
    const choice = kind === "continuous" ? bars : argmax(allowed);
    if (kind === "values") worth = bars[choice];
    return {kind, bars, choice, value: plan.tanhValue && worth !== null ? Math.tanh(worth) : worth};
  }

  // Action values of features; with `action`, its gradient at the features instead.
  values(features, action = -1) {
    if (!this.mix) return this.stream(features, action);
    const n = features.length, count = this.mix.length / n;
    let sum = null;
    for (let k = 0; k < count; k++) {
      const part = this.mix.subarray(k * n, (k + 1) * n);
      let y = this.stream(features.map((v, i) => v * part[i]), action);
      if (action >= 0) y = y.map((v, i) => v * part[i]);
      sum = sum ? sum.map((v, i) => v + y[i] / count) : y.map(v => v / count);
    }
    return sum;
  }

  stream(features, action) {
    const {out, value} = this.parts, Z = this.plan.outputs, a = out.forward(features), A = a.length / Z;
    const v = value && value.forward(features), mean = new Float64Array(Z);
    for (let i = 0; v && i < a.length; i++) mean[i % Z] += a[i] / A;
    const all = a.map((x, i) => x + (v ? v[i % Z] - mean[i % Z] : 0) + (this.prior ? this.prior[i % Z] : 0));
    const rows = Array.from({length: A}, (_, k) => all.slice(k * Z, (k + 1) * Z));
    const each = rows.map(row => this.support ? dot(softmax(row), this.support) : dot(row, row.map(() => 1)) / Z);
    if (action < 0) return Float64Array.from(each);
    const chance = this.support && softmax(rows[action]);
    const slope = rows[action].map((_, z) => chance ? chance[z] * (this.support[z] - each[action]) : 1 / Z);
    const back = out.backward(a.map((_, i) => slope[i % Z] * ((Math.floor(i / Z) === action ? 1 : 0) - (v ? 1 / A : 0))));
    if (!v) return back;
    const more = value.backward(slope);
    return back.map((x, i) => x + more[i]);
  }

  // |gradient| at the input of the last `act`: of the best action's value, of the state's value, or of the choice.
  saliency(last) {
    const {body, critic, out, value} = this.parts;
    let g;
    if (this.plan.kind === "values") g = body.backward(this.values(this.features, last.choice));
    else if (value && critic) return (g = critic.backward(value.backward(Float64Array.of(1)))) && g.map(Math.abs);
    else if (value) g = body.backward(value.backward(Float64Array.of(1)));
    else g = body.backward(out.backward(last.bars.map((_, i) => i === (last.choice.length ? 0 : last.choice) ? 1 : 0)));
    return g && g.map(Math.abs);
  }
}

function floatsOf(base64, half) {
  const bytes = Uint8Array.from(atob(base64), c => c.charCodeAt(0));
  if (!half) return new Float32Array(bytes.buffer);
  return Float32Array.from(new Uint16Array(bytes.buffer), h => {
    const sign = h & 0x8000 ? -1 : 1, power = h >> 10 & 31, part = h & 1023;
    return sign * (power ? 2 ** (power - 15) * (1 + part / 1024) : 2 ** -24 * part);
  });
}
