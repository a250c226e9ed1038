"""This project's sweep in one process that stays warm, as the benchmark times it.

Started with the seed that starts all trainings; reads {"members", "devices", "vary", "epochs"} as a
line of JSON, runs that sweep in two dimensions, once before it is timed.
"""

import dataclasses
import json
import os
import sys
import time

import jax
import numpy as np
from _asked import serve

from colour_embed import data, sweeps
from colour_embed.config import Config

jax.config.update("jax_num_cpu_devices", os.cpu_count())
colours = data.load_colours()
problem = sweeps.SweepData(len(colours), data.tutorial_pairs(colours), colours.rgb)
compiled = set()


def answer(asked):
    """Seconds of the sweep, and the members' median loss."""
    run = {
        "seeds": range(asked["members"]),
        "dims": [2],
        "vary": asked["vary"].split(","),
        "devices": jax.devices()[: asked["devices"]],
    }
    config = Config(seed=int(sys.argv[1]), epochs=asked["epochs"], head="negative")
    if (key := json.dumps(asked)) not in compiled:
        # As many epochs as a chunk of the timed sweep has, so that it finds its program compiled.
        short = dataclasses.replace(config, epochs=sweeps._chunk_length(config.epochs))
        sweeps.sweep(short, problem, **run)
        compiled.add(key)
    began = time.perf_counter()
    result = sweeps.sweep(config, problem, **run)
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "loss": float(np.median(result.loss[:, -1]))}


serve(answer, {"versions": {"jax": jax.__version__}})
