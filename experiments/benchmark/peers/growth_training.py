"""Our training, or a sweep of it, of random pairs of one size: a point of the part `growth`.

Asked for items, pairs, dim, batch_size, members (None: one training), epochs, repeats and seed.
"""

import dataclasses
import time

import jax
import numpy as np
from _asked import serve

from colour_embed import sweeps, train
from colour_embed.config import Config
from colour_embed.data import Pairs


def answer(asked):
    """{"seconds": of each run of all epochs}, after one that is not counted."""
    config = Config(**{name: asked[name] for name in ("seed", "dim", "epochs", "batch_size")})
    random, count = np.random.default_rng(asked["seed"]), asked["pairs"]
    index = random.integers(asked["items"], size=(count, 2), dtype=np.int32)
    label = (random.random(count, dtype=np.float32) < 0.2).astype(np.float32)
    pairs = Pairs(index, label, diff=None)
    if asked["members"] is None:
        seconds = time_training(config, asked["items"], pairs, asked["repeats"])
    else:
        problem = sweeps.SweepData(asked["items"], pairs)
        seconds = time_sweep(config, problem, asked["members"], asked["repeats"])
    return {"seconds": seconds}


def time_training(config, items, pairs, repeats):
    """One long training: a run is what lies between two visits of the host, without the start."""
    visits = []
    train.fit(
        dataclasses.replace(config, epochs=config.epochs * (1 + repeats)),
        items,
        pairs,
        snapshots="none",
        chunk=config.epochs,
        report=lambda event: visits.append(time.perf_counter()),
    )
    return np.diff(visits).tolist()


def time_sweep(config, problem, members, repeats):
    """Whole sweeps on one device, each member with an order of its own."""
    seconds = []
    for _ in range(1 + repeats):
        began = time.perf_counter()
        sweeps.sweep(config, problem, range(members), [config.dim], devices=jax.devices()[:1])
        seconds.append(time.perf_counter() - began)
    return seconds[1:]


serve(answer, {"versions": {"jax": jax.__version__}})
