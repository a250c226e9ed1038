"""Member layouts: the array shapes of one or several training states during an epoch.

`train_epochs` enters a layout before the steps of an epoch and leaves it after them. All layouts
use the same step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from colour_embed.config import Config
from colour_embed.engine.optimizers import KERAS_ADAM
from colour_embed.engine.state import Batch, TrainState

LANES = 8
"""The most members of `members_last` in one loop. XLA does not vectorise loops over 16 of them."""


def lanes_for(members: int) -> int:
    """Return the width of the `members_last` loop for a number of members: 2, 4 or `LANES`.

    The bits of a member are the same at each of these widths, but not at width 1.
    """
    return next((width for width in (2, 4) if members <= width), LANES)


class Layout(NamedTuple):
    """The conversions between a training state and its layout during an epoch.

    Attributes:
        enter: TrainState -> the carry of the scan over steps.
        leave: (carry, TrainState before) -> TrainState.
        params: carried parameters -> parameters as `model.logits` takes them.
        batch: Batch -> Batch that broadcasts against the logits.
        each: function of one member -> function of all members of the layout.
        metrics: metrics stacked over steps -> the same with the member axis, if any, first.
        stacked: outputs stacked over epochs -> the same with the member axis, if any, first.
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
    """Return the layout of one training with unchanged arrays, valid for every optimiser."""
    return Layout(_same, lambda state, like: state, _same, _same, _same, _same, _same)


def raveled(state: TrainState) -> Layout:
    """Return the layout of one training with raveled arrays, for elementwise optimisers.

    XLA does not vectorise loops over short rows. At dim 2 the layout makes no difference
    (results/benchmark/levers.md); it serves larger dimensions.
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
    """Return the layout of members that take the same batches: the member axis is the last.

    On a CPU `vmap` gathers and scatters each member's rows separately. Members with the same pairs
    in the same order have the same ids in every step; with the member axis last, one id gathers a
    contiguous row of all members. Each member may have hyperparameters of its own, as arrays
    [1, members].

    Args:
        state: The state of all members, [members, ...], of Keras's Adam.
    """
    members = len(jax.tree.leaves(state.params)[0])
    shapes = jax.tree.map(lambda leaf: (*leaf.shape[1:], members), state.params)

    def last(leaf):
        return jnp.moveaxis(leaf, 0, -1).reshape(-1, members)

    def first(leaf, like):
        return jnp.moveaxis(leaf.reshape(*like.shape[1:], members), -1, 0)

    def batch(batch):
        return batch._replace(label=batch.label[:, None], weight=batch.weight[:, None])

    def members_first(values):
        return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 1, 0), values)

    return Layout(
        enter=lambda state: jax.tree.map(last, state),
        leave=lambda state, like: jax.tree.map(first, state, like),
        params=lambda params: jax.tree.map(jnp.reshape, params, shapes),
        batch=batch,
        each=jax.vmap,
        metrics=members_first,
        stacked=members_first,
    )


def layout_of(config: Config, state: TrainState, *, own_optimizer: bool = False) -> Layout:
    """Return the layout of a single training: `raveled` for Keras's Adam, else `as_it_is`."""
    elementwise = config.optimizer == KERAS_ADAM and not own_optimizer
    return raveled(state) if elementwise else as_it_is()
