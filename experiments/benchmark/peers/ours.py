"""Run this library: a request names a function of `WORK`, and its other keys are the arguments.

Imports are local to each function, so that a cold start pays only for what it uses.
"""

import dataclasses
import functools
import json
import time

import jax
import numpy as np
from _peer import load_problem, serve

from colour_embed import train
from colour_embed.config import Config
from colour_embed.data import Pairs


def training(problem):
    """Time one training of the problem in a file, with a snapshot of every epoch."""
    problem = load_problem(problem)
    items, dim = problem.embedding.shape
    config = Config(
        seed=problem.seed, dim=dim, epochs=problem.epochs, batch_size=problem.batch_size
    )
    pairs = Pairs(problem.index, problem.label)
    began = time.perf_counter()
    result = train.fit(config, items, pairs, snapshots="every")
    return {
        "seconds": time.perf_counter() - began,
        "epochs_run": len(result.loss),
        "epochs_timed": len(result.loss),
        "loss": float(result.loss[-1]),
    }


@functools.cache
def tutorial_data():
    """Return the tutorial's colours and pairs."""
    from colour_embed import data

    colours = data.load_colours()
    return colours, data.tutorial_pairs(colours)


compiled = set()


def sweep(seed, members, devices, vary, epochs):
    """Time a sweep in two dimensions after a warm-up run; returns also its median loss."""
    from colour_embed import sweeps

    colours, pairs = tutorial_data()
    config = Config(seed=seed, epochs=epochs, head="negative")
    run = functools.partial(
        sweeps.sweep,
        config,
        len(colours),
        pairs,
        range(members),
        [2],
        vary=vary,
        devices=jax.devices()[:devices],
    )
    asked = json.dumps([members, devices, vary, epochs])
    if asked not in compiled:
        run()
        compiled.add(asked)
    began = time.perf_counter()
    result = run()
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "loss": float(np.median(result.loss[:, -1]))}


def animation(path, draw, dim, out):
    """Time the frames of the snapshots in a file: drawn and discarded, or encoded as a video."""
    from colour_embed import animation

    with np.load(path) as file:
        rgb, loss = file["rgb"], file[f"loss_{dim}d"]
        arrays = file[f"epoch_{dim}d"], file[f"snapshots_{dim}d"], rgb
    began = time.perf_counter()
    if draw:
        frames = sum(len(chunk) for chunk in animation.draw_frames(*arrays, loss=loss))
    else:
        frames = animation.animate(*arrays, out, loss=loss).frames
    return {"seconds": time.perf_counter() - began, "frames": frames}


def scaling(function, items, pairs, dim, batch_size, members, optimizer, epochs, repeats, seed):
    """Time runs of `epochs` epochs on random pairs, after a warm-up run.

    Returns:
        {"seconds": [repeats]}. A run is a section of one long "fit" or "fit_pairs", without its
        fixed costs, or a whole "sweep".
    """
    config = Config(seed=seed, dim=dim, epochs=epochs, batch_size=batch_size, optimizer=optimizer)
    random = np.random.default_rng(seed)

    def draw(count):
        index = random.integers(items, size=(count, 2), dtype=np.int32)
        return Pairs(index, (random.random(count, dtype=np.float32) < 0.2).astype(np.float32))

    visits = []

    def visit(event=None):
        visits.append(time.perf_counter())

    drawn = draw(pairs)
    if function == "fit":
        long = dataclasses.replace(config, epochs=epochs * (1 + repeats))
        train.fit(long, items, drawn, snapshots="none", chunk=epochs, report=visit)
    elif function == "fit_pairs":
        from colour_embed.pairs.fit import Stopping, fit_pairs

        steps = epochs * -(-pairs // batch_size)
        stopping = Stopping(
            max_steps=steps * (1 + repeats), evaluate_every=steps, patience=1 + repeats
        )
        fit_pairs(
            config,
            items,
            drawn,
            held_out=draw(20_000),
            restarts=1,
            stopping=stopping,
            report=visit,
        )
    else:
        from colour_embed import sweeps

        for _ in range(1 + repeats):
            sweeps.sweep(config, items, drawn, range(members), [dim], devices=jax.devices()[:1])
            visit()
    return {"seconds": np.diff(visits).tolist()}


WORK = {"training": training, "sweep": sweep, "animation": animation, "scaling": scaling}


def answer(number, what, **asked):
    """Answer one request."""
    return WORK[what](**asked)


serve(lambda: (answer, {"versions": {"jax": jax.__version__}}))
