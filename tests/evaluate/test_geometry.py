"""Alignment, recovery and neighbourhoods against SciPy, scikit-learn, slow loops and by hand."""

import itertools
import math
import time

import numpy as np
import pytest
import scipy.linalg
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist, pdist
from sklearn import manifold

from colour_embed.data import load_colours
from colour_embed.evaluate import geometry
from colour_embed.evaluate.geometry import align, nearest, principal_axes

seeds = st.integers(0, 2**32 - 1)
dims = st.integers(1, 5)


def cloud(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def orthogonal(seed, dim):
    """A rotation, or one with a reflection: both occur."""
    return np.linalg.qr(cloud(seed, dim, dim))[0]


@given(seed=seeds, dim=dims, size=st.sampled_from([1e-100, 1e-3, 1.0, 1e6]))
def test_a_turned_mirrored_and_shifted_copy_gives_the_target_back(seed, dim, size):
    target = size * cloud(seed, 12, dim)
    for sign in (1, -1):
        turn = orthogonal(seed + 1, dim)
        turn[0] *= sign
        copy = target @ turn + size * cloud(seed + 2, dim)
        np.testing.assert_allclose(align(copy, target), target, atol=1e-9 * size)
        np.testing.assert_allclose(align(7 * copy, target, scale=True), target, atol=1e-9 * size)


@given(seed=seeds, dim=dims, other=dims)
def test_pairwise_distances_never_change(seed, dim, other):
    points, target = cloud(seed, 9, dim), cloud(seed + 1, 9, other) + 3
    aligned = align(points, target)
    assert aligned.shape == (9, max(dim, other))
    np.testing.assert_allclose(pdist(aligned), pdist(points), atol=1e-12)
    centroid = np.zeros(max(dim, other))
    centroid[:other] = target.mean(axis=0)
    np.testing.assert_allclose(aligned.mean(axis=0), centroid, atol=1e-12)


@given(seed=seeds, dim=dims)
def test_no_other_turn_comes_closer(seed, dim):
    points, target = cloud(seed, 9, dim), cloud(seed + 1, 9, dim)
    aligned = align(points, target)
    centre = target.mean(axis=0)
    other = (aligned - centre) @ orthogonal(seed + 2, dim) + centre
    assert np.sum((aligned - target) ** 2) <= np.sum((other - target) ** 2) + 1e-12


@pytest.mark.parametrize("dim", [1, 2, 3, 6])
def test_one_set_is_scipys(dim):
    points, target = cloud(0, 30, dim), cloud(1, 30, dim)
    centred = [values - values.mean(axis=0) for values in (points, target)]
    turn, _ = scipy.linalg.orthogonal_procrustes(*centred)
    expected = centred[0] @ turn + target.mean(axis=0)
    np.testing.assert_allclose(align(points, target), expected, atol=1e-9)


@pytest.mark.parametrize("dim", [1, 2, 3, 6])
def test_with_scale_is_scipys_procrustes(dim):
    points, target = cloud(0, 30, dim), cloud(1, 30, dim)
    _, expected, disparity = scipy.spatial.procrustes(target, points)
    centre = target.mean(axis=0)
    size = np.linalg.norm(target - centre)
    aligned = align(points, target, scale=True)
    np.testing.assert_allclose((aligned - centre) / size, expected, atol=1e-9)
    assert np.sum((aligned - target) ** 2) / size**2 == pytest.approx(disparity)


@pytest.mark.parametrize("scale", [False, True])
def test_a_batch_is_its_sets_one_by_one(scale):
    points = cloud(0, 4, 3, 20, 2)
    for target in (cloud(1, 20, 3), cloud(2, 3, 20, 2), cloud(3, 4, 1, 20, 1)):
        aligned = align(points, target, scale=scale)
        each = np.broadcast_to(target, (4, 3, *target.shape[-2:]))
        for place in np.ndindex(4, 3):
            alone = align(points[place], each[place], scale=scale)
            np.testing.assert_allclose(aligned[place], alone, atol=1e-12)
    assert align(points[0, 0], cloud(2, 5, 20, 2)).shape == (5, 20, 2)


@pytest.mark.parametrize("shift", [False, True])
@pytest.mark.parametrize("scale", [False, True])
def test_an_item_of_weight_two_counts_as_two_and_one_of_weight_zero_not_at_all(scale, shift):
    points, target = cloud(0, 8, 3), cloud(1, 8, 3)
    weight = np.array([0, 1, 2, 1, 1, 1, 1, 0])
    place = np.repeat(np.arange(8), weight)
    kind = {"scale": scale, "shift": shift}
    found = align(points, target, weight=weight, **kind)
    np.testing.assert_allclose(found[place], align(points[place], target[place], **kind))
    everywhere = align(points, target, weight=np.ones(8), **kind)
    np.testing.assert_allclose(everywhere, align(points, target, **kind))


def test_padding_with_zeros_changes_nothing():
    points, target = cloud(0, 20, 2), cloud(1, 20, 3)
    padded = np.pad(points, [(0, 0), (0, 1)])
    np.testing.assert_allclose(align(points, target), align(padded, target), atol=1e-12)
    padded = np.pad(points, [(0, 0), (0, 2)])
    wide = align(padded, np.pad(target, [(0, 0), (0, 1)]))
    np.testing.assert_allclose(wide[:, :3], align(points, target), atol=1e-9)
    np.testing.assert_allclose(wide[:, 3], 0, atol=1e-9)


def test_only_learning_moves():
    """A set that drifts and turns without learning stands still once aligned."""
    final = cloud(0, 40, 3)
    frames = np.stack([final @ orthogonal(seed, 3) + cloud(seed + 1, 3) for seed in range(10)])
    np.testing.assert_allclose(align(frames, frames[-1]), np.stack([frames[-1]] * 10), atol=1e-12)


def test_a_direction_that_the_target_lacks_does_not_flip():
    points = cloud(0, 40, 3)
    points -= points.mean(axis=0)
    frames = points + 1e-3 * cloud(1, 50, 40, 3)
    aligned = align(frames, points[:, :2])
    assert np.abs(aligned - aligned[0]).max() < 0.05
    np.testing.assert_allclose(align(points, np.zeros((40, 1))), points, atol=1e-12)


def test_a_set_that_is_one_point_goes_to_the_centroid():
    target = cloud(0, 10, 2)
    for scale in (False, True):
        aligned = align(np.full((10, 2), 3.0), target, scale=scale)
        np.testing.assert_allclose(aligned, np.tile(target.mean(axis=0), (10, 1)), atol=1e-12)
    shrunk = align(target, np.ones((10, 2)), scale=True)
    np.testing.assert_allclose(shrunk, 1, atol=1e-12)


def test_float16_snapshots_are_aligned_in_float64_and_left_alone():
    points = cloud(0, 3, 20, 2).astype(np.float16)
    before = points.copy()
    aligned = align(points, points[-1])
    assert aligned.dtype == np.float64
    np.testing.assert_array_equal(points, before)
    np.testing.assert_allclose(aligned[-1], points[-1].astype(float), atol=1e-12)


@given(seed=seeds, dim=dims)
def test_all_principal_axes_keep_the_distances(seed, dim):
    points = cloud(seed, 9, dim) * 2.0 ** np.arange(dim)
    coordinates = principal_axes(points, dim)
    np.testing.assert_allclose(pdist(coordinates), pdist(points), rtol=1e-9)
    covariance = coordinates.T @ coordinates
    np.testing.assert_allclose(covariance - np.diag(np.diag(covariance)), 0, atol=1e-8)
    assert np.all(np.diff(np.diag(covariance)) <= 1e-9)


def test_principal_axes_of_a_known_cloud():
    points = np.zeros((6, 4))
    points[[0, 1], 2] = [-5, 5]
    points[[2, 3], 0] = [-3, 3]
    points[[4, 5], 3] = [-1, 1]
    expected = points[:, [2, 0, 3]]
    np.testing.assert_allclose(principal_axes(points + 7, 3), expected, atol=1e-12)
    # The direction in which the data were written down does not decide the sign.
    np.testing.assert_allclose(principal_axes(-points, 3), -expected, atol=1e-12)


def test_principal_axes_are_batched_and_padded():
    points = cloud(0, 4, 3, 20, 5)
    batch = principal_axes(points, 2)
    assert batch.shape == (4, 3, 20, 2)
    np.testing.assert_allclose(batch[2, 1], principal_axes(points[2, 1], 2), atol=1e-12)
    line = principal_axes(points[..., :1], 2)
    np.testing.assert_allclose(line[..., 1], 0)
    centred = points[..., 0] - points[..., 0].mean(axis=-1, keepdims=True)
    np.testing.assert_allclose(line[..., 0], centred)
    assert principal_axes(cloud(1, 2, 5), 4).shape == (2, 4)  # fewer items than axes


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: align(np.zeros(3), np.zeros((3, 1))), r"points must be .*got \(3,\)"),
        (lambda: align(np.zeros((3, 1)), np.zeros((0, 1))), r"target must be .*got \(0, 1\)"),
        (lambda: align(np.zeros((3, 2)), np.zeros((4, 2))), "same items, got 3 and 4"),
        (lambda: align(np.zeros((2, 3, 2)), np.zeros((5, 3, 2))), r"broadcast, got \(2,\) and"),
        (lambda: align(np.full((2, 3, 2), np.nan), np.zeros((3, 2))), "2 of 2 sets"),
        (lambda: principal_axes(np.zeros((3, 2)), 0), "count must be 1 or more"),
        (lambda: principal_axes([[np.inf]], 1), "1 of 1 sets"),
    ],
)
def test_says_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# Recovery


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
    assert geometry.distance_spearman(embedding, truth) == pytest.approx(expected, abs=1e-12)


