"""The checks that train and the estimator share: warnings, rounded labels, similar names."""

import doctest
import time

import numpy as np
import pytest

from colour_embed.config import InputError
from colour_embed.data import Pairs
from colour_embed.pairs import checks, sampling
from colour_embed.pairs.checks import clipped_labels, pair_warnings
from colour_embed.pairs.sampling import split_pairs
from colour_embed.pairs.vocabulary import nearest_name


def test_pairs_of_weight_zero_are_nothing_to_warn_of():
    index = np.array([[0, 1], [1, 0], [2, 3]])
    label, weight = np.array([1, 0, 1], np.float32), np.array([1, 0, 0], np.float32)
    assert [line.split(":")[0] for line in pair_warnings("abcd", index, label, weight)] == [
        "all 1 label are 1",
        "2 items in no pair",
    ]


@pytest.mark.parametrize(
    ("label", "taken"),
    [
        (np.float32(1.0000001), 1),
        (np.float32(1.0000002), 1),
        (-1e-8, 0),
        (1.000001, 1.000001),
        (-1e-6, -1e-6),
        (0.3, 0.3),
    ],
)
def test_labels_within_rounding_are_taken_as_0_or_1(label, taken):
    assert clipped_labels(np.array([label], np.float64))[0] == taken
    assert np.isnan(clipped_labels(np.array([np.nan]))[0])


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("product-0000007-05543", "product-0000007-055433"),  # 7 * 7919
        ("roduct-0000007-055433", "product-0000007-055433"),  # no common beginning
        (" PRODUCT-0000007-055433", "product-0000007-055433"),
        ("bicycle", None),
    ],
)
def test_the_nearest_of_many_names_is_found_at_once(name, near):
    names = [f"product-{i:07d}-{i * 7919 % 1000003:06d}" for i in range(200_000)]
    began = time.perf_counter()
    assert nearest_name(name, names) == near
    assert time.perf_counter() - began < 2  # 0.2 s


# The split


def pairs_of(index, weight=None):
    count = len(index)
    weight = np.ones(count, np.float32) if weight is None else np.array(weight, np.float32)
    return Pairs(np.array(index, np.int32), np.ones(count, np.float32), weight)


def test_every_item_keeps_a_pair_and_none_of_weight_zero_is_in_either_part():
    index = np.random.default_rng(0).integers(0, 30, (100, 2))
    weight = np.arange(100) % 4
    split = split_pairs(pairs_of(index, weight), 30, share=0.5, seed=2)
    assert set(split.held_out.index.ravel()) <= set(split.training.index.ravel())
    assert len(split.training) + len(split.held_out) == 75
    assert (weight[split.rows] > 0).all()
    np.testing.assert_array_equal(split.training.index, index[split.rows])


def test_a_split_that_holds_out_less_than_asked_says_so():
    star = pairs_of([[0, one] for one in range(1, 40)])
    split = split_pairs(star, 40, share=0.5)
    assert split.held_out is None
    (line,) = split.warnings
    assert line.startswith("held_out is 0.5: only 0 of 39 pairs are held out; the other ")
    assert split_pairs(star, 40).warnings == []
    with pytest.raises(InputError, match=r"^all weights are 0: give some"):
        split_pairs(pairs_of([[0, 1]], [0]), 2)


def test_examples():
    for module in (checks, sampling):
        assert doctest.testmod(module).failed == 0
