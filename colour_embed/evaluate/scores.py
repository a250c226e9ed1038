"""Scores of logits against labels or known probabilities: each once, weighted, in float64.

`cross_entropy`, `brier`, `auc` and `calibration` take labels in 0..1 and optional weights.
`quality` gives the first three with bootstrap intervals over distinct pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import entr, expit

from colour_embed.evaluate.intervals import bootstrap, wilson_interval
from colour_embed.evaluate.ranks import inner, mid_ranks, sorted_places
from colour_embed.evaluate.truth import best_loss

RESAMPLED = 10_000
"""At most so many distinct pairs are resampled for an interval; more are thinned to so many."""

_RESAMPLES = 1000
_BLOCK = 2**14  # pairs at a time whose intermediate arrays stay in a core's own cache


# --------------------------------------------------------------------------------------------------
# Means over pairs


def cross_entropies(logits: np.ndarray, label: np.ndarray) -> np.ndarray:
    """The cross-entropy in nats of each pair: softplus(z) - y z for logit z and label y.

    Written as max(z, 0) - y z + log(1 + exp(-|z|)), which neither overflows nor loses digits for
    large |z|.

    Args:
        logits: float64 of any shape, finite.
        label: In 0..1, of that shape: the label, or the probability that it is 1.

    Example:
        >>> cross_entropies(np.array([0.0, 800.0]), np.array([1.0, 0.0])).round(4).tolist()
        [0.6931, 800.0]
    """
    return np.maximum(logits, 0) - label * logits + np.log1p(np.exp(-np.abs(logits)))


def cross_entropy(logits: np.ndarray, label: np.ndarray, weight: np.ndarray | None = None) -> float:
    """The weighted mean cross-entropy in nats of labels under Bernoulli(sigmoid(logits)).

    Of the labels of held-out pairs it is the held-out loss. Its floor is the labels' own entropy,
    0.32 nats at the tutorial's constant, and not 0; always predicting the base rate costs 0.53. The
    labels are drawn, so that a mean over 129,000 pairs has a standard error of about 0.001:
    `excess_kl` measures the same without that noise. Held-out means that the *unordered* pair is
    absent from training; see `truth.held_out_pairs`.

    Args:
        logits: [N], finite.
        label: [N] in 0..1: the label, or the probability that it is 1. With P it is the expected
            loss of fresh labels.
        weight: [N], 0 or more; 1 each where None.

    Returns:
        0 or more; log 2 for logits of 0. NaN where there are no pairs or none of weight.

    Example:
        >>> round(cross_entropy([0.0, 2.0], [1, 0], weight=[3.0, 1.0]), 4)
        1.0516
    """
    return _mean(cross_entropies, logits, label, weight)


def brier(logits: np.ndarray, label: np.ndarray, weight: np.ndarray | None = None) -> float:
    """The weighted mean squared difference of probability and label: the tutorial's "mse".

    Args:
        logits: [N].
        label: [N] in 0..1.
        weight: [N], 0 or more; 1 each where None.

    Returns:
        A number in 0..1; 0.25 for always predicting one half. Its floor is the mean of P (1 - P),
        not 0. Unlike the loss it stays small for a wrong prediction made with certainty. NaN where
        there are no pairs or none of weight.

    References:
        G. W. Brier, "Verification of forecasts expressed in terms of probability", 1950.

    Example:
        >>> brier([0.0, 0.0], [1, 0])
        0.25
    """
    return _mean(_squared_errors, logits, label, weight)


def _squared_errors(logits: np.ndarray, label: np.ndarray) -> np.ndarray:
    return (expit(logits) - label) ** 2


def _mean(
    score: Callable[[np.ndarray, np.ndarray], np.ndarray],
    logits: np.ndarray,
    label: np.ndarray,
    weight: np.ndarray | None,
) -> float:
    """The weighted mean of a score of each pair, block by block."""
    logits, label = np.asarray(logits, np.float64), np.asarray(label)
    weight = None if weight is None else np.asarray(weight, np.float64)
    total = len(logits) if weight is None else weight.sum()
    if not total > 0:
        return float("nan")
    summed = 0.0
    for begin in range(0, len(logits), _BLOCK):
        block = slice(begin, begin + _BLOCK)
        values = score(logits[block], label[block])
        summed += values.sum() if weight is None else inner(values, weight[block])
    return float(summed / total)


def excess_kl(logits: np.ndarray, probability: np.ndarray, floor: float | None = None) -> float:
    """The mean Kullback-Leibler divergence in nats of the model's probabilities from the true ones.

    It is the mean over pairs of KL(Bernoulli(P) || Bernoulli(sigmoid(z))): the cross-entropy under
    P less P's entropy. On fresh labels, the model loses so much more than one that knows P.

    This is the main measure, since P is known exactly here (`truth.probability_similar`). It has no
    noise of drawn labels, its floor is 0, and it is over all pairs and not a sample. It is 0 if and
    only if *every* probability is right. It also sees a wrong scale, which ranks and Procrustes
    analysis cannot.

    Always predicting the base rate leaves 0.211 at the tutorial's constant. A head that is affine
    in the squared distance cannot reach 0: the true link is 1 - d / sqrt(3 c) and not
    sigmoid(k d^2 + b), so that the true RGB with the best k and b still leaves 0.0056.

    Args:
        logits: [N], finite, of all unordered pairs in the order of `truth.all_pairs`.
        probability: [N], the true P(label = 1).
        floor: The mean entropy of `probability`, if known already.

    Returns:
        0 or more. Below 1e-15 or so it is rounding.

    References:
        S. Kullback and R. A. Leibler, "On information and sufficiency", 1951.

    Example:
        >>> excess_kl([0.0, 0.0], np.array([0.5, 0.5]))
        0.0
    """
    if floor is None:
        floor = best_loss(probability)
    # Rounding may leave a hair below 0, which no divergence can be; NaN stays NaN.
    return float(np.maximum(cross_entropy(logits, probability) - floor, 0.0))


# --------------------------------------------------------------------------------------------------
# Order


def auc(logits: np.ndarray, label: np.ndarray, weight: np.ndarray | None = None) -> float:
    """The probability that a positive pair has a higher logit than a negative one; ties count half.

    The area under the ROC curve by Mann and Whitney's U. A pair of label y and weight w counts as a
    positive of weight w y and a negative of weight w (1 - y). With r the mid-rank of each pair, the
    weight of all pairs below it plus half that of the tied ones, and with m and n the weights of
    all positives and negatives, it is (sum of w y r - m^2 / 2) / (m n).

    Args:
        logits: [N], finite. Those that differ by less than 2^-44 of their range are tied.
        label: [N] in 0..1.
        weight: [N], 0 or more; 1 each where None.

    Returns:
        A number in 0..1; 0.5 for chance or for equal logits; NaN where a class is absent. Labels
        are drawn, so that even the true P stays clearly below 1. Only the order counts: a model
        whose probabilities are all wrong may still reach the best value.

    References:
        H. B. Mann and D. R. Whitney, "On a test of whether one of two random variables is
        stochastically larger than the other", 1947; J. A. Hanley and B. J. McNeil, "The meaning and
        use of the area under a receiver operating characteristic (ROC) curve", 1982.

    Example:
        >>> auc([1.0, 2.0, 2.0, 3.0], [0, 0, 1, 1])
        0.875
    """
    logits = np.asarray(logits, np.float64)
    smallest = logits.min(initial=np.inf)
    if not np.isfinite(logits.max(initial=-np.inf) - smallest):
        return float("nan")
    order, starts = sorted_places(logits - smallest)
    positive = np.asarray(label).take(order).astype(np.float64)
    if weight is not None:
        weight = np.asarray(weight, np.float64).take(order)
        positive *= weight
    return _area(starts, positive, weight)


def _area(starts: np.ndarray, positive: np.ndarray, weight: np.ndarray | None) -> float:
    """The AUC, of weights of the positives and of all pairs [N] in ascending order of logits."""
    count = len(positive)
    positives = positive.sum()
    negatives = (count if weight is None else weight.sum()) - positives
    if not (positives > 0 and negatives > 0):
        return float("nan")
    rank_sum = inner(positive, mid_ranks(starts, count, weight))
    return float((rank_sum - positives**2 / 2) / (positives * negatives))


# --------------------------------------------------------------------------------------------------
# Calibration


@dataclass(frozen=True, eq=False)
class Calibration:
    """Predicted probabilities against the share of positives, in bins [B].

    Attributes:
        predicted: The mean predicted probability.
        share: The weighted share of positives.
        low: Lower end of the 95 % Wilson interval of the share.
        high: Upper end.
        count: Pairs.
        weight: What the bin weighs, of all bins 1 in sum.
        error: The expected calibration error: the weighted mean over the bins of
            |predicted - share|. It is above 0 by chance alone, the more the fewer pairs there are.
    """

    predicted: np.ndarray
    share: np.ndarray
    low: np.ndarray
    high: np.ndarray
    count: np.ndarray
    weight: np.ndarray
    error: float


def calibration(
    logits: np.ndarray, label: np.ndarray, weight: np.ndarray | None = None, bins: int = 10
) -> Calibration:
    """Compare predicted probabilities with labels, in bins of equally many pairs.

    Pairs of equal logits share a bin, so that there may be fewer bins than asked for. In the Wilson
    interval, n is (sum w)^2 / sum w^2 of the pairs' weights: give each distinct pair once, with the
    mean of its labels.

    Args:
        logits: [N], finite.
        label: [N] in 0..1.
        weight: [N], 0 or more; 1 each where None. Pairs of weight 0 are left out.
        bins: How many at most, 1 or more.

    References:
        M. P. Naeini et al., "Obtaining well calibrated probabilities using Bayesian binning", 2015.

    Example:
        >>> found = calibration([-1.0, -1.0, 1.0, 1.0], [0, 0, 1, 0], bins=2)
        >>> found.predicted.round(3).tolist(), found.share.tolist()
        ([0.269, 0.731], [0.0, 0.5])
    """
    logits, label = np.asarray(logits, np.float64), np.asarray(label, np.float64)
    weight = np.ones(len(logits)) if weight is None else np.asarray(weight, np.float64)
    used = weight > 0
    logits, label, weight = logits[used], label[used], weight[used]
    if not len(logits):
        return Calibration(*np.zeros((6, 0)), error=float("nan"))
    edges = np.quantile(logits, np.arange(1, bins) / bins, method="inverted_cdf")
    place = np.searchsorted(np.unique(edges), logits, side="left")
    place = np.unique(place, return_inverse=True)[1]

    def summed(values):
        return np.bincount(place, weights=values)

    count, total = np.bincount(place), summed(weight)
    predicted = summed(weight * expit(logits)) / total
    share = np.minimum(summed(weight * label) / total, 1)
    effective = total**2 / summed(weight**2)
    ends = [wilson_interval(s * n, n) for s, n in zip(share.tolist(), effective.tolist())]
    low, high = np.array(ends).T
    of_all = total / total.sum()
    error = float(of_all @ np.abs(predicted - share))
    return Calibration(predicted, share, low, high, count, of_all, error)


# --------------------------------------------------------------------------------------------------
# Quality with intervals


class DistinctPairs(NamedTuple):
    """Unordered pairs of items, each once, with the sums over the rows that name it.

    Attributes:
        index: int32 [U, 2], the lower id first, in ascending order.
        weight: float64 [U], the sum of the weights w of its rows.
        positive: float64 [U], the sum of w y, y being the labels.
        square: float64 [U], the sum of w y^2.
        rows: How many rows there were.
    """

    index: np.ndarray
    weight: np.ndarray
    positive: np.ndarray
    square: np.ndarray
    rows: int

    def __len__(self) -> int:
        """The number of distinct pairs, U."""
        return len(self.index)

    @property
    def share(self) -> np.ndarray:
        """float64 [U], the weighted mean of each pair's labels; 0 where the weight is 0."""
        return self.positive / np.where(self.weight > 0, self.weight, 1)

    def take(self, chosen: np.ndarray) -> DistinctPairs:
        """Some of the pairs; `rows` stays that of all."""
        return DistinctPairs(*(values[chosen] for values in self[:4]), self.rows)


