"use strict";

// Training within the page: its settings, its worker, and what is told of it. The worker runs
// train.js; a training is shown as the committed ones are, by page.js.

const find = (selector, within = document) => within.querySelector(selector);
const make = (tag, properties = {}) => Object.assign(document.createElement(tag), properties);

// Memoise a function of one argument.
function remembered(compute) {
  const known = new Map();
  return (key) => {
    if (!known.has(key)) known.set(key, compute(key));
    return known.get(key);
  };
}

const PREFIX = "train."; // of the settings in the address
const SAMPLE = 2048; // pairs by which the rank correlation is followed
const LEAST_STEPS = 2000; // after which a weight of the wrong sign is called a trap
const ROOM = 64e6; // bytes of snapshots of a training, of which half are dropped when they are full
const CALM = 1000; // milliseconds between two drawings for who prefers reduced motion
const LARGEST_FILE = 64e6;

let live = null; // the training of this page, shown in place of the committed ones; null for none
let worker = null;
let ownPairs = null; // of a file: { file, names, first, second, label }

// ---- The settings ----

// The fields, in order; `value` is the default.
const fieldsOf = remembered((training) => {
  const { defaults, heads, count } = training;
  const number = (name, label, rest) => ({ name, label, ...rest });
  const choice = (name, label, options, value) => ({ name, label, options, value });
  const above = { above: 0, most: 1e6 };
  const offered = heads.filter((head) => head in learning.FORMS);
  const signs = [["", "as it is"], ["positive", "positive"], ["negative", "negative"]];
  const plain = (values) => values.map((value) => [String(value), String(value)]);
  const whole = true;
  return [
    number("seed", "Seed", { value: defaults.seed, least: 0, most: 2 ** 32 - 1, whole }),
    choice("dim", "Dimension", plain([1, 2, 3]), String(defaults.dim)),
    choice("head", "Head", plain(offered), defaults.head),
    number("weight", "First weight", { value: "", blank: "drawn", least: -1e6, most: 1e6 }),
    choice("sign", "Its sign", signs, ""),
    number("epochs", "Epochs", { value: defaults.epochs, least: 1, most: 1e5, whole }),
    number("rate", "Learning rate", { value: defaults.learning_rate, ...above }),
    number("batch", "Batch size", { value: defaults.batch_size, least: 1, most: 1e6, whole }),
    number("scale", "Initial scale", { value: defaults.initial_scale, ...above }),
    number("count", "Pairs", { value: count, least: 1, most: 1e6, whole }),
    number("constant", "Label constant", { value: training.constant, ...above }),
    { name: "normalise", label: "Normalised rows", check: true, value: false },
  ];
});

const fieldOf = (name) => find(`#training [name="${PREFIX}${name}"]`);

function makeSettings() {
  const fields = fieldsOf(data.training);
  for (const { name, label, options, check, blank, value } of fields) {
    const common = { name: PREFIX + name };
    const field = options
      ? make("select", common)
      : make("input", { ...common, type: check ? "checkbox" : "text", autocomplete: "off" });
    const option = ([value, textContent]) => make("option", { value, textContent });
    if (options) field.append(...options.map(option));
    else if (!check) [field.inputMode, field.placeholder] = ["decimal", blank ?? ""];
    const whole = make("label");
    whole.append(...(check ? [field, label] : [label, field]));
    find("#settings .fields").append(whole);
    setField(name, value);
    field.addEventListener("change", () => {
      showSource();
      settle();
    });
    field.addEventListener("keydown", ({ key }) => key === "Enter" && startLive());
  }
}

function openSettings(open) {
  find("#settings").hidden = !open;
  find("#open").setAttribute("aria-expanded", String(open));
}

function setField(name, value) {
  const field = fieldOf(name);
  if (field.type === "checkbox") field.checked = value === true || value === "1";
  else field.value = value;
}

// The text of a field, as it stands in the address.
function textOf(name) {
  const field = fieldOf(name);
  return field.type === "checkbox" ? (field.checked ? "1" : "") : field.value.trim();
}

