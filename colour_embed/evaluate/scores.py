"""What "recovered" means: losses against the known floor, geometry never shown, and intervals.

Everything here runs on the host in NumPy and float64. A sweep measures hundreds of members, so
what depends on the truth alone is computed once, in `make_truth`, and `measure_members` spreads the
members over threads, which helps since NumPy's sorts and arithmetic release Python's lock.

Distances are those of `scipy.spatial.distance.pdist`. The Gram matrix is no faster in so few
dimensions, and it would spoil ties and short distances by cancellation.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.spatial.distance import pdist, squareform
from scipy.special import expit, ndtri

from colour_embed import data, heads

RECOVERED_SPEARMAN = 0.5
"""A run counts as recovered from this rank correlation of distances up."""

NEIGHBOURS = 10
"""How many nearest neighbours trustworthiness, continuity and knn_overlap look at."""

MEASURES = (
    "heldout_loss",
    "excess_kl",
    "auc",
    "brier",
    "spearman",
    "procrustes",
    "trustworthiness",
    "continuity",
    "knn_overlap",
    "recovered",
)
"""The keys of `measure_members`."""

FOLDS = 10
_MEMBER_BLOCK = 32
_BLOCK = 2**14  # pairs at a time whose intermediate arrays stay in a core's own cache
_FOLD_SEED = 20_240_610  # any number: all members of all sweeps must share their folds


# What is known of the truth


@dataclass(frozen=True, eq=False)
class Truth:
    """The true geometry and the true probabilities, with all that many members' measures share.

    Attributes:
        rgb: float64 [items, 3] in 0..1.
        constant: the label rule's constant.
        probability: float64 [pairs], P(label = 1) of each unordered pair, ordered as `all_pairs`.
        floor: the mean entropy of those labels in nats, below which no expected loss can be.
        rank: float64 [pairs], ranks of the RGB distances, centred and of unit length.
        near: float64 [items, items], the chance that the column is among the row's nearest.
        beyond: float64 [items, items], how many ranks the column lies outside the row's nearest.
    """

    rgb: np.ndarray
    constant: float
    probability: np.ndarray
    floor: float
    rank: np.ndarray
    near: np.ndarray
    beyond: np.ndarray


def make_truth(rgb: np.ndarray, constant: float = data.LABEL_CONSTANT) -> Truth:
    """Compute once what the measures need to know of the truth.

    Args:
        rgb: [items, 3] in 0..1, at least 2 items.
        constant: the label rule's constant, above 0.

    Returns:
        The truth; about 20 MB for 646 items.
    """
    rgb = np.asarray(rgb, np.float64)
    index = data.all_pairs(len(rgb))
    probability = data.probability_similar(data.pair_diff(index, rgb), constant)
    squared = pdist(rgb, "sqeuclidean")
    rank = _centred(_ranks(np.sqrt(squared)))
    near, beyond = _neighbourhoods(squared, NEIGHBOURS)
    return Truth(rgb, constant, probability, data.best_loss(probability), rank, near, beyond)


# Losses, from logits


def cross_entropy(logits: np.ndarray, probability: np.ndarray) -> float:
    """Mean cross-entropy in nats of Bernoulli(sigmoid(logits)) under labels or probabilities.

    mean of softplus(z) - p z, written as max(z, 0) - p z + log(1 + exp(-|z|)), which neither
    overflows nor loses digits for large |z|. With p = P it is the loss to expect of fresh labels.

    Args:
        logits: [N], finite.
        probability: [N], the probability that the label is 1, or the label itself.

    Returns:
        0 or more; log 2 for logits of 0. NaN for no pairs.
    """
    logits = np.asarray(logits, np.float64)
    if logits.size == 0:
        return float("nan")
    probability = np.asarray(probability)
    blocks = (slice(begin, begin + _BLOCK) for begin in range(0, len(logits), _BLOCK))
    return float(sum(_cross_entropy(logits[b], probability[b]).sum() for b in blocks) / len(logits))


def _cross_entropy(logits: np.ndarray, probability: np.ndarray) -> np.ndarray:
    softplus = np.maximum(logits, 0) + np.log1p(np.exp(-np.abs(logits)))
    return softplus - probability * logits


def heldout_loss(logits: np.ndarray, label: np.ndarray) -> float:
    """Mean cross-entropy in nats of the labels of held-out pairs; see `cross_entropy`.

    The floor is the labels' own entropy, 0.32 nats at the tutorial's constant, and not 0; always
    guessing the base rate costs 0.53. The labels are drawn, so that a mean over 129,000 pairs has
    a standard error of about 0.001: `excess_kl` measures the same without that noise. Held-out must
    mean that the *unordered* pair is absent from training: a plain random split of drawn pairs
    leaks a third of the held-out ones into training, in one order or the other.

    Args:
        logits: [N], finite.
        label: [N] of 0 and 1.
    """
    return cross_entropy(logits, label)


def excess_kl(logits: np.ndarray, probability: np.ndarray, floor: float | None = None) -> float:
    """Mean Kullback-Leibler divergence in nats of the model's probabilities from the true ones.

    mean over pairs of KL(Bernoulli(P) || Bernoulli(sigmoid(z))), which is the cross-entropy under P
    less P's entropy: what the model loses, on fresh labels, to a model that knows the truth.

    This is the main measure, since P is known exactly here (`data.probability_similar`): no noise
    of drawn labels, no unknown floor, all pairs and not a sample, and it is 0 if and only if
    *every* probability is right. It also sees a wrong scale, which ranks and Procrustes cannot.

    Always guessing the base rate leaves 0.211 at the tutorial's constant. A head that is affine in
    the squared distance can't reach 0: the true link is 1 - d / sqrt(3 c) and not
    sigmoid(k d^2 + b), so the true RGB with the best k and b still leaves 0.0056.

    Args:
        logits: [N], finite, of all unordered pairs in the order of `data.all_pairs`.
        probability: [N], the true P(label = 1).
        floor: the mean entropy of `probability`, if known already.

    Returns:
        0 or more. Below 1e-15 or so it is rounding.

    References:
        S. Kullback and R. A. Leibler, "On information and sufficiency", 1951.
    """
    if floor is None:
        floor = data.best_loss(probability)
    # Rounding may leave a hair below 0, which no divergence can be; NaN stays NaN.
    return float(np.maximum(cross_entropy(logits, probability) - floor, 0.0))


def brier(logits: np.ndarray, label: np.ndarray) -> float:
    """Mean squared difference of the model's probability and the label: the tutorial's "mse".

    Args:
        logits: [N].
        label: [N] of 0 and 1.

    Returns:
        A number in 0..1; 0.25 for always saying one half. Its floor is the mean of P (1 - P), not
        0. Unlike the loss it stays small for a wrong answer given with certainty.

    References:
        G. W. Brier, "Verification of forecasts expressed in terms of probability", 1950.
    """
    probability = expit(np.asarray(logits, np.float64))
    return float(np.mean((probability - label) ** 2)) if len(probability) else float("nan")


def auc(logits: np.ndarray, label: np.ndarray) -> float:
    """The chance that a positive pair has a higher logit than a negative one; ties count half.

    The area under the ROC curve by Mann and Whitney's U: with R the sum of the positives' ranks,
    (R - m (m + 1) / 2) / (m n) for m positives and n negatives.

    Args:
        logits: [N], finite.
        label: [N] of 0 and 1.

    Returns:
        A number in 0..1; 0.5 for chance or for equal logits; NaN where a class is absent. Labels
        are drawn, so even the true P stays clearly below 1. Only the order counts: a model whose
        probabilities are all wrong may still reach the best value.

    References:
        H. B. Mann and D. R. Whitney, "On a test of whether one of two random variables is
        stochastically larger than the other", 1947; J. A. Hanley and B. J. McNeil, "The meaning and
        use of the area under a receiver operating characteristic (ROC) curve", 1982.
    """
    logits, label = np.asarray(logits), np.asarray(label)
    positives = int(np.count_nonzero(label))
    negatives = len(label) - positives
    if positives == 0 or negatives == 0:
        return float("nan")
    largest, smallest = logits.max(), logits.min()
    if not np.isfinite(largest - smallest):
        return float("nan")
    # One integer holds logit and label, so that a sort of values does, which is several times
    # faster than an argsort and the gathers after it. 52 bits are a float's own precision.
    key = _whole(logits - smallest, largest - smallest, 52)
    key <<= 1
    key |= label != 0
    key.sort()
    positive = (key & 1).astype(np.float64)
    key >>= 1
    rank_sum = _dot(_mean_ranks(key), positive)
    return float((rank_sum - positives * (positives + 1) / 2) / (positives * negatives))


# Geometry


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
        all distances of a set are equal or one is not finite. Invariant to rotation and scale.
        Distances within 1e-13 of the largest tie, and ties get their mean rank.

    References:
        C. Spearman, "The proof and measurement of association between two things", 1904.
    """
    distances = [
        np.sqrt(pdist(np.asarray(p, np.float64), "sqeuclidean")) for p in (embedding, truth)
    ]
    return _spearman(distances[0], _centred(_ranks(distances[1])))


