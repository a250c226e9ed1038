"""What a training carries from step to step and from epoch to epoch, and a member's keys."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
from jax import Array
from jax.typing import ArrayLike


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

    loss: Any
    mse: Any


class Training(NamedTuple):
    """A training between two epochs, and the epoch in which it became NaN (0: in none so far).

    From that epoch on the state stays the last one that was finite.
    """

    state: TrainState
    diverged: Array


@runtime_checkable
class LogitsFn(Protocol):
    """(params, first [B], second [B]) -> logits [B]."""

    def __call__(  # noqa: D102
        self, params: Any, first: Array, second: Array, /
    ) -> Array: ...


@runtime_checkable
class Transform(Protocol):
    """(training, metrics) after an epoch -> what is stacked over the epochs."""

    def __call__(self, training: Training, metrics: Metrics, /) -> Any: ...  # noqa: D102


class MemberKeys(NamedTuple):
    """A member's keys, derived from its seed alone and never from its place in a sweep."""

    init: Array
    order: Array
    labels: Array
    pairs: Array


def member_keys(seed: ArrayLike) -> MemberKeys:
    """The keys of the member with this seed: uint32 scalar, may be traced."""
    key = jax.random.key(seed)
    return MemberKeys(*(jax.random.fold_in(key, purpose) for purpose in range(4)))
