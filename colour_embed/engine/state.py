"""The state that a training carries over steps and epochs, and a member's random keys."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
from jax import Array
from jax.typing import ArrayLike


class TrainState(NamedTuple):
    """The carry of the scan over steps: the parameters and the `opt_state` for them."""

    params: Any
    opt_state: Any


class Batch(NamedTuple):
    """The B pairs of one step.

    `weight` is each pair's share of the batch mean. The shares sum to 1 if the pairs are not
    weighted.
    """

    first: Array
    second: Array
    label: Array
    weight: Array


class Metrics(NamedTuple):
    """Means over the pairs of a batch or an epoch, taken before each update, as in Keras."""

    loss: Any
    mse: Any


class Training(NamedTuple):
    """A training between two epochs, and the epoch in which it became NaN (0 for none).

    From that epoch on, the state stays the last finite one.
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
    """(training, metrics) after an epoch -> the output that is stacked over epochs."""

    def __call__(self, training: Training, metrics: Metrics, /) -> Any: ...  # noqa: D102


class MemberKeys(NamedTuple):
    """A member's keys, derived from its seed and not from its position in a sweep."""

    init: Array
    order: Array
    labels: Array
    pairs: Array


# With JAX's rbg keys a draw under vmap depends on the other members, so the kind is fixed.
KEY_KIND = "threefry2x32"


def member_keys(seed: ArrayLike) -> MemberKeys:
    """Return the keys of the member with this seed, a uint32 scalar that may be traced."""
    key = jax.random.key(seed, impl=KEY_KIND)
    return MemberKeys(*(jax.random.fold_in(key, purpose) for purpose in range(4)))
