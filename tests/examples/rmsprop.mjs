// RMSprop in JavaScript, and the process that lets rmspec check it: node rmsprop.mjs
// With --eps-inside it has the fault that is most often seen in ports: sqrt(v + eps) for sqrt(v) + eps.
import { createInterface } from "node:readline";

const EPS_INSIDE = process.argv.includes("--eps-inside");
const DEFAULTS = { lr: 0.01, alpha: 0.99, eps: 1e-8, weight_decay: 0, momentum: 0, centered: false };

// ---- the optimizer

// A tensor is { dtype, shape, data, grad }; data and grad are arrays of numbers that dtype can hold.
const rounding = (dtype) => (dtype === "float32" ? Math.fround : (x) => x);

class RMSprop {
  constructor(groups, options = {}) {
    this.defaults = checked({ ...DEFAULTS, ...options });
    this.groups = [];
    this.state = new Map();
    if (!groups.length) throw new RangeError("no parameters");
    for (const group of groups) this.addParamGroup(group);
  }

  addParamGroup({ params, ...options }) {
    const present = new Set(this.groups.flatMap((group) => group.params));
    if (new Set(params).size !== params.length) throw new RangeError("a parameter is in the group twice");
    if (params.some((param) => present.has(param))) throw new RangeError("a parameter is in more than one group");
    this.groups.push({ ...checked({ ...this.defaults, ...options }), params: [...params] });
  }

  zeroGrad(setToNone = true) {
    for (const { params } of this.groups)
      for (const param of params) if (param.grad) param.grad = setToNone ? null : param.grad.map(() => 0);
  }

  step(closure) {
    const loss = closure ? closure() : null;
    for (const group of this.groups) for (const param of group.params) if (param.grad) this.update(param, group);
    return loss;
  }

  update(param, { lr, alpha, eps, weight_decay, momentum, centered }) {
    if (param.sparse) throw new TypeError("sparse gradients are not supported");
    const r = rounding(param.dtype);
    if (!this.state.has(param)) this.state.set(param, {});
    const state = this.state.get(param);
    const zeros = () => param.data.map(() => 0);
    const v = (state.square_avg ??= zeros());
    const average = centered ? (state.grad_avg ??= zeros()) : null;
    const buffer = momentum > 0 ? (state.momentum_buffer ??= zeros()) : null;
    const [a, rest, e, mu, rate, decay] = [alpha, 1 - alpha, eps, momentum, lr, weight_decay].map(r);
    for (let i = 0; i < param.data.length; i++) {
      let g = param.grad[i];
      if (weight_decay !== 0) g = r(g + r(decay * param.data[i]));
      v[i] = r(r(a * v[i]) + r(rest * r(g * g)));
      let variance = v[i];
      if (centered) {
        average[i] = r(r(a * average[i]) + r(rest * g));
        variance = r(variance - r(average[i] * average[i]));
      }
      const d = EPS_INSIDE ? r(Math.sqrt(r(variance + e))) : r(r(Math.sqrt(variance)) + e);
      let move = r(g / d);
      if (buffer) move = buffer[i] = r(r(mu * buffer[i]) + move);
      param.data[i] = r(param.data[i] - r(rate * move));
    }
  }

  stateDict() {
    const order = this.groups.flatMap((group) => group.params);
    const state = {};
    for (const [param, entry] of this.state) state[order.indexOf(param)] = { shape: param.shape, ...entry };
    const ids = (params) => params.map((param) => order.indexOf(param));
    const groups = this.groups.map((group) => ({ ...group, params: ids(group.params) }));
    return structuredClone({ state, groups });
  }

  loadStateDict(saved) {
    const { state, groups } = structuredClone(saved);
    const sizes = (list) => JSON.stringify(list.map((group) => group.params.length));
    if (sizes(groups) !== sizes(this.groups)) throw new RangeError("the state has other groups");
    const loaded = new Map();
    groups.forEach((group, i) =>
      group.params.forEach((id, j) => {
        if (!(id in state)) return;
        const param = this.groups[i].params[j];
        const { shape, ...entry } = state[id];
        for (const [role, values] of Object.entries(entry)) {
          if (String(shape) !== String(param.shape) || values.length !== param.data.length)
            throw new RangeError(`${role} has another shape than its parameter`);
          entry[role] = values.map(rounding(param.dtype));
        }
        loaded.set(param, entry);
      }),
    );
    this.state = loaded;
    this.groups = groups.map((group, i) => ({ ...group, params: this.groups[i].params }));
  }
}

