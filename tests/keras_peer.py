"""Train with Keras 3 and with our step from the same start, and write what both arrived at.

Run by test_parity.py as a program of its own, `keras_peer.py float32|float64 out.npz`, because
Keras, its warnings and the 64-bit switch of jax are global to a process.
"""

import sys

import jax
import jax.numpy as jnp
import keras
import numpy as np
import reference

from colour_embed import data, model, train
from colour_embed.config import Config
from colour_embed.engine.optimizers import keras_adam

BATCH = 512


class UnitRows(keras.layers.Layer):
    """The tutorial's optional l2_normalize."""

    def call(self, rows):
        return keras.ops.normalize(rows, axis=-1)


class SquaredDistance(keras.layers.Layer):
    """The sum of squared differences of the two rows."""

    def call(self, rows):
        return keras.ops.sum((rows[:, 0] - rows[:, 1]) ** 2, axis=-1, keepdims=True)


def keras_model(items, dim, normalised):
    layers = [keras.Input((2,), dtype="int32"), keras.layers.Embedding(items, dim)]
    layers += [UnitRows()] if normalised else []
    layers += [SquaredDistance(), keras.layers.Dense(1, activation="sigmoid")]
    built = keras.Sequential(layers)
    built.compile(loss="binary_crossentropy", optimizer="adam", metrics=["mse"])
    return built


def our_epoch(config, optimizer):
    """(state, index, label, order) -> (state, epoch's loss, epoch's mse), partial batch padded."""

    def step(state, batch):
        return train.train_step(
            state,
            batch,
            logits_fn=lambda *arguments: model.logits(config, *arguments),
            optimizer=optimizer,
        )

    scan = jax.jit(lambda state, batches: jax.lax.scan(step, state, batches))

    def run(state, index, label, order, dtype):
        count = len(order)
        steps = -(-count // BATCH)
        padded = np.append(order, np.repeat(order[-1], steps * BATCH - count))
        padded = padded.reshape(steps, BATCH)
        present = np.arange(steps * BATCH).reshape(steps, BATCH) < count
        weight = (present / present.sum(axis=1, keepdims=True)).astype(dtype)
        batches = train.Batch(
            jnp.asarray(index[padded, 0]),
            jnp.asarray(index[padded, 1]),
            jnp.asarray(label[padded]),
            jnp.asarray(weight),
        )
        state, metrics = scan(state, batches)
        share = present.sum(axis=1) / count
        return state, *(share @ np.asarray(values, np.float64) for values in metrics)

    return run


def compare(dtype, dim, normalised, pairs, orders):
    """The named results of Keras and of ours after training in the given orders."""
    keras.utils.set_random_seed(dim)
    index, label = pairs.index, pairs.label.astype(dtype)
    peer = keras_model(646, dim, normalised)
    names = ("embedding", "kernel", "bias")
    start = dict(zip(names, (np.array(value) for value in peer.get_weights())))
    params = reference.nested({name: jnp.asarray(value) for name, value in start.items()})
    optimizer = keras_adam()
    state = train.TrainState(params, optimizer.init(params))
    epoch = our_epoch(Config(dim=dim, normalise=normalised), optimizer)
    found = {"loss": [], "mse": []}
    theirs = {"loss": [], "mse": []}
    for order in orders:
        # Keras takes the pairs as they come, so both see the same batches.
        history = peer.fit(
            index[order], label[order], batch_size=BATCH, shuffle=False, verbose=0
        ).history
        state, loss, mse = epoch(state, index, label, order, dtype)
        for name, value in (("loss", loss), ("mse", mse)):
            theirs[name].append(history[name][0])
            found[name].append(value)
    assert state.params["embedding"]["embedding"].dtype == dtype
    assert peer.get_weights()[0].dtype == dtype
    found |= reference.leaves(state.params)
    theirs |= dict(zip(names, peer.get_weights()))
    case = f"{dim}/{'normalised' if normalised else 'plain'}"
    result = {f"ours/{case}/{name}": np.asarray(value) for name, value in found.items()}
    result |= {f"keras/{case}/{name}": np.asarray(value) for name, value in theirs.items()}
    return result | {f"start/{case}/{name}": value for name, value in start.items()}


def against_reference(pairs):
    """Ours after a few steps, to be compared with the NumPy reference: both heads, two epochs."""
    result = {}
    for head in ("free", "negative"):
        for normalised in (False, True):
            config = Config(dim=3, head=head, normalise=normalised)
            params = model.init_params(config, 646, jax.random.key(5))
            params = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), params)
            case = f"{head}/{'normalised' if normalised else 'plain'}"
            for name, value in reference.leaves(params).items():
                result[f"start/{case}/{name}"] = value
            optimizer = keras_adam()
            state = train.TrainState(params, optimizer.init(params))
            epoch = our_epoch(config, optimizer)
            for order in short_orders():
                state, loss, mse = epoch(
                    state, pairs.index, pairs.label.astype(np.float64), order, np.float64
                )
            for name, value in reference.leaves(state.params).items():
                result[f"ours/{case}/{name}"] = value
            result[f"ours/{case}/metrics"] = np.array([loss, mse])
    return result


def short_orders():
    """Two orders of 2,208 pairs: four whole batches and one of 160, twice."""
    generator = np.random.default_rng(3)
    return [generator.permutation(4 * BATCH + 160) for _ in range(2)]


def tiny_rows(dtype):
    """Rows of all lengths, and unit rows and a gradient through them from Keras and from ours."""
    generator = np.random.default_rng(4)
    rows = generator.normal(size=(40, 3))
    rows *= 10 ** np.linspace(-9.05, 0.02, 40)[:, None] / np.linalg.norm(rows, axis=1)[:, None]
    rows, slope = jnp.asarray(rows.astype(dtype)), jnp.asarray(generator.normal(size=(40, 3)))
    config = Config(dim=3, normalise=True)

    def both(unit):
        return unit(rows), jax.grad(lambda rows: jnp.sum(slope.astype(dtype) * unit(rows)))(rows)

    ours = both(lambda rows: model.embedding_vectors(config, {"embedding": {"embedding": rows}}))
    bound = both(lambda rows: keras.ops.normalize(rows, axis=-1, epsilon=1e-6))
    default = both(lambda rows: keras.ops.normalize(rows, axis=-1))
    found = {"rows": rows, "ours": ours, "bound": bound, "default": default}
    return {f"tiny/{name}": np.asarray(value) for name, value in found.items()}


def main(dtype, out):
    keras.config.set_floatx(dtype)
    pairs = data.tutorial_pairs(data.load_colours())
    generator = np.random.default_rng(2)
    # The tutorial's own epoch in float64; twice 29 batches of 512 and one of 160 in float32.
    counts = [100_000] if dtype == "float64" else [29 * BATCH + 160] * 2
    orders = [generator.permutation(count) for count in counts]
    result = tiny_rows(dtype)
    for dim in (2, 3):
        for normalised in (False, True):
            result |= compare(dtype, dim, normalised, pairs, orders)
    if dtype == "float64":
        result |= against_reference(pairs)
    np.savez(out, **result)


if __name__ == "__main__":
    main(*sys.argv[1:])
