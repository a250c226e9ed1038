"""Run our trainings on JAX's default device, one of `WORK` for each request of `accelerator`.

Imports only jax, flax, optax and NumPy, so that it runs on a bare machine. Programs are compiled
ahead of time, so that compilation is timed separately; the first run of each is not counted.
"""

import functools
import time

import jax
import jax.numpy as jnp
import numpy as np
from _peer import serve

from colour_embed import data, sweeps, train
from colour_embed.config import Config
from colour_embed.engine.batches import PackedPairs, device_pairs
from colour_embed.engine.layouts import layout_of, members_last
from colour_embed.engine.start import init_training
from colour_embed.engine.state import member_keys


@functools.cache
def pairs_of(count):
    """Return the tutorial's number of colours, and `count` pairs drawn by its rule."""
    colours = data.load_colours()
    return len(colours), data.tutorial_pairs(colours, count)


def training(seed, pairs, dim, epochs):
    """Time one training by `train.fit`, after a shorter one that compiles its program."""
    items, drawn = pairs_of(pairs)

    def run(epochs):
        began = time.perf_counter()
        config = Config(seed=seed, dim=dim, epochs=epochs)
        result = train.fit(config, items, drawn, snapshots="none")
        return time.perf_counter() - began, float(result.loss[-1])

    first = min(epochs, train.CHUNK)
    (cold, _), (seconds, loss) = run(first), run(epochs)
    # Approximate: the fixed costs of a run are spread over its epochs.
    compiling = max(0.0, cold - seconds * first / epochs)
    return {
        "seconds": [seconds],
        "epochs_run": epochs,
        "loss": loss,
        "compile_seconds": compiling,
    }


def sweep(seed, pairs, dim, members, order, layout, epochs, seconds):
    """Time a sweep on one device as one program, called repeatedly for some seconds.

    Args:
        order: "separate", an order of the pairs for each member, or "same", one for all.
        layout: "first", the members vmapped, or "last", trained in the layout `members_last`.
        epochs: Epochs of each call of the program; each continues from the one before.
        seconds: Seconds after which no further call begins.

    Returns:
        The seconds of each call, its epochs, the median loss after the first call, the seconds of
        compilation, and the bytes that the program holds on the device.
    """
    items, drawn = pairs_of(pairs)
    config = Config(seed=seed, dim=dim, head="negative")
    hyperparams, config = config.hyperparams(), config.static()
    keys = jax.vmap(member_keys)(jnp.arange(members, dtype=jnp.uint32))
    orders = keys if order == "separate" else jax.tree.map(lambda key: key[0], keys)
    start = jax.jit(jax.vmap(lambda one: init_training(config, items, one, hyperparams)))
    packed = PackedPairs.of(device_pairs(drawn, items))

    def run(training, keys, pairs, epochs, layout):
        return train.run_epochs(
            *(config, hyperparams, layout, training, keys, pairs, epochs),
            transform=lambda training, metrics: metrics.loss,
        )

    def advance(training, keys, pairs, epochs):
        if layout == "last":
            return run(training, keys, pairs, epochs, members_last(training.state))

        def one(training, keys):
            return run(training, keys, pairs, epochs, layout_of(config, training.state))

        return jax.vmap(one, in_axes=(0, 0 if order == "separate" else None))(training, keys)

    training = start(keys)
    number = jnp.arange(1, epochs + 1, dtype=jnp.int32)
    began = time.perf_counter()
    compiled = jax.jit(advance).lower(training, orders, packed, number).compile()
    compiling = time.perf_counter() - began
    training, losses = jax.block_until_ready(compiled(training, orders, packed, number))
    loss = float(np.median(losses[:, -1]))
    spent, began = [], time.perf_counter()
    while not spent or time.perf_counter() - began < seconds:
        number = number + epochs
        start_of_run = time.perf_counter()
        training, _ = jax.block_until_ready(compiled(training, orders, packed, number))
        spent.append(time.perf_counter() - start_of_run)
    return {
        "seconds": spent,
        "epochs_run": epochs,
        "loss": loss,
        "compile_seconds": compiling,
        "program_bytes": program_bytes(compiled),
    }


def program_bytes(compiled):
    """Return the bytes of a program's arguments, results and temporary arrays on the device."""
    sizes = compiled.memory_analysis()
    if sizes is None:
        return None
    parts = ("argument", "output", "temp")
    return sum(getattr(sizes, f"{part}_size_in_bytes") for part in parts)


def floor(steps):
    """Time an empty loop of `steps` steps: the cost of launching them."""

    def step(carry, _):
        # The factor keeps the compiler from replacing the loop by a closed form.
        return carry * 0.5 + 1, None

    scan = jax.jit(lambda carry: jax.lax.scan(step, carry, None, length=steps)[0])
    spent = []
    for _ in range(4):
        began = time.perf_counter()
        jax.block_until_ready(scan(jnp.float32(0)))
        spent.append(time.perf_counter() - began)
    return {"seconds": spent[1:], "compile_seconds": spent[0] - spent[-1]}


def repeated(seed, pairs, dim, members, epochs):
    """Run the same sweep twice; returns whether the bits agree, and the loss of each member."""
    items, drawn = pairs_of(pairs)
    config = Config(seed=seed, epochs=epochs, head="negative")
    spent, found = [], []
    for _ in range(2):
        began = time.perf_counter()
        device = jax.devices()[:1]
        found.append(sweeps.sweep(config, items, drawn, range(members), [dim], devices=device))
        spent.append(time.perf_counter() - began)
    bits = [result.embedding.tobytes() + result.loss.tobytes() for result in found]
    return {
        "seconds": spent[1:],
        "epochs_run": epochs,
        "same_bits": bits[0] == bits[1],
        "losses": found[0].loss[:, -1].tolist(),
    }


WORK = {"training": training, "sweep": sweep, "floor": floor, "repeated": repeated}


def answer(number, what, **asked):
    """Answer one request, and add the peak memory of the device so far."""
    try:
        found = WORK[what](**asked)
    except RuntimeError as error:  # such as out of memory: the next request may fit
        return {"skipped": f"failed: {str(error).splitlines()[0][:200]}"}
    held = (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
    return {**found, "peak_device_bytes": held}


def prepare():
    """Return the answer function and a description of the device."""
    return answer, {
        "versions": {"jax": jax.__version__},
        "backend": jax.default_backend(),
        "device": jax.devices()[0].device_kind,
    }


serve(prepare)