// The settings as learning.run takes them. Throws a line that says what is wrong.
function readSettings() {
  const found = {};
  for (const field of fieldsOf(data.training)) {
    const text = textOf(field.name);
    found[field.name] = field.options || field.check ? text : numberOf(field, text);
  }
  const { weight, sign, dim, normalise, ...rest } = found;
  if (normalise && dim === "1") {
    throw new Error("Normalised rows in 1 dimension are only signs: give dimension 2 or 3");
  }
  const signs = { positive: 1, negative: -1, "": 0 };
  const start = { firstWeight: weight, sign: signs[sign] };
  return { ...rest, ...start, dim: Number(dim), normalise: normalise === "1" };
}

function numberOf({ label, blank, least, most, above, whole }, text) {
  if (blank && text === "") return null;
  const value = text === "" ? NaN : Number(text);
  const within = above === undefined ? value >= least : value > above;
  if (within && value <= most && (!whole || Number.isInteger(value))) return value;
  const what = whole ? "a whole number" : "a number";
  const range = above === undefined ? `from ${least} to ${most}` : `above ${above}, to ${most}`;
  throw new Error(`${label} is ${JSON.stringify(text)}: give ${what} ${range}`);
}

// Add the settings to an address: all of them if any differs from its default.
function writeSettings(address) {
  const fields = fieldsOf(data.training);
  const usual = (value) => (value === false ? "" : String(value));
  if (live === null && fields.every(({ name, value }) => textOf(name) === usual(value))) return;
  for (const { name } of fields) address.set(PREFIX + name, textOf(name));
  if (live !== null && ownPairs === null) address.set("train", "1");
}

// Fill the fields from an address; those that it leaves out get their defaults.
function readSettingsFrom(address) {
  for (const { name, value, options } of fieldsOf(data.training)) {
    const given = address.get(PREFIX + name);
    const known = !options || options.some(([one]) => one === given);
    setField(name, given !== null && known ? given : value);
  }
  showSource();
  if ([...address.keys()].some((name) => name.startsWith(PREFIX))) openSettings(true);
  if (address.get("train") === "1") startLive();
  else endLive();
}

// ---- The pairs ----

// The run's own pairs: codes (first * items + second) * 2 + label, of `bits` bits each.
const runPairs = remembered(({ count, bits, codes }) => {
  const bytes = decode(codes);
  const items = committed.names.length;
  const [first, second] = [new Int32Array(count), new Int32Array(count)];
  const label = new Float32Array(count);
  for (let i = 0, at = 0; i < count; i++) {
    let code = 0;
    for (let bit = 0; bit < bits; bit++, at++) {
      code += ((bytes[at >> 3] >> (at & 7)) & 1) * 2 ** bit;
    }
    label[i] = code % 2;
    code = Math.floor(code / 2);
    first[i] = Math.floor(code / items);
    second[i] = code % items;
  }
  return { first, second, label };
});

// What is trained on: pairs, or null to draw them; their label is null to draw it.
function pairsFor({ count, constant }) {
  if (ownPairs !== null) return ownPairs;
  const { training } = data;
  if (count !== training.count || training.codes === null) return null;
  const { first, second, label } = runPairs(training);
  return { first, second, label: constant === training.constant ? label : null };
}

function sourceOf({ seed, count, constant }) {
  const pairs = count.toLocaleString("en");
  if (ownPairs !== null) {
    const own = ownPairs.label.length.toLocaleString("en");
    return `Trains on ${own} pairs of ${ownPairs.names.length} items from ${ownPairs.file}.`;
  }
  const given = pairsFor({ count, constant });
  if (given === null) {
    return `Draws ${pairs} pairs and their labels from seed ${seed}, as a sweep with --vary pairs.`;
  }
  if (given.label === null) {
    return `Trains on the run's own ${pairs} pairs, with labels drawn from seed ${seed}, as a ` +
      "sweep with --vary labels.";
  }
  return `Trains on the run's own ${pairs} pairs and labels.`;
}

