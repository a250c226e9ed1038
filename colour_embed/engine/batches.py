"""Pairs on the device, as arrays or packed, shuffled per epoch and cut into batches."""

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
from colour_embed.engine.driver import check_process
from colour_embed.engine.shuffle import index_order
from colour_embed.engine.state import Batch
from colour_embed.model import AnyArray


class DevicePairs(NamedTuple):
    """All pairs as device arrays: `first` and `second` int32 [N], `label` float32 [N].

    `weight`, float32 [N] of mean 1, scales each pair's share of the batch mean; None weights all
    pairs equally.
    """

    first: Array
    second: Array
    label: Array
    weight: Array | None = None

    @property
    def count(self) -> int:
        """The number of pairs."""
        return self.label.shape[0]

    def take(self, chosen: AnyArray) -> DevicePairs:
        """Return the pairs at the positions `chosen`, int32 of any shape, each in 0..N-1."""
        return jax.tree.map(lambda values: _take(values, chosen), self)

    def batch(self, weight: Any) -> Batch:
        """Return these pairs as a batch; `weight` is each pair's share of the batch mean."""
        share = weight if self.weight is None else weight * self.weight
        return Batch(self.first, self.second, self.label, share)


class PackedPairs(NamedTuple):
    """All pairs, packed as uint32 [N]; from high to low bits: first id, second id, label.

    A step then gathers one array in place of three. Without packing an epoch takes 1.23 times as
    long (results/benchmark/levers.md). Ids must lie below `PACKED_ITEMS`, and labels be 0 or 1.
    """

    code: Array

    @classmethod
    def of(cls, pairs: DevicePairs) -> PackedPairs:
        """Return the pairs packed."""
        first, second, label = (values.astype(jnp.uint32) for values in pairs[:3])
        return cls((first << 16) | (second << 1) | label)

    @property
    def count(self) -> int:
        """The number of pairs."""
        return self.code.shape[0]

    def take(self, chosen: AnyArray) -> PackedPairs:
        """Return the pairs at the positions `chosen`, int32 of any shape, each in 0..N-1."""
        return PackedPairs(_take(self.code, chosen))

    def batch(self, weight: Any) -> Batch:
        """Return these pairs as a batch; `weight` is each pair's share of the batch mean."""
        first, second = self.code >> 16, (self.code >> 1) & 0x7FFF
        label = (self.code & 1).astype(jnp.float32)
        return Batch(first.astype(jnp.int32), second.astype(jnp.int32), label, weight)


EVALUATED = 2**16
"""Pairs that are evaluated at a time, which bounds memory."""

PACKED_ITEMS = 2**15
"""The largest number of items whose pairs can be packed."""


def can_pack(items: int, label: np.ndarray) -> bool:
    """Return whether pairs of this many items with these labels can be packed."""
    return items <= PACKED_ITEMS and bool(np.isin(label, (0, 1)).all())


def _take(values: Any, chosen: AnyArray) -> Any:
    return values[chosen]


def epoch_order(order_key: Array, count: int, batch_size: int) -> Int32[Array, "steps batch"]:
    """Return the positions of each step's pairs, int32 [steps, batch_size], shuffled by the key.

    Every pair occurs once. The last batch is padded with repeated positions, to which
    `batch_weight` gives weight 0.
    """
    steps = -(-count // batch_size)
    positions = jnp.minimum(jnp.arange(steps * batch_size, dtype=jnp.int32), count - 1)
    return index_order(order_key, positions.reshape(steps, batch_size), count)


def ordered_pairs(
    pairs: DevicePairs | PackedPairs, order_key: Array, batch_size: int
) -> DevicePairs | PackedPairs:
    """Return the pairs of an epoch, [steps, batch_size], in the order of `epoch_order`.

    All pairs are gathered before the first step, behind an optimization barrier. XLA splits a step
    that gathers from many pairs over the cores, which takes longer than the step itself.
    """
    order = epoch_order(order_key, pairs.count, batch_size)
    return jax.lax.optimization_barrier(pairs.take(order))


def epoch_codes(
    pairs: DevicePairs | PackedPairs, order_key: Array, numbers: AnyArray, batch_size: int
) -> Array:
    """Return the packed pairs of these epochs in order, uint32 [epochs, steps * batch_size]."""
    packed = pairs if isinstance(pairs, PackedPairs) else PackedPairs.of(pairs)

    def codes(number):
        order = epoch_order(jax.random.fold_in(order_key, number), packed.count, batch_size)
        return packed.take(order).code.ravel()

    return jax.lax.map(codes, numbers)


def batch_sizes(count: int, batch_size: int) -> np.ndarray:
    """Return the number of pairs in each step of an epoch, float32 [steps]."""
    starts = np.arange(0, count, batch_size)
    return np.minimum(count - starts, batch_size).astype(np.float32)


def batch_weight(size: ArrayLike, batch_size: int) -> Array:
    """Return float32 [batch_size]: 1 / `size` for the first `size` pairs, 0 for the padding."""
    places = np.arange(batch_size, dtype=np.float32)
    return jnp.where(places < size, 1 / size, 0)


def device_pairs(pairs: Pairs, items: int) -> DevicePairs:
    """Return the pairs as arrays on the default device, after checking the ids on the host.

    Weights are scaled to mean 1. Equal weights are dropped.

    Raises:
        InputError: there are no pairs, an id is outside 0..items-1 (for which JAX reads another row
            without an error), weights are negative, not finite or all 0, or the process was forked
            after a training.
    """
    check_process()
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
    """Return the pairs, packed if they have no weights and `can_pack` allows it."""
    if pairs.weight is None and can_pack(items, label):
        return PackedPairs.of(pairs)
    return pairs


def in_parts(pairs: DevicePairs) -> tuple[DevicePairs, Array]:
    """Return pairs as [parts, size], and their shares of the weighted mean, 0 for padding."""
    count = pairs.count
    size = min(count, EVALUATED)
    parts = -(-count // size)

    def cut(values):
        return jnp.pad(values, (0, parts * size - count)).reshape(parts, size)

    if pairs.weight is None:
        share = jnp.full(count, 1 / count)
    else:
        share = pairs.weight / np.asarray(pairs.weight, np.float64).sum()
    return jax.tree.map(cut, (pairs._replace(weight=None), share))
