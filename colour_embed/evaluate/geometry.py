"""Snapshots turned so that only learning moves, and point sets seen along their principal axes.

A loss of distances does not feel a rotation, reflection or shift of the embedding, so these differ
from seed to seed and drift within a training. NumPy only, in float64.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["align", "principal_axes"]

# Above the rounding of a cross product, far below anything that a set of points says.
_TIE = 1e-12


def align(points: ArrayLike, target: ArrayLike, *, scale: bool = False) -> NDArray[np.float64]:
    """Turn, mirror and shift each set of points to where it lies closest to its target.

    Ordinary Procrustes analysis. With A the centred points, B the centred target and
    A^T B = U S V^T, the orthogonal R that makes |A R - B| least is U V^T; the result is
    c A R + (the target's centroid), where c = 1, or tr(S) / |A|^2 with `scale`. Each set is aligned
    on its own, and all in one batched SVD. Where the sets leave the turn open, as in a direction
    that one of them lacks, the least turn is taken, so that frames do not flip at random.

    Args:
        points: [..., items, dim], sets over any leading axes: frames, members.
        target: [..., items, k], the same items in the same order; its leading axes broadcast
            against those of `points`, so one [items, k] serves all. Of dim and k the narrower is
            padded with columns of zeros.
        scale: let each set also grow or shrink. Without it pairwise distances stay as they are.

    Returns:
        [..., items, max(dim, k)], in the target's units. A set that is one point goes to the
        target's centroid.

    Raises:
        ValueError: shapes that do not fit, no items, or numbers that are not finite.

    References:
        P. H. Schönemann, "A generalized solution of the orthogonal Procrustes problem",
        Psychometrika 31, 1966; `scipy.linalg.orthogonal_procrustes` does the same for one set.

    Example:
        >>> square = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]])
        >>> quarter_turn = np.array([[0.0, 1], [-1, 0]])
        >>> np.allclose(align(square @ quarter_turn + 5, square), square)
        True
    """
    points, target = _sets("points", points), _sets("target", target)
    if points.shape[-2] != target.shape[-2]:
        raise ValueError(
            "points and target must hold the same items, "
            f"got {points.shape[-2]} and {target.shape[-2]}"
        )
    try:
        np.broadcast_shapes(points.shape[:-2], target.shape[:-2])
    except ValueError:
        raise ValueError(
            "the leading axes of points and target must broadcast, "
            f"got {points.shape[:-2]} and {target.shape[:-2]}"
        ) from None
    width = max(points.shape[-1], target.shape[-1])
    points, target = _widen(points, width), _widen(target, width)

    centroid = target.mean(axis=-2, keepdims=True)
    points, target = points - points.mean(axis=-2, keepdims=True), target - centroid
    size = np.linalg.norm(points, axis=(-2, -1), keepdims=True)
    extent = np.linalg.norm(target, axis=(-2, -1), keepdims=True)
    # To unit size first, so that _TIE is as small whatever the units.
    cross = np.swapaxes(points / _or_one(size), -2, -1) @ (target / _or_one(extent))
    left, _, right = np.linalg.svd(cross + _TIE * np.eye(width))
    turn = left @ right
    if scale:
        agreement = np.sum(turn * cross, axis=(-2, -1), keepdims=True)
        points = points * (agreement * extent / _or_one(size))
    return points @ turn + centroid


def principal_axes(points: ArrayLike, count: int) -> NDArray[np.float64]:
    """Return each set's first coordinates along its principal axes, widest first.

    The sets are centred. Each axis points so that, of its components, the one of largest magnitude
    is positive (the first of equals): the same points give the same picture. Every set has axes of
    its own, so align frames of one training before or after, or they may swap axes.

    Args:
        points: [..., items, dim], sets over any leading axes.
        count: how many coordinates to keep; those beyond dim are zeros.

    Returns:
        [..., items, count], in the units of `points`.

    Raises:
        ValueError: a wrong shape, no items, numbers that are not finite, or a count under 1.

    Example:
        >>> principal_axes([[0.0, -2], [0, 0], [0, 2]], 1).round(9).ravel().tolist()
        [-2.0, 0.0, 2.0]
    """
    points = _sets("points", points)
    if count < 1:
        raise ValueError(f"count must be 1 or more, got {count}")
    points = points - points.mean(axis=-2, keepdims=True)
    _, _, axes = np.linalg.svd(points, full_matrices=False)  # [..., axis, dim]
    axes = axes[..., :count, :]
    largest = np.argmax(np.abs(axes), axis=-1, keepdims=True)
    axes = axes * np.where(np.take_along_axis(axes, largest, axis=-1) < 0, -1.0, 1.0)
    return _widen(points @ np.swapaxes(axes, -2, -1), count)


def _sets(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """Return `values` as float64 [..., items, dim], or raise a ValueError that names it."""
    values = np.asarray(values, dtype=np.float64)
    if values.ndim < 2 or 0 in values.shape[-2:]:
        raise ValueError(
            f"{name} must be [..., items, dim] with at least one of each, got {values.shape}"
        )
    finite = np.isfinite(values).all(axis=(-2, -1))
    if not finite.all():
        raise ValueError(
            f"{name}: {np.sum(~finite)} of {finite.size} sets have numbers that are not finite; "
            "leave out those whose training diverged"
        )
    return values


def _widen(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Return `values` with columns of zeros added on the right, up to `width`."""
    missing = max(0, width - values.shape[-1])
    return np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, missing)])


def _or_one(size: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return sizes to divide by: 1 in place of 0, so that a set that is one point stays one."""
    return np.where(size > 0, size, 1.0)