function showSource() {
  try {
    setText(find("#source"), sourceOf(readSettings()));
    setFault("");
  } catch ({ message }) {
    setFault(message);
  }
}

function setFault(text) {
  setText(find("#fault"), text);
  find("#fault").hidden = text === "";
}

// ---- A training ----

function startLive() {
  let settings;
  try {
    settings = readSettings();
  } catch ({ message }) {
    setFault(message);
    return;
  }
  setFault("");
  stopWorker();
  useItems(ownPairs === null ? committed : ownItems());
  const { dim, head, seed, epochs } = settings;
  live = {
    ...{ settings, epochs, running: true, began: performance.now() },
    ...{ dim, space: `${dim}-D`, title: `${dim}-D embedding, trained here`, unit: 1 },
    facts: `seed ${seed}, head ${head}`,
    ...{ frames: [], epoch: [], loss: [], weights: [], biases: [], every: 1, told: 0 },
    ...{ now: null, rank: null, lines: [], floor: null, trap: "", drawn: -Infinity },
    extent: extentOf([], dim),
  };
  Object.assign(state, { epoch: Infinity, playing: false });
  const script = new Blob([find("#learning").textContent], { type: "text/javascript" });
  const address = URL.createObjectURL(script);
  worker = new Worker(address);
  worker.onmessage = ({ data: message }) => receive(message);
  worker.onerror = ({ message }) => endWorker(`The training failed: ${message}`);
  const colours = data.truth ? rgb : null;
  const pairs = pairsFor(settings);
  worker.postMessage({ settings, items: data.names.length, pairs, colours });
  URL.revokeObjectURL(address);
  showWhole();
  choose();
  writeAddress();
  showLive();
  setText(find("#outcome"), `Training for ${epochs} epochs.`);
}

function receive(message) {
  if ("baseRate" in message) {
    live.floor = message.floor;
    live.lines = [{ label: "base-rate loss", value: message.baseRate }];
    if (Number.isFinite(live.floor ?? NaN)) {
      live.lines.unshift({ label: "Bayes-optimal loss", value: live.floor });
    }
    makeCurves();
    return;
  }
  if ("diverged" in message) {
    endWorker(`The training diverged in epoch ${message.diverged}: give a smaller learning rate.`);
    return;
  }
  const { epoch, losses, points, weight, bias } = message;
  live.now = points;
  if (epoch === undefined) {
    follow();
    return;
  }
  live.loss.push(...losses);
  const last = epoch === live.epochs;
  if (last || live.told++ % live.every === 0) {
    live.epoch.push(epoch);
    live.frames.push(points);
    live.weights.push(weight);
    live.biases.push(bias);
    thin();
  }
  live.trap ||= trapOf(epoch, weight);
  if (last) endWorker(outcome());
  else follow();
}

// Drop every second snapshot where they take too much room.
function thin() {
  if (live.frames.length * live.frames[0].byteLength < ROOM) return;
  live.every *= 2;
  for (const name of ["epoch", "frames", "weights", "biases"]) {
    live[name] = live[name].filter((_, place) => place % 2 === 0);
  }
}

// Show what has arrived, at the next refresh of the screen.
function follow() {
  timeline = live.epoch;
  find("#time").max = Math.max(timeline.length - 1, 0);
  moment = Math.max(lastUpTo(timeline, state.epoch), 0);
  plot.curves = [live.loss];
  const now = performance.now();
  if (calm && live.running && now - live.drawn < CALM) return;
  live.drawn = now;
  plot.stale = learned = true;
  requestRefresh();
}

function stopWorker() {
  worker?.terminate();
  worker = null;
}

// End a training, at its end or before it; what has arrived stays.
function endWorker(said) {
  stopWorker();
  Object.assign(live, { running: false, now: null });
  live.epochs = live.epoch.at(-1) ?? 0;
  live.loss.length = live.epochs;
  live.extent = extentOf(joined(live.frames.map((frame) => turned(frame, live.dim))), live.dim);
  setText(find("#outcome"), said);
  choose();
}