class Measure(NamedTuple):
    """A number and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Quality:
    """How well logits predict the labels of pairs.

    Attributes:
        loss: Weighted mean cross-entropy over the rows, nats per pair.
        brier: Weighted mean squared difference of probability and label.
        auc: See `auc`; NaN where a class is absent.
        base_rate_loss: The loss of always predicting the share of positives.
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


def quality(logits: np.ndarray, pairs: DistinctPairs, seed: int = 0) -> Quality:
    """Loss, Brier score and AUC, with bootstrap intervals over the unordered pairs.

    Distinct pairs are resampled a thousand times; the ends are the 2.5 % and 97.5 % quantiles. The
    intervals are for other pairs of the same items. Pairs that share an item are not independent,
    so that for other items they would be wider.

    Args:
        logits: [U], of the distinct pairs, finite.
        pairs: From `pairs.report.distinct_pairs`.
        seed: Of the draws.

    Example:
        >>> one = np.ones(2)
        >>> pairs = DistinctPairs(np.array([[0, 1], [0, 2]]), one, one * [1, 0], one * [1, 0], 2)
        >>> found = quality([1.0, -1.0], pairs)
        >>> found.auc.value, round(found.loss.value, 4)
        (1.0, 0.3133)
    """
    logits = np.asarray(logits, np.float64)
    value = _measured(*_sorted_sums(logits, pairs)[1:])
    generator = np.random.default_rng(seed)
    chosen = np.arange(len(pairs))
    if len(pairs) > RESAMPLED:
        chosen = generator.choice(len(pairs), RESAMPLED, replace=False)
    spread = np.full((2, 3), np.nan)
    if len(chosen) > 1:
        order, sums, starts = _sorted_sums(logits[chosen], pairs.take(chosen))

        def measured(draws):
            times = (np.bincount(draw, minlength=len(chosen))[order] for draw in draws)
            return np.array([_measured(sums * one, starts) for one in times])

        drawn = bootstrap(measured, len(chosen), _RESAMPLES, generator)
        # The spread shrinks with the root of how many there are; a class may be missing in a draw.
        scale = np.sqrt(len(chosen) / len(pairs))
        centre = _measured(sums, starts)
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


def _sorted_sums(
    logits: np.ndarray, pairs: DistinctPairs
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What the measures need, in ascending order of the logits.

    Returns:
        order [U]; sums [4, U]: weight, positive weight, loss and squared error of each pair; and
        where each group of equal logits starts.
    """
    order, starts = sorted_places(logits - logits.min(initial=np.inf))
    logits, pairs = logits[order], pairs.take(order)
    weight, share = pairs.weight, pairs.share
    losses = weight * cross_entropies(logits, share)
    # The squared errors of the rows: that of their mean label, and its distance from each label.
    errors = weight * _squared_errors(logits, share) + (pairs.square - weight * share**2)
    return order, np.stack([weight, pairs.positive, losses, errors]), starts


def _measured(sums: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Loss, Brier score and AUC of the sums of pairs in ascending order; NaN where undefined."""
    weight, positive, losses, errors = sums
    total = weight.sum()
    if not total > 0:
        return np.full(3, np.nan)
    return np.array([losses.sum() / total, errors.sum() / total, _area(starts, positive, weight)])
