"""Shuffling by a keyed bijection of 0..n-1, computed without sorting.

`jax.random.permutation` sorts: on a CPU an epoch takes 38.5 times as long with it
(results/benchmark/levers.md). A Feistel network is a bijection by construction, takes a few integer
operations per position, and can be evaluated at any subset of positions.

References:
    M. Luby and C. Rackoff, "How to construct pseudorandom permutations from pseudorandom
    functions", SIAM J. Comput. 17(2), 1988. J. Black and P. Rogaway, "Ciphers with arbitrary finite
    domains", CT-RSA 2002 (the network over Z_a x Z_b with modular addition, and cycle-walking).
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Int32, Integer

from colour_embed.model import AnyArray

# The fewest rounds that pass the uniformity tests: at 5 rounds the differences of neighbours are
# still not uniform. A small domain has fewer bits to mix per round, so it takes more rounds.
_ROUNDS_LARGE, _ROUNDS_SMALL, _SMALL = 6, 16, 4096
# Round functions take the high 16 bits of a hash, so a half of the network holds at most 2**16.
_LARGEST_HALF = 2**16
_LARGEST = 2**31  # beyond it the results exceed int32


def index_order(
    key: Array, positions: Integer[AnyArray, "*shape"], count: int
) -> Int32[Array, "*shape"]:
    """Return a keyed pseudorandom permutation of 0..count-1, evaluated at the given positions.

    Args:
        key: A JAX key, which selects the permutation.
        positions: int32 or uint32, any shape, each in 0..count-1.
        count: n, the size of the permutation; a static Python int of at least 1.

    Returns:
        int32, of the shape of `positions`.

    Raises:
        ValueError: count is below 1 or too large for 32-bit arithmetic.
    """
    if not 1 <= count <= _LARGEST:
        raise ValueError(f"count is {count}: it must lie in 1..{_LARGEST}")
    rows, columns = _factor(count)
    rounds = _ROUNDS_SMALL if count < _SMALL else _ROUNDS_LARGE
    round_keys = jax.random.bits(key, (rounds,), jnp.uint32)

    def walk(values):
        return _feistel(round_keys, values, rows, columns)

    result = walk(positions.astype(jnp.uint32))
    if rows * columns != count:
        # Cycle-walking: results of `count` or more are permuted again until they lie below it,
        # which is a bijection of 0..count-1.
        result = jax.lax.while_loop(
            lambda values: jnp.any(values >= count),
            lambda values: jnp.where(values >= count, walk(values), values),
            result,
        )
    return result.astype(jnp.int32)


def _factor(count: int) -> tuple[int, int]:
    """Return two nearly equal factors whose product is count or slightly above it."""
    root = math.isqrt(count - 1) + 1
    for rows in range(root, max(root // 8, 1), -1):
        if count % rows == 0 and count // rows <= _LARGEST_HALF:
            return rows, count // rows
    return root, -(-count // root)


def _feistel(round_keys: Array, values: Array, rows: int, columns: int) -> Array:
    """Return a permutation of Z_rows x Z_columns: each half is rotated by a hash of the other."""
    left = values // jnp.uint32(columns)
    right = values - left * jnp.uint32(columns)
    for i in range(round_keys.shape[0]):
        if i % 2 == 0:
            right = _rotate(right, _hash(left, round_keys[i]), columns)
        else:
            left = _rotate(left, _hash(right, round_keys[i]), rows)
    return left * jnp.uint32(columns) + right


def _hash(values: Array, key: Array) -> Array:
    """Return 16 pseudorandom bits of each value under a key."""
    mixed = (values ^ key) * jnp.uint32(0x9E3779B1)
    mixed = (mixed ^ (mixed >> 15)) * jnp.uint32(0x85EBCA77)
    return mixed >> 16


def _rotate(values: Array, bits: Array, modulus: int) -> Array:
    """Return (values + bits scaled to 0..modulus-1) mod modulus, without a division."""
    moved = values + ((bits * jnp.uint32(modulus)) >> 16)
    # Below the modulus the uint32 subtraction wraps around, so the minimum is the remainder.
    return jnp.minimum(moved, moved - jnp.uint32(modulus))
