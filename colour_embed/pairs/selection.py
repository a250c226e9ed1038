"""The choice of a dimension: repeated grouped splits, a paired rule, AIC and BIC.

Nothing here trains. A sweep trains on each of the `grouped_splits` and hands the losses of the
held-out pairs to `selected_dimension`. NumPy only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from colour_embed.config import InputError
from colour_embed.data import Pairs
from colour_embed.heads import HEADS
from colour_embed.pairs.checks import counted
from colour_embed.pairs.report import distinct_pairs, groups, ties
from colour_embed.pairs.sampling import pair_keys, split_pairs

_WIDER = (1.1, 1.25, 1.5, 2.0, 3.0, 5.0)  # times the share, drawn to choose the held-out pairs from
_MOST_DRAWN = 0.9
_ATTEMPTS, _FEW = 8, 1000  # draws of a split of fewer pairs
_WINDOW = 32  # pairs on either side of the wanted number of rows, among which sums are searched


# --------------------------------------------------------------------------------------------------
# Splits


def grouped_splits(
    pairs: Pairs, items: int, share: float = 0.1, count: int = 5, seed: int = 0
) -> np.ndarray:
    """Return repeated random splits of equal size that keep the rows of an unordered pair together.

    For each split more pairs are drawn than are needed, by `sampling.split_pairs`, so that every
    item of a pair keeps a pair to train on. Of these a random part is held out; the others are
    trained on. It is chosen so that all splits hold out the same number of rows, which is the
    largest that all can reach and that is not above `share` of the rows. One compiled program thus
    serves all splits.

    Pairs of an item with itself and pairs of weight 0 are never held out, and do not count as pairs
    to train on.

    Args:
        pairs: N pairs; rows of the same two items, in either order, are one unordered pair.
        items: Number of items.
        share: Share of the rows to hold out, above 0 and below 1. Fewer are held out where items
            have few pairs.
        count: Number of splits, J.
        seed: Seed of the splits.

    Returns:
        bool [J, N], true where a row is held out; each split has the same sum.

    Raises:
        InputError: an argument is out of range, or there are no such splits.

    Example:
        >>> index = np.array([[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3], [1, 0]])
        >>> splits = grouped_splits(Pairs(index, np.ones(7)), 4, share=0.3, count=4)
        >>> splits.shape, splits.sum(axis=1).tolist()
        ((4, 7), [2, 2, 2, 2])
    """
    if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or count < 1:
        raise InputError(f"splits is {count!r}: give a whole number of at least 1")
    if not 0 < share < 1:
        raise InputError(f"share is {share!r}: give a number above 0 and below 1")
    used = pairs.index[:, 0] != pairs.index[:, 1]
    if pairs.weight is not None:
        used &= pairs.weight > 0
    rows = np.flatnonzero(used)
    if not rows.size:
        raise InputError("there are no pairs of different items with a weight above 0 to split")
    pairs = pairs.take(rows)
    group = np.unique(pair_keys(pairs.index), return_inverse=True)[1]
    size = np.bincount(group)
    goal = max(round(share * len(rows)), int(size.min()))
    found: tuple[int, list[np.ndarray]] = (0, [])
    for factor in _WIDER:
        wider = min(factor * share, max(share, _MOST_DRAWN))
        drawn = [
            _drawn_groups(pairs, items, wider, _seed_of(seed, number), group, size, goal)
            for number in range(count)
        ]
        total, chosen = _equal_parts([size[one] for one in drawn], goal)
        if total > found[0]:
            found = total, [one[part] for one, part in zip(drawn, chosen)]
        if total > goal - size.min():
            break
    if not found[0]:
        raise InputError(
            f"{counted(len(rows), 'pair')} cannot be split {count} times with equally many rows "
            "held out and a pair of each item to train on: give more pairs, fewer splits or "
            "another share"
        )
    held_out = np.zeros((count, len(used)), bool)
    for split, chosen in zip(held_out, found[1]):
        split[rows] = np.isin(group, chosen)
    return held_out


def _seed_of(seed: int, number: int) -> int:
    """Return the seed of a split or of a draw; the first has the seed itself."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0]) if number else seed


