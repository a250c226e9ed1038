"""Embeddings trained from labelled pairs, in JAX, measured against a truth that is known.

Read the core in this order: heads, config, data, model, train, runs, sweeps, animation. Everything
else stands in a drawer: engine, evaluate, viz, io, pairs.

Importing this package loads none of its modules: each public name is imported on first use.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# name: the module that defines it
_HOMES = {
    "Config": "config",
    "Hyperparams": "config",
    "Stopping": "config",
    "Pairs": "data",
    "Head": "heads",
    "HEADS": "heads",
    "load_colours": "data",
    "tutorial_pairs": "data",
    "init_params": "model",
    "logits": "model",
    "train_step": "train",
    "make_train": "train",
    "fit": "train",
    "Fit": "runs",
    "sweep": "sweeps",
    "SweepResult": "runs",
    "load_run": "io.run_folder",
    "load_sweep": "io.run_folder",
    "keras_adam": "engine.optimizers",
    "recovery": "evaluate.geometry",
    "evaluate_members": "evaluate.tables",
    "align": "evaluate.geometry",
    "animate": "animation",
    "animate_grid": "animation",
    "plot_embedding": "viz.embedding",
    "PairEmbedding": "pairs.estimator",
    "InputError": "config",
}

# package that is not always installed: the extra that installs it
_EXTRAS = {"sklearn": "pairs"}

__all__ = [
    "Config",
    "Hyperparams",
    "Stopping",
    "Pairs",
    "Head",
    "HEADS",
    "load_colours",
    "tutorial_pairs",
    "init_params",
    "logits",
    "train_step",
    "make_train",
    "fit",
    "Fit",
    "sweep",
    "SweepResult",
    "load_run",
    "load_sweep",
    "keras_adam",
    "recovery",
    "evaluate_members",
    "align",
    "animate",
    "animate_grid",
    "plot_embedding",
    "PairEmbedding",
    "InputError",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if package not in _EXTRAS:
            raise
        value = _needs_extra(name, package)
    globals()[name] = value
    return value


def _needs_extra(name: str, package: str) -> Any:
    """A stand-in for a name whose package is not installed; using it raises."""

    def use(*arguments: Any, **named: Any) -> Any:
        from colour_embed.config import InputError

        raise InputError(
            f"{name} needs {package}, which is not installed: "
            f"pip install 'colour_embed[{_EXTRAS[package]}]'"
        )

    return use


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if TYPE_CHECKING:
    from colour_embed.animation import animate, animate_grid
    from colour_embed.config import Config, Hyperparams, InputError, Stopping
    from colour_embed.data import Pairs, load_colours, tutorial_pairs
    from colour_embed.engine.optimizers import keras_adam
    from colour_embed.evaluate.geometry import align, recovery
    from colour_embed.evaluate.tables import evaluate_members
    from colour_embed.heads import HEADS, Head
    from colour_embed.io.run_folder import load_run, load_sweep
    from colour_embed.model import init_params, logits
    from colour_embed.pairs.estimator import PairEmbedding
    from colour_embed.runs import Fit, SweepResult
    from colour_embed.sweeps import sweep
    from colour_embed.train import fit, make_train, train_step
    from colour_embed.viz.embedding import plot_embedding
