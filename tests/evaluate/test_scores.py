"""The measures against SciPy, scikit-learn, slow loops, hand-computed cases and invariances."""

import itertools
import math

import numpy as np
import pytest
import scipy.optimize
import scipy.spatial
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import pdist
from scipy.special import expit, logit
from sklearn import manifold
from sklearn import metrics as sklearn_metrics

from colour_embed import data
from colour_embed.evaluate import scores


def _points(seed, items=40, dim=3):
    return np.random.default_rng(seed).normal(size=(items, dim))


@pytest.mark.parametrize("dim", [1, 2, 3, 5])
def test_spearman_is_scipys(dim):
    embedding, truth = _points(0, dim=dim), _points(1)
    # A grid makes ties, whose mean rank is what an own implementation gets wrong first. Of whole
    # numbers, since SciPy takes for different what rounding splits.
    embedding = (10 * embedding).round()
    distances = [scipy.spatial.distance.pdist(points) for points in (embedding, truth)]
    expected = scipy.stats.spearmanr(*distances).statistic
    assert scores.distance_spearman(embedding, truth) == pytest.approx(expected, abs=1e-12)


def test_spearman_by_hand():
    # Distances 1, 3, 2 and 2, 3, 1: ranks 1, 3, 2 and 2, 3, 1, so rho = 1 - 6 * 2 / (3 * 8).
    embedding, truth = np.array([[0.0], [1], [3]]), np.array([[0.0], [2], [3]])
    assert scores.distance_spearman(embedding, truth) == pytest.approx(0.5)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_procrustes_is_scipys(dim):
    embedding, truth = _points(0, dim=dim), _points(1)
    padded = np.pad(embedding, ((0, 0), (0, 3 - dim)))
    _, _, expected = scipy.spatial.procrustes(truth, padded)
    assert scores.procrustes_disparity(embedding, truth) == pytest.approx(expected, abs=1e-12)


def test_procrustes_of_a_flattened_cloud_is_what_the_plane_loses():
    truth = _points(3)
    centred = truth - truth.mean(axis=0)
    values, axes = np.linalg.eigh(centred.T @ centred)
    flat = centred @ axes[:, 1:]
    assert scores.procrustes_disparity(flat, truth) == pytest.approx(values[0] / values.sum())


@given(seed=st.integers(0, 1000), scale=st.floats(0.1, 10), shift=st.floats(-5, 5))
def test_measures_ignore_rotation_scale_and_place(seed, scale, shift):
    truth = _points(seed)
    turn, _ = np.linalg.qr(_points(seed + 1, 3))
    moved = scale * truth @ turn + shift
    assert scores.distance_spearman(moved, truth) == pytest.approx(1, abs=1e-9)
    assert scores.procrustes_disparity(moved, truth) == pytest.approx(0, abs=1e-9)


def test_a_single_point_has_no_geometry():
    collapsed, truth = np.ones((10, 2)), _points(0, 10)
    assert np.isnan(scores.distance_spearman(collapsed, truth))
    assert np.isnan(scores.procrustes_disparity(collapsed, truth))
    assert not scores.recovery(collapsed, truth).recovered


def test_recovered_begins_at_one_half():
    truth = _points(0)
    assert scores.recovery(truth, truth) == pytest.approx((1, 0, True), abs=1e-9)
    unrelated = scores.recovery(_points(1), truth)
    assert abs(unrelated.spearman) < 0.5
    assert not unrelated.recovered


# Losses


@pytest.fixture(scope="module")
def colours():
    return data.load_colours()


@pytest.fixture(scope="module")
def truth(colours):
    return scores.make_truth(colours.rgb)


@pytest.fixture(scope="module")
def held_out(colours):
    training = data.tutorial_pairs(colours).index
    return data.held_out_pairs(len(colours), training, colours.rgb, 0.2, 0)


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
    by_parts = scores.cross_entropy(logits, probability) - data.best_loss(probability)
    assert result == pytest.approx(by_parts, abs=1e-12)