def _drawn_groups(
    pairs: Pairs,
    items: int,
    share: float,
    seed: int,
    group: np.ndarray,
    size: np.ndarray,
    goal: int,
) -> np.ndarray:
    """Return the unordered pairs of a split to choose the held-out ones from, in random order.

    Of few pairs a draw can be empty by chance: the first of several with `goal` rows, or the
    largest, is taken.
    """
    most = np.zeros(0, np.intp)
    for attempt in range(_ATTEMPTS if len(group) < _FEW else 1):
        held_out = np.ones(len(group), bool)
        held_out[split_pairs(pairs, items, share, _seed_of(seed, attempt)).rows] = False
        drawn = np.unique(group[held_out])
        if size[drawn].sum() > size[most].sum():
            most = drawn
        if size[most].sum() >= goal:
            break
    return np.random.default_rng(seed).permutation(most)


def _equal_parts(sizes: list[np.ndarray], goal: int) -> tuple[int, list[np.ndarray]]:
    """Return the largest sum of up to `goal` that a part of each list has, and such parts.

    Of each list the first sizes are taken, up to about the goal; which sums the next ones can add
    is searched by dynamic programming, a set of sums being the bits of an integer.
    """
    goal = min([goal, *(int(size.sum()) for size in sizes)])
    common = -1
    searches = []
    for size in sizes:
        total = np.cumsum(size)
        begin = max(0, int(np.searchsorted(total, goal, side="right")) - _WINDOW)
        base = int(total[begin - 1]) if begin else 0
        sums = [1]
        mask = (1 << (goal - base + 1)) - 1
        for one in size[begin : begin + 2 * _WINDOW].tolist():
            sums.append((sums[-1] | sums[-1] << one) & mask)
        common &= sums[-1] << base
        searches.append((begin, base, sums))
    best = max(common.bit_length() - 1, 0)
    chosen = []
    for size, (begin, base, sums) in zip(sizes, searches) if best else ():
        part = np.arange(len(size)) < begin
        left = best - base
        for place in range(len(sums) - 2, -1, -1):
            if not sums[place] >> left & 1:
                part[begin + place] = True
                left -= int(size[begin + place])
        chosen.append(np.flatnonzero(part))
    return best, chosen


# --------------------------------------------------------------------------------------------------
# The paired one-standard-error rule


class Selection(NamedTuple):
    """The dimension that the paired one-standard-error rule selects; `str` gives it in one line.

    Attributes:
        dims: int [D], the dimensions, in the order given.
        loss: float64 [D], the weighted mean held-out loss of each, nats per pair; NaN where a loss
            is not finite.
        difference: float64 [D], `loss` less that of the best dimension.
        standard_error: float64 [D], of the difference; NaN for fewer than two unordered pairs.
        selected: The selected dimension.
        best: The dimension of the least mean loss.
        splits: Number of splits.
        pairs: Number of unordered pairs that were held out at least once.
    """

    dims: np.ndarray
    loss: np.ndarray
    difference: np.ndarray
    standard_error: np.ndarray
    selected: int
    best: int
    splits: int
    pairs: int

    def __str__(self) -> str:
        """Return one line: what was selected, against what, and by how much."""
        compared = np.isfinite(self.loss)
        dims, difference = self.dims[compared], self.difference[compared]
        rival = self.selected
        if self.selected == self.best and len(dims) > 1:
            # The closest of the smaller dimensions, which the rule had to reject, if there is one.
            smaller = dims < self.best if (dims < self.best).any() else dims != self.best
            rival = int(dims[smaller][np.argmin(difference[smaller])])
        place = int(np.flatnonzero(self.dims == rival)[0])
        error = self.standard_error[place]
        # Two digits of the error; one that is unknown or only rounding says nothing.
        digits = min(max(3, 1 - math.floor(math.log10(error))), 7) if error > 1e-7 else 4
        above = f"{self.difference[place]:.{digits}f}"
        above += f" +- {error:.{digits}f}" if np.isfinite(error) else ""
        loss = self.loss[self.dims == self.selected][0]

        line = f"dim {self.selected}: held-out loss {loss:.{digits}f}, "
        if len(dims) == 1:
            line += "the only dimension compared"
        elif self.selected == self.best:
            line += f"the best of {_listed(dims)}; dim {rival} is {above} above it"
        else:
            line += f"{above} above that of dim {self.best}, the best of {_listed(dims)}"
        if len(dims) > 1 and self.selected == max(dims):
            line += "; no larger one was compared"
        if not compared.all():
            line += f"; no finite loss for dim {_listed(self.dims[~compared])}"
        return line + f" ({counted(self.splits, 'split')}, {counted(self.pairs, 'pair')})"


