"""The measures of recovery against SciPy, hand-computed cases and their invariances."""

import numpy as np
import pytest
import scipy.spatial
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from colour_embed import metrics


def _points(seed, items=40, dim=3):
    return np.random.default_rng(seed).normal(size=(items, dim))


@pytest.mark.parametrize("dim", [1, 2, 3, 5])
def test_spearman_is_scipys(dim):
    embedding, truth = _points(0, dim=dim), _points(1)
    # Rounding makes ties, whose mean rank is what an own implementation gets wrong first.
    embedding = embedding.round(1)
    distances = [scipy.spatial.distance.pdist(points) for points in (embedding, truth)]
    expected = scipy.stats.spearmanr(*distances).statistic
    assert metrics.distance_spearman(embedding, truth) == pytest.approx(expected, abs=1e-12)


def test_spearman_by_hand():
    # Distances 1, 3, 2 and 2, 3, 1: ranks 1, 3, 2 and 2, 3, 1, so rho = 1 - 6 * 2 / (3 * 8).
    embedding, truth = np.array([[0.0], [1], [3]]), np.array([[0.0], [2], [3]])
    assert metrics.distance_spearman(embedding, truth) == pytest.approx(0.5)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_procrustes_is_scipys(dim):
    embedding, truth = _points(0, dim=dim), _points(1)
    padded = np.pad(embedding, ((0, 0), (0, 3 - dim)))
    _, _, expected = scipy.spatial.procrustes(truth, padded)
    assert metrics.procrustes_disparity(embedding, truth) == pytest.approx(expected, abs=1e-12)


def test_procrustes_of_a_flattened_cloud_is_what_the_plane_loses():
    truth = _points(3)
    centred = truth - truth.mean(axis=0)
    values, axes = np.linalg.eigh(centred.T @ centred)
    flat = centred @ axes[:, 1:]
    assert metrics.procrustes_disparity(flat, truth) == pytest.approx(values[0] / values.sum())


@given(seed=st.integers(0, 1000), scale=st.floats(0.1, 10), shift=st.floats(-5, 5))
def test_measures_ignore_rotation_scale_and_place(seed, scale, shift):
    truth = _points(seed)
    turn, _ = np.linalg.qr(_points(seed + 1, 3))
    moved = scale * truth @ turn + shift
    assert metrics.distance_spearman(moved, truth) == pytest.approx(1, abs=1e-9)
    assert metrics.procrustes_disparity(moved, truth) == pytest.approx(0, abs=1e-9)


def test_a_single_point_has_no_geometry():
    collapsed, truth = np.ones((10, 2)), _points(0, 10)
    assert np.isnan(metrics.distance_spearman(collapsed, truth))
    assert np.isnan(metrics.procrustes_disparity(collapsed, truth))
    assert not metrics.recovery(collapsed, truth).recovered


def test_recovered_begins_at_one_half():
    truth = _points(0)
    assert metrics.recovery(truth, truth) == pytest.approx((1, 0, True), abs=1e-9)
    unrelated = metrics.recovery(_points(1), truth)
    assert abs(unrelated.spearman) < 0.5
    assert not unrelated.recovered
