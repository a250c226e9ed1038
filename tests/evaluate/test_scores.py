"""The scores against SciPy, scikit-learn, slow loops, hand-computed cases and weights."""

import math

import numpy as np
import pytest
import scipy.optimize
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn import metrics as sklearn_metrics

from colour_embed.data import load_colours
from colour_embed.evaluate import scores
from colour_embed.evaluate.geometry import squared_distances
from colour_embed.evaluate.intervals import wilson_interval
from colour_embed.evaluate.scores import DistinctPairs
from colour_embed.evaluate.truth import best_loss, make_truth
from colour_embed.pairs.report import distinct_pairs


def _logits_and_labels(seed, count=300, places=1):
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=count).round(places)  # with ties
    return logits, (generator.random(count) < expit(logits)).astype(np.float32)


def _slow_kl(z, p):
    log_q, log_not_q = -np.logaddexp(0, -z), -np.logaddexp(0, z)
    kl = 0.0 if p == 0 else p * (math.log(p) - log_q)
    return kl if p == 1 else kl + (1 - p) * (math.log(1 - p) - log_not_q)


@given(seed=st.integers(0, 1000), scale=st.sampled_from([0.1, 1, 10, 80]))
def test_excess_kl_is_a_slow_loop(seed, scale):
    generator = np.random.default_rng(seed)
    probability = np.clip(generator.uniform(-0.2, 1.2, 50), 0, 1)
    logits = scale * generator.normal(size=50)
    expected = np.mean([_slow_kl(z, p) for z, p in zip(logits, probability)])
    result = scores.excess_kl(logits, probability)
    assert result == pytest.approx(expected, abs=1e-12)
    assert result >= 0
    by_parts = scores.cross_entropy(logits, probability) - best_loss(probability)
    assert result == pytest.approx(by_parts, abs=1e-12)


def test_excess_kl_is_zero_for_the_truth_alone():
    probability = np.linspace(0.01, 0.99, 99)
    exact = logit(probability)
    assert scores.excess_kl(exact, probability) == pytest.approx(0, abs=1e-15)
    assert scores.excess_kl(exact + 0.01, probability) > 1e-6
    assert scores.excess_kl([80.0, -80.0], [1.0, 0.0]) == pytest.approx(0, abs=1e-30)


def test_extreme_logits_stay_finite():
    assert scores.excess_kl([80.0, -80.0], [0.0, 1.0]) == pytest.approx(80)
    assert scores.cross_entropy(np.array([800.0, -800]), np.array([0, 1])) == pytest.approx(800)
    assert scores.brier([800.0, -800.0], [0, 1]) == 1


def test_the_blocks_of_a_long_mean_are_put_together():
    logits, label = _logits_and_labels(0, 40_001)
    expected = sklearn_metrics.log_loss(label, expit(logits))
    assert scores.cross_entropy(logits, label) == pytest.approx(expected, rel=1e-6)


def test_true_geometry_with_the_best_affine_head_leaves_what_the_facts_say():
    rgb = load_colours().rgb
    truth, squared = make_truth(rgb), squared_distances(rgb)
    best = scipy.optimize.minimize(
        lambda weights: scores.excess_kl(weights[0] * squared + weights[1], truth.probability),
        (-10.0, 2.0),
        method="Nelder-Mead",
    )
    assert best.fun == pytest.approx(0.0056, abs=5e-5)
    base_rate = np.full(len(squared), logit(truth.probability.mean()))
    assert scores.excess_kl(base_rate, truth.probability) == pytest.approx(0.2116, abs=5e-5)


@pytest.mark.parametrize("places", [0, 1, 12])
def test_auc_and_brier_are_scikit_learns(places):
    logits, label = _logits_and_labels(places, places=places)
    expected = sklearn_metrics.roc_auc_score(label, logits)
    assert scores.auc(logits, label) == pytest.approx(expected, abs=1e-12)
    expected = sklearn_metrics.brier_score_loss(label, expit(logits))
    assert scores.brier(logits, label) == pytest.approx(expected, abs=1e-12)


