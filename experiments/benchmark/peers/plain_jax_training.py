"""The training in plain JAX: two nested scans and `jax.random.permutation`."""

import time

import numpy as np
from _peer import load_problem, serve


def prepare(path):
    import jax
    import jax.numpy as jnp
    import optax

    problem = load_problem(path)
    count, size = len(problem.label), problem.batch_size
    whole = count // size
    optimizer = optax.adam(1e-3, eps=1e-7)
    index, label = jnp.asarray(problem.index), jnp.asarray(problem.label)

    def mean_loss(params, chosen):
        rows = params["embedding"][index[chosen]]
        squared_distance = jnp.sum((rows[:, 0] - rows[:, 1]) ** 2, axis=-1)
        logits = params["kernel"][0, 0] * squared_distance + params["bias"][0]
        return optax.sigmoid_binary_cross_entropy(logits, label[chosen]).mean()

    def step(state, chosen):
        params, moments = state
        loss, gradient = jax.value_and_grad(mean_loss)(params, chosen)
        updates, moments = optimizer.update(gradient, moments)
        return (optax.apply_updates(params, updates), moments), loss * len(chosen)

    def epoch(state, key):
        order = jax.random.permutation(key, count)
        batches = order[: whole * size].reshape(whole, size)
        state, losses = jax.lax.scan(step, state, batches)
        total = losses.sum()
        if count % size:
            state, last = step(state, order[whole * size :])
            total = total + last
        return state, (total / count, state[0]["embedding"])

    @jax.jit
    def train(params, key):
        keys = jax.random.split(key, problem.epochs)
        return jax.lax.scan(epoch, (params, optimizer.init(params)), keys)[1]

    params = {name: jnp.asarray(getattr(problem, name)) for name in ("embedding", "kernel", "bias")}
    train = train.lower(params, jax.random.key(0)).compile()

    def answer(number):
        began = time.perf_counter()
        losses, snapshots = train(params, jax.random.key(number))
        np.asarray(snapshots)
        seconds = time.perf_counter() - began
        counts = {"epochs_run": problem.epochs, "epochs_timed": problem.epochs}
        return {"seconds": seconds, "loss": float(losses[-1]), **counts}

    return answer, {"versions": {"jax": jax.__version__, "optax": optax.__version__}}


serve(prepare)
