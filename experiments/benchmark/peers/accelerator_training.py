"""Our training on whatever device JAX finds, as the part `accelerator` asks for it.

Started with a seed and a number of pairs; asked for "what", one of `RUNS`, and its arguments. What
is asked for the first time is done once before it is timed.
"""

import functools
import json
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
from _asked import serve

from colour_embed import data, sweeps, train
from colour_embed.config import Config

seed, count = map(int, sys.argv[1:])
colours = data.load_colours()
pairs = data.tutorial_pairs(colours, count)


def train_one(dim, epochs):
    """One training, without snapshots."""
    config = Config(seed=seed, dim=dim, epochs=epochs)
    return train.fit(config, len(colours), pairs, snapshots="none")


def train_members(members, dim, epochs):
    """A sweep on one device, every member with an order of its own."""
    config = Config(seed=seed, epochs=epochs, head="negative")
    problem = sweeps.SweepData(len(colours), pairs)
    return sweeps.sweep(config, problem, range(members), [dim], devices=jax.devices()[:1])


@functools.partial(jax.jit, static_argnames="steps")
def _empty_scan(carry, steps):
    # The half keeps a compiler from finding the sum without the loop.
    return jax.lax.scan(lambda carry, _: (carry * 0.5 + 1, None), carry, length=steps)[0]


def run_empty(steps):
    """A loop of so many steps that do nothing: what launching them takes."""
    return jax.block_until_ready(_empty_scan(jnp.float32(0), steps))


RUNS = {"training": train_one, "sweep": train_members, "floor": run_empty}


def answer(asked):
    """Seconds of what was asked; and whether it came out as it did the first time, bit by bit."""
    key = json.dumps(asked)
    run = functools.partial(RUNS[asked.pop("what")], **asked)
    if key not in first:
        first[key] = _bits(run())
    began = time.perf_counter()
    result = run()
    seconds = time.perf_counter() - began
    return {
        "seconds": seconds,
        "same": _bits(result) == first[key],
        "device_memory_bytes": _device_memory(),
    }


def _bits(result):
    found = result.params if hasattr(result, "params") else result
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(found)]


def _device_memory():
    """The most that the device's arrays have taken so far; None where JAX does not say."""
    return (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use")


first = {}
serve(
    answer,
    {
        "versions": {"jax": jax.__version__},
        "backend": jax.default_backend(),
        "device": jax.devices()[0].device_kind,
    },
)
