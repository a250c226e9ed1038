"""Bootstrap weights: Poisson(1) draws as a hash of the member and the pair.

A bootstrap by weights leaves all pairs in their order: each member weighs each distinct pair by how
often it would have been drawn, so that members can share batches. A hash needs no table of
[pairs, members] weights, gives the same weights in whatever batch, and with NumPy what it gives
with JAX. uint32 only, without floating-point numbers, so that the bits are equal on every device.

References:
    B. Efron, "Bootstrap methods: another look at the jackknife", 1979. N. Oza and S. Russell,
    "Online bagging and boosting", AISTATS 2001 (Poisson(1) in place of multinomial counts).
"""

from __future__ import annotations

from typing import Any

import numpy as np

# round(2^32 P(X <= k)) of X ~ Poisson(1), k = 0..11; that of k = 12 is 2^32.
_THRESHOLDS = (
    1580030169, 3160060337, 3950075422, 4213413783, 4279248374, 4292415292,
    4294609778, 4294923276, 4294962463, 4294966817, 4294967253, 4294967292,
)  # fmt: skip


def pair_ids(first: Any, second: Any, items: int, xp: Any = np) -> Any:
    """Return an id of each unordered pair, min * items + max modulo 2^32.

    Up to 65,536 items it is unique. Beyond, few pairs share an id, and with it their weights.

    Args:
        first: integers of any shape, the first items.
        second: integers of that shape, the second items.
        items: Number of items.
        xp: The module of the arrays, `numpy` or `jax.numpy`.

    Returns:
        uint32, of that shape.

    Example:
        >>> pair_ids(np.array([3, 1]), np.array([1, 3]), 10).tolist()
        [13, 13]
    """
    with np.errstate(over="ignore"):
        low = xp.asarray(xp.minimum(first, second), np.uint32)
        high = xp.asarray(xp.maximum(first, second), np.uint32)
        return low * np.uint32(items % 2**32) + high


def poisson_weights(seed: Any, pair: Any, xp: Any = np) -> Any:
    """Return the Poisson(1) weight of each member and pair, the same on every call.

    The uint32 hash h(seed, pair) is taken as uniform, and the distribution function of Poisson(1)
    is inverted: the weight is the number of k with 2^32 P(X <= k) <= h. It is 0 for a share of 1/e
    of the pairs, and at most 12.

    The hash is MurmurHash3's finaliser f, a bijection of uint32, twice, with two keys of the
    member: h = f(f(pair ^ a(seed)) + b(seed)). With one round, two members' weights would be the
    same numbers for pairs that differ by a ^ a'.

    Args:
        seed: integers in 0..2^32 - 1, of each member.
        pair: integers in 0..2^32 - 1, of each distinct unordered pair, such as `pair_ids`. Shapes
            broadcast: give seed [1, M] and pair [N, 1] for all of N pairs and M members.
        xp: The module of the arrays, `numpy` or `jax.numpy`.

    Returns:
        uint32, of the shape to which both broadcast.

    References:
        A. Appleby, MurmurHash3 (fmix32), 2011.

    Example:
        >>> weights = poisson_weights(7, np.arange(100_000))
        >>> weights[:8].tolist(), round(float(weights.mean()), 2), round(float(weights.var()), 2)
        ([1, 1, 0, 0, 1, 2, 2, 1], 1.0, 1.0)
    """
    with np.errstate(over="ignore"):  # NumPy warns where a scalar, unlike an array, wraps around
        seed, pair = xp.asarray(seed, np.uint32), xp.asarray(pair, np.uint32)
        keys = _mixed(seed ^ np.uint32(0x9E3779B9)), _mixed(seed + np.uint32(0x7F4A7C15))
        hashed = _mixed(_mixed(pair ^ keys[0]) + keys[1])
    weight = (hashed >= np.uint32(_THRESHOLDS[0])).astype(np.uint32)
    for threshold in _THRESHOLDS[1:]:
        weight = weight + (hashed >= np.uint32(threshold)).astype(np.uint32)
    return weight


def _mixed(values: Any) -> Any:
    """Return the finaliser of MurmurHash3, a bijection of uint32 that mixes all bits."""
    values = (values ^ (values >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    values = (values ^ (values >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return values ^ (values >> np.uint32(16))
