"""Run our trainings on JAX's default device, one of `WORK` for each request of `accelerator`.

Imports only jax, flax, optax and NumPy, so that it runs on a bare machine. Programs are compiled
ahead of time, so that compilation is timed separately; the first run of each is not counted.
"""

import contextlib
import functools
import time
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from _peer import serve

from colour_embed import data, sweeps, train
from colour_embed.config import Config
from colour_embed.engine import blocks
from colour_embed.engine.batches import PackedPairs, device_pairs, epoch_codes
from colour_embed.engine.layouts import layout_of, members_last
from colour_embed.engine.start import init_training
from colour_embed.engine.state import member_keys


@functools.cache
def pairs_of(count):
    """Return the tutorial's number of colours, and `count` pairs drawn by its rule."""
    colours = data.load_colours()
    return len(colours), data.tutorial_pairs(colours, count)


class NoKernel(Exception):
    """Raised if the kernel of `engine.blocks` cannot run here."""


@contextlib.contextmanager
def trained_by(program, config, items):
    """Train by "kernel", that of `engine.blocks`, or by "xla" in this context."""
    if program == "xla":
        with mock.patch.object(blocks, "usable", return_value=False):
            yield
    else:
        need_kernel(config, items)
        yield


def need_kernel(config, items):
    """Raise NoKernel unless the kernel can train this config here."""
    if not blocks.usable(config, items, jax.devices()[:1]):
        raise NoKernel("the kernel needs an NVIDIA GPU and cuda.core")


def training(seed, pairs, dim, epochs, program):
    """Time one training by `train.fit`, after a shorter one that compiles its program."""
    items, drawn = pairs_of(pairs)
    with trained_by(program, Config(dim=dim), items):
        return _training(seed, items, drawn, dim, epochs)


def _training(seed, items, drawn, dim, epochs):

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
    """Time a sweep on one device, called repeatedly for some seconds.

    Args:
        order: "separate", an order of the pairs for each member, or "same", one for all.
        layout: "first", the members vmapped; "last", trained in the layout `members_last`; or
            "kernel", that of `engine.blocks`.
        epochs: Epochs of each call; each continues from the one before.
        seconds: Seconds after which no further call begins.

    Returns:
        The seconds of each call, its epochs, the median loss after the first call, the seconds of
        compilation, and the bytes on the device of a call's arguments, results and temporaries.
    """
    items, drawn = pairs_of(pairs)
    config = Config(seed=seed, dim=dim, head="negative")
    hyperparams, config = config.hyperparams(), config.static()
    keys = jax.vmap(member_keys)(jnp.arange(members, dtype=jnp.uint32))
    orders = keys if order == "separate" else jax.tree.map(lambda key: key[:1], keys)
    start = jax.jit(jax.vmap(lambda one: init_training(config, items, one, hyperparams)))
    packed = PackedPairs.of(device_pairs(drawn, items))
    number = np.arange(1, epochs + 1, dtype=np.int32)
    if layout == "kernel":
        given = config, items, members, hyperparams, orders, packed
        advance, compiling = _by_kernel(*given), None
        held = kernel_bytes(start(keys), len(orders.order), epochs, len(drawn), config.batch_size)
    else:
        advance = _by_xla(config, hyperparams, orders, packed, layout)
        began = time.perf_counter()
        advance = advance.lower(start(keys), number).compile()
        compiling, held = time.perf_counter() - began, program_bytes(advance)
    began = time.perf_counter()
    training, losses = jax.block_until_ready(advance(start(keys), number))
    first = time.perf_counter() - began
    loss = float(np.median(losses[:, -1]))
    spent, began = [], time.perf_counter()
    while not spent or time.perf_counter() - began < seconds:
        number = number + epochs
        start_of_run = time.perf_counter()
        training, _ = jax.block_until_ready(advance(training, number))
        spent.append(time.perf_counter() - start_of_run)
    return {
        "seconds": spent,
        "epochs_run": epochs,
        "loss": loss,
        "compile_seconds": first - min(spent) if compiling is None else compiling,
        "program_bytes": held,
    }


