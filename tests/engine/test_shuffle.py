"""The order of the pairs: a bijection for every count, and no worse than chance.

The keys are fixed, so each statistic is the same in every run; the thresholds are those at which a
fair shuffle would fail once in ten thousand tries or less.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from colour_embed.engine import shuffle
from colour_embed.engine.shuffle import index_order

jitted_order = jax.jit(index_order, static_argnames="count")
LEAST_P = 1e-4
LARGE, BATCH = 100_000, 512


def order_of(count, seed=0):
    positions = np.arange(count, dtype=np.int32)
    return np.asarray(jitted_order(jax.random.key(seed), positions, count))


def many_orders(count, number, stream):
    """Orders under `number` keys: int32 [number, count]."""
    key, positions = jax.random.key(stream), jnp.arange(count)

    def one(i):
        return index_order(jax.random.fold_in(key, i), positions, count)

    return np.asarray(jax.jit(jax.vmap(one))(jnp.arange(number)))


# A bijection


@pytest.mark.parametrize(
    "count", [1, 2, 3, 646, 4093, 4095, 4096, 4097, 4098, 4099, 99_991, 100_000, 1_000_003]
)
def test_every_index_comes_once(count):
    order = order_of(count)
    assert order.dtype == np.int32
    np.testing.assert_array_equal(np.sort(order), np.arange(count))


@settings(max_examples=12)  # each compiles
@given(count=st.integers(1, 3000), seed=st.integers(0, 2**32 - 1))
@example(count=1, seed=0)
@example(count=2, seed=2**32 - 1)
def test_every_index_comes_once_for_any_count_and_key(count, seed):
    np.testing.assert_array_equal(np.sort(order_of(count, seed)), np.arange(count))


@pytest.mark.parametrize("count", [2**26 - 5, 2**31 - 1, 2**31])
def test_large_counts_stay_inside_and_do_not_collide(count):
    # 2**26 up, one half of the network may hold more than the hash's 2**16 values.
    positions = np.concatenate([np.arange(500), count - 1 - np.arange(500)])
    order = np.asarray(jitted_order(jax.random.key(0), positions.astype(np.uint32), count))
    assert order.min() >= 0
    assert order.max() < count
    assert len(np.unique(order)) == 1000


@pytest.mark.parametrize("count", [646, 4099, LARGE])
def test_a_part_of_the_order_needs_no_other_part(count):
    whole = order_of(count)
    chosen = np.random.default_rng(0).integers(0, count, (3, 41), dtype=np.int32)
    part = jitted_order(jax.random.key(0), chosen, count)
    assert part.shape == chosen.shape
    np.testing.assert_array_equal(part, whole[chosen])
    as_unsigned = jitted_order(jax.random.key(0), chosen.astype(np.uint32), count)
    np.testing.assert_array_equal(as_unsigned, part)


def test_other_keys_give_other_orders():
    orders = many_orders(100, 500, stream=0)
    assert len(np.unique(orders, axis=0)) == 500


@pytest.mark.parametrize("count", [97, 4099])  # both walk cycles, of different lengths per key
def test_keys_under_vmap_give_what_each_gives_alone(count):
    keys = jax.random.split(jax.random.key(1), 7)
    positions = jnp.arange(count)
    one = functools.partial(index_order, positions=positions, count=count)
    together = jax.jit(jax.vmap(lambda key: one(key)))(keys)
    alone = jax.jit(lambda key: one(key))
    for key, row in zip(keys, together):
        np.testing.assert_array_equal(row, alone(key))


@pytest.mark.parametrize("count", [0, -1, 2**32])
def test_count_out_of_range_is_refused(count):
    with pytest.raises(ValueError, match=f"count is {count}: it must lie in 1.."):
        index_order(jax.random.key(0), jnp.arange(3), count)


# As good as chance


@pytest.mark.parametrize("count", [3, 4, 5])
def test_all_permutations_are_equally_frequent(count):
    orders = many_orders(count, 40_000, stream=1)
    code = (orders * count ** np.arange(count)).sum(axis=1)
    seen = np.unique(code, return_counts=True)[1]
    frequency = np.zeros(math.factorial(count))
    frequency[: len(seen)] = seen
    assert stats.chisquare(frequency).pvalue > LEAST_P


def test_every_value_is_equally_frequent_at_every_position():
    count, number = 64, 20_000
    orders = many_orders(count, number, stream=2)
    table = np.stack([np.bincount(column, minlength=count) for column in orders.T])
    expected = number / count
    statistic = ((table - expected) ** 2 / expected).sum()
    # Rows and columns are both fixed in sum, hence (count - 1)^2 degrees of freedom.
    assert LEAST_P < stats.chi2.sf(statistic, (count - 1) ** 2) < 1 - LEAST_P


@functools.cache
def large_statistics(rounds, number=200):
    """p-values of orders of the tutorial's 100,000 pairs under `number` keys, by what they test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shuffle, "_ROUNDS_LARGE", rounds)
        key, positions = jax.random.key(3), jnp.arange(LARGE)
        one = jax.jit(lambda i: index_order(jax.random.fold_in(key, i), positions, LARGE))
        strides = (1, 2, 250, 400, 500, 25_000, 50_000)
        same = np.zeros(len(strides))
        differences, first_batch, fixed = np.zeros(1000), np.zeros(1000), 0
        batch_of = np.empty(LARGE, np.int16)
        batch_at = (np.arange(LARGE) // BATCH).astype(np.int16)
        for i in range(number):
            order = np.asarray(one(i))
            batch_of[order] = batch_at
            same += [np.mean(batch_of[:-stride] == batch_of[stride:]) for stride in strides]
            differences += np.bincount((order[1:] - order[:-1]) % LARGE // 100, minlength=1000)
            first_batch += np.bincount(order[:BATCH] // 100, minlength=1000)
            fixed += np.sum(order == np.arange(LARGE))
    sizes = np.bincount(batch_at).astype(float)
    chance = np.sum(sizes * (sizes - 1)) / (LARGE * (LARGE - 1))
    deviation = np.sqrt(chance / (number * (LARGE - np.array(strides))))
    values = {
        f"same batch at stride {stride}": 2 * stats.norm.sf(abs(z))
        for stride, z in zip(strides, (same / number - chance) / deviation)
    }
    values["differences of neighbours"] = stats.chisquare(differences).pvalue
    values["members of the first batch"] = stats.chisquare(first_batch).pvalue
    # A random permutation has Poisson(1) fixed points.
    least = min(stats.poisson.cdf(fixed, number), stats.poisson.sf(fixed - 1, number))
    values["fixed points"] = min(1.0, 2 * least)
    return values


def test_order_of_the_tutorials_pairs_can_not_be_told_from_chance():
    values = large_statistics(shuffle._ROUNDS_LARGE)
    assert min(values.values()) > LEAST_P, values


def test_two_rounds_are_told_from_chance():
    # The test above can fail: a network this short leaves traces.
    values = large_statistics(2)
    assert values["same batch at stride 1"] < 1e-12, values
    assert values["differences of neighbours"] < 1e-12, values