def _listed(dims: np.ndarray) -> str:
    """Return dimensions as a range where they are consecutive, such as 1..6, else as a list."""
    dims = np.sort(dims)
    if len(dims) > 2 and (np.diff(dims) == 1).all():
        return f"{dims[0]}..{dims[-1]}"
    return ", ".join(map(str, dims))


def selected_dimension(
    dims: Sequence[int],
    losses: np.ndarray,
    held_out: np.ndarray,
    groups: np.ndarray,
    weight: np.ndarray | None = None,
) -> Selection:
    r"""Select a dimension by the one-standard-error rule on paired differences.

    The best dimension b has the least mean loss over all held-out rows of all splits. Selected is
    the smallest dimension whose mean exceeds that of b by at most one standard error of *this
    difference*. The losses of two dimensions on the same pair have most of their variance in
    common, which a difference is free of.

    The standard error. Let delta be the difference of two dimensions' losses on a held-out row, m
    its weighted mean over the rows of all J splits, and e_u the sum of w (delta - m) over all rows
    of the unordered pair u, in all splits in which u was held out. With U such pairs,

        SE^2 = (1 + n_test / n_train) * U / (U - 1) * sum_u e_u^2 / (sum w)^2,

    where n_test and n_train are the unordered pairs of a split's two parts. All but the first
    factor is the variance of a ratio estimator by linearisation, clustered by u: it holds for
    unequal weights and numbers of rows, and counts labels shared by rows and splits once. U / (U -
    1) is the correction for few clusters, as in the variance of a mean. The first factor is for
    the training parts, which vary too. It makes the whole Nadeau and Bengio's correction: with
    equal weights, n = n_test and s^2 the variance over pairs of a pair's mean difference,
    a pair is held out in K splits, K being binomial with mean J q and q = n_test / (n_test +
    n_train), so that the sum over u of K_u^2 is J n (1 + (J - 1) q) in expectation, and

        SE^2 = (1 + n_test / n_train) (q + (1 - q) / J) s^2 / n
             = (1 / J + n_test / n_train) s^2 / n.

    Summing over the splits as they are has two advantages over the last form: it stays right where
    the same few pairs are held out again and again, as in a sparse graph whose other pairs an item
    needs; and noise of delta that differs from split to split is averaged over J, and not more.

    The error is for other pairs of the same items. It leaves out local minima: give the losses of
    the best of several members.

    Args:
        dims: D dimensions, distinct, in any order.
        losses: float [J, D, H], the loss in nats of each held-out row under the best member of each
            dimension that was trained on the split. The H rows of split j are those where
            `held_out[j]` is true, in their order. A dimension with a loss that is not finite is
            passed over.
        held_out: bool [J, N], as `grouped_splits` returns it.
        groups: integers [N], the unordered pair of each row, such as `sampling.pair_keys`.
        weight: [N], 0 or more; 1 each where None.

    Returns:
        The selection. With a single unordered pair the error is unknown, and the best dimension is
        selected.

    Raises:
        InputError: shapes differ, no loss is finite, the rows of a pair are in both parts of a
            split, or a part is empty.

    References:
        C. Nadeau and Y. Bengio, "Inference for the generalization error", Machine Learning 52,
        2003. L. Breiman et al., "Classification and regression trees", 1984, section 3.4.3 (the
        one-standard-error rule). W. G. Cochran, "Sampling techniques", 1977, chapters 6 and 9
        (ratio estimates and clusters of unequal size).

    Example:
        >>> held_out = np.arange(8) < 4
        >>> losses = [[0.9, 0.5, 0.3, 0.7], [0.4, 0.2, 0.2, 0.4], [0.4, 0.2, 0.1, 0.4]]
        >>> found = selected_dimension([1, 2, 3], [losses], [held_out], np.arange(8))
        >>> found.best, found.selected
        (3, 2)
        >>> print(*str(found).split(", "), sep="\n")
        dim 2: held-out loss 0.300
        0.025 +- 0.035 above that of dim 3
        the best of 1..3 (1 split
        4 pairs)
    """
    dims, losses = np.asarray(dims), np.asarray(losses, np.float64)
    held_out, groups = np.asarray(held_out, bool), np.asarray(groups)
    weight = np.ones(len(groups)) if weight is None else np.asarray(weight, np.float64)
    if not dims.size or len(np.unique(dims)) < dims.size:
        raise InputError(f"dims is {dims.tolist()}: give one or more, each once")
    if held_out.shape != (len(held_out), len(groups)) or weight.shape != groups.shape:
        raise InputError(
            f"held_out has the shape {held_out.shape}, groups {groups.shape} and weight "
            f"{weight.shape}: give [splits, pairs], [pairs] and [pairs]"
        )
    rows = [np.flatnonzero(split) for split in held_out]
    if any(losses.shape != (len(rows), len(dims), len(one)) for one in rows) or not rows:
        raise InputError(
            f"losses has the shape {losses.shape}: give [splits, dims, held-out pairs], the same "
            f"number of pairs in each split; {sorted({len(one) for one in rows})} are held out"
        )
    groups = np.unique(groups, return_inverse=True)[1]
    tests, trainings = _parts(held_out, groups, weight)

    place = np.concatenate(rows)
    used = weight[place] > 0  # a loss of weight 0 may be infinite
    place = place[used]
    loss = losses.transpose(1, 0, 2).reshape(len(dims), -1)[:, used]
    weight, group = weight[place], groups[place]
    total = weight.sum()
    finite = np.isfinite(loss).all(axis=1)
    if not finite.any():
        raise InputError("no dimension has a finite held-out loss")
    mean = np.full(len(dims), np.nan)
    mean[finite] = loss[finite] @ weight / total
    best = min(np.flatnonzero(finite).tolist(), key=lambda d: (mean[d], dims[d]))

    clusters = len(np.unique(group))
    error = np.full(len(dims), np.nan)
    for d in np.flatnonzero(finite) if clusters > 1 else ():
        apart = loss[d] - loss[best] - (mean[d] - mean[best])
        sums = np.bincount(group, weight * apart)
        variance = clusters / (clusters - 1) * np.sum(sums**2) / total**2
        error[d] = np.sqrt((1 + tests / trainings) * variance)
    difference = mean - mean[best]
    within = difference <= np.where(np.isnan(error), 0, error)  # false for NaN
    selected = dims[within].min()
    return Selection(
        dims, mean, difference, error, int(selected), int(dims[best]), len(rows), clusters
    )


