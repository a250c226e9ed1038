"""Pairs on the device: as arrays or packed, in the order of an epoch, cut to batches."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Int32

from colour_embed.config import InputError
from colour_embed.data import Pairs
from colour_embed.engine.shuffle import index_order
from colour_embed.engine.state import Batch
from colour_embed.model import AnyArray


class DevicePairs(NamedTuple):
    """All pairs, as the device holds them: int32 [N], int32 [N] and float32 [N].

    `weight`, float32 [N] of mean one, scales each pair's share of its batch; None is one for all.
    """

    first: Array
    second: Array
    label: Array
    weight: Array | None = None

    @property
    def count(self) -> int:
        """How many pairs."""
        return self.label.shape[0]

    def take(self, chosen: AnyArray) -> DevicePairs:
        """The pairs numbered chosen, int32 of any shape, each in 0..N-1."""
        return jax.tree.map(lambda values: _take(values, chosen), self)

    def batch(self, weight: Any) -> Batch:
        """These pairs as a batch, each with its share of the batch's mean."""
        share = weight if self.weight is None else weight * self.weight
        return Batch(self.first, self.second, self.label, share)


class PackedPairs(NamedTuple):
    """All pairs in one number each: uint32 [N], from high to low first id, second id and label.

    A step's pairs lie anywhere in memory, and fetching each once and not three times takes a tenth
    off the step. Ids must lie below `PACKED_ITEMS` and labels be 0 or 1.
    """

    code: Array

    @classmethod
    def of(cls, pairs: DevicePairs) -> PackedPairs:
        """The same pairs packed."""
        first, second, label = (values.astype(jnp.uint32) for values in pairs[:3])
        return cls((first << 16) | (second << 1) | label)

    @property
    def count(self) -> int:
        """How many pairs."""
        return self.code.shape[0]

    def take(self, chosen: AnyArray) -> PackedPairs:
        """The pairs numbered chosen, int32 of any shape, each in 0..N-1."""
        return PackedPairs(_take(self.code, chosen))

    def batch(self, weight: Any) -> Batch:
        """These pairs as a batch, each with its share of the batch's mean."""
        first, second = self.code >> 16, (self.code >> 1) & 0x7FFF
        label = (self.code & 1).astype(jnp.float32)
        return Batch(first.astype(jnp.int32), second.astype(jnp.int32), label, weight)


PACKED_ITEMS = 2**15
"""Pairs of fewer items than this can be packed, where their labels are 0 or 1."""


def can_pack(items: int, label: np.ndarray) -> bool:
    """Whether pairs of so many items with these labels can be packed."""
    return items <= PACKED_ITEMS and bool(np.isin(label, (0, 1)).all())


def _take(values: Any, chosen: AnyArray) -> Any:
    return values[chosen]


def epoch_order(order_key: Array, count: int, batch_size: int) -> Int32[Array, "steps batch"]:
    """Which pairs each step of an epoch takes: int32 [steps, batch_size], in a new order per key.

    Every pair comes once; what fills up the last batch gets weight zero from `batch_weight`.
    """
    steps = -(-count // batch_size)
    positions = jnp.minimum(jnp.arange(steps * batch_size, dtype=jnp.int32), count - 1)
    return index_order(order_key, positions.reshape(steps, batch_size), count)


def ordered_pairs(
    pairs: DevicePairs | PackedPairs, order_key: Array, batch_size: int
) -> DevicePairs | PackedPairs:
    """The pairs of an epoch, [steps, batch_size], in the order that `epoch_order` gives.

    All at once, kept apart from the steps by a barrier: a step that fetches its own from many pairs
    is split over the cores by XLA, which takes longer than the step.
    """
    order = epoch_order(order_key, pairs.count, batch_size)
    return jax.lax.optimization_barrier(pairs.take(order))


def batch_sizes(count: int, batch_size: int) -> np.ndarray:
    """float32 [steps]: how many pairs each step of an epoch takes; the last takes what is left."""
    starts = np.arange(0, count, batch_size)
    return np.minimum(count - starts, batch_size).astype(np.float32)


def batch_weight(size: ArrayLike, batch_size: int) -> Array:
    """float32 [batch_size]: each pair's share of the mean over `size` pairs, zero beyond them."""
    places = np.arange(batch_size, dtype=np.float32)
    return jnp.where(places < size, 1 / size, 0)


def device_pairs(pairs: Pairs, items: int) -> DevicePairs:
    """The pairs as arrays of the default device, their ids checked on the host.

    Weights are scaled to mean one; where all are equal there are none.

    Raises:
        InputError: there are no pairs, an id is outside 0..items-1, which on a device would
            silently read another row, or no pair has a weight.
    """
    if len(pairs.label) == 0:
        raise InputError("there are no pairs: give at least one")
    wrong = np.flatnonzero(((pairs.index < 0) | (pairs.index >= items)).any(axis=1))
    if wrong.size:
        row = int(wrong[0])
        raise InputError(
            f"pair {row} has ids {pairs.index[row].tolist()}, outside 0..{items - 1}: "
            "give ids of items that exist"
        )
    first, second = np.asarray(pairs.index, np.int32).T
    found = DevicePairs(*map(jnp.asarray, (first, second, np.asarray(pairs.label, np.float32))))
    if pairs.weight is None:
        return found
    mean = np.mean(pairs.weight, dtype=np.float64)
    if not (np.isfinite(mean) and mean > 0 and np.min(pairs.weight) >= 0):
        raise InputError("weights must be finite, 0 or more, and not all 0")
    if np.ptp(pairs.weight) == 0:
        return found
    return found._replace(weight=jnp.asarray(np.asarray(pairs.weight / mean, np.float32)))


def packed_where_possible(
    pairs: DevicePairs, items: int, label: np.ndarray
) -> DevicePairs | PackedPairs:
    """The same pairs, packed if they have no weights, few enough items and labels of 0 and 1."""
    if pairs.weight is None and can_pack(items, label):
        return PackedPairs.of(pairs)
    return pairs
