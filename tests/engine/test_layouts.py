"""Members trained as one come to what each comes to alone."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from colour_embed import sweeps, train
from colour_embed.config import HEADS, Config
from colour_embed.data import load_colours, tutorial_pairs
from colour_embed.engine.layouts import run_stacked_epochs
from colour_embed.evaluate import tables
from colour_embed.model import item_vectors

COLOURS = load_colours()
PAIRS = tutorial_pairs(COLOURS, 3000)
DATA = sweeps.SweepData(len(COLOURS), PAIRS, COLOURS.rgb)


def _both_ways(config, members, epochs):
    """(stacked, vmapped) of members with starts of their own, in one and in two dimensions.

    Unit rows in one dimension have no gradient, so that rounding would be all that is compared.
    """
    pairs = train.PackedPairs.of(train.device_pairs(PAIRS, len(COLOURS)))
    numbers, order = config.numbers(), train.member_keys(np.uint32(9))

    def start(seed):
        keys = train.member_keys(seed)
        dim = config.dim if config.normalise else 1 + seed % config.dim
        return train.start_training(config, len(COLOURS), keys, numbers, dim=dim)

    def transform(training, metrics):
        return metrics, item_vectors(config, training.state.params)

    training = jax.vmap(start)(jnp.arange(members, dtype=jnp.uint32))
    arguments = (order, numbers, pairs, jnp.asarray(epochs))
    stacked = jax.jit(functools.partial(run_stacked_epochs, config, transform=transform))
    vmapped = jax.jit(
        jax.vmap(
            functools.partial(train.run_epochs, config, transform=transform),
            in_axes=(0, None, None, None, None),
        )
    )
    return stacked(training, *arguments), vmapped(training, *arguments)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("normalise", [False, True])
def test_stacked_is_the_vmap_of_one(head, normalise):
    config = Config(dim=2, head=head, normalise=normalise)
    stacked, vmapped = _both_ways(config, 5, [1, 2, 3])
    for found, expected in zip(jax.tree.leaves(stacked), jax.tree.leaves(vmapped)):
        assert found.shape == expected.shape
        assert found.dtype == expected.dtype
        largest = np.abs(np.asarray(expected, float)).max()
        assert np.abs(np.asarray(found, float) - expected).max() <= 1e-5 * largest
    assert stacked[1][0].loss.shape == (len(stacked[0].diverged), 3)


def test_a_member_that_is_nan_stands_still_beside_the_others():
    config = Config(dim=2)
    pairs = train.PackedPairs.of(train.device_pairs(PAIRS, len(COLOURS)))
    keys = train.member_keys(np.uint32(0))

    def start(seed):
        return train.start_training(
            config, len(COLOURS), train.member_keys(seed), config.numbers(), dim=2
        )

    training = jax.vmap(start)(jnp.arange(3, dtype=jnp.uint32))
    bias = training.state.params["dense"]["bias"].at[0].set(jnp.nan)
    training.state.params["dense"]["bias"] = bias
    run = functools.partial(
        run_stacked_epochs, config, transform=lambda training, metrics: metrics.loss
    )
    # In two calls, so that the count of the member that stands still meets that of the others.
    after, first = run(training, keys, config.numbers(), pairs, jnp.array([1, 2]))
    after, second = run(after, keys, config.numbers(), pairs, jnp.array([3]))
    assert after.diverged.tolist() == [1, 0, 0]
    assert np.isnan(first[0]).all()
    steps = -(-3000 // config.batch_size)
    assert after.state.optimizer_state.count.tolist() == [0, 3 * steps, 3 * steps]
    for place in (1, 2):
        alone = train.run_epochs(
            config,
            start(jnp.uint32(place)),
            keys,
            config.numbers(),
            pairs,
            jnp.arange(1, 4),
            transform=lambda training, metrics: metrics.loss,
        )[1]
        np.testing.assert_allclose(np.append(first[place], second[place]), alone, rtol=1e-5)


def test_the_sweep_stacks_what_shares_its_order_and_its_metrics_agree():
    data = sweeps.SweepData(len(COLOURS), tutorial_pairs(COLOURS, 20_000), COLOURS.rgb)
    config, vary = Config(epochs=300, seed=4), ("init",)
    members = sweeps.grid([0, 3, 4], [2, 3])
    assert sweeps.plan_memory(config, data, members, vary=vary).stacked
    found = sweeps.sweep(config, data, [0, 3, 4], [2, 3], vary=vary)
    fitted = train.fit(Config(epochs=300, seed=4, dim=2), len(COLOURS), data.pairs)
    member = found.member(seed=4, dim=2)
    assert member.kernel == pytest.approx(fitted.kernel, rel=1e-3)
    assert member.loss[-1] == pytest.approx(fitted.loss[-1], abs=5e-4)
    alone = sweeps.sweep(config, data, [4], [2], vary=vary)
    expected = tables.measure(alone, data, vary)
    place = found.members.index(alone.members[0])
    for name, values in tables.measure(found, data, vary).items():
        assert values[place] == pytest.approx(expected[name][0], abs=5e-4), name


def test_what_cannot_be_stacked_is_not():
    config = Config(epochs=2)

    def plan(config=config, vary=("init",), axes=None, **more):
        members = sweeps.grid([0, 1], [2], axes)
        return sweeps.plan_memory(config, DATA, members, vary=vary, **more)

    assert plan().stacked
    assert plan(axes={"initial_scale": [0.01, 0.1]}).stacked
    assert not plan(vary=("init", "order")).stacked
    assert not plan(vary=("init", "labels")).stacked
    assert not plan(vary=("init", "pairs")).stacked
    assert not plan(axes={"learning_rate": [1e-3, 1e-2]}).stacked
    assert not plan(axes={"label_constant": [0.1, 0.2]}).stacked
    assert not plan(Config(epochs=2, optimizer="sgd")).stacked
    assert not plan(devices=2).stacked  # one member on each
    assert not plan(accelerator=True).stacked


def test_stacked_waves_and_chunks_change_nothing(monkeypatch):
    config = Config(epochs=20)
    whole = sweeps.sweep(config, DATA, range(5), [2], vary=["init"], snapshots=3, schedule=[0, 20])
    monkeypatch.setattr(sweeps, "STACKED_PER_CORE", 2)
    monkeypatch.setattr(sweeps, "CHUNK", 7)
    cut = sweeps.sweep(config, DATA, range(5), [2], vary=["init"], snapshots=3, schedule=[0, 20])
    for name, values in whole.arrays().items():
        expected = values.astype(float)
        assert cut.arrays()[name].shape == values.shape
        assert np.abs(cut.arrays()[name] - expected).max() <= 1e-5 * np.abs(expected).max(), name
