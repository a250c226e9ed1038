"""Member layouts: how the state of one training, or of several, stands in memory during an epoch.

`train_epochs` enters a layout before an epoch's steps and leaves it after them. The step itself is
the same in all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from colour_embed.config import Config
from colour_embed.engine.optimizers import KERAS_ADAM
from colour_embed.engine.state import Batch, TrainState

SHARED_HYPERPARAMS = frozenset({"initial_scale", "initial_kernel"})
"""The hyperparameters in which members of `members_last` may differ: no step reads them."""


class Layout(NamedTuple):
    """How state is laid out during an epoch.

    Attributes:
        enter: TrainState -> the state that the scan over steps carries.
        leave: (carried state, TrainState of before) -> TrainState.
        params: carried parameters -> parameters as `model.logits` reads them.
        batch: Batch -> Batch that broadcasts against the logits.
        each: function of one member -> function of all members of the layout.
        metrics: metrics stacked over steps -> the same with a member axis first, if there is one.
        stacked: outputs stacked over epochs -> the same with a member axis first, if there is one.
    """

    enter: Callable[[TrainState], TrainState]
    leave: Callable[[TrainState, TrainState], TrainState]
    params: Callable[[Any], Any]
    batch: Callable[[Batch], Batch]
    each: Callable[[Callable], Callable]
    metrics: Callable[[Any], Any]
    stacked: Callable[[Any], Any]


def _same(values: Any) -> Any:
    return values


def as_it_is() -> Layout:
    """One training, its arrays in their own shapes: right for every optimiser."""
    return Layout(_same, lambda state, like: state, _same, _same, _same, _same, _same)


def raveled(state: TrainState) -> Layout:
    """One training, every array as a vector: for optimisers that treat each value by itself.

    XLA does not vectorise loops over 16 columns; at dim 16 this layout takes half the time
    (results/benchmark/levers.md).
    """
    shapes = jax.tree.map(jnp.shape, state)
    return Layout(
        enter=lambda state: jax.tree.map(jnp.ravel, state),
        leave=lambda state, like: jax.tree.map(jnp.reshape, state, shapes),
        params=lambda params: jax.tree.map(jnp.reshape, params, shapes.params),
        batch=_same,
        each=_same,
        metrics=_same,
        stacked=_same,
    )


def members_last(state: TrainState) -> Layout:
    """Members that take the same batches, trained as one: their axis is the last of every array.

    On a CPU a vmap over trainings gains nothing: each member's rows are gathered and scattered by
    themselves. Members that share pairs and order share the ids of every step; with the members
    last, one id moves a row of all of them, in vectors.

    Args:
        state: Of all members, [members, ...]; the optimiser is Keras's Adam.
    """
    members = len(jax.tree.leaves(state.params)[0])
    shapes = jax.tree.map(lambda leaf: (*leaf.shape[1:], members), state.params)

    def last(leaf):
        return jnp.moveaxis(leaf, 0, -1).reshape(-1)

    def first(leaf, like):
        if leaf.ndim == 0:
            return jnp.broadcast_to(leaf, like.shape)
        return jnp.moveaxis(leaf.reshape(*like.shape[1:], members), -1, 0)

    def enter(state):
        # One count for all: the largest, since that of a diverged member stands still.
        opt_state = state.opt_state
        return TrainState(
            jax.tree.map(last, state.params),
            jax.tree.map(last, opt_state)._replace(count=jnp.max(opt_state.count)),
        )

    def batch(batch):
        return batch._replace(label=batch.label[:, None], weight=batch.weight[:, None])

    def members_first(values):
        return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 1, 0), values)

    return Layout(
        enter=enter,
        leave=lambda state, like: jax.tree.map(first, state, like),
        params=lambda params: jax.tree.map(jnp.reshape, params, shapes),
        batch=batch,
        each=jax.vmap,
        metrics=members_first,
        stacked=members_first,
    )


def layout_of(config: Config, state: TrainState, *, own_optimizer: bool = False) -> Layout:
    """The layout of a single training: raveled under Keras's Adam, else as it is."""
    elementwise = config.optimizer == KERAS_ADAM and not own_optimizer
    return raveled(state) if elementwise else as_it_is()