def test_auc_by_hand():
    # Of 2 x 2 pairs: 3 > 1 and 3 > 2 won, 2 = 2 half, 2 > 1 won.
    assert scores.auc([1.0, 2, 2, 3], [0, 0, 1, 1]) == 3.5 / 4
    assert scores.auc([5.0, 5, 5], [0, 1, 0]) == 0.5
    assert np.isnan(scores.auc([1.0, 2], [1, 1]))
    assert np.isnan(scores.auc([1.0, np.nan], [0, 1]))
    # 0.1 + 0.2 is another float than 0.3, which does not decide: half a win and a loss.
    assert scores.auc([0.3, 0.1 + 0.2, 5.0], [1, 0, 0]) == 0.25


@given(seed=st.integers(0, 1000))
def test_weights_and_soft_labels_are_scikit_learns_weights(seed):
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=60).round(1)
    label = generator.random(60).round(1)
    weight = generator.integers(0, 4, 60).astype(float)
    # A pair of label y counts as a positive of weight w y and a negative of weight w (1 - y).
    twice, hard = np.tile(logits, 2), np.repeat([1.0, 0.0], 60)
    parts = np.concatenate([weight * label, weight * (1 - label)])
    expected = sklearn_metrics.roc_auc_score(hard, twice, sample_weight=parts)
    assert scores.auc(logits, label, weight) == pytest.approx(expected, abs=1e-12)
    expected = sklearn_metrics.log_loss(hard, expit(twice), sample_weight=parts)
    assert scores.cross_entropy(logits, label, weight) == pytest.approx(expected, abs=1e-12)
    expected = np.average((expit(logits) - label) ** 2, weights=weight)
    assert scores.brier(logits, label, weight) == pytest.approx(expected, abs=1e-12)


def test_no_pairs_or_none_of_weight_have_no_score():
    for score in (scores.cross_entropy, scores.brier, scores.auc):
        assert math.isnan(score([], []))
        assert math.isnan(score([1.0, 2.0], [0, 1], [0.0, 0.0]))


def _drawn(count, items=60, seed=0):
    generator = np.random.default_rng(seed)
    index = generator.integers(0, items, (count, 2)).astype(np.int32)
    logits = generator.normal(-0.5, 2, (items, items))
    logits = logits + logits.T
    label = (generator.random(count) < 1 / (1 + np.exp(-logits[tuple(index.T)]))).astype(np.float32)
    return index, label, logits


# Quality


def test_quality_by_hand():
    # Logits log 3 and -log 3 are probabilities 3/4 and 1/4. The first pair weighs 3: labels 1, 1
    # (of weight 1 each) and 0; the second has the soft label 1/2 and weighs 1.
    z = math.log(3)
    pairs = distinct_pairs([[0, 1], [1, 0], [0, 1], [1, 2]], [1, 1, 0, 0.5])
    found = scores.quality([z, -z], pairs)
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


def test_quality_agrees_with_the_scores_of_the_rows():
    index, label, logits = _drawn(4000)
    z = logits[tuple(index.T)]
    pairs = distinct_pairs(index, label)
    found = scores.quality(logits[tuple(pairs.index.T)], pairs)
    assert found.loss.value == pytest.approx(scores.cross_entropy(z, label))
    assert found.brier.value == pytest.approx(scores.brier(z, label))
    assert found.auc.value == pytest.approx(scores.auc(z, label), abs=1e-9)
    for measure in (found.loss, found.brier, found.auc):
        assert measure.low < measure.value < measure.high


def test_one_class_has_no_auc_and_nothing_no_quality():
    one = scores.quality([0.0, 1.0], distinct_pairs([[0, 1], [1, 2]], [1, 1]))
    assert math.isnan(one.auc.value)
    assert math.isnan(one.auc.low)
    assert one.base_rate_loss == 0
    assert one.loss.value > 0
    none = scores.quality(np.zeros(0), distinct_pairs(np.zeros((0, 2), int), []))
    assert math.isnan(none.loss.value)
    lone = scores.quality([0.0], distinct_pairs([[0, 1]], [1]))
    assert lone.loss.value == pytest.approx(math.log(2))
    assert math.isnan(lone.loss.low)


