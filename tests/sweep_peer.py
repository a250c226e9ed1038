"""Runs the same small grid in other company and on other devices; a program of test_sweep.py.

Eight devices must be asked for before JAX starts, therefore a process of its own.
"""

import sys

import jax
import numpy as np

from colour_embed import sweeps
from colour_embed.config import Config
from colour_embed.data import load_colours, tutorial_pairs


def main(path: str) -> None:
    jax.config.update("jax_num_cpu_devices", 8)
    colours = load_colours()
    pairs = tutorial_pairs(colours, 3000)
    devices = jax.devices()
    grids = {
        "one_device": dict(seeds=[0, 1, 2, 3, 4], dims=[1, 2, 3], devices=devices[:1]),
        "two_devices": dict(seeds=[0, 1, 2, 3, 4], dims=[1, 2, 3], devices=devices[:2]),
        "eight_devices": dict(seeds=[0, 1, 2, 3, 4], dims=[1, 2, 3], devices=devices),
        "alone": dict(seeds=[3], dims=[2], devices=devices[:1]),
        "other_company": dict(seeds=[9, 3, 7], dims=[5, 2], devices=devices[:2]),
    }
    # The config's seed is that member's own, so that the order they share is the one it would take.
    shared = {"seeds": [0, 1, 2, 3, 4], "dims": [1, 2, 3], "vary": ["init"]}
    grids |= {
        "shared_order_one_device": dict(**shared, devices=devices[:1]),
        "shared_order_two_devices": dict(**shared, devices=devices[:2]),
    }
    config = Config(epochs=20, seed=3)
    found = {}
    for name, grid in grids.items():
        member = sweeps.sweep(config, len(colours), pairs, **grid).member(seed=3, dim=2)
        found[f"{name}_embedding"], found[f"{name}_loss"] = member.embedding, member.loss
        found[f"{name}_dense"] = np.array([member.kernel, member.bias])
    np.savez(path, **found)


if __name__ == "__main__":
    main(sys.argv[1])