def _by_xla(config, hyperparams, orders, pairs, layout):
    """Return (training, epochs) -> (training, losses [members, epochs]) by XLA, jitted."""

    def run(training, keys, epochs, layout):
        return train.run_epochs(
            *(config, hyperparams, layout, training, keys, pairs, epochs),
            transform=lambda training, metrics: metrics.loss,
        )

    def advance(training, epochs):
        shared = jax.tree.map(lambda key: key[0], orders)
        if layout == "last":
            return run(training, shared, epochs, members_last(training.state))

        def one(training, keys):
            return run(training, keys, epochs, layout_of(config, training.state))

        separate = len(orders.order) > 1
        given = orders if separate else shared
        return jax.vmap(one, in_axes=(0, 0 if separate else None))(training, given)

    return jax.jit(advance)


def _by_kernel(config, items, members, hyperparams, orders, pairs):
    """Return what `_by_xla` does, by the kernel."""
    need_kernel(config, items)
    hyperparams = jax.tree.map(lambda value: jnp.full(members, value, jnp.float32), hyperparams)

    @jax.jit
    def codes(epochs):
        def one(key):
            return epoch_codes(pairs, key, epochs, config.batch_size)

        return jax.vmap(one, out_axes=1)(orders.order)

    def advance(training, epochs):
        given = codes, len(orders.order), training, hyperparams, epochs, False
        training, (metrics, _) = blocks.advance(config, items, pairs.count, *given)
        return training, metrics.loss

    return advance


def program_bytes(compiled):
    """Return the bytes of a program's arguments, results and temporary arrays on the device."""
    sizes = compiled.memory_analysis()
    if sizes is None:
        return None
    parts = ("argument", "output", "temp")
    return sum(getattr(sizes, f"{part}_size_in_bytes") for part in parts)


def kernel_bytes(training, orders, epochs, pairs, batch_size):
    """Return the bytes of a launch: trainings before, within and after it, pairs and rates."""
    steps, members = -(-pairs // batch_size), len(training.diverged)
    state = sum(leaf.nbytes for leaf in jax.tree.leaves(training))
    codes = min(4 * orders * epochs * steps * batch_size, blocks.CODE_BYTES)
    return 3 * state + codes + 4 * members * epochs * steps


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


def repeated(seed, pairs, dim, members, epochs, program):
    """Run the same sweep twice; returns whether the bits agree, and the loss of each member."""
    config = Config(seed=seed, epochs=epochs, head="negative")
    spent, found = zip(*(_swept(config, pairs, members, dim, program) for _ in range(2)))
    bits = [result.embedding.tobytes() + result.loss.tobytes() for result in found]
    return {
        "seconds": spent[1:],
        "epochs_run": epochs,
        "same_bits": bits[0] == bits[1],
        "losses": found[0].loss[:, -1].tolist(),
    }


def whole(seed, pairs, dim, members, epochs, program):
    """Time a whole sweep by `sweeps.sweep` with separate orders, compilation included."""
    config = Config(seed=seed, epochs=epochs, head="negative")
    spent, found = _swept(config, pairs, members, dim, program)
    return {"seconds": [spent], "epochs_run": epochs, "losses": found.loss[:, -1].tolist()}


def _swept(config, pairs, members, dim, program):
    items, drawn = pairs_of(pairs)
    device = jax.devices()[:1]
    began = time.perf_counter()
    with trained_by(program, config.static(), items):
        found = sweeps.sweep(config, items, drawn, range(members), [dim], devices=device)
    return time.perf_counter() - began, found


WORK = {"training": training, "sweep": sweep, "floor": floor, "repeated": repeated, "whole": whole}


def answer(number, what, **asked):
    """Answer one request, and add the peak memory of the device so far."""
    try:
        found = WORK[what](**asked)
    except NoKernel as error:
        return {"skipped": str(error)}
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