def test_excess_kl_is_zero_for_the_truth_alone():
    probability = np.linspace(0.01, 0.99, 99)
    exact = logit(probability)
    assert scores.excess_kl(exact, probability) == pytest.approx(0, abs=1e-15)
    assert scores.excess_kl(exact + 0.01, probability) > 1e-6
    assert scores.excess_kl([80.0, -80.0], [1.0, 0.0]) == pytest.approx(0, abs=1e-30)


def test_extreme_logits_stay_finite():
    assert scores.excess_kl([80.0, -80.0], [0.0, 1.0]) == pytest.approx(80)
    assert scores.heldout_loss(np.array([800.0, -800]), np.array([0, 1])) == pytest.approx(800)
    assert scores.brier([800.0, -800.0], [0, 1]) == 1


def test_the_blocks_of_a_long_mean_are_put_together():
    logits, label = _logits_and_labels(0, 40_001)
    expected = sklearn_metrics.log_loss(label, expit(logits))
    assert scores.heldout_loss(logits, label) == pytest.approx(expected, rel=1e-6)


def test_true_geometry_with_the_best_affine_head_leaves_what_the_facts_say(colours, truth):
    squared = pdist(colours.rgb, "sqeuclidean")
    best = scipy.optimize.minimize(
        lambda weights: scores.excess_kl(weights[0] * squared + weights[1], truth.probability),
        (-10.0, 2.0),
        method="Nelder-Mead",
    )
    assert best.fun == pytest.approx(0.0056, abs=5e-5)
    assert truth.floor == pytest.approx(0.32255, abs=5e-6)
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


def test_held_out_pairs_are_exactly_those_unseen_in_either_order(colours):
    rgb = colours.rgb[:12]
    training = np.array([[0, 1], [5, 2], [2, 5], [7, 7]])
    pairs = data.held_out_pairs(12, training, rgb, 0.2, 3)
    expected = set(itertools.combinations(range(12), 2)) - {(0, 1), (2, 5)}
    assert list(map(tuple, pairs.index)) == sorted(expected)
    assert pairs.index.dtype == np.int32
    np.testing.assert_array_equal(pairs.diff, data.pair_diff(pairs.index, rgb))

    # A pair keeps its label whatever else is held out, and another seed draws anew.
    more = data.held_out_pairs(12, training[:1], rgb, 0.2, 3)
    kept = [tuple(pair) in expected for pair in more.index]
    np.testing.assert_array_equal(more.label[kept], pairs.label)
    full = [data.held_out_pairs(646, training, colours.rgb, 0.2, seed).label for seed in (0, 1)]
    assert (full[0] != full[1]).mean() > 0.1


def test_held_out_labels_follow_the_rule(held_out, truth):
    probability = data.probability_similar(held_out.diff)
    error = held_out.label.mean() - probability.mean()
    assert abs(error) < 4 * math.sqrt(np.mean(probability * (1 - probability)) / len(held_out))
    places = scores._pair_places(held_out.index, 646)
    np.testing.assert_allclose(truth.probability[places], probability, atol=1e-12)


# Neighbours


@pytest.mark.parametrize(("items", "neighbours"), [(40, 10), (60, 5), (23, 1), (21, 10)])
def test_neighbour_measures_are_scikit_learns_without_ties(items, neighbours):
    truth, embedding = _points(0, items), _points(1, items, 2) + _points(0, items)[:, :2]
    forth = manifold.trustworthiness(truth, embedding, n_neighbors=neighbours)
    back = manifold.trustworthiness(embedding, truth, n_neighbors=neighbours)
    assert scores.trustworthiness(embedding, truth, neighbours) == pytest.approx(forth, abs=1e-12)
    assert scores.continuity(embedding, truth, neighbours) == pytest.approx(back, abs=1e-12)
    nearest = [
        np.argsort(scipy.spatial.distance_matrix(p, p), axis=1)[:, 1 : neighbours + 1]
        for p in (truth, embedding)
    ]
    shared = [len(set(a) & set(b)) / neighbours for a, b in zip(*nearest)]
    assert scores.knn_overlap(embedding, truth, neighbours) == pytest.approx(np.mean(shared))


