"""Members that see the same batches, trained as one: their axis is the last of every array.

On a CPU, a vmap over trainings gains nothing: each member's rows are gathered and scattered by
themselves. Members that share the pairs and their order share the ids of every step too; with the
members last, one id moves a row of all of them, in vectors. The step is `train.train_step` as it
is, on parameters that carry a further axis.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from colour_embed.config import Config
from colour_embed.model import logits
from colour_embed.train import (
    DevicePairs,
    MemberKeys,
    Metrics,
    PackedPairs,
    Training,
    TrainState,
    batch_weights,
    finish_epoch,
    make_optimizer,
    ordered_pairs,
    pair_shares,
    train_step,
)

STACKED_NUMBERS = frozenset({"initial_scale", "initial_kernel"})
"""The numbers of the config that may differ among members: those that no step reads."""


def run_stacked_epochs(
    config: Config,
    training: Training,
    keys: MemberKeys,
    numbers: dict[str, Any],
    pairs: DevicePairs | PackedPairs,
    epochs: Array,
    *,
    transform: Callable[[Training, Metrics], Any],
) -> tuple[Training, Any]:
    """What `jax.vmap(train.run_epochs)` gives for members of the same order, pairs and numbers.

    Args:
        config: The static fields are used; the optimiser must be `train.VALUE_BY_VALUE`.
        training: Of all members, which are the leading axis of every array, [members, ...].
        keys: Of the order that the members share.
        numbers: That the members share; scalars.
        pairs: All pairs.
        epochs: int32 [E], the numbers of the epochs to run.
        transform: (training, metrics) of one member after an epoch -> what to stack of it.

    Returns:
        The training after the last epoch, and the stacked transforms, [members, E, ...].
    """
    optimizer = make_optimizer(config, numbers)
    weights = batch_weights(pairs.count, config.batch_size)
    members = len(training.diverged)
    shapes = jax.tree.map(lambda leaf: (*leaf.shape[1:], members), training.state.params)

    def logits_fn(params, first, second):
        params = jax.tree.map(jnp.reshape, params, shapes)
        with jax.numpy_rank_promotion("allow"):  # a member's weight meets its pairs
            return logits(config, params, first, second)

    def step(state, taken):
        pairs, weight = taken
        batch = pairs.batch(weight)
        batch = batch._replace(label=batch.label[:, None], weight=batch.weight[:, None])
        return train_step(state, batch, logits_fn=logits_fn, optimizer=optimizer)

    def epoch(training, number):
        order_key = jax.random.fold_in(keys.order, number)
        ordered = ordered_pairs(pairs, order_key, config.batch_size)
        taken = ordered, jnp.asarray(weights)
        state, metrics = jax.lax.scan(step, _members_last(training.state), taken)
        state = _members_first(state, training.state)
        finish = jax.vmap(finish_epoch, (0, 0, 1, None, None))
        training, means = finish(training, state, metrics, number, pair_shares(weights))
        return training, jax.vmap(transform)(training, means)

    training, stacked = jax.lax.scan(epoch, training, epochs)
    return training, jax.tree.map(lambda values: jnp.moveaxis(values, 0, 1), stacked)


def _members_last(state: TrainState) -> TrainState:
    """[members, ...] -> [... x members], in one run of numbers: that makes the longest loops.

    The count of steps is one for all; the largest, because a member that diverged stands still.
    """

    def moved(leaf):
        return jnp.moveaxis(leaf, 0, -1).reshape(-1)

    memory = state.optimizer_state
    return TrainState(
        jax.tree.map(moved, state.params),
        jax.tree.map(moved, memory)._replace(count=jnp.max(memory.count)),
    )


def _members_first(state: TrainState, like: TrainState) -> TrainState:
    """The reverse of `_members_last`; `like` has the shapes to come."""

    def moved(leaf, like):
        members, *shape = like.shape
        if leaf.ndim == 0:
            return jnp.broadcast_to(leaf, like.shape)
        return jnp.moveaxis(leaf.reshape(*shape, members), -1, 0)

    return jax.tree.map(moved, state, like)
