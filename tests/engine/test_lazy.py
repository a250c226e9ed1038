"""Lazy Adam: plain Adam where all is touched, NumPy's where it is not, and stillness elsewhere."""

import dataclasses
import functools
import operator

import epochs
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference

from colour_embed.config import Config, InputError
from colour_embed.data import Pairs
from colour_embed.engine.batches import PackedPairs, device_pairs, epoch_order
from colour_embed.engine.layouts import as_it_is
from colour_embed.engine.lazy import LazyState
from colour_embed.engine.optimizers import make_optimizer
from colour_embed.engine.start import init_training
from colour_embed.engine.state import Batch, member_keys
from colour_embed.heads import HEADS
from colour_embed.model import logits
from colour_embed.train import make_step, train_step

ITEMS, COUNT, BATCH = 30, 75, 16  # five steps an epoch, the last of 11 pairs
LAZY = {"optimizer": "lazy_adam", "learning_rate": 0.01}
CONFIG = Config(dim=3, batch_size=BATCH, initial_scale=0.3, **LAZY)


def make_pairs(count=COUNT, items=ITEMS, seed=0, weighted=False):
    generator = np.random.default_rng(seed)
    index = generator.integers(0, items, (count, 2), dtype=np.int32)
    label = generator.integers(0, 2, count).astype(np.float32)
    weight = generator.uniform(0, 2, count) if weighted else np.ones(count)
    return Pairs(index, label, weight.astype(np.float32))


def start(config=CONFIG, items=ITEMS, seed=3):
    keys = member_keys(np.uint32(seed))
    return keys, init_training(config, items, keys, config.hyperparams())


def jit_step(config):
    return jax.jit(make_step(config, config.hyperparams(), as_it_is()))


def some_batch(first, second, seed=0, weighted=False):
    generator = np.random.default_rng(seed)
    size = len(first)
    weight = generator.dirichlet(np.ones(size)) if weighted else np.full(size, 1 / size)
    label = generator.integers(0, 2, size)
    floats = (jnp.asarray(values, jnp.float32) for values in (label, weight))
    return Batch(jnp.asarray(first, jnp.int32), jnp.asarray(second, jnp.int32), *floats)


@functools.partial(jax.jit, static_argnames="config")
def _run(config, *arguments):
    return epochs.run_epochs(config, *arguments, transform=lambda training, metrics: metrics)


def run_epochs(config, training, keys, pairs, numbers):
    return _run(config, training, keys, pairs, np.asarray(numbers, np.int32))


def assert_close(found, expected, tolerance):
    for ours, theirs in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


# One step


@pytest.mark.parametrize(("head", "normalise"), [*((h, False) for h in HEADS), ("free", True)])
def test_where_every_row_is_touched_it_is_adam(head, normalise):
    """Items come twice or more often, five pairs are of an item with itself, some have weights."""
    config = Config(dim=3, head=head, normalise=normalise, initial_scale=0.5, **LAZY)
    optimizer = make_optimizer(config, config.hyperparams())
    state = start(config)[1].state
    dense = state._replace(opt_state=state.opt_state.adam)
    lazily, logits_fn = jit_step(config), functools.partial(logits, config)
    densely = jax.jit(functools.partial(train_step, logits_fn=logits_fn, optimizer=optimizer))
    for step in range(60):
        order = np.random.default_rng(step).permutation(ITEMS)
        first, second = np.append(order, order[:5]), np.append(np.roll(order, 1), order[:5])
        batch = some_batch(first, second, step, weighted=step % 2 == 1)
        state, metrics = lazily(state, batch)
        dense, expected = densely(dense, batch)
        np.testing.assert_allclose(metrics, expected, rtol=1e-4)
    assert state.opt_state.adam.count == 60
    lazy = state.params, state.opt_state.adam
    assert_close(lazy, (dense.params, dense.opt_state), 1e-4)


def test_rows_that_no_pair_names_stay_bit_for_bit():
    step = jit_step(CONFIG)
    state = start()[1].state
    # So that the means have something to forget.
    everything = some_batch(np.arange(ITEMS), np.roll(np.arange(ITEMS), 1))
    state, _ = step(state, everything)
    few = some_batch([4, 4, 7, 9], [7, 4, 4, 21])
    touched = np.isin(np.arange(ITEMS), [4, 7, 9, 21])
    after, _ = step(state, few)
    after, _ = step(after, few)
    tables = [
        [np.asarray(tree["embedding"]["embedding"]) for tree in (state.params, *memory)]
        for state in (state, after)
        for memory in [state.opt_state.adam[1:]]
    ]
    for before, now in zip(*tables):
        np.testing.assert_array_equal(now[~touched], before[~touched])
        assert (now[touched] != before[touched]).all()


def test_a_name_that_comes_again_in_a_batch_counts_again():
    """Three times the same pair, the sides exchanged once: the gradient of one pair."""
    state, step = start()[1].state, jit_step(CONFIG)
    alike = jnp.ones(3, jnp.float32)
    thrice = Batch(jnp.array([5, 8, 5]), jnp.array([8, 5, 8]), alike, alike / 3)
    once = Batch(jnp.array([5]), jnp.array([8]), alike[:1], alike[:1])
    found, expected = (step(state, batch)[0] for batch in (thrice, once))
    assert_close(found.params, expected.params, 1e-6)


# Epochs


