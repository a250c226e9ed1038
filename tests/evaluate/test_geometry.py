"""Alignment against SciPy's, and what a turn may and may not change."""

import numpy as np
import pytest
import scipy.linalg
import scipy.spatial
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import pdist

from colour_embed.evaluate.geometry import align, principal_axes

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
