"""What a training on people's own pairs came to: quality, calibration, and what ties nothing down.

Everything starts from `distinct_pairs`, in which a pair of items stands once however often, and in
whichever order, the data name it: that is what intervals are taken over, what has one logit, and
what ties two items together. NumPy and SciPy only; ten million pairs take seconds.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import entr, expit

from colour_embed.evaluate.scores import wilson_interval
from colour_embed.pairs.sampling import group_of_items, pair_keys

__all__ = [
    "Calibration",
    "DistinctPairs",
    "Measure",
    "Quality",
    "Ties",
    "calibration",
    "distinct_pairs",
    "groups",
    "nearest",
    "quality",
    "ties",
    "worst_pairs",
]

RESAMPLED = 10_000
"""At most so many distinct pairs are drawn again for an interval; more are thinned to so many."""

_RESAMPLES = 1000
_HIGH_AND_LOW = [1, 0] if sys.byteorder == "little" else [0, 1]  # halves of a pair's key
_SEED = 0


class DistinctPairs(NamedTuple):
    """Unordered pairs of items, each once, with what the labels of its rows add up to.

    Attributes:
        index: int32 [U, 2], the lower id first, in ascending order.
        weight: float64 [U], the sum of the weights w of its rows.
        positive: float64 [U], the sum of w y, y being the labels.
        square: float64 [U], the sum of w y^2.
        rows: How many rows they were made of.
    """

    index: np.ndarray
    weight: np.ndarray
    positive: np.ndarray
    square: np.ndarray
    rows: int

    def __len__(self) -> int:
        """Return the number of distinct pairs, U."""
        return len(self.index)

    @property
    def share(self) -> np.ndarray:
        """float64 [U], the weighted mean of each pair's labels; 0 where the weight is 0."""
        return self.positive / np.where(self.weight > 0, self.weight, 1)

    def take(self, chosen: np.ndarray) -> DistinctPairs:
        """Some of the pairs; `rows` stays that of all."""
        return DistinctPairs(*(values[chosen] for values in self[:4]), self.rows)


def distinct_pairs(
    index: np.ndarray, label: np.ndarray, weight: np.ndarray | None = None
) -> DistinctPairs:
    """Gather the rows that name the same two items, in either order.

    Args:
        index: integers [N, 2], ids of 0 or more.
        label: [N] in 0..1.
        weight: [N], 0 or more; 1 each where None.
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


# --------------------------------------------------------------------------------------------------
# Quality


class Measure(NamedTuple):
    """A number and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Quality:
    """How well logits tell the labels of pairs.

    Attributes:
        loss: Weighted mean cross-entropy, nats per pair.
        brier: Weighted mean squared difference of probability and label.
        auc: The chance that a positive pair has a higher logit than a negative one; a soft label
            counts as so much of a positive and the rest of a negative. NaN where a class is absent.
        base_rate_loss: The loss of always guessing the share of positives.
        rows: Rows of the data.
        pairs: Distinct unordered pairs among them.
        resampled: Distinct pairs that the intervals were taken from: all of them, or, of very many,
            a sample, whose intervals are narrowed to what all of them would give.
    """

    loss: Measure
    brier: Measure
    auc: Measure
    base_rate_loss: float
    rows: int
    pairs: int
    resampled: int


def quality(logits: np.ndarray, pairs: DistinctPairs, seed: int = _SEED) -> Quality:
    """Measure how well logits tell the labels, with bootstrap intervals over the unordered pairs.

    Distinct pairs are drawn again with replacement, a thousand times; the ends are the 2.5 % and
    97.5 % quantiles. The intervals are for other pairs of the same items: pairs that share an item
    are not independent, so for other items they would be wider.

    Args:
        logits: [U], of the distinct pairs, finite.
        pairs: From `distinct_pairs`.
        seed: Of the draws.
    """
    logits = np.asarray(logits, np.float64)
    value = _measured(*_sorted_sums(logits, pairs))
    generator = np.random.default_rng(seed)
    chosen = np.arange(len(pairs))
    if len(pairs) > RESAMPLED:
        chosen = generator.choice(len(pairs), RESAMPLED, replace=False)
    sums = _sorted_sums(logits[chosen], pairs.take(chosen))
    spread = np.full((2, 3), np.nan)
    if len(chosen) > 1:
        drawn = np.array(
            [
                _measured(*sums, np.bincount(draw, minlength=len(chosen)))
                for draw in _draws(generator, len(chosen))
            ]
        )
        # The spread shrinks with the root of how many there are; a class may be missing in a draw.
        scale = np.sqrt(len(chosen) / len(pairs))
        centre = _measured(*sums)
        known = np.isfinite(drawn).any(axis=0)
        ends = np.nanquantile(drawn[:, known], (0.025, 0.975), axis=0)
        spread[:, known] = scale * (ends - centre[known])
    low, high = value + spread
    best = np.array([np.inf, 1.0, 1.0])
    share = pairs.positive.sum() / pairs.weight.sum() if pairs.weight.sum() else np.nan
    measures = zip(value, np.maximum(low, 0), np.minimum(high, best))
    return Quality(
        *(Measure(*map(float, measure)) for measure in measures),
        base_rate_loss=float(entr(share) + entr(1 - share)),
        rows=pairs.rows,
        pairs=len(pairs),
        resampled=len(chosen),
    )