def _brute_neighbours(embedding, truth, k, draws=4000):
    """The three measures, averaged over random orders of what ties, and their standard errors."""
    generator = np.random.default_rng(0)
    items = len(truth)
    squares = [scipy.spatial.distance_matrix(p, p).round(9) for p in (embedding, truth)]
    rows = []
    for _ in range(draws):
        ranks = []
        for square in squares:
            np.fill_diagonal(square, np.inf)
            order = np.lexsort((generator.random(square.shape), square), axis=1)
            ranks.append(order.argsort(axis=1) + 1)
        near = [rank <= k for rank in ranks]
        scale = 2 / (items * k * (2 * items - 3 * k - 1))
        trust = 1 - scale * np.sum(near[0] * np.maximum(0, ranks[1] - k))
        continuity = 1 - scale * np.sum(near[1] * np.maximum(0, ranks[0] - k))
        rows.append((trust, continuity, np.sum(near[0] & near[1]) / (items * k)))
    return np.mean(rows, axis=0), np.std(rows, axis=0) / math.sqrt(draws)


@pytest.mark.parametrize("collapsed", [False, True])
def test_neighbour_measures_with_ties_are_the_mean_over_random_orders(collapsed):
    truth = np.random.default_rng(0).integers(0, 3, (12, 2)) / 255  # a grid, with coincidences
    embedding = np.ones((12, 2)) if collapsed else np.random.default_rng(1).integers(0, 3, (12, 2))
    expected, error = _brute_neighbours(embedding, truth, 3)
    functions = (scores.trustworthiness, scores.continuity, scores.knn_overlap)
    result = [function(embedding, truth, 3) for function in functions]
    assert np.all(np.abs(result - expected) < 5 * error + 1e-12)


def test_ties_of_rgb_lower_the_ceiling_as_documented(colours):
    rgb = colours.rgb
    assert scores.trustworthiness(rgb, rgb) == pytest.approx(0.99998, abs=5e-6)
    assert scores.knn_overlap(rgb, rgb) == pytest.approx(0.992, abs=5e-4)
    # Dividing by 255 splits ties by rounding, which must not decide anything.
    assert scores.knn_overlap(rgb, rgb) == scores.knn_overlap(255 * rgb, (255 * rgb).round())


def test_too_few_items_have_no_neighbourhood():
    few = _points(0, 9)
    assert np.isnan(scores.trustworthiness(few, few))
    assert np.isnan(scores.knn_overlap(few, few))
    assert np.isnan(scores.continuity(_points(0, 20), _points(0, 20)))
    assert scores.knn_overlap(_points(0, 20), _points(0, 20)) == 1
    broken = np.full((40, 2), np.nan)
    for function in (scores.distance_spearman, scores.procrustes_disparity, scores.continuity):
        assert np.isnan(function(broken, _points(0)))


# Linear maps and other seeds


def test_linear_map_sees_what_is_linear_and_no_more():
    truth = _points(0, 200)
    embedding = truth @ _points(1, 3, 5) + 7  # any linear image, moved
    assert scores.linear_map_disparity(embedding, truth) == pytest.approx(0, abs=1e-12)
    unrelated = scores.linear_map_disparity(_points(2, 200, 6), truth)
    assert 1 < unrelated < 1.15
    # More columns of noise must not win, as they would if R^2 were taken on the fitted items.
    wide = scores.linear_map_disparity(_points(3, 200, 60), truth)
    assert wide > unrelated
    assert scores.linear_map_disparity(np.ones((200, 4)), truth) == pytest.approx(1)
    assert np.isnan(scores.linear_map_disparity(embedding, np.ones((200, 3))))