def test_spearman_by_hand():
    # Distances 1, 3, 2 and 2, 3, 1: ranks 1, 3, 2 and 2, 3, 1, so rho = 1 - 6 * 2 / (3 * 8).
    embedding, truth = np.array([[0.0], [1], [3]]), np.array([[0.0], [2], [3]])
    assert geometry.distance_spearman(embedding, truth) == pytest.approx(0.5)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_procrustes_is_scipys(dim):
    embedding, truth = _points(0, dim=dim), _points(1)
    padded = np.pad(embedding, ((0, 0), (0, 3 - dim)))
    _, _, expected = scipy.spatial.procrustes(truth, padded)
    assert geometry.procrustes_disparity(embedding, truth) == pytest.approx(expected, abs=1e-12)


def test_procrustes_of_a_flattened_cloud_is_what_the_plane_loses():
    truth = _points(3)
    centred = truth - truth.mean(axis=0)
    values, axes = np.linalg.eigh(centred.T @ centred)
    flat = centred @ axes[:, 1:]
    assert geometry.procrustes_disparity(flat, truth) == pytest.approx(values[0] / values.sum())


@given(seed=st.integers(0, 1000), scale=st.floats(0.1, 10), shift=st.floats(-5, 5))
def test_measures_ignore_rotation_scale_and_place(seed, scale, shift):
    truth = _points(seed)
    turn, _ = np.linalg.qr(_points(seed + 1, 3))
    moved = scale * truth @ turn + shift
    assert geometry.distance_spearman(moved, truth) == pytest.approx(1, abs=1e-9)
    assert geometry.procrustes_disparity(moved, truth) == pytest.approx(0, abs=1e-9)


