"""Point sets compared: alignment, recovered distances and neighbourhoods, nearest neighbours.

A loss of distances is invariant to rotation, reflection and shift of the embedding. These differ
from seed to seed and drift within a training: `align` takes them out, and the measures ignore them.

NumPy and SciPy in float64, on the host. Distances are those of `scipy.spatial.distance.pdist`. The
Gram matrix is no faster in so few dimensions, and its cancellation would spoil ties and short
distances.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist, pdist, squareform

from colour_embed.evaluate.ranks import inner, mid_ranks, sorted_places, whole_numbers

RECOVERED_SPEARMAN = 0.5
"""A run counts as recovered from this rank correlation of distances up."""

NEIGHBOURS = 10
"""How many nearest neighbours trustworthiness, continuity and knn_overlap compare."""

FOLDS = 10
"""The folds of `linear_map_disparity`."""

_TIE = 1e-12  # above the rounding of a cross product, far below any structure of a point set
_FOLD_SEED = 20_240_610  # any number: all members of all sweeps must share their folds
_MEMBER_BLOCK = 32
_DISTANCES = 2**20  # at a time, which bounds the memory of `nearest`: 8 MB
_TREE_DIMS = 8  # up to which `nearest` searches a k-d tree; beyond, all distances are as fast
_TREE_ROWS, _SPARE = 2**14, 8  # searched at a time, and candidates beyond those asked for


# --------------------------------------------------------------------------------------------------
# Alignment


def align(
    points: ArrayLike,
    target: ArrayLike,
    *,
    scale: bool = False,
    shift: bool = True,
    weight: ArrayLike | None = None,
) -> NDArray[np.float64]:
    """Rotate, reflect and shift each set of points to where it lies closest to its target.

    Ordinary Procrustes analysis. With A the centred points, B the centred target and
    A^T B = U S V^T, the orthogonal R that minimises |A R - B| is U V^T. The result is
    c A R + (the target's centroid), where c = 1, or tr(S) / |A|^2 with `scale`. Each set is aligned
    on its own, and all in one batched SVD. Where R is not unique, as in a direction that one of the
    sets lacks, the R nearest to the identity is taken, so that frames do not flip at random.

    Args:
        points: [..., items, dim], sets over any leading axes: frames, members.
        target: [..., items, k], the same items in the same order; its leading axes broadcast
            against those of `points`, so that one [items, k] serves all. The narrower of the two is
            padded with columns of zeros.
        scale: Also scale each set. Without it pairwise distances stay as they are.
        shift: Whether sets are centred; without it they are turned about the origin, as dot
            products need it.
        weight: [..., items], 0 or more, how much an item counts for the alignment; 1 each where
            None. Items of weight 0 are moved with the others.

    Returns:
        [..., items, max(dim, k)], in the target's units. A set that is one point goes to the
        target's centroid.

    Raises:
        ValueError: shapes that do not match, no items, or numbers that are not finite.

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

    weight = None if weight is None else np.asarray(weight, np.float64)[..., None]
    centroid = np.zeros(width)
    if shift:
        centroid = _centroid(target, weight)
        points, target = points - _centroid(points, weight), target - centroid
    one, other = (
        (points, target) if weight is None else (np.sqrt(weight) * points, np.sqrt(weight) * target)
    )
    size = np.linalg.norm(one, axis=(-2, -1), keepdims=True)
    extent = np.linalg.norm(other, axis=(-2, -1), keepdims=True)
    # To unit size first, so that _TIE is as small whatever the units.
    cross = np.swapaxes(one / _or_one(size), -2, -1) @ (other / _or_one(extent))
    left, _, right = np.linalg.svd(cross + _TIE * np.eye(width))
    turn = left @ right
    if scale:
        agreement = np.sum(turn * cross, axis=(-2, -1), keepdims=True)
        points = points * (agreement * extent / _or_one(size))
    return points @ turn + centroid


def _centroid(points: NDArray, weight: NDArray | None) -> NDArray[np.float64]:
    """The mean [..., 1, dim] of points under weights [..., items, 1]; 0 where all weights are 0."""
    if weight is None:
        return points.mean(axis=-2, keepdims=True)
    total = weight.sum(axis=-2, keepdims=True)
    return np.sum(weight * points, axis=-2, keepdims=True) / _or_one(total)


def principal_axes(points: ArrayLike, count: int) -> NDArray[np.float64]:
    """Each set's first coordinates along its principal axes, of largest variance first.

    The sets are centred. The sign of each axis makes its component of largest magnitude positive
    (the first of equals), so that the same points give the same picture. Every set has axes of its
    own: align the frames of one training too, or their axes may swap.

    Args:
        points: [..., items, dim], sets over any leading axes.
        count: How many coordinates to keep; those beyond dim are zeros.

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


# --------------------------------------------------------------------------------------------------
# Recovery


class Recovery(NamedTuple):
    """How well an embedding reproduces the true geometry.

    Attributes:
        spearman: See `distance_spearman`.
        procrustes: See `procrustes_disparity`.
        recovered: Whether spearman is at least 0.5.
    """

    spearman: float
    procrustes: float
    recovered: bool


def recovery(embedding: ArrayLike, truth: ArrayLike) -> Recovery:
    """All measures of recovery of an embedding [items, dim] against the truth [items, k].

    Example:
        >>> truth = np.random.default_rng(0).random((10, 3))
        >>> found = recovery(5 * truth[:, [2, 0, 1]] + 1, truth)
        >>> round(found.spearman, 6), abs(round(found.procrustes, 6)), found.recovered
        (1.0, 0.0, True)
    """
    spearman = distance_spearman(embedding, truth)
    disparity = procrustes_disparity(embedding, truth)
    return Recovery(spearman, disparity, spearman >= RECOVERED_SPEARMAN)


def distance_spearman(embedding: ArrayLike, truth: ArrayLike) -> float:
    """Spearman's rank correlation between the pairwise distances of the two point sets.

    Args:
        embedding: [items, dim].
        truth: [items, k], the same items in the same order.

    Returns:
        A number in -1..1; 1 where both order all pairs alike, near 0 for unrelated sets, NaN where
        all distances of a set are equal or one is not finite. Invariant to rotation and scale.
        Distances within 1e-13 of the largest tie, and ties get their mean rank.

    References:
        C. Spearman, "The proof and measurement of association between two things", 1904.

    Example:
        >>> round(distance_spearman([[0.0], [1.0], [3.0]], [[0.0], [2.0], [3.0]]), 9)
        0.5
    """
    distances = [np.sqrt(squared_distances(points)) for points in (embedding, truth)]
    return rank_correlation(distances[0], unit_ranks(distances[1]))


def squared_distances(points: ArrayLike) -> NDArray[np.float64]:
    """The squared distances of points [items, dim], [pairs] in the order of `truth.all_pairs`."""
    return pdist(np.asarray(points, np.float64), "sqeuclidean")


def unit_ranks(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """The ranks of distances [N], centred and of unit length.

    NaN where all distances are equal or one is not finite.
    """
    rank = np.full(len(distances), np.nan)
    if np.isfinite(distances).all():
        order, starts = sorted_places(distances)
        rank[order] = _unit(mid_ranks(starts, len(order)))
    return rank


def rank_correlation(distances: NDArray[np.float64], ranks: NDArray[np.float64]) -> float:
    """Spearman's correlation of distances [N] with the `unit_ranks` of others."""
    if not np.isfinite(distances).all():
        return float("nan")
    order, starts = sorted_places(distances)
    # Both sides stay in sorted order: no rank has to be carried back to its pair.
    correlation = inner(_unit(mid_ranks(starts, len(order))), ranks[order])
    return float(np.clip(correlation, -1, 1))  # rounding may pass 1


def _unit(rank: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks less their mean, scaled to unit length; NaN where all are equal."""
    rank = rank - rank.mean() if len(rank) else rank
    scale = np.sqrt(inner(rank, rank))
    return rank / scale if scale > 0 else np.full_like(rank, np.nan)


def procrustes_disparity(embedding: ArrayLike, truth: ArrayLike) -> float:
    """The share of the truth's variance that no similarity transform of the embedding matches.

    Both sets are centred and scaled to unit sum of squares; with s the singular values of their
    cross product, the best rotation, reflection and scaling leave 1 - (sum s)^2. The narrower set
    is padded with zeros, so that a 2-D embedding of a 3-D truth leaves at least what the truth's
    best plane leaves.

    Args:
        embedding: [items, dim].
        truth: [items, k], the same items in the same order.

    Returns:
        A number in 0..1: 0 for the same shape; 1 for no shared shape. NaN where a set is one point
        or not finite.

    References:
        J. C. Gower, "Generalized Procrustes analysis", Psychometrika 40, 1975;
        `scipy.spatial.procrustes` computes the same.

    Example:
        >>> square = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]])
        >>> round(procrustes_disparity(square[:, :1], square), 6)
        0.5
    """
    sets = [np.asarray(points, np.float64) for points in (embedding, truth)]
    sets = [points - points.mean(axis=0) for points in sets]
    norms = [np.linalg.norm(points) for points in sets]
    if not all(0 < norm < np.inf for norm in norms):  # NaN is refused too
        return float("nan")
    # Columns of zeros add only zero singular values, so they need not be written down.
    cross = (sets[0] / norms[0]).T @ (sets[1] / norms[1])
    return float(1 - np.linalg.svd(cross, compute_uv=False).sum() ** 2)


def linear_map_disparity(embedding: ArrayLike, truth: ArrayLike) -> float:
    """The share of the truth's variance that no linear map of the embedding predicts: 1 - R^2.

    The items fall into 10 folds, the same for every member. For each fold the least-squares map
    from embedding to truth, both centred, is fitted on the other items (the one of least norm,
    where columns are linearly dependent) and predicts the fold. The squared errors of all folds are
    divided by those of predicting the mean of the other items. Cross-validation does not reward
    columns that carry no colour, as the fit on all items would.

    It asks for less than `procrustes_disparity`: a linear map may also shear and may ignore
    directions. So it is the measure for embeddings of more than 3 columns, whose further columns
    Procrustes analysis would charge for. Values of the two must not be compared with each other.

    Args:
        embedding: [items, dim]. Columns of zeros change nothing.
        truth: [items, k], the same items in the same order.

    Returns:
        0 for a linear image of the truth; 1 for no better than the mean, and above 1 for worse,
        which an embedding unrelated to the truth is by about dim / items. NaN for fewer than 10
        items or where the truth is one point. The folds go by the items' order, so that renumbering
        the items changes the value a little.

    References:
        M. Stone, "Cross-validatory choice and assessment of statistical predictions", 1974.

    Example:
        >>> truth = np.random.default_rng(0).random((40, 3))
        >>> round(linear_map_disparity(truth @ [[1.0, 2, 0], [0, 1, 0], [0, 0, 9]], truth), 6)
        0.0
    """
    embedding, truth = np.asarray(embedding, np.float64), np.asarray(truth, np.float64)
    items = len(truth)
    if items < FOLDS:
        return float("nan")
    fold = np.random.default_rng(_FOLD_SEED).permutation(items) % FOLDS
    error = baseline = 0.0
    for held_out in fold == np.arange(FOLDS)[:, None]:
        means = [points[~held_out].mean(axis=0) for points in (embedding, truth)]
        source, target = embedding - means[0], truth - means[1]
        linear_map = np.linalg.lstsq(source[~held_out], target[~held_out], rcond=None)[0]
        error += np.sum((target[held_out] - source[held_out] @ linear_map) ** 2)
        baseline += np.sum(target[held_out] ** 2)
    return float(error / baseline) if baseline > 0 else float("nan")


def cross_seed_procrustes(embeddings: ArrayLike) -> NDArray[np.float64]:
    """The Procrustes disparity of every two members: whether seeds come to the same shape.

    Args:
        embeddings: [members, items, dim]; narrower members padded with columns of zeros.

    Returns:
        float64 [members, members], symmetric, of `procrustes_disparity`, with 0 on the diagonal.
        The rows and columns of members that are not finite, or a single point, are NaN.

    Example:
        >>> square = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]])
        >>> cross_seed_procrustes([square, 1 - 2 * square]).round(6).tolist()
        [[0.0, 0.0], [0.0, 0.0]]
    """
    embeddings = np.asarray(embeddings, np.float64)
    members, items, dim = embeddings.shape
    valid = np.isfinite(embeddings).all(axis=(1, 2))
    centred = np.where(valid[:, None, None], embeddings, 0)
    centred = centred - centred.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(centred, axis=(1, 2))
    valid &= norms > 0
    centred /= np.where(valid, norms, 1)[:, None, None]

    columns = centred.transpose(0, 2, 1).reshape(members * dim, items)
    disparity = np.full((members, members), np.nan)
    # A block of rows at a time: all cross products at once may not fit, a row each is slow.
    for begin in range(0, members, _MEMBER_BLOCK):
        end = min(begin + _MEMBER_BLOCK, members)
        cross = columns[begin * dim : end * dim] @ columns[begin * dim :].T
        cross = cross.reshape(end - begin, dim, members - begin, dim).transpose(0, 2, 1, 3)
        block = 1 - np.linalg.svd(cross, compute_uv=False).sum(axis=-1) ** 2
        disparity[begin:end, begin:] = np.maximum(block, 0)
    # The lower triangle is a copy, so that rounding can't make the two differ.
    lower = np.tril_indices(members, -1)
    disparity[lower] = disparity.T[lower]
    np.fill_diagonal(disparity, 0)
    disparity[~valid] = np.nan
    disparity[:, ~valid] = np.nan
    return disparity


# --------------------------------------------------------------------------------------------------
# Neighbourhoods


def trustworthiness(embedding: ArrayLike, truth: ArrayLike, neighbours: int = NEIGHBOURS) -> float:
    """How far the embedding's nearest neighbours are neighbours in truth.

    1 - 2 / (n k (2 n - 3 k - 1)) * sum over items i and i's k nearest j in the embedding of
    max(0, r(i, j) - k), with r(i, j) the rank of j among i's neighbours in truth. A wrong neighbour
    costs as many ranks as it lies outside the true neighbourhood.

    Ties: the mean over all ways of breaking them, independently in both spaces. Squared distances
    that differ by less than about 1e-12 of the largest count as tied. RGB is a grid, with 77
    coinciding pairs and many equal distances, so that even the true RGB stays below 1, at 0.99998
    for the tutorial's table. scikit-learn breaks ties by the items' order, and else does the same.

    Args:
        embedding: [items, dim].
        truth: [items, k], the same items in the same order.
        neighbours: k, below half the number of items.

    Returns:
        A number in 0..1, about 0.5 for an unrelated or collapsed embedding; NaN where there are not
        more than 2 k items. Only neighbours count: a map of correct, misplaced pieces scores high.

    References:
        J. Venna and S. Kaski, "Neighborhood preservation in nonlinear projection methods: an
        experimental study", 2001.

    Example:
        >>> line = np.arange(8.0)[:, None]
        >>> trustworthiness(-2 * line, line, neighbours=2)
        1.0
    """
    return _neighbour_measures(embedding, truth, neighbours).trustworthiness


def continuity(embedding: ArrayLike, truth: ArrayLike, neighbours: int = NEIGHBOURS) -> float:
    """How far the true nearest neighbours stay neighbours in the embedding.

    `trustworthiness` with the two spaces swapped; see there for arguments, range and ties. Here it
    costs where the embedding separates true neighbours.

    References:
        J. Venna and S. Kaski, "Neighborhood preservation in nonlinear projection methods: an
        experimental study", 2001.

    Example:
        >>> line = np.arange(8.0)[:, None]
        >>> continuity(-2 * line, line, neighbours=2)
        1.0
    """
    return _neighbour_measures(embedding, truth, neighbours).continuity


def knn_overlap(embedding: ArrayLike, truth: ArrayLike, neighbours: int = NEIGHBOURS) -> float:
    """The mean share of an item's k nearest in the embedding that are among its k nearest in truth.

    Ties are treated as in `trustworthiness`. They lower the value of the true RGB itself, which is
    the ceiling, to 0.992 for the tutorial's table.

    Args:
        embedding: [items, dim].
        truth: [items, k], the same items in the same order.
        neighbours: k, below the number of items.

    Returns:
        A number in 0..1, k / (items - 1) by chance; NaN where there are not more than k items.

    References:
        J. A. Lee and M. Verleysen, "Quality assessment of dimensionality reduction: rank-based
        criteria", 2009, whose Q_NX(k) this is.

    Example:
        >>> knn_overlap([[0.0], [1.0], [3.0]], [[0.0], [2.5], [3.0]], neighbours=1)
        0.6666666666666666
    """
    return _neighbour_measures(embedding, truth, neighbours).knn_overlap


class NeighbourMeasures(NamedTuple):
    """The measures of the functions of the same names."""

    trustworthiness: float
    continuity: float
    knn_overlap: float


def _neighbour_measures(
    embedding: ArrayLike, truth: ArrayLike, neighbours: int
) -> NeighbourMeasures:
    squared = [squared_distances(points) for points in (embedding, truth)]
    if not all(np.isfinite(one).all() for one in squared):
        return NeighbourMeasures(*[float("nan")] * 3)
    return compare_neighbourhoods(squared[0], *neighbourhoods(squared[1], neighbours), neighbours)


def compare_neighbourhoods(
    squared: NDArray[np.float64],
    near: NDArray[np.float64],
    beyond: NDArray[np.float64],
    neighbours: int = NEIGHBOURS,
) -> NeighbourMeasures:
    """The measures of squared distances [pairs] against the truth's `neighbourhoods`."""
    items = len(near)
    place, own_near, own_beyond = _sorted_neighbourhoods(squared, neighbours)
    # Without ties the embedding's nearest stand in the first columns, and the rest is all zeros.
    width = np.flatnonzero(own_near.any(axis=0))[-1] + 1
    own_near = own_near[:, :width]
    near, beyond = near.ravel().take(place), beyond.ravel().take(place[:, :width])
    intruders = np.einsum("ij,ij->", own_near, beyond)
    missing = np.einsum("ij,ij->", near, own_beyond)
    shared = np.einsum("ij,ij->", near[:, :width], own_near)

    nan = float("nan")
    overlap = float(shared / (items * neighbours)) if neighbours < items else nan
    if 2 * neighbours >= items:
        return NeighbourMeasures(nan, nan, overlap)
    scale = 2 / (items * neighbours * (2 * items - 3 * neighbours - 1))
    return NeighbourMeasures(float(1 - scale * intruders), float(1 - scale * missing), overlap)