function checked(options) {
  for (const [name, value] of Object.entries(options)) {
    if (!(name in DEFAULTS)) throw new TypeError(`unknown option ${name}`);
    if (name !== "centered" && !(value >= 0)) throw new RangeError(`invalid ${name}: ${value}`);
  }
  return options;
}

// ---- numbers on the wire: hexadecimal, as C's %a and Python's float.hex() write them

function fromHex(text) {
  if (text === "nan") return NaN;
  if (text.endsWith("inf")) return text[0] === "-" ? -Infinity : Infinity;
  const [, sign, whole, fraction, exponent] = /^(-?)0x([01])\.?([0-9a-f]*)p([+-]\d+)$/.exec(text);
  const digits = Number("0x" + whole + fraction);
  // In two factors, so that neither the scale of a subnormal nor that of a large number leaves the range.
  const scale = Number(exponent) - 4 * fraction.length;
  const half = Math.trunc(scale / 2);
  return (sign ? -1 : 1) * digits * 2 ** half * 2 ** (scale - half);
}

const view = new DataView(new ArrayBuffer(8));

function toHex(x) {
  if (Number.isNaN(x)) return "nan";
  if (!Number.isFinite(x)) return x > 0 ? "inf" : "-inf";
  view.setFloat64(0, x);
  const [high, low] = [view.getUint32(0), view.getUint32(4)];
  const biased = (high >>> 20) & 0x7ff;
  const fraction = (high & 0xfffff).toString(16).padStart(5, "0") + low.toString(16).padStart(8, "0");
  const exponent = biased ? biased - 1023 : x === 0 ? 0 : -1022;
  const sign = high >>> 31 ? "-" : "";
  return `${sign}0x${biased ? 1 : 0}.${fraction}p${exponent < 0 ? "-" : "+"}${Math.abs(exponent)}`;
}

const option = (value) => (typeof value === "boolean" ? value : fromHex(value));
const options = (given = {}) => Object.fromEntries(Object.entries(given).map(([name, value]) => [name, option(value)]));

function filled(values, { dtype, shape }) {
  const size = shape.reduce((product, each) => product * each, 1);
  const numbers = values.map(fromHex).map(rounding(dtype));
  return Array.from({ length: size }, (_, i) => numbers[i % numbers.length]);
}

// ---- one program

class Session {
  constructor(params) {
    this.params = {};
    this.optimizers = {};
    this.slots = {};
    for (const { name, dtype = "float32", shape = [1], values = ["0x1.0p+0"] } of params)
      this.params[name] = { name, dtype, shape, data: filled(values, { dtype, shape }), grad: null };
  }

  perform(call) {
    if (call.op === "step" && call.closure) return this.stepWithClosure(call);
    return attempt(() => this[call.op](call));
  }

  group({ params, options: given }) {
    return { params: params.map((name) => this.params[name]), ...options(given) };
  }

  create({ optimizer, groups, options: given, form = "groups" }) {
    const made = groups.map((group) => this.group(group));
    const flat = [{ params: made.flatMap((group) => group.params) }];
    this.optimizers[optimizer] = new RMSprop(form === "groups" ? made : flat, options(given));
  }

  set_grad({ param, values, bad = "" }) {
    const tensor = this.params[param];
    tensor.grad = values && filled(values, tensor);
    tensor.sparse = bad === "sparse";
  }

  step({ optimizer }) {
    this.optimizers[optimizer].step();
  }

  stepWithClosure({ optimizer, closure, grads = {}, loss = "0x0.0p+0" }) {
    const positions = () => Object.values(this.params).flatMap((param) => param.data);
    const before = positions();
    const report = { calls: 0, grad_enabled: true, moved_before: false, returned: null };
    const outcome = attempt(() => {
      const returned = this.optimizers[optimizer].step(() => {
        report.calls += 1;
        report.moved_before ||= positions().some((value, i) => !Object.is(value, before[i]));
        if (closure === "raises") throw new Error("the closure of the program fails");
        for (const [param, values] of Object.entries(grads)) this.set_grad({ param, values });
        return fromHex(loss);
      });
      report.returned = returned === null ? null : toHex(returned);
    });
    return { ...outcome, closure: report };
  }

