"""This project's animation, as the benchmark times it.

Started with the path of the snapshots; asked for {"what", "dim", "out"}: "draw" makes all frames
and drops them, "whole" writes the video, and "grid" writes that of {"seeds", "dims", "epochs"}.
"""

import functools
import sys
import time

import numpy as np
from _asked import serve

from colour_embed import animation, data

COLOURS = data.load_colours()


@functools.cache
def training(dim):
    with np.load(sys.argv[1]) as file:
        return {name: file[f"{name}_{dim}d"] for name in ("epoch", "snapshots", "loss")}


@functools.cache
def trained_sweep(seeds, dims, epochs):
    """Members that all kept snapshots; trained once, which is not timed."""
    from colour_embed import sweeps
    from colour_embed.config import Config

    swept = sweeps.SweepData(len(COLOURS), data.tutorial_pairs(COLOURS))
    return sweeps.sweep(
        Config(epochs=epochs), swept, range(seeds), range(1, dims + 1), snapshots=seeds * dims
    )


def answer(asked):
    if asked["what"] == "grid":
        members = trained_sweep(asked["seeds"], asked["dims"], asked["epochs"])
        began = time.perf_counter()
        made = animation.animate_grid(members, COLOURS.rgb, asked["out"])
        return {"seconds": time.perf_counter() - began, "frames": made.frames, "size": made.size}
    run = training(asked["dim"])
    arrays = run["epoch"], run["snapshots"], COLOURS.rgb
    began = time.perf_counter()
    if asked["what"] == "draw":
        frames = sum(len(chunk) for chunk in animation.draw_frames(*arrays, loss=run["loss"]))
    else:
        frames = animation.animate(*arrays, asked["out"], loss=run["loss"]).frames
    return {"seconds": time.perf_counter() - began, "frames": frames}


serve(answer, {"versions": {"numpy": np.__version__}})