function joined(frames) {
  const size = frames[0]?.length ?? 0;
  const whole = new Float32Array(size * frames.length);
  frames.forEach((frame, place) => whole.set(frame, place * size));
  return whole;
}

// Go back to the committed trainings.
function endLive() {
  if (live === null) return;
  stopWorker();
  live = null;
  useItems(committed);
  showWhole();
  setText(find("#outcome"), "");
  state.epoch = Infinity;
  choose();
}

function outcome() {
  const seconds = ((performance.now() - live.began) / 1000).toFixed(1);
  const loss = live.loss.at(-1);
  const parts = [`Trained ${live.epochs} epochs in ${seconds} s: loss ${loss.toFixed(4)}`];
  if (Number.isFinite(live.floor ?? NaN)) parts.push(floorText(loss));
  if (data.truth) {
    const found = rankCorrelation(live.frames.at(-1), live.dim, allPairs(data.names.length));
    if (Number.isFinite(found)) {
      parts.push(`rank correlation with RGB ${found.toFixed(3)} over all pairs`);
      live.rank = found;
      live.facts += `, Spearman with RGB ${found.toFixed(3)}`;
    }
  }
  return `${parts.join(", ")}.`;
}

function floorText(loss) {
  const above = loss - live.floor;
  return `${Math.abs(above).toFixed(4)} ${above < 0 ? "below" : "above"} the Bayes-optimal loss`;
}

// What is wrong with a weight that has stayed on the wrong side of zero.
function trapOf(epoch, weight) {
  const { head, batch } = live.settings;
  const pairs = ownPairs?.label.length ?? live.settings.count;
  const steps = epoch * Math.ceil(pairs / batch);
  if (learning.FORMS[head].attracts(weight)) return "";
  if (steps < LEAST_STEPS && epoch < live.epochs) return "";
  const side = weight > 0 ? "positive" : "negative";
  return `In the sign trap: the weight is still ${side} after epoch ${epoch}, so training pushes ` +
    "similar items apart. Gradient descent seldom crosses zero: try another seed, the other " +
    "sign, or the head negative.";
}

// ---- How it is turned: as the committed trainings are, toward RGB or its first principal axes,
// ---- which leaves all distances as they are. The frames that are kept, and the download, are not.

// Points [items * dim], centred, and rotated or mirrored toward RGB; as they are without it.
function turned(points, dim) {
  if (!data.truth) return points;
  const target = targetOf(dim);
  const middle = meansOf(points, dim);
  const product = [[0, 0, 0], [0, 0, 0], [0, 0, 0]];
  for (let axis = dim; axis < 3; axis++) product[axis][axis] = 1;
  for (let at = 0; at < points.length; at += dim) {
    for (let row = 0; row < dim; row++) {
      const value = points[at + row] - middle[row];
      const part = product[row];
      for (let column = 0; column < dim; column++) part[column] += value * target[at + column];
    }
  }
  const turn = nearestTurn(product);
  const found = new Float32Array(points.length);
  for (let at = 0; at < points.length; at += dim) {
    for (let row = 0; row < dim; row++) {
      const value = points[at + row] - middle[row];
      for (let column = 0; column < dim; column++) found[at + column] += value * turn[row][column];
    }
  }
  return found;
}

// The coordinates to turn toward: RGB in three dimensions, its principal axes in fewer.
const targetOf = remembered((dim) => {
  const points = cube.points;
  const { axes } = data.training;
  const middle = meansOf(points, 3);
  const target = new Float64Array((points.length / 3) * dim);
  for (let i = 0; i < target.length; i++) {
    const [item, column] = [Math.floor(i / dim), i % dim];
    for (let axis = 0; axis < 3; axis++) {
      const part = dim === 3 ? Number(axis === column) : axes[axis][column];
      target[i] += part * (points[3 * item + axis] - middle[axis]);
    }
  }
  return target;
});