def test_a_single_point_has_no_geometry():
    collapsed, truth = np.ones((10, 2)), _points(0, 10)
    assert np.isnan(geometry.distance_spearman(collapsed, truth))
    assert np.isnan(geometry.procrustes_disparity(collapsed, truth))
    assert not geometry.recovery(collapsed, truth).recovered


def test_recovered_begins_at_one_half():
    truth = _points(0)
    assert geometry.recovery(truth, truth) == pytest.approx((1, 0, True), abs=1e-9)
    unrelated = geometry.recovery(_points(1), truth)
    assert abs(unrelated.spearman) < 0.5
    assert not unrelated.recovered


# Neighbours


@pytest.mark.parametrize(("items", "neighbours"), [(40, 10), (60, 5), (23, 1), (21, 10)])
def test_neighbour_measures_are_scikit_learns_without_ties(items, neighbours):
    truth, embedding = _points(0, items), _points(1, items, 2) + _points(0, items)[:, :2]
    forth = manifold.trustworthiness(truth, embedding, n_neighbors=neighbours)
    back = manifold.trustworthiness(embedding, truth, n_neighbors=neighbours)
    assert geometry.trustworthiness(embedding, truth, neighbours) == pytest.approx(forth, abs=1e-12)
    assert geometry.continuity(embedding, truth, neighbours) == pytest.approx(back, abs=1e-12)
    nearest = [np.argsort(cdist(p, p), axis=1)[:, 1 : neighbours + 1] for p in (truth, embedding)]
    shared = [len(set(a) & set(b)) / neighbours for a, b in zip(*nearest)]
    assert geometry.knn_overlap(embedding, truth, neighbours) == pytest.approx(np.mean(shared))


