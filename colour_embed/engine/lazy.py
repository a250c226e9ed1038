"""Lazy Adam: rows that a step does not touch stand still, and so do the optimiser's means of them.

Adam moves every row at every step, since its means decay where the gradient is zero: with many
items that costs more than the pairs do (22.5 against 2.8 s an epoch at 100,000 items, see
results/large). The lazy variant is another algorithm, with another path and another result. Where
every row is touched by every step, both are the same.

References:
    TensorFlow Addons' LazyAdam and PyTorch's SparseAdam do the same, epsilon apart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from colour_embed.engine.optimizers import KerasAdamState, keras_adam
from colour_embed.engine.state import Batch, Metrics, TrainState
from colour_embed.model import Params


class LazyState(NamedTuple):
    """Adam's state, and for each item the place where a batch last named it: int32 [items]."""

    adam: Any  # a KerasAdamState
    place: Array


def init_lazy(params: Params) -> LazyState:
    """The optimiser's state before its first step on these parameters."""
    return LazyState(keras_adam().init(params), jnp.zeros(len(_table(params)), jnp.int32))


def lazy_step(
    state: TrainState,
    batch: Batch,
    *,
    step: Callable[..., tuple[TrainState, Metrics]],
    logits_fn: Callable[[Any, Array, Array], Array],
    optimizer: optax.GradientTransformation,
) -> tuple[TrainState, Metrics]:
    """One step on the rows that the batch names; B pairs name at most 2 B.

    The rows are gathered, the step is taken on them, and they are written back, so that nothing of
    the table's size is computed. Where a batch names a row several times, one of the places gathers
    its gradient.

    Args:
        state: Parameters, and a `LazyState` for them.
        batch: The pairs.
        step: `train.train_step`, taken on the rows.
        logits_fn: As for `step`.
        optimizer: Adam on whatever it is given.

    Returns:
        The next state, and the batch's metrics before the update.
    """
    adam, place = state.opt_state
    ids = jnp.concatenate([batch.first, batch.second])
    here = jnp.arange(ids.size, dtype=jnp.int32)
    # Of the places that name an item any one may win, as long as all then read the same.
    place = place.at[ids].set(here)
    owner = place[ids]
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
    means = narrowed(adam.mean), narrowed(adam.mean_square)
    # As vectors: XLA does not vectorise Adam's loops over rows this short.
    few, means = jax.tree.map(jnp.ravel, (few, means))
    first, second = jnp.split(owner, 2)
    after, metrics = step(
        TrainState(few, KerasAdamState(adam.count, *means)),
        batch._replace(first=first, second=second),
        logits_fn=lambda params, *pair: logits_fn(jax.tree.map(jnp.reshape, params, shapes), *pair),
        optimizer=optimizer,
    )
    memory = after.opt_state
    adam = KerasAdamState(
        memory.count,
        widened(adam.mean, memory.mean),
        widened(adam.mean_square, memory.mean_square),
    )
    return TrainState(widened(state.params, after.params), LazyState(adam, place)), metrics


def _table(tree: dict[str, Any]) -> Any:
    return tree["embedding"]["embedding"]