def test_linear_map_is_a_plain_cross_validation():
    truth, embedding = _points(0), _points(0)[:, :2] + 0.3 * _points(1)[:, :2]
    fold = np.random.default_rng(scores._FOLD_SEED).permutation(40) % 10
    error = baseline = 0.0
    for k in range(10):
        design = [
            np.column_stack([np.ones(np.sum(m)), embedding[m]]) for m in (fold != k, fold == k)
        ]
        weights = np.linalg.pinv(design[0]) @ truth[fold != k]
        error += np.sum((truth[fold == k] - design[1] @ weights) ** 2)
        baseline += np.sum((truth[fold == k] - truth[fold != k].mean(axis=0)) ** 2)
    expected = pytest.approx(error / baseline, abs=1e-12)
    assert scores.linear_map_disparity(embedding, truth) == expected
    padded = np.pad(embedding, ((0, 0), (0, 4)))
    assert scores.linear_map_disparity(padded, truth) == expected


@pytest.mark.parametrize("block", [1, 4, 32])
def test_cross_seed_procrustes_is_the_single_function(block, monkeypatch):
    monkeypatch.setattr(scores, "_MEMBER_BLOCK", block)
    embeddings = np.stack([_points(seed, dim=4) for seed in range(6)])
    embeddings[1, :, 2:] = 0
    embeddings[3, 0, 0] = np.nan
    embeddings[4] = 2
    result = scores.cross_seed_procrustes(embeddings)
    np.testing.assert_array_equal(result, result.T)
    for i, j in itertools.product([0, 1, 2, 5], repeat=2):
        expected = scores.procrustes_disparity(embeddings[i], embeddings[j])
        assert result[i, j] == pytest.approx(expected, abs=1e-12)
    assert np.isnan(result[[3, 4]]).all()
    assert np.all(np.diag(result)[[0, 1, 2, 5]] == 0)


# Members


def _members(rgb, dims=(2, 3, 6), columns=6):
    generator = np.random.default_rng(0)
    embedding = np.zeros((len(dims), len(rgb), columns), np.float32)
    for i, dim in enumerate(dims):
        embedding[i, :, : min(dim, 3)] = rgb[:, :dim]
        embedding[i, :, :dim] += 0.05 * generator.normal(size=(len(rgb), dim))
    return embedding, np.array(dims), np.array([-6.0, -8.0, -7.0]), np.array([1.0, 1.5, 2.0])


def test_members_are_the_single_functions(colours, truth, held_out):
    embedding, dims, kernel, bias = _members(colours.rgb)
    result = scores.measure_members(embedding, dims, kernel, bias, truth, held_out)
    assert tuple(result) == scores.MEASURES
    assert result["recovered"].dtype == bool
    assert result["recovered"].all()
    for i, dim in enumerate(dims):
        points = embedding[i, :, :dim].astype(np.float64)
        logits = kernel[i] * pdist(points, "sqeuclidean") + bias[i]
        first, second = held_out.index.T
        own = kernel[i] * np.sum((points[first] - points[second]) ** 2, axis=1) + bias[i]
        disparity = scores.linear_map_disparity if dim > 3 else scores.procrustes_disparity
        expected = {
            "heldout_loss": scores.heldout_loss(own, held_out.label),
            "excess_kl": scores.excess_kl(logits, truth.probability),
            "auc": scores.auc(own, held_out.label),
            "spearman": scores.distance_spearman(points, colours.rgb),
            "procrustes": disparity(points, colours.rgb),
            "trustworthiness": scores.trustworthiness(points, colours.rgb),
            "continuity": scores.continuity(points, colours.rgb),
            "knn_overlap": scores.knn_overlap(points, colours.rgb),
        }
        for name, value in expected.items():
            assert result[name][i] == pytest.approx(value, abs=1e-10), name


def test_padding_threads_and_neighbours_in_the_batch_change_nothing(colours, truth, held_out):
    embedding, dims, kernel, bias = _members(colours.rgb)
    batch = scores.measure_members(embedding, dims, kernel, bias, truth, held_out, workers=3)
    narrow = scores.measure_members(
        embedding[:1, :, :2], dims[:1], kernel[:1], bias[:1], truth, held_out, workers=1
    )
    for name, values in narrow.items():
        assert values[0] == batch[name][0], name


