"""Poisson weights from a hash: their distribution, their independence, equal bits in JAX."""

import doctest
from decimal import Decimal, getcontext

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import chi2, poisson

from colour_embed.engine import bootstrap
from colour_embed.engine.bootstrap import pair_ids, poisson_weights


def test_the_examples_run():
    assert doctest.testmod(bootstrap).failed == 0


def test_thresholds_are_the_distribution_function_of_poisson():
    getcontext().prec = 50
    total, factorial, expected = Decimal(0), 1, []
    for k in range(12):
        factorial *= max(k, 1)
        total += 1 / Decimal(factorial)
        expected.append(int((2**32 * total / Decimal(1).exp()).to_integral_value()))
    assert list(bootstrap._THRESHOLDS) == expected


def test_weights_are_poisson_for_each_member():
    weights = poisson_weights(np.arange(200)[None], np.arange(20_000)[:, None])
    assert weights.dtype == np.uint32
    counts = np.stack([np.bincount(np.minimum(one, 6), minlength=7) for one in weights.T])
    share = np.append(poisson.pmf(np.arange(6), 1), poisson.sf(5, 1))
    statistic = np.sum((counts - 20_000 * share) ** 2 / (20_000 * share), axis=1)
    assert chi2.sf(statistic.sum(), 6 * 200) > 0.001
    assert chi2.sf(statistic.max(), 6) > 0.001 / 200
    size = weights.size
    assert abs(weights.mean() - 1) < 4 / np.sqrt(size)
    assert abs(weights.var() - 1) < 4 * np.sqrt(3 / size)  # the variance of (X - 1)^2 is 3


def test_members_and_neighbouring_pairs_are_independent():
    weights = poisson_weights(np.arange(100)[None], np.arange(10_000)[:, None]).astype(float)
    standard = (weights - weights.mean(axis=0)) / weights.std(axis=0)
    between = (standard.T @ standard / 10_000)[np.triu_indices(100, 1)]
    assert np.abs(between).max() < 5 / np.sqrt(10_000)
    assert abs(np.sum(between**2) * 10_000 / len(between) - 1) < 4 * np.sqrt(2 / len(between))
    neighbours = np.mean(standard[1:] * standard[:-1], axis=0) * np.sqrt(9999)
    assert abs(np.mean(neighbours**2) - 1) < 4 * np.sqrt(2 / 100)


def test_no_two_members_have_the_same_weights_for_shifted_pairs():
    """Neither seed + pair nor seed ^ pair decides a weight."""
    seeds, pairs = np.arange(64)[None], np.arange(4096)[:, None]
    weights = poisson_weights(seeds, pairs)
    for moved in (pairs - seeds, pairs ^ seeds, pairs + seeds):
        same = poisson_weights(seeds, moved.astype(np.uint32))
        assert abs(np.mean(same[:, :1] == same[:, 1:]) - 0.3085) < 0.01  # sum of p_k^2
    assert len({column.tobytes() for column in weights.T}) == 64


def test_jax_gives_the_bits_of_numpy():
    seeds = np.array([0, 1, 7, 2**31, 2**32 - 1], np.uint32)
    pairs = np.concatenate([np.arange(1000), [2**31, 2**32 - 1]]).astype(np.uint32)
    compiled = jax.jit(lambda s, p: poisson_weights(s[None], p[:, None], jnp))
    found = np.asarray(compiled(seeds, pairs))
    assert found.dtype == np.uint32
    assert np.array_equal(found, poisson_weights(seeds[None], pairs[:, None]))


def test_weights_do_not_depend_on_company():
    alone = [int(poisson_weights(3, pair)) for pair in range(50)]
    assert alone == poisson_weights(3, np.arange(50)).tolist()


def test_ids_are_those_of_unordered_pairs():
    first, second = (part.ravel() for part in np.meshgrid(np.arange(70), np.arange(70)))
    ids = pair_ids(first, second, 70)
    assert np.array_equal(ids, pair_ids(second, first, 70))
    assert len(np.unique(ids)) == 70 * 71 // 2
    ends = np.array([65_535, 65_534]), np.array([65_534, 65_533])
    found = jax.jit(lambda a, b: pair_ids(a, b, 65_536, jnp))(*ends)
    assert found.tolist() == pair_ids(*ends, 65_536).tolist() == [4294901759, 4294836222]
