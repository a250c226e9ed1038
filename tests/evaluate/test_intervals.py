"""Intervals against SciPy and by hand, and the choice of a dimension."""

import numpy as np
import pytest
import scipy.stats

from colour_embed.evaluate.intervals import (
    bootstrap,
    bootstrap_interval,
    interquartile_mean,
    mean_interval,
    select_dimension,
    wilson_interval,
)


@pytest.mark.parametrize("level", [0.8, 0.95])
@pytest.mark.parametrize(("successes", "count"), [(0, 10), (5, 10), (10, 10), (1, 1), (37, 100)])
def test_wilson_is_scipys(successes, count, level):
    expected = scipy.stats.binomtest(successes, count).proportion_ci(level, method="wilson")
    result = wilson_interval(successes, count, level)
    assert result == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_by_hand():
    # At 0 of n the upper end is z^2 / (n + z^2), with z = 1.959964.
    assert wilson_interval(0, 10) == pytest.approx((0, 3.841459 / 13.841459))
    assert wilson_interval(0, 0) == (0, 1)
    with pytest.raises(ValueError, match="5 successes of 3"):
        wilson_interval(5, 3)


def test_interquartile_mean():
    values = np.random.default_rng(0).normal(size=(3, 12))
    expected = scipy.stats.trim_mean(values, 0.25, axis=1)
    np.testing.assert_allclose(interquartile_mean(values, axis=1), expected)
    np.testing.assert_allclose(interquartile_mean(values.T, axis=0), expected)
    # Of five: weights 0, 0.75, 1, 0.75, 0 over 2.5.
    assert interquartile_mean([np.inf, 4, 1, 2, -99]) == (0.75 + 2 + 0.75 * 4) / 2.5
    assert interquartile_mean([3.0]) == 3
    assert interquartile_mean([1.0, 2.0]) == 1.5
    assert np.isnan(interquartile_mean([1, 2, 3, np.nan]))
    assert np.isnan(interquartile_mean([]))


@pytest.mark.parametrize("level", [0.8, 0.95])
@pytest.mark.parametrize("count", [2, 3, 24])
def test_mean_interval_is_scipys(count, level):
    values = np.random.default_rng(count).normal(5, 2, count)
    error = scipy.stats.sem(values)
    expected = scipy.stats.t.interval(level, count - 1, loc=values.mean(), scale=error)
    assert mean_interval(values, level) == pytest.approx(expected, rel=1e-12)


def test_mean_interval_by_hand():
    # Two values have the mean 2, s = sqrt(2) and one degree of freedom, whose t is 12.7062.
    assert mean_interval([1.0, 3.0]) == pytest.approx((2 - 12.7062, 2 + 12.7062), abs=1e-4)
    assert mean_interval([2.0, 2.0, 2.0]) == (2, 2)
    for values in ([], [1.0], [1.0, 2.0, np.nan]):
        assert np.isnan(mean_interval(values)).all()


def test_bootstrap_interval_is_about_scipys_and_repeats():
    values = np.random.default_rng(0).normal(size=30)
    result = bootstrap_interval(values, np.mean)
    expected = scipy.stats.bootstrap((values,), np.mean, method="percentile", rng=1)
    assert result == pytest.approx(expected.confidence_interval, abs=0.03)
    assert result == bootstrap_interval(values, np.mean)
    assert result != bootstrap_interval(values, np.mean, seed=1)
    low, high = bootstrap_interval(values, interquartile_mean, level=0.5)
    assert low < interquartile_mean(values) < high


def test_bootstrap_of_too_little():
    assert bootstrap_interval([2.0, 2.0], np.mean) == (2, 2)
    for values in ([], [1.0], [1.0, np.nan]):
        assert np.isnan(bootstrap_interval(values, np.mean)).all()


def test_bootstrap_in_parts_draws_the_same(monkeypatch):
    whole = bootstrap(lambda draws: draws, 7, 20, seed=3)
    monkeypatch.setattr("colour_embed.evaluate.intervals._DRAWN", 24)
    sizes = []

    def statistic(draws):
        sizes.append(len(draws))
        return draws

    np.testing.assert_array_equal(bootstrap(statistic, 7, 20, seed=3), whole)
    assert sizes == [3] * 6 + [2]
    assert whole.min() == 0
    assert whole.max() == 6


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
    assert select_dimension([1, 2, 3, 4], mean, error) == expected
    turned = [list(reversed(values)) for values in ([1, 2, 3, 4], mean, error)]
    assert select_dimension(*turned) == expected


def test_no_dimension_to_select():
    with pytest.raises(ValueError, match="no dimension"):
        select_dimension([1, 2], [np.nan] * 2, [0, 0])