function meansOf(points, columns) {
  const means = new Float64Array(columns);
  points.forEach((value, at) => (means[at % columns] += value / (points.length / columns)));
  return means;
}

// The orthogonal matrix nearest to one of 3 rows, by Newton's iteration for the polar factor (N.
// Higham, "Computing the polar decomposition", SIAM J. Sci. Stat. Comput. 7(4), 1986).
function nearestTurn(matrix) {
  const cross = ([a, b, c], [d, e, f]) => [b * f - c * e, c * d - a * f, a * e - b * d];
  const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
  let turn = matrix;
  for (let round = 0; round < 20; round++) {
    const [x, y, z] = turn;
    const cofactors = [cross(y, z), cross(z, x), cross(x, y)];
    const size = dot(x, cofactors[0]);
    if (!size) return [[1, 0, 0], [0, 1, 0], [0, 0, 1]];
    const scale = Math.abs(size) ** (-1 / 3);
    turn = turn.map((row, i) =>
      row.map((value, j) => (scale * value + cofactors[i][j] / (size * scale)) / 2));
  }
  return turn;
}

// ---- What is told ----

function showLive() {
  const on = live !== null;
  setText(find("#train"), live?.running ? "Stop" : "Train");
  find("#replay").hidden = !on;
  find("#forget").hidden = ownPairs === null;
  find("#download").hidden = !on || !live.frames.length;
  find("#figures").hidden = !on;
  find("#trap").hidden = !live?.trap;
  setText(find("#trap"), live?.trap ?? "");
  if (!on || !live.frames.length) return;
  const frame = Math.max(lastUpTo(live.epoch, epochShown()), 0);
  const loss = live.loss[epochShown() - 1];
  const known = (value, digits) => (Number.isFinite(value) ? value.toFixed(digits) : "\u2013");
  const told = {
    loss: known(loss, 4),
    above: known(live.floor === null ? NaN : loss - live.floor, 4),
    weight: known(live.weights[frame], 3),
    bias: known(live.biases[frame], 3),
    rank: known(rankAt(frame), 3),
  };
  for (const [name, text] of Object.entries(told)) setText(find(`#figures .${name}`), text);
}

// The rank correlation at a frame: over all pairs at the end, else over some of them.
function rankAt(frame) {
  if (!data.truth) return NaN;
  const { frames, dim, running, rank } = live;
  if (!running && rank !== null && frame === frames.length - 1) return rank;
  return rankCorrelation(frames[frame], dim, someOf());
}

// All pairs of different items, as two arrays.
const allPairs = remembered((items) => {
  const size = (items * (items - 1)) / 2;
  const pairs = [new Int32Array(size), new Int32Array(size)];
  for (let i = 0, at = 0; i < items; i++) {
    for (let j = i + 1; j < items; j++, at++) [pairs[0][at], pairs[1][at]] = [i, j];
  }
  return pairs;
});

const sampled = remembered((items) => {
  const ids = learning.integers(learning.keyOf(0), 2 * SAMPLE, items);
  return [ids.subarray(0, SAMPLE), ids.subarray(SAMPLE)];
});
const someOf = () => sampled(data.names.length);

// Spearman's correlation of the distances of pairs with their distances in RGB.
function rankCorrelation(points, dim, pairs) {
  const ranks = ranksOf(squaredDistances(points, dim, pairs));
  const truth = trueRanks(pairs);
  let [product, square, other] = [0, 0, 0];
  for (let i = 0; i < ranks.length; i++) {
    product += ranks[i] * truth[i];
    square += ranks[i] ** 2;
    other += truth[i] ** 2;
  }
  return product / Math.sqrt(square * other);
}

const trueRanks = remembered((pairs) => ranksOf(squaredDistances(rgb, 3, pairs)));

function squaredDistances(points, columns, [first, second]) {
  const squared = new Float64Array(first.length);
  for (let i = 0; i < squared.length; i++) {
    for (let column = 0; column < columns; column++) {
      const apart = points[first[i] * columns + column] - points[second[i] * columns + column];
      squared[i] += apart * apart;
    }
  }
  return squared;
}

