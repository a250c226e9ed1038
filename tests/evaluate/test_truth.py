"""Held-out pairs and their labels, and what the truth's arrays hold."""

import itertools
import math

import numpy as np
import pytest

from colour_embed import data
from colour_embed.config import InputError
from colour_embed.evaluate.geometry import distance_spearman, rank_correlation, squared_distances
from colour_embed.evaluate.truth import (
    all_pairs,
    best_loss,
    held_out_pairs,
    make_truth,
    pair_distance,
    probability_similar,
)

COLOURS = data.load_colours()


def test_held_out_pairs_are_exactly_those_unseen_in_either_order():
    rgb = COLOURS.rgb[:12]
    training = np.array([[0, 1], [5, 2], [2, 5], [7, 7]])
    pairs = held_out_pairs(12, training, rgb, 0.2, 3)
    expected = set(itertools.combinations(range(12), 2)) - {(0, 1), (2, 5)}
    assert list(map(tuple, pairs.index)) == sorted(expected)
    assert pairs.index.dtype == np.int32

    # A pair keeps its label whatever else is held out, and another seed draws anew.
    more = held_out_pairs(12, training[:1], rgb, 0.2, 3)
    kept = [tuple(pair) in expected for pair in more.index]
    np.testing.assert_array_equal(more.label[kept], pairs.label)
    full = [held_out_pairs(646, training, COLOURS.rgb, 0.2, seed).label for seed in (0, 1)]
    assert (full[0] != full[1]).mean() > 0.1


def test_held_out_labels_follow_the_rule():
    training = data.tutorial_pairs(COLOURS).index
    held_out = held_out_pairs(len(COLOURS), training, COLOURS.rgb, 0.2, 0)
    probability = probability_similar(pair_distance(COLOURS, held_out.index))
    error = held_out.label.mean() - probability.mean()
    assert abs(error) < 4 * math.sqrt(np.mean(probability * (1 - probability)) / len(held_out))


def test_the_truth_holds_every_pair_in_order():
    truth = make_truth(COLOURS.rgb, 0.4)
    probability = probability_similar(pair_distance(COLOURS, all_pairs(646)), 0.4)
    np.testing.assert_array_equal(truth.probability, probability)
    assert truth.floor == best_loss(probability)
    assert make_truth(COLOURS.rgb).floor == pytest.approx(0.32255, abs=5e-6)
    assert truth.constant == 0.4
    other = np.random.default_rng(0).normal(size=(646, 2))
    distances = np.sqrt(squared_distances(other))
    correlation = rank_correlation(distances, truth.rank)
    assert correlation == pytest.approx(distance_spearman(other, COLOURS.rgb), abs=1e-12)


def test_the_nearest_of_the_truth_share_ten_places_and_ties():
    truth = make_truth(COLOURS.rgb)
    np.testing.assert_allclose(truth.near.sum(axis=1), 10)
    # Ranks 11..645 lie 1..635 beyond the ten nearest.
    np.testing.assert_allclose(truth.beyond.sum(axis=1), 635 * 636 / 2)
    assert not np.diag(truth.near).any()
    assert not np.diag(truth.beyond).any()
    with pytest.raises(InputError, match="label constant"):
        make_truth(COLOURS.rgb[:4], 0.0)
