"""The history of a training, chunk by chunk, and its conversion to a `Fit`."""

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
    """Return the embedding, kernel and bias of one training, by the field names of `Fit`."""
    return {
        "embedding": np.asarray(embedding_vectors(config, params)),
        "kernel": float(HEADS[config.head].weight(params["dense"]["kernel"], jnp)[0, 0]),
        "bias": float(params["dense"]["bias"][0]),
    }


class Part(NamedTuple):
    """The history of one chunk of epochs; `embedding` is None without snapshots."""

    epoch: np.ndarray
    metrics: Metrics
    embedding: np.ndarray | None


def before_training(config, training, keep) -> Part:
    """Return the history before the first epoch: no metrics, and a snapshot if `keep`."""
    none = np.zeros(0, np.float32)
    first = np.asarray(embedding_vectors(config, training.state.params))[None] if keep else None
    return Part(np.zeros(int(keep), np.int32), Metrics(none, none), first)


def collect(config, training, history, wanted, status, diverged_epoch) -> Fit:
    """Return the `Fit` of a history; epochs from a divergence on are left out."""
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
