"""This project's sweep in one process that stays warm, as the benchmark times it.

Started with the seed that starts all trainings; reads {"members", "devices", "vary", "epochs"} as a
line of JSON, runs that sweep in two dimensions twice, and says how long the second took.
"""

import json
import os
import sys
import time

import jax
import numpy as np

from colour_embed import data, sweep
from colour_embed.config import Config

jax.config.update("jax_num_cpu_devices", os.cpu_count())
channel = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def say(answer):
    print(json.dumps(answer), file=channel, flush=True)


colours = data.load_colours()
problem = sweep.SweepData(len(colours), data.tutorial_pairs(colours), colours.rgb)
compiled = set()
say({"versions": {"jax": jax.__version__}, "devices": len(jax.devices())})
for line in sys.stdin:
    asked = json.loads(line)
    run = {
        "seeds": range(asked["members"]),
        "dims": [2],
        "vary": asked["vary"].split(","),
        "devices": jax.devices()[: asked["devices"]],
    }
    config = Config(seed=int(sys.argv[1]), epochs=asked["epochs"], head="negative")
    if line not in compiled:
        # As many epochs as a chunk of the timed sweep has, so that it finds its program compiled.
        short = sweep._chunk_length(config.epochs)
        sweep.sweep(Config(**{**vars(config), "epochs": short}), problem, **run)
        compiled.add(line)
    began = time.perf_counter()
    result = sweep.sweep(config, problem, **run)
    say(
        {
            "seconds": time.perf_counter() - began,
            "loss": float(np.median(result.loss[:, -1])),
        }
    )
