"""Covariances and ellipses of positions: alignment, Hotelling's factor, coverage, invariances."""

import doctest

import numpy as np
import pytest
from scipy.stats import chi2, ortho_group
from scipy.stats import f as f_distribution

from colour_embed.evaluate import uncertainty
from colour_embed.evaluate.uncertainty import (
    aligned_to,
    ellipse,
    ellipse_coverage,
    generalised_procrustes,
    has_origin,
    map_scale,
    position_covariance,
)


def test_the_examples_run():
    assert doctest.testmod(uncertainty).failed == 0


def moved(maps, seed, shift=True):
    """Each map turned, reflected or not, and shifted at random."""
    rng = np.random.default_rng(seed)
    dim = maps.shape[-1]
    turns = np.array([ortho_group.rvs(dim, random_state=rng) for _ in maps]) if dim > 1 else 1
    turned = maps @ turns if dim > 1 else maps * rng.choice([-1, 1], (len(maps), 1, 1))
    return turned + (10 * rng.normal(size=(len(maps), 1, dim)) if shift else 0)


def clouds(items=30, dim=2, draws=40, seed=0, spread=0.05):
    """A map, the root of each item's covariance, and draws about it."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(items, dim))
    root = spread * rng.normal(size=(items, dim, dim))
    noise = np.einsum("ijk,bik->bij", root, rng.normal(size=(draws, items, dim)))
    return truth, root, truth + noise


# Units


@pytest.mark.parametrize(
    ("head", "normalise", "expected"),
    [
        ("free", False, 2),
        ("negative", False, 2),
        ("dot", False, 2),
        ("matched", False, 4),
        ("inverse", False, 1),
        ("free", True, 1),
    ],
)
def test_maps_are_scaled_by_what_the_weight_undoes(head, normalise, expected):
    assert map_scale(head, normalise, -4.0) == expected


def test_dot_products_and_unit_vectors_have_an_origin():
    assert has_origin("dot", False)
    assert has_origin("free", True)
    assert not has_origin("matched", False)


# Alignment


def test_scaled_and_moved_maps_come_back_to_the_reference():
    truth, *_ = clouds()
    scale = np.array([0.5, 2.0, 3.0])
    draws = moved(truth / scale[:, None, None], 1)
    np.testing.assert_allclose(aligned_to(truth, draws, scale), [truth] * 3, atol=1e-9)


def test_without_shift_maps_are_turned_about_the_origin():
    truth, *_ = clouds()
    truth += 3
    draws = moved(np.stack([truth] * 3), 1, shift=False)
    np.testing.assert_allclose(aligned_to(truth, draws, shift=False), [truth] * 3, atol=1e-9)
    away = aligned_to(truth, draws + 1, shift=False)
    np.testing.assert_allclose(np.linalg.norm(away, axis=2), np.linalg.norm(draws + 1, axis=2))


def test_items_that_are_nan_in_a_draw_do_not_count_for_its_alignment():
    truth, _, draws = clouds()
    draws = moved(draws, 2)
    gone = draws.copy()
    gone[0, :4] = np.nan
    found = aligned_to(truth, gone)
    assert np.isnan(found[0, :4]).all()
    np.testing.assert_allclose(found[0, 4:], aligned_to(truth[4:], gone[:1, 4:])[0], atol=1e-9)
    np.testing.assert_allclose(found[1:], aligned_to(truth, draws)[1:], atol=1e-9)


def test_items_unknown_in_the_reference_are_moved_with_the_others():
    truth, *_ = clouds()
    reference = truth.copy()
    reference[:4] = np.nan
    draws = moved(truth[None], 3)
    np.testing.assert_allclose(aligned_to(reference, draws)[0], truth, atol=1e-9)


def test_a_draw_that_diverged_is_nan():
    truth, _, draws = clouds(draws=3)
    draws[1] = np.nan
    assert np.isnan(aligned_to(truth, draws)).all(axis=(1, 2)).tolist() == [False, True, False]


def test_shapes_that_do_not_match_are_refused():
    with pytest.raises(ValueError, match=r"draws has the shape \(2, 3, 2\)"):
        aligned_to(np.zeros((3, 3)), np.zeros((2, 3, 2)))


# Covariance and mean configuration


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_moving_the_draws_changes_no_covariance(dim):
    truth, _, draws = clouds(dim=dim)
    draws[3, 5] = np.nan
    one, other = (position_covariance(truth, maps) for maps in (draws, moved(draws, 4)))
    np.testing.assert_allclose(one.covariance, other.covariance, atol=1e-10)
    assert one.draws.tolist() == other.draws.tolist() == [40 - (i == 5) for i in range(30)]


def test_covariances_are_those_of_the_clouds():
    # Many items fix the alignment, so that it takes little off.
    truth, root, draws = clouds(items=300, draws=2000)
    expected = root @ np.swapaxes(root, 1, 2)
    found = position_covariance(truth, moved(draws, 5)).covariance
    size = np.trace(expected, axis1=1, axis2=2)[:, None, None]
    assert np.abs((found - expected) / size).max() < 0.2
    assert np.mean(found - expected) / np.mean(size) == pytest.approx(0, abs=0.01)


def test_the_covariance_is_about_the_mean_and_unbiased():
    line = np.array([[-1.0], [0], [1]])
    draws = line + np.array([[[0.1], [-0.2], [0.1]], [[0.3], [-0.6], [0.3]]])
    found = position_covariance(line, draws).covariance.ravel()
    np.testing.assert_allclose(found, [0.02, 0.08, 0.02])


def test_an_item_in_fewer_than_two_draws_has_no_covariance():
    truth, _, draws = clouds(draws=3)
    draws[1:, 0] = draws[:, 1] = np.nan
    found = position_covariance(truth, draws)
    assert found.draws[:3].tolist() == [1, 0, 3]
    assert np.isnan(found.covariance[:3]).all(axis=(1, 2)).tolist() == [True, True, False]


def test_the_mean_configuration_is_the_fixed_point_and_does_not_depend_on_motions():
    truth, _, draws = clouds(items=10, draws=50)
    draws[0, 2] = draws[7, 3] = np.nan
    mean = generalised_procrustes(draws)
    np.testing.assert_allclose(np.nanmean(aligned_to(mean, draws), axis=0), mean, atol=1e-8)
    other = generalised_procrustes(moved(draws, 6))
    np.testing.assert_allclose(aligned_to(mean, other[None])[0], mean, atol=1e-7)
    assert np.abs(aligned_to(truth, mean[None])[0] - truth).max() < 0.05


def test_the_mean_configuration_has_items_that_its_first_map_lacks():
    truth, _, draws = clouds(items=10, draws=6)
    for draw in range(6):
        draws[draw, draw] = np.nan
    draws[:, 9] = np.nan
    mean = generalised_procrustes(moved(draws, 7))
    assert np.isnan(mean).any(axis=1).tolist() == [False] * 9 + [True]
    assert np.nanmax(np.abs(aligned_to(truth, mean[None])[0] - truth)) < 0.2


# Ellipses


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("draws", [5, 20, 200])
def test_radii_are_those_of_hotelling(dim, draws):
    quantile = f_distribution.ppf(0.9, dim, draws - dim)
    expected = np.sqrt(dim * (draws - 1) / (draws - dim) * quantile)
    np.testing.assert_allclose(ellipse(np.eye(dim), draws, 0.9).radii, expected)
    many = ellipse(np.eye(dim), 10**7, 0.9).radii
    np.testing.assert_allclose(many, np.sqrt(chi2.ppf(0.9, dim)), rtol=1e-5)


def test_axes_are_those_of_the_covariance_and_turn_with_it():
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    found = ellipse(turn @ np.diag([1.0, 9.0]) @ turn.T, 20)
    assert found.radii[0] == pytest.approx(3 * found.radii[1])
    np.testing.assert_allclose(np.abs(found.axes[:, 0]), np.abs(turn[:, 1]))


def test_too_few_draws_have_no_ellipse():
    found = ellipse(np.stack([np.eye(2), np.eye(2), np.full((2, 2), np.nan)]), [2, 3, 9])
    assert np.isnan(found.radii).all(axis=1).tolist() == [True, False, True]


@pytest.mark.parametrize(("dim", "draws"), [(1, 8), (2, 8), (2, 60), (3, 20)])
def test_ellipses_hold_the_truth_as_often_as_they_should(dim, draws):
    items, fits = 60, 150
    truth, root, made = clouds(items, dim, fits, seed=dim)
    rng = np.random.default_rng(draws)
    made = moved(made, 8)
    spreads = []
    for fit in made:
        # Of a fit with the true covariance, in the fit's own orientation.
        back = aligned_to(truth, fit[None])[0]
        noise = np.einsum("ijk,bik->bij", root, rng.normal(size=(draws, items, dim)))
        spreads.append(position_covariance(fit, moved(back + noise, 9)))
    found = ellipse_coverage(
        made, [one.covariance for one in spreads], [one.draws for one in spreads], truth
    )
    assert found.positions == items * fits
    assert 0.001 < found.error < 0.006
    # The alignment takes d (d + 1) / 2 of the 60 d degrees of freedom off both.
    assert found.share == pytest.approx(0.95, abs=4 * found.error + 0.003)


def test_the_error_of_coverage_is_clustered_by_fit():
    fits = np.array([[[-2.0], [0.0], [2.0]]] * 2)
    expected = np.array([[-1.8], [-0.1], [1.9]])  # centred on the fits: apart by 0.2, -0.1, -0.1
    covariances = np.full((2, 3, 1, 1), 0.1**2)
    covariances[1] = 0.01**2
    found = ellipse_coverage(fits, covariances, 1000, expected)
    # The first fit's ellipses reach 0.196, the second's 0.0196: 2 and 0 of 3 are hit.
    assert found.share == pytest.approx(1 / 3)
    assert found.error == pytest.approx(np.sqrt(2 * (1 + 1)) / 6)
    assert np.isnan(ellipse_coverage(fits[:1], covariances[:1], 1000, expected).error)


def test_positions_without_an_ellipse_do_not_count_for_coverage():
    fits = np.array([[[-2.0], [0.0], [2.0]]])
    found = ellipse_coverage(fits, np.full((1, 3, 1, 1), np.nan), 9, fits[0])
    assert np.isnan(found.share)
    assert found.positions == 0
    fits = np.concatenate([fits, fits])
    fits[1, 2] = np.nan
    assert ellipse_coverage(fits, np.full((2, 3, 1, 1), 0.01), 9, fits[0])[::2] == (1.0, 5)
