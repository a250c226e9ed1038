"use strict";

// Training in JavaScript, as the library does it in JAX: the same keys, hence the same initial
// values and the same order of the pairs; the same loss, gradient and Adam, in float64. Run in a
// Web Worker, this script trains on request; run in the page, it only defines `learning`. A comment
// at each part names the Python that it follows.

const learning = (() => {
  // ---- Random numbers: JAX's threefry2x32, with jax_threefry_partitionable, which is its default.
  // ---- A key is a pair of uint32.

  const ROTATIONS = [[13, 15, 26, 6], [17, 29, 16, 24]];
  const PARITY = 0x1bd11bda;

  // Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011: 20 rounds.
  function threefry([key0, key1], count0, count1) {
    const keys = [key0, key1, key0 ^ key1 ^ PARITY];
    let x = (count0 + key0) | 0;
    let y = (count1 + key1) | 0;
    for (let group = 0; group < 5; group++) {
      for (const turn of ROTATIONS[group % 2]) {
        x = (x + y) | 0;
        y = ((y << turn) | (y >>> (32 - turn))) ^ x;
      }
      x = (x + keys[(group + 1) % 3]) | 0;
      y = (y + keys[(group + 2) % 3] + group + 1) | 0;
    }
    return [x >>> 0, y >>> 0];
  }

  // jax.random.key, fold_in, and bits of 32.
  const keyOf = (seed) => [0, seed >>> 0];
  const foldIn = (key, number) => threefry(key, 0, number >>> 0);

  function bits(key, count) {
    const found = new Uint32Array(count);
    for (let i = 0; i < count; i++) {
      const [high, low] = threefry(key, 0, i);
      found[i] = high ^ low;
    }
    return found;
  }

  // jax.random.uniform in [0, 1): 23 bits of each number, which float32 holds exactly.
  function uniform(key, count) {
    return Float32Array.from(bits(key, count), (one) => (one >>> 9) / 2 ** 23);
  }

  // jax.random.uniform in [-1, 1), exact in float32 too.
  const signed = (key, count) => uniform(key, count).map((one) => 2 * one - 1);

  // jax.random.randint in 0..span-1: two draws, of which each is reduced.
  function integers(key, count, span) {
    const [high, low] = [0, 1].map((half) => bits(foldIn(key, half), count));
    const whole = 65536 % span;
    const factor = (Math.imul(whole, whole) >>> 0) % span;
    return Int32Array.from(high, (one, i) =>
      ((Math.imul(one % span, factor) + (low[i] % span)) >>> 0) % span);
  }

  // engine/state.py: member_keys.
  function memberKeys(seed) {
    const [init, order, labels, pairs] = [0, 1, 2, 3].map((use) => foldIn(keyOf(seed), use));
    return { init, order, labels, pairs };
  }

  // ---- The order of an epoch: engine/shuffle.py, a Feistel network over Z_rows x Z_columns ----

  function factorsOf(count) {
    const root = Math.ceil(Math.sqrt(count));
    for (let rows = root; rows > Math.max(Math.floor(root / 8), 1); rows--) {
      if (count % rows === 0 && count / rows <= 65536) return [rows, count / rows];
    }
    return [root, Math.ceil(count / root)];
  }

  // Write a permutation of 0..count-1, selected by a key, into an Int32Array [count].
  function indexOrder(key, count, order) {
    const [rows, columns] = factorsOf(count);
    const rounds = Int32Array.from(bits(key, count < 4096 ? 16 : 6), (one) => one | 0);
    for (let i = 0; i < count; i++) {
      let value = i;
      do { // a value outside is permuted again until it lies inside
        let left = (value / columns) | 0;
        let right = value - left * columns;
        for (let round = 0; round < rounds.length; round++) {
          if (round % 2 === 0) right = rotate(right, hash(left, rounds[round]), columns);
          else left = rotate(left, hash(right, rounds[round]), rows);
        }
        value = left * columns + right;
      } while (value >= count);
      order[i] = value;
    }
    return order;
  }

  function hash(value, key) {
    let mixed = Math.imul(value ^ key, 0x9e3779b1);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x85ebca77);
    return mixed >>> 16;
  }

  function rotate(value, hashed, modulus) {
    const moved = value + (Math.imul(hashed, modulus) >>> 16);
    return moved < modulus ? moved : moved - modulus;
  }

  // engine/batches.py: epoch_order; epochs count from 1.
  const epochOrder = (keys, epoch, count, order = new Int32Array(count)) =>
    indexOrder(foldIn(keys.order, epoch), count, order);

  // ---- Pairs and labels of a member's own: sweeps.py, _drawn_ids and _drawn_labels ----

  function drawnPairs(keys, count, items) {
    const ids = integers(keys.pairs, 2 * count, items);
    return { first: ids.slice(0, count), second: ids.slice(count) };
  }

  // Labels by the tutorial's rule; colours are bytes [items * 3]. Computed in float32, as there.
  function drawnLabels(keys, { first, second }, colours, constant) {
    const { fround } = Math;
    const rgb = Float32Array.from(colours, (one) => one / 255);
    return uniform(keys.labels, first.length).map((u, i) => {
      let sum = 0;
      for (let axis = 0; axis < 3; axis++) {
        const apart = fround(rgb[3 * first[i] + axis] - rgb[3 * second[i] + axis]);
        sum = fround(sum + fround(apart * apart));
      }
      return fround(sum / 3) < fround(fround(constant) * fround(u * u)) ? 1 : 0;
    });
  }

  // evaluate/truth.py: best_loss of these labels, in nats per pair, and base_rate_loss.
  function floorOf({ first, second, label }, colours, constant) {
    let sum = 0;
    for (let i = 0; i < label.length; i++) {
      let diff = 0;
      for (let axis = 0; axis < 3; axis++) {
        diff += ((colours[3 * first[i] + axis] - colours[3 * second[i] + axis]) / 255) ** 2;
      }
      const similar = Math.max(0, 1 - Math.sqrt(diff / 3 / constant));
      sum -= Math.log(label[i] ? similar : 1 - similar);
    }
    return sum / label.length;
  }

  function baseRateLoss(label) {
    const share = label.reduce((sum, one) => sum + one, 0) / label.length;
    const term = (p) => (p > 0 ? -p * Math.log(p) : 0);
    return term(share) + term(1 - share);
  }

  // ---- The heads: heads.py. `logit` is without the bias. Its derivatives by the weight and by the
  // ---- feature are left in `slopes`; the third place there is for that of the loss by the logit.
  // ---- A head that is not in heads.HEADS is not offered.

  const slopes = new Float64Array(3);
  const sigmoid = (z) => (z >= 0 ? 1 / (1 + Math.exp(-z)) : 1 - 1 / (1 + Math.exp(z)));
  const softplus = (z) => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z)));
  const given = { weight: (k) => k, slope: () => 1 };
  const positive = { weight: softplus, slope: sigmoid };
  const negative = { weight: (k) => -softplus(k), slope: (k) => -sigmoid(k) };
  const belowZero = (weight) => weight < 0;
  const aboveZero = (weight) => weight > 0;

  function affine(feature, weight) {
    slopes[0] = feature;
    slopes[1] = weight;
    return weight * feature;
  }

  function inverse(feature, weight, smoothing) {
    const near = 1 / (feature + smoothing);
    slopes[0] = near;
    slopes[1] = -weight * near * near;
    return weight * near;
  }

  function matched(feature, weight, smoothing) {
    const distance = Math.sqrt(feature + 1e-6);
    const inner = (1 - weight * distance) / smoothing;
    const whole = softplus(1 / smoothing);
    const probability = 1e-4 + ((1 - 2e-4) * softplus(inner)) / whole;
    const rest = 1 - probability;
    const byInner = ((1 - 2e-4) * sigmoid(inner)) / (whole * probability * rest);
    slopes[0] = (-byInner * distance) / smoothing;
    slopes[1] = (-byInner * weight) / (2 * distance * smoothing);
    return Math.log(probability / rest);
  }

  const FORMS = {
    free: { ...given, logit: affine, attracts: belowZero },
    negative: { ...negative, logit: affine, attracts: belowZero },
    inverse: { ...given, logit: inverse, attracts: aboveZero },
    matched: { ...positive, logit: matched, attracts: aboveZero },
    dot: { ...positive, logit: affine, attracts: aboveZero, dot: true },
  };

  // ---- A training: model.py, engine/start.py, engine/optimizers.py and train.py ----

  const [BETA1, BETA2, EPSILON] = [0.9, 0.999, 1e-7];
  const SMOOTHING = 0.1;
  const LEAST = 1e-12; // of a squared length, before its row is scaled to one

  // The initial parameters, float32 [items * dim + 2]: the embedding row by row, the kernel, the
  // bias. Each column has a key of its own. `firstWeight` is null where the kernel is drawn (Glorot
  // uniform); `sign` is 1 or -1 to set the sign of either, or 0.
  function initialValues(keys, items, { dim, scale, firstWeight = null, sign = 0 }) {
    const values = new Float32Array(items * dim + 2);
    const columns = foldIn(keys.init, 0);
    for (let column = 0; column < dim; column++) {
      const drawn = signed(foldIn(columns, column), items);
      for (let i = 0; i < items; i++) values[i * dim + column] = Math.fround(scale) * drawn[i];
    }
    const drawn = signed(foldIn(keys.init, 1), 1)[0] * Math.fround(Math.sqrt(3));
    const kernel = firstWeight ?? drawn;
    values[items * dim] = sign ? sign * Math.abs(kernel) : kernel;
    return values;
  }

  // A training before its first epoch. Pairs are { first, second, label }, arrays [N].
  function startTraining(settings, items, pairs) {
    const keys = memberKeys(settings.seed);
    const values = Float64Array.from(initialValues(keys, items, settings));
    const zeros = () => new Float64Array(values.length);
    const order = new Int32Array(pairs.label.length);
    const form = FORMS[settings.head];
    const memory = { gradient: zeros(), mean: zeros(), square: zeros(), order };
    return { ...memory, settings, items, pairs, keys, values, form, epoch: 0, step: 0 };
  }

  // Train for one epoch; `after` is called after each step. Returns the mean loss of its pairs,
  // taken while the parameters move.
  function trainEpoch(training, after = () => {}) {
    const { settings, pairs, keys, order } = training;
    const count = pairs.label.length;
    training.epoch++;
    epochOrder(keys, training.epoch, count, order);
    const add = settings.normalise || training.form.dot ? addByRows : addByDifference;
    let [loss, end] = [0, 0];
    while (end < count) {
      const start = end;
      end = Math.min(start + settings.batch, count);
      loss += add(training, start, end);
      adam(training);
      after();
    }
    return loss / count;
  }

  // engine/loss.py: the loss of a pair; its derivative by the logit is left in `slopes`.
  function crossEntropy(logit, label) {
    const small = Math.exp(-Math.abs(logit));
    slopes[2] = (logit >= 0 ? 1 : small) / (1 + small) - label;
    return Math.max(logit, 0) - label * logit + Math.log(1 + small);
  }

  // Add the gradient of the mean loss over a batch, the pairs at the places start to end of the
  // order; the feature is the squared distance. Returns the sum of the losses.
  function addByDifference({ settings, items, pairs, order, form, values, gradient }, start, end) {
    const { dim } = settings;
    const { first, second, label } = pairs;
    const [kernelAt, biasAt] = [items * dim, items * dim + 1];
    const [kernel, bias] = [values[kernelAt], values[biasAt]];
    const weight = form.weight(kernel);
    const share = 1 / (end - start);
    let [loss, byWeight, byBias] = [0, 0, 0];
    for (let place = start; place < end; place++) {
      const pair = order[place];
      const one = first[pair] * dim;
      const other = second[pair] * dim;
      let feature = 0;
      for (let axis = 0; axis < dim; axis++) {
        const apart = values[one + axis] - values[other + axis];
        feature += apart * apart;
      }
      const logit = form.logit(feature, weight, SMOOTHING) + bias;
      loss += crossEntropy(logit, label[pair]);
      const slope = share * slopes[2];
      byBias += slope;
      byWeight += slope * slopes[0];
      const twice = 2 * slope * slopes[1];
      for (let axis = 0; axis < dim; axis++) {
        const part = twice * (values[one + axis] - values[other + axis]);
        gradient[one + axis] += part;
        gradient[other + axis] -= part;
      }
    }
    gradient[kernelAt] += byWeight * form.slope(kernel);
    gradient[biasAt] += byBias;
    return loss;
  }

  // The same where the feature is a dot product, or of rows scaled to length one.
  const partOfRow = new Float64Array(8);
  function addByRows({ settings, items, pairs, order, form, values, gradient }, start, end) {
    const { dim, normalise } = settings;
    const { first, second, label } = pairs;
    const [kernelAt, biasAt] = [items * dim, items * dim + 1];
    const [kernel, bias] = [values[kernelAt], values[biasAt]];
    const weight = form.weight(kernel);
    const share = 1 / (end - start);
    let [loss, byWeight, byBias] = [0, 0, 0];
    for (let place = start; place < end; place++) {
      const pair = order[place];
      const [one, other] = [first[pair] * dim, second[pair] * dim];
      const factor = normalise ? factorOf(values, one, dim) : 1;
      const otherFactor = normalise ? factorOf(values, other, dim) : 1;
      let feature = 0;
      for (let axis = 0; axis < dim; axis++) {
        const [x, y] = [values[one + axis] * factor, values[other + axis] * otherFactor];
        feature += form.dot ? x * y : (x - y) * (x - y);
      }
      const logit = form.logit(feature, weight, SMOOTHING) + bias;
      loss += crossEntropy(logit, label[pair]);
      const slope = share * slopes[2];
      byBias += slope;
      byWeight += slope * slopes[0];
      for (let side = 0; side < 2; side++) {
        const [at, by] = side ? [other, otherFactor] : [one, factor];
        const [from, byFrom] = side ? [one, factor] : [other, otherFactor];
        let along = 0;
        for (let axis = 0; axis < dim; axis++) {
          const [x, y] = [values[at + axis] * by, values[from + axis] * byFrom];
          partOfRow[axis] = slope * slopes[1] * (form.dot ? y : 2 * (x - y));
          along += partOfRow[axis] * values[at + axis];
        }
        // A change along a row of length one does nothing.
        const held = normalise && by < LEAST ** -0.5 ? by ** 3 * along : 0;
        for (let axis = 0; axis < dim; axis++) {
          gradient[at + axis] += by * partOfRow[axis] - held * values[at + axis];
        }
      }
    }
    gradient[kernelAt] += byWeight * form.slope(kernel);
    gradient[biasAt] += byBias;
    return loss;
  }

  function factorOf(values, at, dim) {
    let length = 0;
    for (let axis = 0; axis < dim; axis++) length += values[at + axis] * values[at + axis];
    return 1 / Math.sqrt(Math.max(length, LEAST));
  }

  // Keras's Adam, with epsilon outside the bias correction; sets the gradient to 0.
  function adam(training) {
    const { settings, values, gradient, mean, square } = training;
    const step = ++training.step;
    const rate = (settings.rate * Math.sqrt(1 - BETA2 ** step)) / (1 - BETA1 ** step);
    for (let i = 0; i < values.length; i++) {
      const slope = gradient[i];
      mean[i] = BETA1 * mean[i] + (1 - BETA1) * slope;
      square[i] = BETA2 * square[i] + (1 - BETA2) * slope * slope;
      values[i] -= (rate * mean[i]) / (Math.sqrt(square[i]) + EPSILON);
      gradient[i] = 0;
    }
  }

  // model.py: embedding_vectors, as float32 [items * dim]; unit rows if normalised.
  function vectorsOf({ settings, items, values }) {
    const { dim, normalise } = settings;
    const vectors = Float32Array.from(values.subarray(0, items * dim));
    if (!normalise) return vectors;
    return vectors.map((value, at) => value * factorOf(values, at - (at % dim), dim));
  }

  const weightOf = ({ form, items, settings, values }) => form.weight(values[items * settings.dim]);
  const biasOf = ({ values }) => values.at(-1);

  // ---- In a worker: one training, told as it goes ----

  const PAUSE = 25; // milliseconds between two messages, for 30 redraws a second and more
  const LEAST_MESSAGES = 200; // of a training, however short

  // Train, and post messages. Pairs may be null, to draw `count` of them; so may their labels.
  // Within an epoch that takes long, only the points are posted. The last message is that of the
  // last epoch, or { diverged } with the epoch whose parameters are not finite.
  function run({ settings, items, pairs, colours }, post) {
    const keys = memberKeys(settings.seed);
    const { first, second, label } = pairs ?? drawnPairs(keys, settings.count, items);
    const own = { first, second };
    own.label = label ?? drawnLabels(keys, own, colours, settings.constant);
    const training = startTraining(settings, items, own);
    const floor = colours ? floorOf(own, colours, settings.constant) : null;
    post({ floor, baseRate: baseRateLoss(own.label) });
    let losses = [];
    let [told, toldEpoch] = [0, 0];
    const tell = () => {
      [told, toldEpoch] = [performance.now(), training.epoch];
      const points = vectorsOf(training);
      const about = { weight: weightOf(training), bias: biasOf(training) };
      post({ epoch: training.epoch, losses, points, ...about }, [points.buffer]);
      losses = [];
    };
    const showPoints = () => {
      if (performance.now() - told < PAUSE) return;
      told = performance.now();
      const points = vectorsOf(training);
      post({ points }, [points.buffer]);
    };
    tell();
    while (training.epoch < settings.epochs) {
      losses.push(trainEpoch(training, showPoints));
      if (!training.values.every(Number.isFinite)) {
        post({ diverged: training.epoch });
        return;
      }
      const { epoch } = training;
      const due = epoch - toldEpoch >= settings.epochs / LEAST_MESSAGES;
      if (due || epoch === settings.epochs || performance.now() - told >= PAUSE) tell();
    }
  }

  return {
    ...{ FORMS, bits, uniform, integers, keyOf, foldIn, memberKeys, indexOrder, epochOrder },
    ...{ drawnPairs, drawnLabels, floorOf, baseRateLoss, initialValues, startTraining },
    ...{ trainEpoch, vectorsOf, weightOf, biasOf, run },
  };
})();

if (typeof document === "undefined") {
  onmessage = ({ data }) => learning.run(data, (...message) => postMessage(...message));
}