// Ranks around their mean; of equals the mean of theirs.
function ranksOf(values) {
  const sorted = values.slice().sort();
  const places = (value, isBefore) => {
    let [low, high] = [0, sorted.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (isBefore(sorted[middle], value)) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  const below = (a, b) => a < b;
  const upTo = (a, b) => a <= b;
  return values.map((value) => (places(value, below) + places(value, upTo) - sorted.length) / 2);
}

// ---- Files: own pairs, and the embedding ----

// Own pairs from the text of a table: item_a, item_b and label, by a header or in this order.
// Throws a line that names the file and the row, where row 1 is the first.
function parsePairs(text, file) {
  const fault = (row, said) => new Error(`${file}, row ${row}: ${said}`);
  const [head] = text.split("\n", 1);
  const mark = [",", ";", "\t"].sort((a, b) => head.split(b).length - head.split(a).length)[0];
  const rows = recordsOf(text, mark, fault);
  if (rows.length === 0) throw fault(1, "the file is empty; give the columns item_a,item_b,label");
  const columns = ["item_a", "item_b", "label"];
  const names = rows[0].cells.map((cell) => cell.trim().toLowerCase());
  const headed = columns.every((name) => names.includes(name));
  if (!headed && !(names.length === 3 && names[2] !== "" && Number.isFinite(Number(names[2])))) {
    const header = JSON.stringify(rows[0].cells.join(mark));
    throw fault(rows[0].row, `the header is ${header}; give the columns item_a,item_b,label`);
  }
  const places = headed ? columns.map((name) => names.indexOf(name)) : [0, 1, 2];
  const ids = new Map();
  const idOf = (name) => ids.get(name) ?? (ids.set(name, ids.size), ids.size - 1);
  const body = rows.slice(headed ? 1 : 0);
  if (!body.length) throw fault(rows[0].row + 1, "there are no pairs; give a row for each pair");
  const found = { first: [], second: [], label: [] };
  for (const { row, cells } of body) {
    if (cells.length !== rows[0].cells.length) {
      throw fault(row, `has ${cells.length} columns where ${rows[0].cells.length} are expected; ` +
        "put names that hold a comma in double quotes");
    }
    const [one, other, label] = places.map((place) => cells[place].trim());
    for (const [name, cell] of [["item_a", one], ["item_b", other]]) {
      if (cell === "") throw fault(row, `${name} is empty; give the name of an item`);
    }
    const value = label === "" ? NaN : Number(label);
    if (!(value >= 0 && value <= 1)) {
      throw fault(row, `label is ${JSON.stringify(label)}; give 1 for similar, 0 for not, or a ` +
        "number between them");
    }
    found.first.push(idOf(one));
    found.second.push(idOf(other));
    found.label.push(value);
  }
  if (ids.size < 2) throw fault(body[0].row, "there is only one item; give pairs of several");
  return {
    ...{ file, names: [...ids.keys()], first: Int32Array.from(found.first) },
    ...{ second: Int32Array.from(found.second), label: Float32Array.from(found.label) },
  };
}

// The records of a table, { row, cells }, without blank ones; quotes as in RFC 4180.
function recordsOf(text, mark, fault) {
  const records = [];
  let [cells, cell, quoted, row, opened] = [[], "", false, 1, 0];
  const end = () => {
    cells.push(cell);
    if (cells.length > 1 || cell.trim() !== "") records.push({ row, cells });
    [cells, cell] = [[], ""];
    row++;
  };
  for (let at = 0; at < text.length; at++) {
    const letter = text[at];
    if (quoted) {
      if (letter !== '"') cell += letter;
      else if (text[at + 1] === '"') cell += text[++at];
      else quoted = false;
    } else if (letter === '"' && cell === "") [quoted, opened] = [true, row];
    else if (letter === mark) {
      cells.push(cell);
      cell = "";
    } else if (letter === "\n") end();
    else if (letter !== "\r" || text[at + 1] !== "\n") cell += letter;
  }
  if (quoted) throw fault(opened, "a double quote is not closed; close it, or remove it");
  if (cell !== "" || cells.length) end();
  return records;
}

async function readOwn(file) {
  try {
    if (file.size > LARGEST_FILE) {
      throw new Error(`${file.name}: is larger than ${LARGEST_FILE / 1e6} MB; give fewer pairs`);
    }
    const bytes = await file.arrayBuffer();
    const text = new TextDecoder().decode(bytes);
    const wrong = text.search(/[\ufffd\0]/);
    if (wrong >= 0) {
      const row = text.slice(0, wrong).split("\n").length;
      throw new Error(`${file.name}, row ${row}: is not UTF-8; save the table as CSV in UTF-8`);
    }
    const pairs = parsePairs(text, file.name);
    endLive();
    ownPairs = pairs;
    showSource();
    setLocked(true);
    openSettings(true);
    showLive();
    startLive();
  } catch ({ message }) {
    setFault(message);
  }
  find("#own").value = ""; // so that the same file can be given again
}

function forgetOwn() {
  ownPairs = null;
  setLocked(false);
  endLive();
  showLive();
  showSource();
}

// Settings that own pairs have no use for.
function setLocked(locked) {
  for (const name of ["count", "constant"]) fieldOf(name).disabled = locked;
}

// The items of own pairs, coloured by their place in the file.
function ownItems() {
  const { names } = ownPairs;
  const bytes = names.flatMap((_, item) => hueOf(item / names.length));
  const disc = { label: "", outline: null, filled: true };
  return {
    ...{ names, noun: "item", truth: false, item: 0, groups: null, looks: [disc] },
    ...{ rgb: Uint8Array.from(bytes), kind: new Uint8Array(names.length) },
  };
}

// The RGB of a hue, 0 to 1 from red to violet, of medium lightness.
function hueOf(share) {
  const part = (shift) => {
    const k = (shift + 10 * share) % 12;
    return Math.round(255 * (0.5 - 0.4 * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
  };
  return [part(0), part(8), part(4)];
}

// The embedding shown, as CSV: name, x0, x1 and so on.
function embeddingText() {
  const { dim, frames, epoch } = live;
  const points = frames[Math.max(lastUpTo(epoch, epochShown()), 0)];
  const quoted = (name) => (/[",\r\n]/.test(name) ? `"${name.replaceAll('"', '""')}"` : name);
  const lines = [["name", ...Array.from({ length: dim }, (_, axis) => `x${axis}`)]];
  data.names.forEach((name, item) => {
    const place = [...points.subarray(item * dim, (item + 1) * dim)];
    // Nine digits tell every float32 apart.
    lines.push([quoted(name), ...place.map((value) => Number(value.toPrecision(9)))]);
  });
  return lines.map((line) => `${line.join(",")}\n`).join("");
}

function download() {
  const address = URL.createObjectURL(new Blob([embeddingText()], { type: "text/csv" }));
  make("a", { href: address, download: `embedding_${live.dim}d.csv` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

// ---- Start ----

function listenToLive() {
  find("#train").addEventListener("click", () => {
    if (live?.running) endWorker(`Stopped after epoch ${live.epoch.at(-1) ?? 0}.`);
    else startLive();
  });
  find("#open").addEventListener("click", () => openSettings(find("#settings").hidden));
  find("#replay").addEventListener("click", endLive);
  find("#forget").addEventListener("click", forgetOwn);
  find("#download").addEventListener("click", download);
  find("#own").addEventListener("change", ({ target }) => readOwn(target.files[0]));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    const [file] = event.dataTransfer.files;
    if (file) readOwn(file);
  });
}

// Offer a training where the page has what it needs.
function makeLive() {
  find("#training").hidden = data.training === null;
  if (data.training === null) return;
  makeSettings();
  listenToLive();
}
