"""What a training carries from step to step and from epoch to epoch, and a member's keys."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
from jax import Array


class TrainState(NamedTuple):
    """What one step hands to the next: the parameters and the optimiser's state for them."""

    params: Any
    opt_state: Any


class Batch(NamedTuple):
    """Pairs of one step, B of them.

    `weight` is each pair's share of the batch's mean. The shares sum to one where the pairs have no
    weights of their own.
    """

    first: Array
    second: Array
    label: Array
    weight: Array


class Metrics(NamedTuple):
    """Means over the pairs of a batch or an epoch, taken before each step as Keras reports them."""

    loss: Array
    mse: Array


class Training(NamedTuple):
    """A training between two epochs, and the epoch in which it became NaN (0: in none so far).

    From that epoch on the state stays the last one that was finite.
    """

    state: TrainState
    diverged: Array


class MemberKeys(NamedTuple):
    """A member's keys, derived from its seed alone and never from its place in a sweep."""

    init: Array
    order: Array
    labels: Array
    pairs: Array


def member_keys(seed: Array) -> MemberKeys:
    """The keys of the member with this seed: uint32 scalar, may be traced."""
    key = jax.random.key(seed)
    return MemberKeys(*(jax.random.fold_in(key, purpose) for purpose in range(4)))
