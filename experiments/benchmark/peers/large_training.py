"""Our training of many items on many pairs, as the part `large` asks for it.

Asked for "what", one of `RUNS`, and for items, pairs, dim, batch_size, optimizer, repeats and seed.
"""

import functools
import time

import jax
import numpy as np
from _asked import serve

from colour_embed import data, train
from colour_embed.config import Config
from colour_embed.engine import lazy
from colour_embed.pairs import fit

CHUNK = 2**18
"""Pairs that are made at a time, so that making them takes little of the memory measured."""

HELD_OUT = 20_000


def draw_pairs(random, truth, count):
    """Uniform pairs of items with colours of their own [items, 3], labelled by the tutorial's rule.

    Returns:
        The pairs, and the loss of whoever knows the truth of each.
    """
    index, label = np.empty((count, 2), np.int32), np.empty(count, np.float32)
    floor = 0.0
    for start in range(0, count, CHUNK):
        size = min(CHUNK, count - start)
        part = slice(start, start + size)
        index[part] = random.integers(len(truth), size=(size, 2), dtype=np.int32)
        label[part], diff = data.label_pairs(
            index[part], truth, data.LABEL_CONSTANT, random.random(size)
        )
        floor += size * data.best_loss(data.probability_similar(diff), label[part])
    weight = np.broadcast_to(np.float32(1), count)
    return data.WeightedPairs(index, label, weight), floor / count


def time_epochs(config, items, pairs, held_out, repeats):
    """`fit.fit_pairs`, one restart: an epoch is what lies between two looks."""
    steps = -(-len(pairs) // config.batch_size)
    visits, losses = [], []

    def report(event):
        visits.append(time.perf_counter())
        losses.append(event.loss)

    stopping = fit.Stopping(max_steps=steps * (1 + repeats), look=steps, patience=1 + repeats)
    fit.fit_pairs(
        config,
        items,
        pairs,
        held_out=held_out,
        restarts=1,
        stopping=stopping,
        report=report,
    )
    return {"seconds": np.diff(visits).tolist(), "loss": losses[-1], "epochs": len(losses)}


def time_steps(config, items, pairs, held_out, repeats):
    """Epochs alone, compiled and after one that is not counted."""
    numbers, keys = config.numbers(), train.member_keys(np.uint32(config.seed))
    static = config.static()
    start, run = train.start_training, train.run_epochs
    if config.optimizer == fit.LAZY:
        start, run = lazy.start_lazy_training, lazy.run_lazy_epochs

    def loss(training, metrics):
        return metrics.loss

    training = jax.jit(functools.partial(start, static, items))(keys, numbers)
    run = jax.jit(
        functools.partial(run, static, transform=loss), compiler_options=train.WIDE_VECTORS
    )
    on_device = train.device_pairs(pairs, items)
    seconds = []
    for epoch in range(1, 2 + repeats):
        began = time.perf_counter()
        training, _ = run(training, keys, numbers, on_device, np.array([epoch], np.int32))
        jax.block_until_ready(training)
        seconds.append(time.perf_counter() - began)
    return {"seconds": seconds[1:]}


RUNS = {"epochs": time_epochs, "steps": time_steps}


def answer(asked):
    """{"seconds": of each epoch}, and what else was found."""
    names = ("seed", "dim", "batch_size", "optimizer")
    config = Config(head="negative", **{name: asked[name] for name in names})
    random = np.random.default_rng(asked["seed"])
    truth = random.random((asked["items"], 3))
    pairs, _ = draw_pairs(random, truth, asked["pairs"])
    held_out, floor = draw_pairs(random, truth, HELD_OUT)
    found = RUNS[asked["what"]](config, asked["items"], pairs, held_out, asked["repeats"])
    arrays = (pairs.index, pairs.label)
    return {**found, "floor": floor, "data_bytes": sum(array.nbytes for array in arrays)}


serve(answer, {"versions": {"jax": jax.__version__}})
