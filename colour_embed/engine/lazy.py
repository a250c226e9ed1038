"""Lazy Adam: rows that a step does not touch stand still, and so do the optimiser's means of them.

Adam moves every row at every step, since its means decay where the gradient is zero: with many
items that costs more than the pairs do. The lazy variant is another algorithm, with another path
and another result. Where every row is touched by every step, both are the same.

References:
    TensorFlow Addons' LazyAdam and PyTorch's SparseAdam do the same, epsilon apart.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from colour_embed.config import Config, InputError
from colour_embed.model import Params, logits
from colour_embed.train import (
    Batch,
    DevicePairs,
    KerasAdamState,
    MemberKeys,
    Metrics,
    PackedPairs,
    Training,
    TrainState,
    finish_epoch,
    keras_adam,
    ordered_pairs,
    start_training,
    train_gradient,
)

# The host has checked the ids.
_TRUSTED = {"mode": "promise_in_bounds", "wrap_negative_indices": False}


class LazyState(NamedTuple):
    """Adam's state, and for each item the place where a batch last named it: int32 [items]."""

    adam: KerasAdamState
    place: Array


def start_lazy_training(
    config: Config, items: int, keys: MemberKeys, numbers: dict[str, Any]
) -> Training:
    """The training before its first epoch; see `train.start_training`.

    Raises:
        InputError: the config has options for the optimiser.
    """
    if config.optimizer_options:
        raise InputError("lazy_adam takes no options: set beta1, beta2 and epsilon themselves")
    training = start_training(config, items, keys, numbers, optimizer=_adam(numbers))
    memory = start_memory(training.state.params)
    return training._replace(state=training.state._replace(optimizer_state=memory))


def start_memory(params: Params) -> LazyState:
    """The optimiser's state before its first step on these parameters."""
    return LazyState(keras_adam().init(params), jnp.zeros(len(_table(params)), jnp.int32))


def _adam(numbers: dict[str, Any]) -> optax.GradientTransformation:
    names = ("learning_rate", "beta1", "beta2", "epsilon")
    return keras_adam(*(numbers[name] for name in names))


def lazy_step(
    config: Config, state: TrainState, batch: Batch, *, optimizer: optax.GradientTransformation
) -> tuple[TrainState, Metrics]:
    """One step on the rows that the batch names; B pairs name at most 2 B.

    The gradient is taken by the gathered rows, so that nothing of the table's size is filled in or
    added up. Where a batch names a row several times, one of the places gathers its gradient.

    Args:
        config: head, smoothing and normalise are used.
        state: Parameters, and a `LazyState` for them.
        batch: The pairs.
        optimizer: Adam on whatever it is given.

    Returns:
        The next state, and the batch's metrics before the update.
    """
    adam, place = state.optimizer_state
    ids = jnp.concatenate([batch.first, batch.second])
    here = jnp.arange(ids.size, dtype=jnp.int32)
    # Of the places that name an item any one may win, as long as all then read the same.
    place = place.at[ids].set(here, **_TRUSTED)
    owner = place.at[ids].get(**_TRUSTED)
    # Elsewhere an id beyond the table: reads are clamped, writes dropped.
    rows = jnp.where(owner == here, ids, place.size)

    def narrowed(tree):
        return {**tree, "embedding": {"embedding": _table(tree).at[rows].get(mode="clip")}}

    def widened(tree, few):
        few = jax.tree.map(jnp.reshape, few, shapes)
        written = _table(tree).at[rows].set(_table(few), mode="drop")
        return {**few, "embedding": {"embedding": written}}

    few = narrowed(state.params)
    shapes = jax.tree.map(jnp.shape, few)
    first, second = jnp.split(owner, 2)
    gradient, metrics = train_gradient(
        few,
        batch._replace(first=first, second=second),
        logits_fn=functools.partial(logits, config),
    )
    # As one run of numbers: of rows this short, Adam's loops would not be made of vectors.
    of_few = gradient, narrowed(adam.mean), narrowed(adam.mean_square), few
    gradient, mean, mean_square, few = jax.tree.map(jnp.ravel, of_few)
    memory = KerasAdamState(adam.count, mean, mean_square)
    updates, memory = optimizer.update(gradient, memory, few)
    params = widened(state.params, optax.apply_updates(few, updates))
    adam = KerasAdamState(
        memory.count,
        widened(adam.mean, memory.mean),
        widened(adam.mean_square, memory.mean_square),
    )
    return TrainState(params, LazyState(adam, place)), metrics


def _table(tree: dict[str, Any]) -> Array:
    return tree["embedding"]["embedding"]


def run_lazy_epochs(
    config: Config,
    training: Training,
    keys: MemberKeys,
    numbers: dict[str, Any],
    pairs: DevicePairs | PackedPairs,
    epochs: Array,
    *,
    transform: Callable[[Training, Metrics], Any],
) -> tuple[Training, Any]:
    """`train.run_epochs` with `lazy_step`; from `start_lazy_training` on."""
    optimizer = _adam(numbers)
    places = np.arange(config.batch_size, dtype=np.float32)
    sizes = _step_sizes(pairs.count, config.batch_size)
    shares = sizes / sizes.sum()

    def step(state, taken):
        pairs, size = taken
        weight = jnp.where(places < size, 1 / size, 0)
        return lazy_step(config, state, pairs.batch(weight), optimizer=optimizer)

    def epoch(training, number):
        order_key = jax.random.fold_in(keys.order, number)
        ordered = ordered_pairs(pairs, order_key, config.batch_size)
        state, metrics = jax.lax.scan(step, training.state, (ordered, jnp.asarray(sizes)))
        training, means = finish_epoch(training, state, metrics, number, shares)
        return training, transform(training, means)

    return jax.lax.scan(epoch, training, epochs)


def _step_sizes(count: int, batch_size: int) -> np.ndarray:
    """float32 [steps]: how many pairs each step of an epoch takes.

    `train.batch_weights` of ten million pairs would be 40 MB that stand in the program.
    """
    starts = np.arange(0, count, batch_size)
    return np.minimum(count - starts, batch_size).astype(np.float32)