def _draws(generator: np.random.Generator, count: int):
    return (generator.integers(0, count, count) for _ in range(_RESAMPLES))


def _sorted_sums(logits: np.ndarray, pairs: DistinctPairs) -> tuple[np.ndarray, ...]:
    """What the measures need, in ascending order of the logits.

    Returns:
        order [U]; sums [5, U]: weight, positive weight, negative weight, loss and squared error of
        each pair; and where each run of equal logits begins.
    """
    order = np.argsort(logits, kind="stable")
    logits, pairs = logits[order], pairs.take(order)
    probability = expit(logits)
    sums = np.stack(
        [
            pairs.weight,
            pairs.positive,
            pairs.weight - pairs.positive,
            _losses(logits, pairs),
            pairs.weight * probability**2 - 2 * probability * pairs.positive + pairs.square,
        ]
    )
    return order, sums, np.flatnonzero(np.diff(logits, prepend=-np.inf))


def _losses(logits: np.ndarray, pairs: DistinctPairs) -> np.ndarray:
    """The summed cross-entropy of each pair's rows: softplus(z) - y z, weighted."""
    return pairs.weight * np.logaddexp(logits, 0) - pairs.positive * logits


def _measured(
    order: np.ndarray, sums: np.ndarray, first: np.ndarray, times: np.ndarray | None = None
) -> np.ndarray:
    """Loss, Brier score and AUC where each pair counts so many times; NaN where undefined."""
    weight, positive, negative, loss, error = sums if times is None else sums * times[order]
    total, positives, negatives = weight.sum(), positive.sum(), negative.sum()
    if not total > 0:
        return np.full(3, np.nan)
    if positives <= 0 or negatives <= 0:
        area = np.nan
    else:
        if len(first) < len(positive):
            positive, negative = (np.add.reduceat(side, first) for side in (positive, negative))
        below = np.cumsum(negative) - negative / 2  # half of those with the same logit
        area = (positive / positives) @ (below / negatives)
    return np.array([loss.sum() / total, error.sum() / total, area])


# --------------------------------------------------------------------------------------------------
# Calibration


@dataclass(frozen=True, eq=False)
class Calibration:
    """Whether of the pairs given a probability that share is positive, bin by bin [B].

    Attributes:
        predicted: The mean probability given.
        share: The weighted share of positives.
        low: Lower end of the 95 % Wilson interval of the share.
        high: Upper end.
        count: Distinct pairs.
        weight: What the bin weighs, of all bins 1 in sum.
        error: The expected calibration error: the mean over the pairs of |predicted - share| of
            their bin. It is above 0 by chance alone, the more the fewer pairs there are.
    """

    predicted: np.ndarray
    share: np.ndarray
    low: np.ndarray
    high: np.ndarray
    count: np.ndarray
    weight: np.ndarray
    error: float


