"""What is known exactly: the probability behind every label, and the losses no model can beat.

NumPy and SciPy in float64, on the host.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import xlogy

from colour_embed.data import LABEL_CONSTANT, Colours, Pairs, check_constant, label_pairs, pair_diff
from colour_embed.evaluate.geometry import neighbourhoods, squared_distances, unit_ranks

_HELD_OUT_TAG = 0x4E1D  # keeps the held-out labels' stream apart from others of the same seed


def pair_distance(colours: Colours, index: np.ndarray) -> np.ndarray:
    """The tutorial's `diff` of pairs of colours: their mean squared RGB difference.

    Args:
        colours: The table whose ids the pairs hold.
        index: integers [N, 2].

    Returns:
        float64 [N] in 0..1, `((r1-r2)^2 + (g1-g2)^2 + (b1-b2)^2) / 3`.

    Example:
        >>> colours = Colours(["black", "red"], np.array([[0.0, 0, 0], [1, 0, 0]]), "two")
        >>> pair_distance(colours, np.array([[0, 1]])).round(4).tolist()
        [0.3333]
    """
    return pair_diff(index, colours.rgb)


def probability_similar(diff: np.ndarray, constant: float = LABEL_CONSTANT) -> np.ndarray:
    """The exact probability that the label rule calls a pair similar.

    With u uniform on [0, 1), `P(diff < constant * u^2) = P(u > sqrt(diff / constant))`, which is
    `max(0, 1 - sqrt(diff / constant))`. With the tutorial's constant that is `1 - d / sqrt(0.6)`
    where d is the Euclidean distance in RGB, `diff = d^2 / 3`.

    Args:
        diff: float64 [N], from `pair_distance`.
        constant: The constant of the label rule, above 0.

    Returns:
        float64 [N] in 0..1.

    Raises:
        InputError: the constant is not above 0.

    Example:
        >>> probability_similar(np.array([0.0, 0.05, 0.2])).tolist()
        [1.0, 0.5, 0.0]
    """
    check_constant(constant)
    return np.maximum(0.0, 1.0 - np.sqrt(np.asarray(diff, np.float64) / constant))


def all_pairs(count: int) -> np.ndarray:
    """Every unordered pair of different ids, int32 [count * (count - 1) / 2, 2], i < j.

    Example:
        >>> all_pairs(3).tolist()
        [[0, 1], [0, 2], [1, 2]]
    """
    return np.stack(np.triu_indices(count, k=1), axis=1).astype(np.int32)


def held_out_pairs(
    items: int, training_index: np.ndarray, coordinates: np.ndarray, constant: float, seed: int
) -> Pairs:
    """Every unordered pair of different items that training holds in neither order, labelled.

    A random split of drawn pairs leaks: a third of the held-out pairs recur in training, in one
    order or the other. The label of a pair depends on the seed and the pair alone, not on which
    others are held out.

    Args:
        items: Number of items, C.
        training_index: integers [N, 2], the ids of the training pairs; self-pairs don't matter.
        coordinates: float64 [C, 3], whose distances make the labels: RGB in 0..1.
        constant: The constant of the label rule, above 0.
        seed: Of the labels, 0 or more. Their stream is apart from others that start with this seed.

    Returns:
        The pairs, i < j, in the order of `all_pairs`. None where training holds every pair.

    Raises:
        InputError: the constant is not above 0.

    Example:
        >>> coordinates = np.zeros((3, 3))
        >>> pairs = held_out_pairs(3, np.array([[1, 0], [2, 2]]), coordinates, 0.2, seed=0)
        >>> pairs.index.tolist(), pairs.label.tolist()
        ([[0, 2], [1, 2]], [1.0, 1.0])
    """
    seen = np.zeros((items, items), bool)
    seen[training_index[:, 0], training_index[:, 1]] = True
    index = all_pairs(items)
    first, second = index.T
    unseen = ~(seen[first, second] | seen[second, first])
    uniforms = np.random.default_rng([seed, _HELD_OUT_TAG]).random(len(index))[unseen]
    index = index[unseen]
    return Pairs(index, label_pairs(index, coordinates, constant, uniforms))


def best_loss(probability: np.ndarray, label: np.ndarray | None = None) -> float:
    """The Bayes-optimal loss in nats per pair: that of a model which knows every probability.

    Without labels it is the mean binary entropy `-(P log P + (1 - P) log(1 - P))`, the floor of the
    expected loss. With labels it is the mean cross-entropy of these draws under P; a training loss
    below it is overfitting. `0 log 0` counts as 0. A label that P rules out gives infinity.

    Args:
        probability: float64 [N] in 0..1, from `probability_similar`.
        label: [N] of 0 and 1, or None.

    Returns:
        The mean over the pairs.

    Example:
        >>> round(best_loss(np.array([0.5, 1.0])), 4)
        0.3466
    """
    probability = np.asarray(probability, np.float64)
    label = probability if label is None else np.asarray(label, np.float64)
    return float(np.mean(-xlogy(label, probability) - xlogy(1.0 - label, 1.0 - probability)))


def base_rate_loss(label: np.ndarray) -> float:
    """The loss in nats per pair of always predicting the share of positives in label [N].

    Example:
        >>> round(base_rate_loss(np.array([0, 0, 0, 1])), 4)
        0.5623
    """
    return best_loss(np.mean(label, dtype=np.float64))


@dataclass(frozen=True, eq=False)
class Truth:
    """The true geometry and probabilities, with all that the measures of many members share.

    Attributes:
        coordinates: float64 [items, 3], whose distances make the labels: RGB in 0..1.
        constant: The constant of the label rule.
        probability: float64 [pairs], P(label = 1) of each unordered pair, ordered as `all_pairs`.
        floor: The mean entropy of those labels in nats: no expected loss is below it.
        rank: float64 [pairs], ranks of the true distances, centred and of unit length.
        near: float64 [items, items], the probability that the column is among the row's nearest.
        beyond: float64 [items, items], how many ranks the column lies outside the row's nearest.
    """

    coordinates: np.ndarray
    constant: float
    probability: np.ndarray
    floor: float
    rank: np.ndarray
    near: np.ndarray
    beyond: np.ndarray


def make_truth(coordinates: np.ndarray, constant: float = LABEL_CONSTANT) -> Truth:
    """Compute once what the measures of all members need of the truth.

    Args:
        coordinates: [items, 3], at least 2 items.
        constant: The constant of the label rule, above 0.

    Returns:
        The truth; 10 MB for 646 items.

    Raises:
        InputError: the constant is not above 0.

    Example:
        >>> truth = make_truth(np.random.default_rng(0).random((20, 3)))
        >>> truth.probability.shape, truth.near.shape
        ((190,), (20, 20))
    """
    coordinates = np.asarray(coordinates, np.float64)
    probability = probability_similar(pair_diff(all_pairs(len(coordinates)), coordinates), constant)
    squared = squared_distances(coordinates)
    rank = unit_ranks(np.sqrt(squared))
    near, beyond = neighbourhoods(squared)
    floor = best_loss(probability)
    return Truth(coordinates, constant, probability, floor, rank, near, beyond)
