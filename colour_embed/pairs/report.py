"""Diagnostics of pairs: distinct pairs, isolated items, connected groups, and the worst pairs.

The functions take the result of `distinct_pairs`, which merges repeated pairs, in either order. The
scores of distinct pairs are in `evaluate.scores`. NumPy and SciPy only.
"""

from __future__ import annotations

import sys
from typing import NamedTuple

import numpy as np
from scipy.special import entr

from colour_embed.evaluate.geometry import smallest
from colour_embed.evaluate.scores import DistinctPairs, cross_entropies
from colour_embed.pairs.sampling import group_of_items, pair_keys

__all__ = ["DistinctPairs", "Ties", "distinct_pairs", "groups", "ties", "worst_pairs"]

_HIGH_AND_LOW = [1, 0] if sys.byteorder == "little" else [0, 1]  # 32-bit halves of a pair's key


def distinct_pairs(
    index: np.ndarray, label: np.ndarray, weight: np.ndarray | None = None
) -> DistinctPairs:
    """Return the distinct pairs: rows of the same two items, in either order, are merged.

    Args:
        index: integers [N, 2], ids of 0 or more.
        label: [N] in 0..1.
        weight: [N], 0 or more; None for weights of 1.

    Example:
        >>> pairs = distinct_pairs([[3, 1], [1, 3], [0, 1]], [1, 0, 1])
        >>> pairs.index.tolist(), pairs.share.tolist()
        ([[0, 1], [1, 3]], [1.0, 0.5])
    """
    key = pair_keys(np.asarray(index))
    order = np.argsort(key, kind="stable")
    key = key[order]
    first = np.flatnonzero(np.append(True, key[1:] != key[:-1])[: len(key)])
    label = np.asarray(label, np.float64)[order]
    weight = np.ones(len(key)) if weight is None else np.asarray(weight, np.float64)[order]

    def summed(values):
        return np.add.reduceat(values, first) if len(first) else np.zeros(0)

    return DistinctPairs(
        key[first].view(np.uint32).reshape(-1, 2)[:, _HIGH_AND_LOW].astype(np.int32),
        summed(weight),
        summed(weight * label),
        summed(weight * label**2),
        len(key),
    )


class Ties(NamedTuple):
    """The number of partners of each item, and the items with too few.

    Attributes:
        partners: int [items], the number of distinct other items that each item is paired with.
        alone: int [A], isolated items, without a partner; their vectors stay as initialised.
        weak: int [W], items with fewer partners than dimensions; the labels do not determine their
            vectors in every direction.
    """

    partners: np.ndarray
    alone: np.ndarray
    weak: np.ndarray


def ties(pairs: DistinctPairs, items: int, dim: int) -> Ties:
    """Return the number of partners of each item, isolated items and underdetermined items.

    Args:
        pairs: From `distinct_pairs`; self-pairs and pairs of weight 0 are ignored.
        items: Number of items.
        dim: Dimension of the embedding.

    Example:
        >>> found = ties(distinct_pairs([[0, 1], [0, 2], [1, 2], [0, 3]], [1, 1, 0, 1]), 5, dim=2)
        >>> found.partners.tolist(), found.alone.tolist(), found.weak.tolist()
        ([3, 2, 2, 1, 0], [4], [3])
    """
    partners = np.bincount(_linking(pairs).ravel(), minlength=items)
    return Ties(
        partners, np.flatnonzero(partners == 0), np.flatnonzero((partners > 0) & (partners < dim))
    )


def groups(pairs: DistinctPairs, items: int) -> np.ndarray:
    """Return the connected components of the graph whose nodes are items and edges are pairs.

    The labels do not determine the position of one component relative to another.

    Args:
        pairs: As in `ties`.
        items: Number of items.

    Returns:
        int32 [items], the component of each item, numbered from the largest; ties by first item.

    Example:
        >>> groups(distinct_pairs([[0, 1], [2, 4], [4, 3]], [1, 0, 1]), 5).tolist()
        [1, 1, 0, 0, 0]
    """
    _, begins, label, size = np.unique(
        group_of_items(_linking(pairs), items),
        return_index=True,
        return_inverse=True,
        return_counts=True,
    )
    rank = np.empty(len(size), np.int32)
    rank[np.lexsort([begins, -size])] = np.arange(len(size))
    return rank[label]


def _linking(pairs: DistinctPairs) -> np.ndarray:
    """Return the pairs [L, 2] of two different items whose weight is above 0."""
    return pairs.index[(pairs.index[:, 0] != pairs.index[:, 1]) & (pairs.weight > 0)]


def worst_pairs(
    logits: np.ndarray, pairs: DistinctPairs, count: int = 10
) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs with the largest reducible loss.

    The reducible loss of a pair is its weighted loss minus the entropy of its mean label. That
    entropy is the pair's minimum loss. It is 0 for a label of 0 or 1, and positive for a pair
    labelled once as similar and once not.

    Args:
        logits: [U], of the distinct pairs, finite.
        pairs: From `distinct_pairs`.
        count: The most pairs to return.

    Returns:
        Their positions in `pairs` and their reducible losses in nats, the largest first.

    Example:
        >>> places, cost = worst_pairs([2.0, -2.0], distinct_pairs([[0, 1], [0, 2]], [1, 1]), 1)
        >>> places.tolist(), cost.round(4).tolist()
        ([1], [2.1269])
    """
    share = pairs.share
    loss = cross_entropies(np.asarray(logits, np.float64), share)
    cost = pairs.weight * np.maximum(loss - entr(share) - entr(1 - share), 0)
    chosen = smallest(-cost, count)
    return chosen, cost[chosen]