def calibration(logits: np.ndarray, pairs: DistinctPairs, bins: int = 10) -> Calibration:
    """Compare the probabilities given with what came, in bins of equally many pairs.

    Pairs with one logit share a bin, so there may be fewer bins than asked for. In the Wilson
    interval, n is (sum w)^2 / sum w^2 of the distinct pairs' weights.

    Args:
        logits: [U], finite.
        pairs: From `distinct_pairs`.
        bins: How many at most, 1 or more.

    References:
        M. P. Naeini et al., "Obtaining well calibrated probabilities using Bayesian binning", 2015.
    """
    used = pairs.weight > 0
    logits, pairs = np.asarray(logits, np.float64)[used], pairs.take(used)
    if not len(pairs):
        return Calibration(*np.zeros((6, 0)), error=float("nan"))
    edges = np.quantile(logits, np.arange(1, bins) / bins, method="inverted_cdf")
    place = np.unique(np.searchsorted(np.unique(edges), logits, side="left"), return_inverse=True)[
        1
    ]

    def summed(values):
        return np.bincount(place, weights=values)

    count, weight = np.bincount(place), summed(pairs.weight)
    predicted = summed(pairs.weight * expit(logits)) / weight
    share = np.minimum(summed(pairs.positive) / weight, 1)
    effective = weight**2 / summed(pairs.weight**2)
    ends = [wilson_interval(s * n, n) for s, n in zip(share.tolist(), effective.tolist())]
    low, high = np.array(ends).T
    weight = weight / weight.sum()
    error = float(weight @ np.abs(predicted - share))
    return Calibration(predicted, share, low, high, count, weight, error)


# --------------------------------------------------------------------------------------------------
# Items


class Ties(NamedTuple):
    """What holds each item in its place.

    Attributes:
        partners: int [items], other items that it stands in a pair with.
        alone: int [A], items without any: their vectors are what they were drawn as.
        weak: int [W], items with fewer partners than dimensions, whose place is open in some
            direction whatever the labels say.
    """

    partners: np.ndarray
    alone: np.ndarray
    weak: np.ndarray


def ties(pairs: DistinctPairs, items: int, dim: int) -> Ties:
    """Find the items that no pair ties down, and those that too few do.

    Args:
        pairs: From `distinct_pairs`; self-pairs and pairs of weight 0 tie nothing.
        items: How many items there are.
        dim: Of the embedding.
    """
    partners = np.bincount(_linking(pairs).ravel(), minlength=items)
    return Ties(
        partners, np.flatnonzero(partners == 0), np.flatnonzero((partners > 0) & (partners < dim))
    )


def groups(pairs: DistinctPairs, items: int) -> np.ndarray:
    """Tell apart the groups of items that no pair joins, neither directly nor by way of others.

    Where two groups lie to one another says nothing.

    Args:
        pairs: As `ties`.
        items: How many items there are.

    Returns:
        int32 [items], the group of each item: 0 is the largest; of equals the first item decides.
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
    """The pairs [L, 2] of two different items that count for something."""
    return pairs.index[(pairs.index[:, 0] != pairs.index[:, 1]) & (pairs.weight > 0)]


def worst_pairs(
    logits: np.ndarray, pairs: DistinctPairs, count: int = 10
) -> tuple[np.ndarray, np.ndarray]:
    """The pairs that cost most: their weighted loss above the least that their labels allow.

    A pair that is labelled once as similar and once not has a loss that no model can avoid; that
    part is taken off. Of a label of 0 or 1 nothing is.

    Returns:
        Their places in `pairs` and what they cost, nats, the worst first.
    """
    share = pairs.share
    cost = _losses(np.asarray(logits, np.float64), pairs)
    cost = np.maximum(cost - pairs.weight * (entr(share) + entr(1 - share)), 0)
    chosen = _smallest(-cost, count)
    return chosen, cost[chosen]


def nearest(
    vectors: np.ndarray, places: np.ndarray, count: int = 5, *, dot: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """The nearest neighbours of some items.

    Args:
        vectors: [items, dim].
        places: int [P], the items asked about.
        count: How many neighbours; fewer where there are fewer other items.
        dot: Whether nearness is the dot product, and not the distance.

    Returns:
        int [P, count], the neighbours, nearest first (of equals, the first item), and float64
        [P, count], their distances, or dot products.
    """
    vectors = np.asarray(vectors, np.float64)
    count = min(count, len(vectors) - 1)
    neighbours, values = np.zeros((len(places), count), int), np.zeros((len(places), count))
    for row, place in enumerate(places):
        if dot:
            far = -(vectors @ vectors[place])
        else:
            far = np.sqrt(((vectors - vectors[place]) ** 2).sum(axis=1))
        far[place] = np.inf
        neighbours[row] = _smallest(far, count)
        values[row] = -far[neighbours[row]] if dot else far[neighbours[row]]
    return neighbours, values


def _smallest(values: np.ndarray, count: int) -> np.ndarray:
    """The places of the smallest values in ascending order; of equals the first ones."""
    count = min(count, len(values))
    if count == 0:
        return np.zeros(0, int)
    limit = np.partition(values, count - 1)[count - 1]
    chosen = np.flatnonzero(values <= limit)
    return chosen[np.argsort(values[chosen], kind="stable")][:count]
