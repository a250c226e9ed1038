"""Diagnostics: hand-computed values, the unweighted measures of `metrics`, coverage, and size."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from colour_embed.evaluate import scores
from colour_embed.pairs import report
from colour_embed.pairs.report import DistinctPairs, distinct_pairs


def _drawn(count, items=60, seed=0):
    generator = np.random.default_rng(seed)
    index = generator.integers(0, items, (count, 2)).astype(np.int32)
    logits = generator.normal(-0.5, 2, (items, items))
    logits = logits + logits.T
    label = (generator.random(count) < 1 / (1 + np.exp(-logits[tuple(index.T)]))).astype(np.float32)
    return index, label, logits


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


# Quality


def test_quality_by_hand():
    # Logits log 3 and -log 3 are probabilities 3/4 and 1/4. The first pair weighs 3: labels 1, 1
    # (of weight 1 each) and 0; the second has the soft label 1/2 and weighs 1.
    z = math.log(3)
    pairs = distinct_pairs([[0, 1], [1, 0], [0, 1], [1, 2]], [1, 1, 0, 0.5])
    found = report.quality([z, -z], pairs)
    loss = (2 * math.log(4 / 3) + math.log(4) + 0.5 * (math.log(4) + math.log(4 / 3))) / 4
    assert found.loss.value == pytest.approx(loss)
    brier = (2 * (1 / 4) ** 2 + (3 / 4) ** 2 + (1 / 4) ** 2) / 4
    assert found.brier.value == pytest.approx(brier)
    # Positive weight 2 above and 1/2 below, negative 1 above and 1/2 below:
    # (2 x 1/2 + (2 x 1 + 1/2 x 1/2) / 2) of 2.5 x 1.5.
    assert found.auc.value == pytest.approx((1 + 1.125) / 3.75)
    share = 2.5 / 4
    base = -share * math.log(share) - (1 - share) * math.log(1 - share)
    assert found.base_rate_loss == pytest.approx(base)
    assert (found.rows, found.pairs, found.resampled) == (4, 2, 2)


def test_quality_agrees_with_the_measures_of_metrics():
    index, label, logits = _drawn(4000)
    z = logits[tuple(index.T)]
    pairs = distinct_pairs(index, label)
    found = report.quality(logits[tuple(pairs.index.T)], pairs)
    assert found.loss.value == pytest.approx(scores.heldout_loss(z, label))
    assert found.brier.value == pytest.approx(scores.brier(z, label))
    assert found.auc.value == pytest.approx(scores.auc(z, label), abs=1e-9)
    for measure in (found.loss, found.brier, found.auc):
        assert measure.low < measure.value < measure.high


def test_one_class_has_no_auc_and_nothing_no_quality():
    one = report.quality([0.0, 1.0], distinct_pairs([[0, 1], [1, 2]], [1, 1]))
    assert math.isnan(one.auc.value)
    assert math.isnan(one.auc.low)
    assert one.base_rate_loss == 0
    assert one.loss.value > 0
    none = report.quality(np.zeros(0), distinct_pairs(np.zeros((0, 2), int), []))
    assert math.isnan(none.loss.value)
    lone = report.quality([0.0], distinct_pairs([[0, 1]], [1]))
    assert lone.loss.value == pytest.approx(math.log(2))
    assert math.isnan(lone.loss.low)


def test_intervals_hold_the_truth_about_as_often_as_they_say(monkeypatch):
    monkeypatch.setattr(report, "_RESAMPLES", 200)
    truth, held = 0.5 * (math.log(4) - math.log(3)) + 0.5 * math.log(4), []
    for seed in range(80):
        generator = np.random.default_rng(seed)
        label = (generator.random(150) < 0.5).astype(float)
        index = np.stack([np.arange(150), np.arange(150) + 150], axis=1)
        pairs = distinct_pairs(index, label)
        loss = report.quality(np.full(150, math.log(3)), pairs).loss
        held.append(loss.low <= truth <= loss.high)
    assert 0.86 <= np.mean(held) <= 1


def test_intervals_of_a_sample_are_those_of_all(monkeypatch):
    index, label, logits = _drawn(9000, items=200)
    pairs = distinct_pairs(index, label)
    z = logits[tuple(pairs.index.T)]
    whole = report.quality(z, pairs)
    monkeypatch.setattr(report, "RESAMPLED", 1500)
    part = report.quality(z, pairs)
    assert (whole.resampled, part.resampled) == (len(pairs), 1500)
    for name in ("loss", "brier", "auc"):
        one, other = getattr(whole, name), getattr(part, name)
        assert one.value == other.value
        assert other.high - other.low == pytest.approx(one.high - one.low, rel=0.25)


# Calibration


def test_calibration_by_hand():
    z = [math.log(1 / 3)] * 4 + [math.log(3)] * 4
    index = np.stack([np.arange(8), np.arange(8) + 8], axis=1)
    pairs = distinct_pairs(index, [0, 0, 0, 1, 1, 1, 1, 1])
    found = report.calibration(z, pairs, bins=2)
    np.testing.assert_allclose(found.predicted, [0.25, 0.75])
    np.testing.assert_allclose(found.share, [0.25, 1])
    np.testing.assert_allclose(found.low[0], scores.wilson_interval(1, 4)[0])
    assert found.high[1] == 1
    assert found.count.tolist() == [4, 4]
    assert found.error == pytest.approx(0.5 * 0 + 0.5 * 0.25)
    # As many bins as there are different logits, and no more.
    assert len(report.calibration(z, pairs, bins=10).count) == 2
    assert len(report.calibration(np.zeros(8), pairs).count) == 1


def test_calibration_has_bins_of_equal_count_and_a_right_model_a_small_error():
    index, label, logits = _drawn(30_000, items=400)
    pairs = distinct_pairs(index, label)
    z = logits[tuple(pairs.index.T)]
    right, wrong = (report.calibration(factor * z, pairs) for factor in (1, 4))
    assert np.ptp(right.count) <= 2
    assert right.error < 0.015 < wrong.error
    assert np.mean((right.low <= right.predicted) & (right.predicted <= right.high)) >= 0.8


def test_pairs_that_weigh_more_count_for_no_more_certainty():
    pairs = distinct_pairs([[0, 1], [2, 3], [4, 5], [6, 7]], [1, 0, 1, 1], [100, 1, 1, 0])
    found = report.calibration(np.zeros(4), pairs)
    assert found.count.tolist() == [3]
    np.testing.assert_allclose(found.share, [101 / 102])
    n = 102**2 / (100**2 + 2)
    np.testing.assert_allclose(found.low, scores.wilson_interval(101 / 102 * n, n)[0])
    assert not len(report.calibration(np.zeros(1), pairs.take(np.array([3]))).count)


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


def test_nearest_by_hand_and_of_equals_the_first():
    vectors = [[0, 0], [1, 0], [-1, 0], [0, 3], [5, 0]]
    places, distance = report.nearest(vectors, np.array([0, 4]), 3)
    assert places.tolist() == [[1, 2, 3], [1, 0, 3]]
    np.testing.assert_allclose(distance[0], [1, 1, 3])
    places, product = report.nearest(vectors, np.array([1]), 2, dot=True)
    assert places.tolist() == [[4, 0]]
    np.testing.assert_allclose(product, [[5, 0]])
    assert report.nearest(vectors, np.array([1]), 50)[0].shape == (1, 4)


def test_certain_logits_overflow_nothing():
    pairs = DistinctPairs(
        np.array([[0, 1], [0, 2]], np.int32), np.ones(2), np.array([1.0, 0]), np.array([1.0, 0]), 2
    )
    found = report.quality([900.0, -900.0], pairs)
    assert found.loss.value == 0
    assert report.quality([-900.0, 900.0], pairs).loss.value == 900
    assert report.worst_pairs([-900.0, 900.0], pairs)[1].tolist() == [900, 900]
