"""What "recovered" means: how well an embedding repeats a geometry that it was never shown."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import pdist
from scipy.stats import rankdata

RECOVERED_SPEARMAN = 0.5
"""A run counts as recovered from this rank correlation of distances up."""


class Recovery(NamedTuple):
    """How well an embedding repeats the true geometry; see the functions of the same names."""

    spearman: float
    procrustes: float
    recovered: bool


def recovery(embedding: np.ndarray, truth: np.ndarray) -> Recovery:
    """All measures of recovery of an embedding [items, dim] against the truth [items, k]."""
    spearman = distance_spearman(embedding, truth)
    disparity = procrustes_disparity(embedding, truth)
    return Recovery(spearman, disparity, bool(spearman >= RECOVERED_SPEARMAN))


def distance_spearman(embedding: np.ndarray, truth: np.ndarray) -> float:
    """Spearman's rank correlation between the pairwise distances of the two point sets.

    Args:
        embedding: [items, dim].
        truth: [items, k], the same items in the same order.

    Returns:
        A number in -1..1; 1 where both order all pairs alike, near 0 for unrelated sets, NaN where
        all distances of a set are equal. Invariant to rotation and scale. Ties get their mean rank.

    References:
        C. Spearman, "The proof and measurement of association between two things", 1904.
    """
    ranks = [rankdata(pdist(np.asarray(points, np.float64))) for points in (embedding, truth)]
    ranks = [rank - rank.mean() for rank in ranks]
    scale = np.sqrt((ranks[0] @ ranks[0]) * (ranks[1] @ ranks[1]))
    return float(ranks[0] @ ranks[1] / scale) if scale > 0 else float("nan")


def procrustes_disparity(embedding: np.ndarray, truth: np.ndarray) -> float:
    """The share of the truth's shape that no rotation, reflection and scaling can make match.

    Both sets are centred and scaled to unit sum of squares; with s the singular values of their
    cross product, the best match leaves 1 - (sum s)^2. The narrower set is padded with zeros, so a
    2-D embedding of a 3-D truth can reach what the truth keeps in its best plane, and no less.

    Args:
        embedding: [items, dim].
        truth: [items, k], the same items in the same order.

    Returns:
        A number in 0..1: 0 for the same shape; 1 for no shared shape. NaN where a set is one point.

    References:
        J. C. Gower, "Generalized Procrustes analysis", Psychometrika 40, 1975;
        `scipy.spatial.procrustes` computes the same.
    """
    sets = [np.asarray(points, np.float64) for points in (embedding, truth)]
    sets = [points - points.mean(axis=0) for points in sets]
    norms = [np.linalg.norm(points) for points in sets]
    if min(norms) == 0:
        return float("nan")
    # Columns of zeros add only zero singular values, so they need not be written down.
    cross = (sets[0] / norms[0]).T @ (sets[1] / norms[1])
    return float(1 - np.linalg.svd(cross, compute_uv=False).sum() ** 2)