def neighbourhoods(
    squared: NDArray[np.float64], neighbours: int = NEIGHBOURS
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """`near` and `beyond` as in `truth.Truth`, [items, items], of squared distances [pairs]."""
    place, sorted_near, sorted_beyond = _sorted_neighbourhoods(squared, neighbours)
    near, beyond = np.zeros((2, len(place), len(place)))
    near.flat[place] = sorted_near
    beyond.flat[place] = sorted_beyond
    return near, beyond


def _sorted_neighbourhoods(
    squared: NDArray[np.float64], neighbours: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Of each item the others in order of distance, and in that order their `near` and `beyond`.

    Args:
        squared: [pairs], squared distances.
        neighbours: k.

    Returns:
        place [items, items - 1], the flat positions in an array [items, items]; near and beyond of
        that shape, or [1, items - 1] without ties.
        With an item's rank uniform over the ranks first..last that its tie takes up, near is the
        probability of a rank up to k, and beyond the mean of max(0, rank - k).
    """
    # One integer holds distance and item, as in `sorted_places`. Rounding to 40 bits of the largest
    # merges ties that arithmetic split: RGB values are whole numbers divided by 255.
    key = squareform(whole_numbers(squared, 40), checks=False)
    items = len(key)
    item_bits = items.bit_length()
    key <<= item_bits
    np.fill_diagonal(key, (2 ** (63 - item_bits) - 1) << item_bits)
    key |= np.arange(items)
    key.sort(axis=1)
    key = key[:, :-1]  # the item itself comes last
    place = key & (2**item_bits - 1)
    place += (np.arange(items) * items)[:, None]
    key >>= item_bits

    new = key[:, 1:] != key[:, :-1]
    first = last = np.arange(1, items, dtype=np.float64)[None]
    if not new.all():
        edge = np.ones((items, 1), bool)
        begins, ends = np.hstack([edge, new]), np.hstack([new, edge])
        first = np.maximum.accumulate(np.where(begins, first, 0), axis=1)
        last = np.minimum.accumulate(np.where(ends, last, items)[:, ::-1], axis=1)[:, ::-1]
    size = last - first + 1
    near = np.clip((neighbours - first + 1) / size, 0, 1)
    low, high = np.maximum(first - neighbours, 1), np.maximum(last - neighbours, 0)
    # The sum of low..high, which is 0 where high is 0 and low 1.
    beyond = (high * (high + 1) - low * (low - 1)) / (2 * size)
    return place, near, beyond


def nearest(
    vectors: ArrayLike, places: ArrayLike, count: int = 5, *, dot: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The nearest other items of some items, by Euclidean distance or by dot product.

    Distances of many items in few dimensions are searched in a k-d tree: 0.1 s for all of 20,000
    items in 2-D. Else at most 2^20 distances, or those of one item, are in memory at a time.

    Args:
        vectors: [items, dim], finite.
        places: int [P], the items asked about.
        count: How many neighbours; fewer where there are fewer other items.
        dot: Compare by the dot product, largest first.

    Returns:
        int64 [P, count], the neighbours, nearest first, of equals the earlier item first; and
        float64 [P, count], their distances, or dot products.

    Example:
        >>> places, distances = nearest([[0.0], [1.0], [3.0]], [0], count=2)
        >>> places.tolist(), distances.tolist()
        ([[1, 2]], [[1.0, 3.0]])
    """
    vectors, places = np.asarray(vectors, np.float64), np.asarray(places, np.int64)
    count = min(count, len(vectors) - 1)
    found, values = np.zeros((len(places), count), np.int64), np.zeros((len(places), count))
    left = np.arange(len(places))
    many = len(places) * len(vectors) > _DISTANCES
    if many and count > 0 and not dot and vectors.shape[1] <= _TREE_DIMS:
        left = _nearest_by_tree(vectors, places, found, values)
    rows = max(1, _DISTANCES // len(vectors))
    for begin in range(0, len(left), rows):
        part = left[begin : begin + rows]
        own = places[part]
        far = -(vectors[own] @ vectors.T) if dot else cdist(vectors[own], vectors)
        far[np.arange(len(part)), own] = np.inf
        found[part] = _smallest_of_rows(far, count)
        values[part] = np.take_along_axis(far, found[part], axis=1)
    return found, -values if dot else values


def _nearest_by_tree(vectors, places, found, values) -> NDArray[np.int64]:
    """Fill in `nearest` for most of the places; return the positions of the others.

    A tree returns any of several equal distances. A few candidates more than are asked for are
    therefore taken from it. A row is left out if the farthest of them is no farther than the last
    neighbour, since a tie may then extend beyond them.
    """
    count, size = found.shape[1], len(vectors)
    wanted = count + 1 + _SPARE
    if wanted >= size:
        return np.arange(len(places))
    tree = cKDTree(vectors)
    left = []
    for begin in range(0, len(places), _TREE_ROWS):
        own = places[begin : begin + _TREE_ROWS]
        _, near = tree.query(vectors[own], k=wanted)
        near.sort(axis=1)  # so that of equal distances the earlier item comes first
        apart = (vectors[near] - vectors[own, None]) ** 2
        far = np.sqrt(functools.reduce(np.add, np.moveaxis(apart, 2, 0)))  # as cdist adds them
        limit = far.max(axis=1)
        far[near == own[:, None]] = np.inf
        order = np.argsort(far, axis=1, kind="stable")[:, :count]
        part = slice(begin, begin + len(own))
        found[part] = np.take_along_axis(near, order, axis=1)
        values[part] = np.take_along_axis(far, order, axis=1)
        left.append(begin + np.flatnonzero(values[part, -1] >= limit * (1 - _TIE)))
    return np.concatenate(left)


def _smallest_of_rows(values: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """`smallest` of each row, int64 [rows, count]."""
    if count == 0:
        return np.zeros((len(values), 0), np.int64)
    limit = np.partition(values, count - 1, axis=1)[:, count - 1 : count]
    chosen = values <= limit
    tied = np.flatnonzero(np.count_nonzero(chosen, axis=1) != count)
    if tied.size:
        below, equal = values[tied] < limit[tied], values[tied] == limit[tied]
        room = count - np.count_nonzero(below, axis=1)
        chosen[tied] = below | (equal & (np.cumsum(equal, axis=1) <= room[:, None]))
    columns = np.nonzero(chosen)[1].reshape(-1, count)
    order = np.argsort(np.take_along_axis(values, columns, axis=1), axis=1, kind="stable")
    return np.take_along_axis(columns, order, axis=1)


def smallest(values: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """The places of the smallest values in ascending order; of equals the earlier ones."""
    count = min(count, len(values))
    if count == 0:
        return np.zeros(0, np.int64)
    limit = np.partition(values, count - 1)[count - 1]
    chosen = np.flatnonzero(values <= limit)
    return chosen[np.argsort(values[chosen], kind="stable")][:count]


# --------------------------------------------------------------------------------------------------
# Checks


def _sets(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """`values` as float64 [..., items, dim], checked; a ValueError names it."""
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
    """`values` with columns of zeros added on the right, up to `width`."""
    missing = max(0, width - values.shape[-1])
    return np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, missing)])


def _or_one(size: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sizes to divide by: 1 in place of 0, so that a set that is one point stays one."""
    return np.where(size > 0, size, 1.0)