@pytest.mark.parametrize(("packed", "weighted"), [(False, False), (True, False), (False, True)])
def test_epochs_are_those_of_the_formulas(packed, weighted):
    """Five steps an epoch name about half of the items each; the last one is short."""
    pairs = make_pairs(weighted=weighted)
    on_device = device_pairs(pairs, ITEMS)
    keys, training = start()
    after, metrics = run_epochs(
        CONFIG, training, keys, PackedPairs.of(on_device) if packed else on_device, range(1, 7)
    )
    order = [
        np.ravel(epoch_order(jax.random.fold_in(keys.order, number), COUNT, BATCH))[:COUNT]
        for number in range(1, 7)
    ]
    params, loss, mse = reference.train(
        training.state.params,
        pairs.index,
        pairs.label,
        order,
        BATCH,
        learning_rate=0.01,
        weight=pairs.weight / np.mean(pairs.weight, dtype=np.float64),
        lazy=True,
    )
    np.testing.assert_allclose(metrics.loss, loss, rtol=1e-5)
    np.testing.assert_allclose(metrics.mse, mse, rtol=1e-5)
    assert_close(after.state.params, params, 2e-5)
    plain = reference.train(
        training.state.params, pairs.index, pairs.label, order, BATCH, learning_rate=0.01
    )[0]
    moved = np.abs(plain["embedding"]["embedding"] - params["embedding"]["embedding"])
    assert moved.max() > 1e-3  # so that what was compared is not plain Adam


def test_where_every_step_takes_all_pairs_it_is_the_dense_training():
    """A batch of all pairs, and more room than pairs; what fills it up has no weight."""
    pairs = make_pairs(count=60, items=10)
    config = Config(dim=2, batch_size=64, **LAZY)
    on_device = device_pairs(pairs, 10)
    keys, training = start(config, items=10)
    after, metrics = run_epochs(config, training, keys, on_device, range(1, 101))
    plain = dataclasses.replace(config, optimizer="keras_adam")
    dense = init_training(plain, 10, keys, config.hyperparams())
    jax.tree.map(np.testing.assert_array_equal, training.state.params, dense.state.params)
    expected, dense_metrics = run_epochs(plain, dense, keys, on_device, range(1, 101))
    np.testing.assert_allclose(metrics.loss, dense_metrics.loss, rtol=1e-5)
    assert_close(after.state.params, expected.state.params, 1e-4)


def test_items_that_no_pair_names_stay_where_they_started():
    pairs = make_pairs(items=ITEMS - 4)
    keys, training = start()
    after, _ = run_epochs(CONFIG, training, keys, device_pairs(pairs, ITEMS), range(1, 4))
    before, now = (
        np.asarray(each.state.params["embedding"]["embedding"]) for each in (training, after)
    )
    np.testing.assert_array_equal(now[-4:], before[-4:])
    assert (now[:-4] != before[:-4]).all()


def test_epochs_in_two_calls_are_those_in_one():
    pairs = device_pairs(make_pairs(), ITEMS)
    keys, training = start()
    whole, _ = run_epochs(CONFIG, training, keys, pairs, [1, 2, 3, 4])
    half, _ = run_epochs(CONFIG, training, keys, pairs, [1, 2])
    parts, _ = run_epochs(CONFIG, half, keys, pairs, [3, 4])
    jax.tree.map(np.testing.assert_array_equal, parts, whole)


def test_trainings_after_one_another_are_those_alone():
    """Under lax.map, as restarts are trained."""
    pairs = device_pairs(make_pairs(), ITEMS)
    started = [start(seed=seed) for seed in (3, 4, 5)]
    together = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(each for _, each in started))
    keys = started[0][0]

    def run(training):
        return epochs.run_epochs(
            CONFIG,
            training,
            keys,
            pairs,
            jnp.arange(1, 4),
            transform=lambda training, metrics: metrics.loss,
        )

    mapped, losses = jax.jit(functools.partial(jax.lax.map, run))(together)
    assert losses.shape == (3, 3)
    alone_run = jax.jit(run)
    for place, (_, training) in enumerate(started):
        alone, loss = alone_run(training)
        np.testing.assert_allclose(losses[place], loss, rtol=1e-6)
        of_one = jax.tree.map(operator.itemgetter(place), mapped.state.params)
        assert_close(of_one, alone.state.params, 1e-6)


def test_a_training_that_diverged_stands_still():
    pairs = device_pairs(make_pairs(), ITEMS)
    keys, training = start()
    before, _ = run_epochs(CONFIG, training, keys, pairs, [1])
    spoilt = before.state.params | {"dense": {"kernel": jnp.full((1, 1), jnp.inf)}}
    spoilt["dense"]["bias"] = before.state.params["dense"]["bias"]
    broken = before._replace(state=before.state._replace(params=spoilt))
    after, metrics = run_epochs(CONFIG, broken, keys, pairs, [2, 3, 4])
    assert after.diverged == 2
    assert np.isnan(metrics.loss).all()
    jax.tree.map(np.testing.assert_array_equal, after.state, broken.state)


def test_its_state_is_adams_and_a_place_for_each_item():
    _, training = start()
    state = training.state.opt_state
    assert isinstance(state, LazyState)
    assert (state.place.shape, state.place.dtype) == ((ITEMS,), jnp.int32)
    assert state.adam.count == 0


def test_options_are_refused():
    config = Config(optimizer="lazy_adam", optimizer_options={"weight_decay": 0.1})
    with pytest.raises(InputError, match="lazy_adam takes no options: set beta1"):
        start(config)
