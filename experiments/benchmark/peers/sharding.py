"""Train one large embedding on all CPU devices of this process, with its rows sharded over them."""

import time

import jax
import numpy as np
from _peer import serve

from colour_embed import sweeps
from colour_embed.config import Config
from colour_embed.data import Pairs


def answer(number, items, dim, steps, parts, optimizer):
    """Time `steps` steps in `parts` epochs, after one epoch that compiles the program."""
    config = Config(dim=dim, head="negative", epochs=parts + 1, optimizer=optimizer)
    random = np.random.default_rng(number)
    count = steps // parts * config.batch_size
    index = random.integers(0, items, (count, 2)).astype(np.int32)
    pairs = Pairs(index, (random.random(count) < 0.2).astype(np.float32))
    members = sweeps.grid(config, [0], [dim])
    run = sweeps.start_sweep(config, items, pairs, members, vary=["init"], shard_items=True)
    programs = run.programs
    training, seconds = programs.start(members), []
    for epoch in range(1, parts + 2):
        began = time.perf_counter()
        training, (metrics, _) = programs.advance(training, members, np.array([epoch]), False)
        loss = float(np.asarray(metrics.loss)[0, -1])
        seconds.append(time.perf_counter() - began)
    held = {device: 0 for device in jax.devices()}
    for leaf in jax.tree.leaves(training):
        for shard in leaf.addressable_shards:
            held[shard.device] += shard.data.nbytes
    return {"seconds": seconds[1:], "loss": loss, "bytes_per_device": max(held.values())}


def prepare():
    """Return the answer function and the number of devices."""
    return answer, {"devices": len(jax.devices()), "versions": {"jax": jax.__version__}}


serve(prepare)