def test_a_broken_member_is_nan_and_harms_no_other(colours, truth, held_out):
    embedding, dims, kernel, bias = _members(colours.rgb)
    embedding = np.concatenate([embedding] * 2).astype(np.float64)
    dims, kernel, bias = np.tile(dims, 2), np.tile(kernel, 2), np.tile(bias, 2)
    embedding[0, 5, 0] = np.nan
    embedding[1] *= 1e200  # finite, but its distances are not
    kernel[2], bias[3] = np.inf, np.nan
    embedding[4] = 1
    result = scores.measure_members(embedding, dims, kernel, bias, truth, held_out)
    for name, values in result.items():
        if name == "recovered":
            assert values.tolist() == [False] * 5 + [True]
        else:
            assert np.isnan(values[:4]).all(), name
            assert np.isfinite(values[5]), name
    assert np.isnan(result["spearman"][4])
    assert result["auc"][4] == 0.5


def test_truth_and_pairs_may_differ_by_member(colours, truth, held_out):
    embedding, dims, kernel, bias = _members(colours.rgb)
    other = scores.make_truth(colours.rgb, 0.4)
    other_pairs = data.held_out_pairs(646, held_out.index[:50], colours.rgb, 0.4, 1)
    arguments = embedding[:2], dims[:2], kernel[:2], bias[:2]
    both = scores.measure_members(*arguments, [truth, other], [held_out, other_pairs])
    alone = scores.measure_members(*arguments, other, other_pairs)
    for name in scores.MEASURES:
        assert both[name][1] == alone[name][1]
    assert both["excess_kl"][0] != alone["excess_kl"][0]
    with pytest.raises(ValueError, match="truth: 1 given for 2 members"):
        scores.measure_members(*arguments, [truth], held_out)
    bad = data.Pairs(np.array([[3, 3]], np.int32), np.ones(1), np.zeros(1))
    with pytest.raises(ValueError, match="two different ids"):
        scores.measure_members(*arguments, truth, bad)


def test_a_positive_weight_is_seen_by_the_labels_and_not_by_the_shape(colours, truth, held_out):
    embedding = colours.rgb[None]
    right = scores.measure_members(embedding, [3], [-8.0], [1.5], truth, held_out)
    wrong = scores.measure_members(embedding, [3], [8.0], [-1.5], truth, held_out)
    assert wrong["auc"] == pytest.approx(1 - right["auc"])
    assert wrong["excess_kl"] > 10 * right["excess_kl"]
    assert wrong["spearman"] == right["spearman"] == pytest.approx(1)


_TRUTH = scores.make_truth(np.random.default_rng(5).random((40, 3)))
_PAIRS = data.held_out_pairs(40, np.array([[0, 1]]), _TRUTH.rgb, 0.2, 0)


@given(seed=st.integers(0, 1000), dim=st.integers(2, 5), shift=st.floats(-5, 5))
def test_rotation_and_place_of_the_embedding_do_not_matter(seed, dim, shift):
    embedding = _points(seed, 40, dim) / 4
    turn, _ = np.linalg.qr(_points(seed + 1, dim, dim))
    both = np.stack([embedding, embedding @ turn + shift])
    arguments = both, [dim] * 2, [-5.0] * 2, [1.0] * 2, _TRUTH, _PAIRS
    result = scores.measure_members(*arguments, workers=1)
    for name, (plain, moved) in result.items():
        assert plain == pytest.approx(moved, abs=1e-8), name


@given(seed=st.integers(0, 1000), dim=st.integers(1, 3))
def test_names_of_items_do_not_matter(seed, dim):
    embedding = _points(seed, 40, dim) / 4
    order = np.random.default_rng(seed).permutation(40)
    renamed = scores.make_truth(_TRUTH.rgb[order])
    index = np.argsort(order)[_PAIRS.index].astype(np.int32)
    renamed_pairs = data.Pairs(index, _PAIRS.label, _PAIRS.diff)
    both = np.stack([embedding, embedding[order]])
    truths, pairs = [_TRUTH, renamed], [_PAIRS, renamed_pairs]
    arguments = both, [dim] * 2, [-5.0] * 2, [1.0] * 2, truths, pairs
    result = scores.measure_members(*arguments, workers=1)
    for name, (plain, moved) in result.items():
        assert plain == pytest.approx(moved, abs=1e-8), name


