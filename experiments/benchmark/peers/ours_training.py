"""This project's own training, as the benchmark times it: every epoch's order and snapshot."""

import time

import jax
from _serve import serve

from colour_embed import train
from colour_embed.config import Config
from colour_embed.data import Pairs


def prepare(problem):
    items, dim = problem.embedding.shape
    config = Config(
        seed=problem.seed, dim=dim, epochs=problem.epochs, batch_size=problem.batch_size
    )
    pairs = Pairs(problem.index, problem.label, diff=None)

    def fit(run):
        began = time.perf_counter()
        result = train.fit(config, items, pairs, snapshots="every")
        return {
            "seconds": time.perf_counter() - began,
            "epochs_run": len(result.loss),
            "epochs_timed": len(result.loss),
            "loss": float(result.loss[-1]),
        }

    return fit, {"jax": jax.__version__}


serve(prepare)