def _brute_neighbours(embedding, truth, k, draws=4000):
    """The three measures, averaged over random orders of what ties, and their standard errors."""
    generator = np.random.default_rng(0)
    items = len(truth)
    squares = [cdist(p, p).round(9) for p in (embedding, truth)]
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
    functions = (geometry.trustworthiness, geometry.continuity, geometry.knn_overlap)
    result = [function(embedding, truth, 3) for function in functions]
    assert np.all(np.abs(result - expected) < 5 * error + 1e-12)


def test_ties_of_rgb_lower_the_ceiling_as_documented():
    rgb = load_colours().rgb
    assert geometry.trustworthiness(rgb, rgb) == pytest.approx(0.99998, abs=5e-6)
    assert geometry.knn_overlap(rgb, rgb) == pytest.approx(0.992, abs=5e-4)
    # Dividing by 255 splits ties by rounding, which must not decide anything.
    assert geometry.knn_overlap(rgb, rgb) == geometry.knn_overlap(255 * rgb, (255 * rgb).round())


def test_too_few_items_have_no_neighbourhood():
    few = _points(0, 9)
    assert np.isnan(geometry.trustworthiness(few, few))
    assert np.isnan(geometry.knn_overlap(few, few))
    assert np.isnan(geometry.continuity(_points(0, 20), _points(0, 20)))
    assert geometry.knn_overlap(_points(0, 20), _points(0, 20)) == 1
    broken = np.full((40, 2), np.nan)
    for function in (
        geometry.distance_spearman,
        geometry.procrustes_disparity,
        geometry.continuity,
    ):
        assert np.isnan(function(broken, _points(0)))


# Linear maps and other seeds


def test_linear_map_sees_what_is_linear_and_no_more():
    truth = _points(0, 200)
    embedding = truth @ _points(1, 3, 5) + 7  # any linear image, moved
    assert geometry.linear_map_disparity(embedding, truth) == pytest.approx(0, abs=1e-12)
    unrelated = geometry.linear_map_disparity(_points(2, 200, 6), truth)
    assert 1 < unrelated < 1.15
    # More columns of noise must not win, as they would if R^2 were taken on the fitted items.
    wide = geometry.linear_map_disparity(_points(3, 200, 60), truth)
    assert wide > unrelated
    assert geometry.linear_map_disparity(np.ones((200, 4)), truth) == pytest.approx(1)
    assert np.isnan(geometry.linear_map_disparity(embedding, np.ones((200, 3))))


def test_linear_map_is_a_plain_cross_validation():
    truth, embedding = _points(0), _points(0)[:, :2] + 0.3 * _points(1)[:, :2]
    fold = np.random.default_rng(geometry._FOLD_SEED).permutation(40) % 10
    error = baseline = 0.0
    for k in range(10):
        design = [
            np.column_stack([np.ones(np.sum(m)), embedding[m]]) for m in (fold != k, fold == k)
        ]
        weights = np.linalg.pinv(design[0]) @ truth[fold != k]
        error += np.sum((truth[fold == k] - design[1] @ weights) ** 2)
        baseline += np.sum((truth[fold == k] - truth[fold != k].mean(axis=0)) ** 2)
    expected = pytest.approx(error / baseline, abs=1e-12)
    assert geometry.linear_map_disparity(embedding, truth) == expected
    padded = np.pad(embedding, ((0, 0), (0, 4)))
    assert geometry.linear_map_disparity(padded, truth) == expected