# Statistics


@pytest.mark.parametrize("level", [0.8, 0.95])
@pytest.mark.parametrize(("successes", "count"), [(0, 10), (5, 10), (10, 10), (1, 1), (37, 100)])
def test_wilson_is_scipys(successes, count, level):
    expected = scipy.stats.binomtest(successes, count).proportion_ci(level, method="wilson")
    result = scores.wilson_interval(successes, count, level)
    assert result == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_by_hand():
    # At 0 of n the upper end is z^2 / (n + z^2), with z = 1.959964.
    assert scores.wilson_interval(0, 10) == pytest.approx((0, 3.841459 / 13.841459))
    assert scores.wilson_interval(0, 0) == (0, 1)
    with pytest.raises(ValueError, match="5 successes of 3"):
        scores.wilson_interval(5, 3)


def test_interquartile_mean():
    values = np.random.default_rng(0).normal(size=(3, 12))
    expected = scipy.stats.trim_mean(values, 0.25, axis=1)
    np.testing.assert_allclose(scores.interquartile_mean(values, axis=1), expected)
    np.testing.assert_allclose(scores.interquartile_mean(values.T, axis=0), expected)
    # Of five: weights 0, 0.75, 1, 0.75, 0 over 2.5.
    assert scores.interquartile_mean([np.inf, 4, 1, 2, -99]) == (0.75 + 2 + 0.75 * 4) / 2.5
    assert scores.interquartile_mean([3.0]) == 3
    assert scores.interquartile_mean([1.0, 2.0]) == 1.5
    assert np.isnan(scores.interquartile_mean([1, 2, 3, np.nan]))
    assert np.isnan(scores.interquartile_mean([]))


def test_bootstrap_interval_is_about_scipys_and_repeats():
    values = np.random.default_rng(0).normal(size=30)
    result = scores.bootstrap_interval(values, np.mean)
    expected = scipy.stats.bootstrap((values,), np.mean, method="percentile", rng=1)
    assert result == pytest.approx(expected.confidence_interval, abs=0.03)
    assert result == scores.bootstrap_interval(values, np.mean)
    assert result != scores.bootstrap_interval(values, np.mean, seed=1)
    low, high = scores.bootstrap_interval(values, scores.interquartile_mean, level=0.5)
    assert low < scores.interquartile_mean(values) < high


def test_bootstrap_of_too_little():
    assert scores.bootstrap_interval([2.0, 2.0], np.mean) == (2, 2)
    for values in ([], [1.0], [1.0, np.nan]):
        assert np.isnan(scores.bootstrap_interval(values, np.mean)).all()


@pytest.mark.parametrize(
    ("mean", "error", "expected"),
    [
        ([0.5, 0.33, 0.32, 0.31], [0.1, 0.1, 0.1, 0.01], 3),  # the error of the best counts
        ([0.5, 0.33, 0.32, 0.31], [0.1, 0.1, 0.1, 0.02], 2),
        ([0.5, 0.4, 0.3, 0.31], [9, 9, 0.05, 9], 3),
        ([0.5, 0.3, 0.3, 0.3], [0, 0, 0, 0], 2),
        ([0.25, 0.5, np.nan, 0.5], [np.nan] * 4, 1),
        ([np.nan, 0.5, 0.25, 0.25], [np.nan] * 4, 3),
        ([0.5, 0.5, 0.25, 0.5], [0, 0, 0.25, 0], 1),  # just within counts
    ],
)
def test_dimension_selection(mean, error, expected):
    assert scores.select_dimension([1, 2, 3, 4], mean, error) == expected
    turned = [list(reversed(values)) for values in ([1, 2, 3, 4], mean, error)]
    assert scores.select_dimension(*turned) == expected


def test_no_dimension_to_select():
    with pytest.raises(ValueError, match="no dimension"):
        scores.select_dimension([1, 2], [np.nan] * 2, [0, 0])