  zero_grad({ optimizer, set_to_none }) {
    this.optimizers[optimizer].zeroGrad(set_to_none ?? true);
  }

  add_param_group({ optimizer, group }) {
    this.optimizers[optimizer].addParamGroup(this.group(group));
  }

  set_option({ optimizer, group, options: given }) {
    Object.assign(this.optimizers[optimizer].groups[group], options(given));
  }

  save({ optimizer, slot }) {
    this.slots[slot] = this.optimizers[optimizer].stateDict();
  }

  load({ optimizer, slot }) {
    this.optimizers[optimizer].loadStateDict(this.slots[slot]);
  }

  edit_state({ slot, edit, index = 0 }) {
    const { state, groups } = this.slots[slot];
    const order = groups.flatMap((group) => group.params);
    const chosen = order[index % order.length];
    if (edit === "drop") delete state[chosen];
    if (edit === "shorten") delete state[groups.at(-1).params.pop()];
    if (edit === "reshape" && state[chosen])
      for (const values of Object.values(state[chosen])) values.push(values.length ? values[0] : 0);
    if (edit === "relabel") {
      const renamed = (id) => 100 + 7 * (order.length - order.indexOf(id));
      const entries = order.filter((id) => id in state).map((id) => [renamed(id), state[id]]);
      this.slots[slot].state = Object.fromEntries(entries.reverse());
      for (const group of groups) group.params = group.params.map(renamed);
    }
  }

  freeze({ param }) {
    this.params[param].grad = null;
  }

  observation() {
    const array = (values, { dtype, shape }) => ({ dtype, shape, values: values.map(toHex) });
    const entry = ({ shape, ...roles }, param) => mapped(roles, (values) => array(values, param));
    const group = ({ params, ...rest }) => ({
      params: params.map((param) => param.name),
      options: mapped(rest, (value) => (typeof value === "boolean" ? value : toHex(value))),
    });
    return {
      params: mapped(this.params, (param) => array(param.data, param)),
      grads: mapped(this.params, (param) => param.grad && array(param.grad, param)),
      groups: mapped(this.optimizers, (optimizer) => optimizer.groups.map(group)),
      state: mapped(this.optimizers, (optimizer) =>
        Object.fromEntries([...optimizer.state].map(([param, roles]) => [param.name, entry(roles, param)])),
      ),
    };
  }
}

const mapped = (object, f) => Object.fromEntries(Object.entries(object).map(([key, value]) => [key, f(value)]));

function attempt(action) {
  try {
    action();
    return {};
  } catch (error) {
    return { raised: { type: error.name, message: error.message } };
  }
}

// ---- the process

const HELLO = {
  reply: "hello",
  protocol: "rmspec.wire/1",
  formats: ["float32", "float64"],
  options: Object.keys(DEFAULTS),
  features: "momentum centered weight_decay groups state_dict zero_grad closure schedule duplicates".split(" "),
  missing: { complex: "JavaScript has no complex numbers", layout: "its arrays are always contiguous" },
  roles: ["square_avg", "grad_avg", "momentum_buffer"],
  versions: { node: process.versions.node },
};

let session = null;

function answer({ request, params, call }) {
  switch (request) {
    case "hello":
      return HELLO;
    case "start":
      session = new Session(params);
      return { reply: "started", observation: session.observation() };
    case "perform": {
      const outcome = session.perform(call);
      return { reply: "performed", outcome, observation: session.observation() };
    }
    case "close":
      session = null;
      return { reply: "closed" };
    case "bye":
      return { reply: "bye" };
    default:
      return { reply: "failed", message: `unknown request ${request}` };
  }
}

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  const message = JSON.parse(line);
  const reply = answer(message);
  process.stdout.write(JSON.stringify({ id: message.id, ...reply }) + "\n");
  if (reply.reply === "bye") break;
}