def test_intervals_hold_the_truth_about_as_often_as_they_say(monkeypatch):
    monkeypatch.setattr(scores, "_RESAMPLES", 200)
    truth, held = 0.5 * (math.log(4) - math.log(3)) + 0.5 * math.log(4), []
    for seed in range(80):
        generator = np.random.default_rng(seed)
        label = (generator.random(150) < 0.5).astype(float)
        index = np.stack([np.arange(150), np.arange(150) + 150], axis=1)
        pairs = distinct_pairs(index, label)
        loss = scores.quality(np.full(150, math.log(3)), pairs).loss
        held.append(loss.low <= truth <= loss.high)
    assert 0.86 <= np.mean(held) <= 1


def test_intervals_of_a_sample_are_those_of_all(monkeypatch):
    index, label, logits = _drawn(9000, items=200)
    pairs = distinct_pairs(index, label)
    z = logits[tuple(pairs.index.T)]
    whole = scores.quality(z, pairs)
    monkeypatch.setattr(scores, "RESAMPLED", 1500)
    part = scores.quality(z, pairs)
    assert (whole.resampled, part.resampled) == (len(pairs), 1500)
    for name in ("loss", "brier", "auc"):
        one, other = getattr(whole, name), getattr(part, name)
        assert one.value == other.value
        assert other.high - other.low == pytest.approx(one.high - one.low, rel=0.25)


# Calibration


def test_calibration_by_hand():
    z, label = [math.log(1 / 3)] * 4 + [math.log(3)] * 4, [0, 0, 0, 1, 1, 1, 1, 1]
    found = scores.calibration(z, label, bins=2)
    np.testing.assert_allclose(found.predicted, [0.25, 0.75])
    np.testing.assert_allclose(found.share, [0.25, 1])
    np.testing.assert_allclose(found.low[0], wilson_interval(1, 4)[0])
    assert found.high[1] == 1
    assert found.count.tolist() == [4, 4]
    assert found.error == pytest.approx(0.5 * 0 + 0.5 * 0.25)
    # As many bins as there are different logits, and no more.
    assert len(scores.calibration(z, label, bins=10).count) == 2
    assert len(scores.calibration(np.zeros(8), label).count) == 1


def test_calibration_has_bins_of_equal_count_and_a_right_model_a_small_error():
    index, label, logits = _drawn(30_000, items=400)
    pairs = distinct_pairs(index, label)
    z = logits[tuple(pairs.index.T)]
    right, wrong = (scores.calibration(factor * z, pairs.share, pairs.weight) for factor in (1, 4))
    assert np.ptp(right.count) <= 2
    assert right.error < 0.015 < wrong.error
    assert np.mean((right.low <= right.predicted) & (right.predicted <= right.high)) >= 0.8


def test_pairs_that_weigh_more_count_for_no_more_certainty():
    found = scores.calibration(np.zeros(4), [1, 0, 1, 1], [100, 1, 1, 0])
    assert found.count.tolist() == [3]
    np.testing.assert_allclose(found.share, [101 / 102])
    n = 102**2 / (100**2 + 2)
    np.testing.assert_allclose(found.low, wilson_interval(101 / 102 * n, n)[0])
    assert not len(scores.calibration(np.zeros(1), [1.0], [0.0]).count)


def test_certain_logits_overflow_nothing():
    pairs = DistinctPairs(
        np.array([[0, 1], [0, 2]], np.int32), np.ones(2), np.array([1.0, 0]), np.array([1.0, 0]), 2
    )
    found = scores.quality([900.0, -900.0], pairs)
    assert found.loss.value == 0
    assert scores.quality([-900.0, 900.0], pairs).loss.value == 900
