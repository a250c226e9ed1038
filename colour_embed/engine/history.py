"""What a training leaves behind: parts of its history, and the run that they come to."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from colour_embed.config import Config
from colour_embed.engine.state import Metrics
from colour_embed.heads import HEADS
from colour_embed.model import Params, embedding_vectors
from colour_embed.runs import Fit


def described(config: Config, params: Params) -> dict[str, Any]:
    """The embedding, kernel and bias of one training's parameters, as `Fit` has them."""
    return {
        "embedding": np.asarray(embedding_vectors(config, params)),
        "kernel": float(HEADS[config.head].weight(params["dense"]["kernel"], jnp)[0, 0]),
        "bias": float(params["dense"]["bias"][0]),
    }


class Part(NamedTuple):
    """What one chunk of epochs adds to a fit's history; embedding is None where none was kept."""

    epoch: np.ndarray
    metrics: Metrics
    embedding: np.ndarray | None


def before_training(config, training, keep) -> Part:
    """The part of the history before the first epoch: no metrics, at most a snapshot."""
    none = np.zeros(0, np.float32)
    first = np.asarray(embedding_vectors(config, training.state.params))[None] if keep else None
    return Part(np.zeros(int(keep), np.int32), Metrics(none, none), first)


def collect(config, training, history, wanted, status, diverged_epoch) -> Fit:
    """The run that these parts come to, without what lies after a divergence."""
    ended = diverged_epoch or config.epochs + 1
    kept = [
        (part.epoch[chosen], part.embedding[chosen])
        for part in history
        if part.embedding is not None
        for chosen in [np.isin(part.epoch, wanted) & (part.epoch < ended)]
    ]
    params = jax.device_get(training.state.params)
    empty = np.zeros((0, *params["embedding"]["embedding"].shape), np.float32)
    return Fit(
        config=config,
        **described(config, params),
        loss=np.concatenate([part.metrics.loss for part in history])[: ended - 1],
        mse=np.concatenate([part.metrics.mse for part in history])[: ended - 1],
        epoch=np.concatenate([np.zeros(0, np.int32), *(epoch for epoch, _ in kept)]),
        snapshots=np.concatenate([empty, *(embedding for _, embedding in kept)]),
        status=status,
        diverged_epoch=diverged_epoch,
        params=params,
    )
