"""Distinct pairs, isolated items, groups and the worst pairs, by hand and in plain loops."""

import doctest
import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from colour_embed.pairs import report
from colour_embed.pairs.report import distinct_pairs


def test_pairs_are_gathered_in_either_order():
    index = [[3, 1], [0, 2], [1, 3], [1, 3]]
    pairs = distinct_pairs(index, [1, 0.5, 0, 1], [1, 2, 3, 4])
    assert pairs.index.tolist() == [[0, 2], [1, 3]]
    assert pairs.index.dtype == np.int32
    assert pairs.weight.tolist() == [2, 8]
    assert pairs.positive.tolist() == [1, 5]
    assert pairs.square.tolist() == [0.5, 5]
    assert (len(pairs), pairs.rows) == (2, 4)
    np.testing.assert_allclose(pairs.share, [0.5, 0.625])


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 3)), min_size=1))
def test_nothing_is_lost_in_gathering(rows):
    index = np.array([row[:2] for row in rows])
    weight = np.array([row[2] for row in rows], float)
    pairs = distinct_pairs(index, np.ones(len(rows)), weight)
    by_hand = {}
    for one, other, w in rows:
        key = min(one, other), max(one, other)
        by_hand[key] = by_hand.get(key, 0) + w
    assert [tuple(pair) for pair in pairs.index.tolist()] == sorted(by_hand)
    assert pairs.weight.tolist() == [by_hand[key] for key in sorted(by_hand)]
    assert pairs.positive.tolist() == pairs.weight.tolist()


def test_large_ids_do_not_overflow():
    pairs = distinct_pairs([[2**31 - 2, 0], [2**31 - 2, 2**31 - 3]], [1, 0])
    assert pairs.index.tolist() == [[0, 2**31 - 2], [2**31 - 3, 2**31 - 2]]


# Items


def test_items_that_nothing_ties_down():
    # 0-1, 0-2, 1-2 tie three; 3 has one partner; 4 only itself; 5 none; 6-7 weigh nothing.
    index = [[0, 1], [1, 0], [0, 2], [2, 1], [3, 0], [4, 4], [6, 7]]
    pairs = distinct_pairs(index, np.ones(7), [1, 1, 1, 1, 1, 1, 0])
    found = report.ties(pairs, 8, dim=2)
    assert found.partners.tolist() == [3, 2, 2, 1, 0, 0, 0, 0]
    assert found.alone.tolist() == [4, 5, 6, 7]
    assert found.weak.tolist() == [3]
    assert report.ties(pairs, 8, dim=3).weak.tolist() == [1, 2, 3]


def test_groups_are_numbered_from_the_largest():
    pairs = distinct_pairs([[5, 6], [1, 2], [2, 3], [6, 7], [0, 4]], np.ones(5))
    assert report.groups(pairs, 9).tolist() == [2, 0, 0, 0, 2, 1, 1, 1, 3]
    assert report.groups(pairs.take(np.zeros(0, int)), 3).tolist() == [0, 1, 2]


def test_the_worst_pair_is_the_one_that_could_be_told_better():
    # The second pair contradicts itself, which no model can help; the third weighs most.
    index = [[0, 1], [0, 2], [0, 2], [0, 3], [0, 4]]
    pairs = distinct_pairs(index, [1, 1, 0, 0, 1], [1, 50, 50, 9, 1])
    places, cost = report.worst_pairs([-2.0, 0.0, 1.0, 5.0], pairs, 3)
    assert places.tolist() == [2, 0, 3]
    np.testing.assert_allclose(cost[:2], [9 * math.log1p(math.e), math.log1p(math.exp(2))])
    assert len(report.worst_pairs(np.zeros(4), pairs, 99)[0]) == 4


def test_the_cost_of_certain_logits_is_finite():
    pairs = distinct_pairs([[0, 1], [0, 2]], [1, 0])
    assert report.worst_pairs([-900.0, 900.0], pairs)[1].tolist() == [900, 900]


def test_examples():
    assert doctest.testmod(report) == (0, 7)