def _parts(held_out: np.ndarray, groups: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """Return the mean numbers of unordered pairs in the test and in the training parts."""
    count = groups.max(initial=-1) + 1
    numbers = []
    for split in held_out:
        test, training = np.zeros((2, count), bool)
        test[groups[split & (weight > 0)]] = True
        training[groups[~split & (weight > 0)]] = True
        if (test & training).any():
            raise InputError(
                "rows of the same unordered pair are in both parts of a split: split by "
                "grouped_splits"
            )
        numbers.append((test.sum(), training.sum()))
        if not all(numbers[-1]):
            raise InputError("a split has no pair to train on, or none held out")
    tests, trainings = np.mean(numbers, axis=0)
    return float(tests), float(trainings)


# --------------------------------------------------------------------------------------------------
# AIC and BIC


def identifiable_parameters(head: str, normalise: bool, items: int, dim: int) -> int:
    """Return how many parameters the logits of all pairs determine.

    Of the C d coordinates and the head's weight and bias, those transformations are taken off that
    leave every logit as it is: d for shifts, d (d - 1) / 2 for rotations, 1 for the scale that the
    weight undoes.

    | vectors | head | parameters |
    |---|---|---|
    | as they are | free, negative, matched | C d - d (d + 1) / 2 + 1 |
    | as they are | inverse, whose smoothing fixes the scale | C d - d (d + 1) / 2 + 2 |
    | as they are | dot, which shifts change | C d - d (d - 1) / 2 + 1 |
    | of length one | any | C (d - 1) - d (d - 1) / 2 + 2 |

    C points span C - 1 dimensions, or C with the origin, so that d counts up to there. Nor can
    there be more parameters than the C (C - 1) / 2 logits. The number is the rank of the Jacobian
    of the logits at almost every point. The 1e-6 by which the head matched softens its root also
    fixes its scale; that is too little for data to show, and is not counted.

    Args:
        head: A name in `heads.HEADS`.
        normalise: Whether rows are scaled to length one.
        items: Number of items, C.
        dim: Number of coordinates, d.

    Example:
        >>> [identifiable_parameters("free", False, 646, dim) for dim in (1, 2, 3)]
        [646, 1290, 1933]
        >>> identifiable_parameters("free", False, 4, 9)
        6
    """
    dot = HEADS[head].feature == "dot_product"
    dim = min(dim, items if dot or normalise else items - 1)
    if normalise:
        count = items * (dim - 1) - dim * (dim - 1) // 2 + 2
    elif dot:
        count = items * dim - dim * (dim - 1) // 2 + 1
    else:
        count = items * dim - dim * (dim + 1) // 2 + (2 if head == "inverse" else 1)
    return min(count, items * (items - 1) // 2)


class InformationCriteria(NamedTuple):
    """AIC and BIC of each dimension, smaller being better.

    Attributes:
        dims: int [D].
        parameters: int [D], the identifiable parameters p.
        aic: float64 [D], 2 N loss + 2 p; NaN where an item has fewer partners than dimensions.
        bic: float64 [D], 2 N loss + p log N; NaN likewise.
        singular: bool [D], whether the dimension is beyond the selected one. If that is the true
            one, the model is singular there: parameters of the further columns are not determined,
            and both criteria count them as if they were.
    """

    dims: np.ndarray
    parameters: np.ndarray
    aic: np.ndarray
    bic: np.ndarray
    singular: np.ndarray


def information_criteria(
    dims: Sequence[int],
    loss: np.ndarray,
    pairs: Pairs,
    items: int,
    *,
    head: str,
    normalise: bool,
    selected: int,
    converged: bool | np.ndarray,
) -> tuple[InformationCriteria | None, str]:
    """Return AIC and BIC of each dimension where they mean something, else None and the reason.

    With loss the mean cross-entropy of the N rows at its minimum, -2 log likelihood is 2 N loss.
    That is a likelihood only of labels 0 and 1 of equal weight, and of the maximum only where the
    training converged. Where items are not connected, positions are free that
    `identifiable_parameters` counts; so they are of an item with fewer partners than dimensions.
    The parameters are at most as many as distinct pairs.

    Args:
        dims: D dimensions.
        loss: float [D], the training loss on all pairs of the best restart, nats per pair.
        pairs: All N pairs.
        items: Number of items.
        head: A name in `heads.HEADS`.
        normalise: Whether rows are scaled to length one.
        selected: The dimension that `selected_dimension` selects.
        converged: bool or bool [D], whether the training of each dimension converged.

    Returns:
        The criteria and "", or None and the reason in one line.

    References:
        H. Akaike, "A new look at the statistical model identification", 1974. G. Schwarz,
        "Estimating the dimension of a model", 1978. S. Watanabe, "Algebraic geometry and
        statistical learning theory", 2009 (singular models).

    Example:
        >>> index = np.stack(np.triu_indices(5, 1), axis=1)
        >>> label = np.arange(10) % 2
        >>> kind = dict(head="free", normalise=False, selected=1, converged=True)
        >>> found, _ = information_criteria([1, 2], [0.5, 0.3], Pairs(index, label), 5, **kind)
        >>> found.aic.round(6).tolist(), found.singular.tolist()
        ([20.0, 22.0], [False, True])
        >>> information_criteria([1, 2], [0.5, 0.3], Pairs(index, label / 2), 5, **kind)
        (None, 'no AIC and BIC: labels between 0 and 1')
    """
    dims, loss = np.asarray(dims), np.asarray(loss, np.float64)
    converged = np.broadcast_to(converged, dims.shape) & np.isfinite(loss)
    distinct = distinct_pairs(pairs.index, pairs.label, pairs.weight)
    apart = groups(distinct, items).max(initial=0)
    if pairs.weight is not None and np.ptp(pairs.weight) > 0:
        return None, "no AIC and BIC: pairs of unequal weights"
    if not np.isin(pairs.label, (0, 1)).all():
        return None, "no AIC and BIC: labels between 0 and 1"
    if apart:
        return None, "no AIC and BIC: items that no pairs connect"
    if not converged.all():
        return None, f"no AIC and BIC: dim {_listed(dims[~converged])} did not converge"

    counts = [identifiable_parameters(head, normalise, items, int(dim)) for dim in dims]
    parameters = np.minimum(counts, len(distinct))
    weak = np.array([ties(distinct, items, int(dim)).weak.size > 0 for dim in dims])
    deviance = np.where(weak, np.nan, 2 * len(pairs) * loss)
    return InformationCriteria(
        dims,
        parameters,
        deviance + 2 * parameters,
        deviance + parameters * np.log(len(pairs)),
        dims > selected,
    ), ""