@pytest.mark.parametrize("block", [1, 4, 32])
def test_cross_seed_procrustes_is_the_single_function(block, monkeypatch):
    monkeypatch.setattr(geometry, "_MEMBER_BLOCK", block)
    embeddings = np.stack([_points(seed, dim=4) for seed in range(6)])
    embeddings[1, :, 2:] = 0
    embeddings[3, 0, 0] = np.nan
    embeddings[4] = 2
    result = geometry.cross_seed_procrustes(embeddings)
    np.testing.assert_array_equal(result, result.T)
    for i, j in itertools.product([0, 1, 2, 5], repeat=2):
        expected = geometry.procrustes_disparity(embeddings[i], embeddings[j])
        assert result[i, j] == pytest.approx(expected, abs=1e-12)
    assert np.isnan(result[[3, 4]]).all()
    assert np.all(np.diag(result)[[0, 1, 2, 5]] == 0)


# Nearest neighbours


def test_nearest_by_hand_and_of_equals_the_first():
    vectors = [[0, 0], [1, 0], [-1, 0], [0, 3], [5, 0]]
    places, distance = nearest(vectors, [0, 4], 3)
    assert places.tolist() == [[1, 2, 3], [1, 0, 3]]
    np.testing.assert_allclose(distance[0], [1, 1, 3])
    places, product = nearest(vectors, [1], 2, dot=True)
    assert places.tolist() == [[4, 0]]
    np.testing.assert_allclose(product, [[5, 0]])
    assert nearest(vectors, [1], 50)[0].shape == (1, 4)


@pytest.mark.parametrize("dot", [False, True])
def test_nearest_in_parts_is_a_stable_sort_of_all(dot, monkeypatch):
    vectors = np.random.default_rng(0).integers(0, 4, (50, 2))  # a grid, with ties
    far = -(vectors @ vectors.T) if dot else ((vectors[:, None] - vectors) ** 2).sum(axis=-1)
    far = np.where(np.eye(50, dtype=bool), 1000, far)
    expected = np.argsort(far, axis=1, kind="stable")[:, :7]
    monkeypatch.setattr(geometry, "_DISTANCES", 150)
    places, values = nearest(vectors, np.arange(50), 7, dot=dot)
    np.testing.assert_array_equal(places, expected)
    sorted_far = np.take_along_axis(far, expected, axis=1)
    np.testing.assert_allclose(values, -sorted_far if dot else np.sqrt(sorted_far))


_RANDOM = np.random.default_rng(0)
_TURN = np.arange(1500.0)


@pytest.mark.parametrize("count", [1, 6])
@pytest.mark.parametrize(
    "vectors",
    [
        _RANDOM.normal(size=(1500, 2)),
        _RANDOM.normal(size=(1500, 8)).astype(np.float32),
        np.stack(np.mgrid[:40, :40], axis=-1).reshape(-1, 2),  # a grid: many equal distances
        _RANDOM.integers(0, 12, (1500, 2)),  # ten items a place
        _RANDOM.choice([-1.0, 1.0], (1500, 1)),
        np.vstack([[0, 0], np.stack([np.cos(_TURN), np.sin(_TURN)], axis=1)]),
    ],
)
def test_nearest_of_many_items_is_that_of_all_distances(vectors, count):
    """Enough items for the search in a tree, with ties of every kind."""
    places, distance = nearest(vectors, np.arange(len(vectors)), count)
    vectors = np.asarray(vectors, np.float64)
    far = cdist(vectors, vectors)
    np.fill_diagonal(far, np.inf)
    expected = np.argsort(far, axis=1, kind="stable")[:, :count]
    np.testing.assert_array_equal(places, expected)
    np.testing.assert_array_equal(distance, np.take_along_axis(far, expected, axis=1))


def test_nearest_of_all_of_many_items_takes_seconds():
    vectors = _RANDOM.normal(size=(20_000, 2))
    began = time.perf_counter()
    nearest(vectors, np.arange(20_000))
    assert time.perf_counter() - began < 5  # 0.1 s; by all distances a minute


def test_nearest_of_nothing():
    assert nearest([[1.0, 2.0]], [0])[0].shape == (1, 0)
    assert nearest(np.ones((3, 2)), [])[0].shape == (0, 2)