def _spearman(values: np.ndarray, centred: np.ndarray) -> float:
    """Spearman's correlation of values with ranks already centred and of unit length."""
    order, rank = _order_and_ranks(values)
    # Both sides stay in sorted order: no rank has to be carried back to its pair.
    return float(np.clip(_dot(_centred(rank), centred[order]), -1, 1))  # rounding may pass 1


def _centred(rank: np.ndarray) -> np.ndarray:
    """Ranks less their mean, scaled to unit length; NaN where all are equal."""
    rank = rank - rank.mean() if len(rank) else rank
    scale = np.sqrt(_dot(rank, rank))
    return rank / scale if scale > 0 else np.full_like(rank, np.nan)


def _dot(first: np.ndarray, second: np.ndarray) -> float:
    """The inner product, not by BLAS, whose own threads wait for each other on shared cores.

    For one product of 129,000 numbers `@` was seen to take 4 ms, and this 0.05.
    """
    return float(np.einsum("i,i->", first, second))


def _ranks(values: np.ndarray) -> np.ndarray:
    order, ordered_rank = _order_and_ranks(values)
    rank = np.empty(len(values))
    rank[order] = ordered_rank
    return rank


def _order_and_ranks(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The ascending order of values of 0 or more, and their mean ranks in that order.

    Values that differ by less than 2^-44 or so of the largest tie. NaN ranks if one isn't finite.
    """
    count = len(values)
    largest = values.max(initial=0.0)
    if not np.isfinite(largest):
        return np.arange(count), np.full(count, np.nan)
    # One integer holds value and place: a sort of those, and no argsort nor gather of values.
    place_bits = count.bit_length()
    key = _whole(values, largest, 63 - max(place_bits, 18))
    key <<= place_bits
    key |= np.arange(count)
    key.sort()
    order = key & (2**place_bits - 1)
    key >>= place_bits
    return order, _mean_ranks(key)


def _whole(values: np.ndarray, largest: float, bits: int) -> np.ndarray:
    """Values in 0..largest as whole numbers, int64, of which the largest has the given bits."""
    scaled = values / largest if largest > 0 else np.zeros(np.shape(values))
    scaled *= 2.0**bits - 1
    return np.rint(scaled, out=scaled).astype(np.int64)


def _mean_ranks(ordered: np.ndarray) -> np.ndarray:
    """Ranks 1..N of values in ascending order, where equal values share the mean of theirs."""
    count = len(ordered)
    rank = np.arange(1.0, count + 1)
    new = ordered[1:] != ordered[:-1]
    if new.all():
        return rank
    edges = np.concatenate([[0], np.flatnonzero(new) + 1, [count]])
    return np.repeat((edges[:-1] + edges[1:] + 1) / 2, np.diff(edges))


def procrustes_disparity(embedding: np.ndarray, truth: np.ndarray) -> float:
    """The share of the truth's shape that no rotation, reflection and scaling can make match.

    Both sets are centred and scaled to unit sum of squares; with s the singular values of their
    cross product, the best match leaves 1 - (sum s)^2. The narrower set is padded with zeros, so a
    2-D embedding of a 3-D truth can reach what the truth keeps in its best plane, and no less.

    Args:
        embedding: [items, dim].
        truth: [items, k], the same items in the same order.

    Returns:
        A number in 0..1: 0 for the same shape; 1 for no shared shape. NaN where a set is one point
        or not finite.

    References:
        J. C. Gower, "Generalized Procrustes analysis", Psychometrika 40, 1975;
        `scipy.spatial.procrustes` computes the same.
    """
    sets = [np.asarray(points, np.float64) for points in (embedding, truth)]
    sets = [points - points.mean(axis=0) for points in sets]
    norms = [np.linalg.norm(points) for points in sets]
    if not all(0 < norm < np.inf for norm in norms):  # NaN is refused too
        return float("nan")
    # Columns of zeros add only zero singular values, so they need not be written down.
    cross = (sets[0] / norms[0]).T @ (sets[1] / norms[1])
    return float(1 - np.linalg.svd(cross, compute_uv=False).sum() ** 2)


def linear_map_disparity(embedding: np.ndarray, truth: np.ndarray) -> float:
    """The share of the truth's variance that no linear map of the embedding predicts: 1 - R^2.

    The items fall into 10 folds, the same for every member. For each fold the least-squares map
    from embedding to truth, both centred, is found on the other items (the shortest one, where
    columns depend on each other) and predicts the fold; the squared errors of all folds are divided
    by those of predicting the mean of the other items. Being cross-validated, it doesn't reward
    columns that carry no colour, as the fit on all items would.

    It asks for less than `procrustes_disparity`: a linear map may also shear and may ignore
    directions. So it is the measure for embeddings with more than 3 columns, whose extra columns
    Procrustes would charge for, and values of the two must not be compared with each other.

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


def trustworthiness(
    embedding: np.ndarray, truth: np.ndarray, neighbours: int = NEIGHBOURS
) -> float:
    """How far the embedding's nearest neighbours are neighbours in truth.

    1 - 2 / (n k (2 n - 3 k - 1)) * sum over items i and i's k nearest j in the embedding of
    max(0, r(i, j) - k), with r(i, j) the rank of j among i's neighbours in truth. Items that the
    embedding wrongly brings together cost as many ranks as they come from outside.

    Ties: the mean over all ways of breaking them, independently in both spaces. Squared distances
    that differ by less than about 1e-12 of the largest count as tied. RGB is a grid, with 77
    coinciding pairs and many equal distances, so even the true RGB stays a hair below 1, at 0.99998
    for the tutorial's table. scikit-learn breaks ties by the items' order, and else does the same.

    Args:
        embedding: [items, dim].
        truth: [items, k], the same items in the same order.
        neighbours: k, below half the number of items.

    Returns:
        A number in 0..1, about 0.5 for an unrelated or collapsed embedding; NaN where there are not
        more than 2 k items. Only neighbours count: a torn but locally true map scores high.

    References:
        J. Venna and S. Kaski, "Neighborhood preservation in nonlinear projection methods: an
        experimental study", 2001.
    """
    return _neighbour_measures(embedding, truth, neighbours).trustworthiness


def continuity(embedding: np.ndarray, truth: np.ndarray, neighbours: int = NEIGHBOURS) -> float:
    """How far the true nearest neighbours stay neighbours in the embedding.

    `trustworthiness` with the two spaces swapped, to which refer for arguments, range and ties:
    here true neighbours that the embedding tears apart cost.

    References:
        J. Venna and S. Kaski, "Neighborhood preservation in nonlinear projection methods: an
        experimental study", 2001.
    """
    return _neighbour_measures(embedding, truth, neighbours).continuity


def knn_overlap(embedding: np.ndarray, truth: np.ndarray, neighbours: int = NEIGHBOURS) -> float:
    """The mean share of an item's k nearest in the embedding that are among its k nearest in truth.

    Ties are treated as in `trustworthiness`; they lower the value of the true RGB itself, which is
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
    """
    return _neighbour_measures(embedding, truth, neighbours).knn_overlap


class _Neighbour(NamedTuple):
    trustworthiness: float
    continuity: float
    knn_overlap: float


def _neighbour_measures(embedding: np.ndarray, truth: np.ndarray, neighbours: int) -> _Neighbour:
    squared = [pdist(np.asarray(p, np.float64), "sqeuclidean") for p in (embedding, truth)]
    if not all(np.isfinite(one).all() for one in squared):
        return _Neighbour(*[float("nan")] * 3)
    return _compare_neighbours(squared[0], *_neighbourhoods(squared[1], neighbours), neighbours)


def _compare_neighbours(
    squared: np.ndarray, near: np.ndarray, beyond: np.ndarray, neighbours: int
) -> _Neighbour:
    """The three measures of squared distances [pairs] against the truth's neighbourhoods."""
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
        return _Neighbour(nan, nan, overlap)
    scale = 2 / (items * neighbours * (2 * items - 3 * neighbours - 1))
    return _Neighbour(float(1 - scale * intruders), float(1 - scale * missing), overlap)


def _neighbourhoods(squared: np.ndarray, neighbours: int) -> tuple[np.ndarray, np.ndarray]:
    """`near` and `beyond` as in `Truth`, [items, items], of squared distances [pairs]."""
    place, sorted_near, sorted_beyond = _sorted_neighbourhoods(squared, neighbours)
    near, beyond = np.zeros((2, len(place), len(place)))
    near.flat[place] = sorted_near
    beyond.flat[place] = sorted_beyond
    return near, beyond


def _sorted_neighbourhoods(
    squared: np.ndarray, neighbours: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each item the others in order of distance, and in that order their `near` and `beyond`.

    Args:
        squared: [pairs], squared distances.
        neighbours: k.

    Returns:
        place [items, items - 1], the flat positions in an array [items, items]; near and beyond of
        that shape, or [1, items - 1] without ties.
        With an item's rank uniform over the ranks first..last that its tie takes up, near is the
        chance of a rank up to k, and beyond the mean of max(0, rank - k).
    """
    # One integer holds distance and item, as in `_order_and_ranks`. Rounding to 40 bits of the
    # largest merges ties that arithmetic split: RGB values are whole numbers divided by 255.
    key = squareform(_whole(squared, squared.max(initial=0.0), 40), checks=False)
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


def cross_seed_procrustes(embeddings: np.ndarray) -> np.ndarray:
    """The disparity of every two members: do different seeds find the same shape?

    Args:
        embeddings: [members, items, dim]; narrower members padded with columns of zeros.

    Returns:
        float64 [members, members], symmetric, of `procrustes_disparity`, with 0 on the diagonal.
        The rows and columns of members that are not finite, or a single point, are NaN.
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


# All members of a sweep


def spearman_of_members(
    embedding: np.ndarray, dim: np.ndarray, truth: Truth, workers: int | None = None
) -> np.ndarray:
    """`distance_spearman` of all members, whose truth is ranked once: float64 [members].

    Args:
        embedding: [members, items, columns], of which a member's first `dim` are its own.
        dim: integers [members].
        truth: of all members.
        workers: threads, by default as many as there are cores.
    """

    def correlation(i: int) -> float:
        squared = pdist(embedding[i, :, : int(dim[i])].astype(np.float64), "sqeuclidean")
        return _spearman(np.sqrt(squared), truth.rank)

    return np.array(_over_members(correlation, len(embedding), workers))


def measure_members(
    embedding: np.ndarray,
    dim: np.ndarray,
    kernel: np.ndarray,
    bias: np.ndarray,
    truth: Truth | Sequence[Truth],
    held_out: data.Pairs | Sequence[data.Pairs],
    *,
    head: str = "free",
    smoothing: float = 0.1,
    workers: int | None = None,
) -> dict[str, np.ndarray]:
    """All measures of all members of a sweep.

    Args:
        embedding: [members, items, columns], of which a member's first `dim` are its own. They are
            the vectors that distances are taken between: unit rows, if the model normalises.
        dim: integers [members].
        kernel: [members], the effective weight of the head.
        bias: [members].
        truth: one for all, or one per member.
        held_out: pairs that training did not see (`data.held_out_pairs`), for all or per member.
        head: how vectors become logits; see `heads`.
        smoothing: of the head, where it has one.
        workers: threads, by default as many as there are cores.

    Returns:
        The arrays [members] of `MEASURES`: bool for recovered, float64 for the others, each from
        the function of its name. `procrustes` is `procrustes_disparity` for up to 3 columns and
        `linear_map_disparity` for more, which are not comparable with each other. A member whose
        parameters are not finite is NaN throughout, and not recovered.

    Raises:
        ValueError: if a held-out pair is not of two different items of the table.
    """
    embedding = np.asarray(embedding)
    members, items = embedding.shape[:2]
    truths = [truth] * members if isinstance(truth, Truth) else list(truth)
    pairs = [held_out] * members if isinstance(held_out, data.Pairs) else list(held_out)
    for name, given in (("truth", truths), ("held_out", pairs)):
        if len(given) != members:
            raise ValueError(f"{name}: {len(given)} given for {members} members; give one or each")
    # Members of one sweep mostly share their pairs, so each set is looked up once.
    distinct = {id(one): one for one in pairs}
    places = {key: _pair_places(one.index, items) for key, one in distinct.items()}

    def measure(i: int) -> tuple[float, ...]:
        member = embedding[i, :, : int(dim[i])].astype(np.float64)
        weight, offset = float(kernel[i]), float(bias[i])
        squared = pdist(member, "sqeuclidean")
        relation = _dot_products(member) if heads.uses_dot_product(head) else squared
        logits = heads.logits(head, smoothing, weight, offset, relation, np)
        place = places[id(pairs[i])]
        return _measure(member, squared, logits, truths[i], pairs[i].label, place)

    rows = _over_members(measure, members, workers)
    table = np.array(rows, np.float64).reshape(members, len(MEASURES))
    measures = {name: table[:, i].copy() for i, name in enumerate(MEASURES)}
    return {**measures, "recovered": measures["recovered"] == 1}


def _over_members(function: Callable[[int], Any], members: int, workers: int | None) -> list:
    """The results for each member, in threads: NumPy's sorts and arithmetic free Python's lock."""

    def quietly(member: int) -> Any:
        # A thread starts with NumPy's default of warning, whatever the caller's.
        with np.errstate(all="ignore"):
            return function(member)

    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        return list(pool.map(quietly, range(members)))


def _measure(
    embedding: np.ndarray,
    squared: np.ndarray,
    logits: np.ndarray,
    truth: Truth,
    label: np.ndarray,
    place: np.ndarray,
) -> tuple[float, ...]:
    """The numbers of `MEASURES` for one member."""
    # Distances of finite parameters can overflow too; either way there is nothing to measure.
    if not (np.isfinite(embedding).all() and np.isfinite(logits).all()):
        return (float("nan"),) * len(MEASURES)
    held_out = logits.take(place)
    spearman = _spearman(np.sqrt(squared), truth.rank)
    disparity = procrustes_disparity if embedding.shape[1] <= 3 else linear_map_disparity
    neighbour = _compare_neighbours(squared, truth.near, truth.beyond, NEIGHBOURS)
    values = {
        "heldout_loss": heldout_loss(held_out, label),
        "excess_kl": excess_kl(logits, truth.probability, truth.floor),
        "auc": auc(held_out, label),
        "brier": brier(held_out, label),
        "spearman": spearman,
        "procrustes": disparity(embedding, truth.rgb),
        **neighbour._asdict(),
        "recovered": float(spearman >= RECOVERED_SPEARMAN),
    }
    return tuple(values[name] for name in MEASURES)


def _dot_products(embedding: np.ndarray) -> np.ndarray:
    """The dot products of all unordered pairs, in the order of `data.all_pairs`."""
    return (embedding @ embedding.T)[np.triu_indices(len(embedding), k=1)]


def _pair_places(index: np.ndarray, items: int) -> np.ndarray:
    """Where the pairs [N, 2] stand among all unordered pairs, in the order of `data.all_pairs`."""
    index = np.asarray(index, np.int64)
    low, high = index.min(axis=1), index.max(axis=1)
    if np.any((low < 0) | (high >= items) | (low == high)):
        raise ValueError(f"held-out pairs must be of two different ids in 0..{items - 1}")
    return low * (2 * items - low - 1) // 2 + high - low - 1


# Statistics for tables


def wilson_interval(successes: int, count: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's interval for a share, such as that of recovered runs.

    With p = successes / count and z the normal quantile, the centre is (p + z^2 / 2n) / (1 + z^2/n)
    and the half width z / (1 + z^2/n) * sqrt(p (1 - p) / n + z^2 / 4n^2). Unlike p +- z sqrt(...)
    it stays in 0..1, and has a width at 0 of 10 and 10 of 10.

    Args:
        successes: in 0..count.
        count: n; without any trial the interval is 0..1.
        level: coverage, approximately.

    Returns:
        The lower and the upper end.

    References:
        E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
    """
    if not 0 <= successes <= count:
        raise ValueError(f"{successes} successes of {count} trials")
    if count == 0:
        return 0.0, 1.0
    z = float(ndtri(0.5 + level / 2))
    share, spread = successes / count, z * z / count
    centre = share + spread / 2
    half = np.sqrt(spread * (share * (1 - share) + spread / 4))
    # At the ends of the scale the exact values are 0 and 1, which rounding may miss.
    low = 0.0 if successes == 0 else float((centre - half) / (1 + spread))
    high = 1.0 if successes == count else float((centre + half) / (1 + spread))
    return low, high


def interquartile_mean(values: np.ndarray, axis: int = -1) -> np.ndarray | float:
    """The mean of the middle half, which a few failed seeds cannot move, nor a few lucky ones.

    Exactly a quarter of the weight is dropped at each end. Where n / 4 isn't whole, the value at
    the edge counts in part: of five, sorted, the weights are 0, 0.75, 1, 0.75, 0 over 2.5. For
    n divisible by 4 this is `scipy.stats.trim_mean(values, 0.25)`, which otherwise drops only the
    whole part of n / 4 and so jumps as runs are added.

    Pitfall: nearly half of the tutorial's seeds fail, so its results have two humps, and any one
    number for their middle says little without the share that recovered.

    Args:
        values: an array, with at least one value along `axis`.
        axis: the axis that is averaged.

    Returns:
        The means, with `axis` gone; NaN where a value is NaN or there is none.

    References:
        R. Agarwal et al., "Deep reinforcement learning at the edge of the statistical precipice",
        2021.
    """
    ordered = np.sort(np.moveaxis(np.asarray(values, np.float64), axis, -1), axis=-1)
    count = ordered.shape[-1]
    if count == 0:
        return np.full(ordered.shape[:-1], np.nan)[()]
    # Value i covers i..i+1 on a line of length n; its weight is what lies in the middle half.
    begin = np.arange(count)
    weight = np.minimum(begin + 1, 0.75 * count) - np.maximum(begin, 0.25 * count)
    weight = np.maximum(weight, 0)
    # An infinity that is trimmed must not become 0 * inf; NaN sorts last and must not be trimmed.
    bad = np.isnan(ordered).any(axis=-1)
    middle = weight > 0
    mean = ordered[..., middle] @ weight[middle] / weight.sum()
    return np.where(bad, np.nan, mean)[()]


def bootstrap_interval(
    values: np.ndarray,
    statistic: Callable[..., np.ndarray],
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """The percentile bootstrap interval of a statistic over independent runs.

    The values are drawn again with replacement, `resamples` times; the ends are quantiles of the
    statistic over those draws. Below some ten values it is too narrow: the few values seen stand
    for all that could have been. Resample what is independent, which is seeds, not pairs.

    Args:
        values: [n], one value per run.
        statistic: called as `statistic(array [resamples, n], axis=1)`, returns [resamples]; such as
            `np.mean`, `np.median` or `interquartile_mean`.
        level: coverage, approximately.
        resamples: how many draws.
        seed: of the draws; the same seed gives the same interval.

    Returns:
        The lower and the upper end; NaN for fewer than 2 values or where a value is NaN.

    References:
        B. Efron, "Bootstrap methods: another look at the jackknife", 1979.
    """
    values = np.asarray(values, np.float64)
    if len(values) < 2 or np.isnan(values).any():
        return float("nan"), float("nan")
    draws = np.random.default_rng(seed).integers(0, len(values), (resamples, len(values)))
    drawn = statistic(values[draws], axis=1)
    low, high = np.quantile(drawn, [0.5 - level / 2, 0.5 + level / 2])
    return float(low), float(high)


def select_dimension(
    dims: Sequence[int], mean: Sequence[float], standard_error: Sequence[float]
) -> int:
    """The smallest dimension whose mean loss is within one standard error of the best one's.

    Args:
        dims: the dimensions, in any order.
        mean: the mean loss of each; dimensions with NaN are passed over.
        standard_error: of each mean; NaN, as of a single run, counts as 0.

    Returns:
        One of `dims`: the smallest whose mean is not above the lowest mean plus that mean's own
        standard error. Of equal lowest means the smaller dimension's counts as the best.

    Raises:
        ValueError: if no mean is a number.

    References:
        L. Breiman et al., "Classification and regression trees", 1984.
    """
    rows = [row for row in zip(mean, dims, standard_error, strict=True) if not np.isnan(row[0])]
    if not rows:
        raise ValueError("no dimension has a mean loss to compare")
    best, _, error = min(rows)
    limit = best + (0.0 if np.isnan(error) else error)
    return int(min(dim for loss, dim, _ in rows if loss <= limit))
