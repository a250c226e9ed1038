"""Members trained as one come to what each comes to alone."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from epochs import run_epochs

from colour_embed import sweeps, train
from colour_embed.config import Config
from colour_embed.data import load_colours, tutorial_pairs
from colour_embed.engine import memory
from colour_embed.engine.batches import PackedPairs, device_pairs
from colour_embed.engine.start import init_training
from colour_embed.engine.state import member_keys
from colour_embed.evaluate import tables
from colour_embed.heads import HEADS
from colour_embed.model import embedding_vectors

COLOURS = load_colours()
PAIRS = tutorial_pairs(COLOURS, 3000)
ITEMS = len(COLOURS)


def _both_ways(config, members, epochs, kind=jnp.float32):
    """(as one, vmapped) of members with starts of their own, in one and in two dimensions.

    Unit rows in one dimension have no gradient, so that rounding would be all that is compared.
    """
    pairs = PackedPairs.of(device_pairs(PAIRS, len(COLOURS)))
    order = member_keys(np.uint32(9))

    def start(seed):
        keys = member_keys(seed)
        dim = config.dim if config.normalise else 1 + seed % config.dim
        return init_training(config, ITEMS, keys, config.hyperparams(), dim=dim)

    def transform(training, metrics):
        return metrics, embedding_vectors(config, training.state.params)

    training = jax.vmap(start)(jnp.arange(members, dtype=jnp.uint32))
    training = jax.tree.map(lambda x: x.astype(kind) if x.dtype.kind == "f" else x, training)
    arguments = (order, pairs, jnp.asarray(epochs, jnp.int32))
    run = functools.partial(run_epochs, config, transform=transform)
    as_one = jax.jit(functools.partial(run, as_one=True))
    vmapped = jax.jit(jax.vmap(run, in_axes=(0, None, None, None)))
    return as_one(training, *arguments), vmapped(training, *arguments)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("normalise", [False, True])
def test_members_last_is_the_vmap_of_one(head, normalise):
    """To 1e-10, in float64; in float32 it is rounding that grows with the steps."""
    config = Config(dim=2, head=head, normalise=normalise)
    with jax.enable_x64(True):
        as_one, vmapped = _both_ways(config, 5, [1, 2, 3], jnp.float64)
        for found, expected in zip(jax.tree.leaves(as_one), jax.tree.leaves(vmapped)):
            assert found.shape == expected.shape
            assert found.dtype == expected.dtype
            largest = np.abs(np.asarray(expected, float)).max()
            assert np.abs(np.asarray(found, float) - expected).max() <= 1e-10 * largest
    assert as_one[1][0].loss.shape == (len(as_one[0].diverged), 3)


def test_a_member_that_is_nan_stands_still_beside_the_others():
    config = Config(dim=2)
    pairs = PackedPairs.of(device_pairs(PAIRS, len(COLOURS)))
    keys = member_keys(np.uint32(0))

    def start(seed):
        return init_training(config, ITEMS, member_keys(seed), config.hyperparams(), dim=2)

    training = jax.vmap(start)(jnp.arange(3, dtype=jnp.uint32))
    bias = training.state.params["dense"]["bias"].at[0].set(jnp.nan)
    training.state.params["dense"]["bias"] = bias
    loss = {"transform": lambda training, metrics: metrics.loss}
    run = functools.partial(run_epochs, config, **loss, as_one=True)
    # In two calls, so that the count of the member that stands still meets that of the others.
    after, first = run(training, keys, pairs, jnp.array([1, 2]))
    after, second = run(after, keys, pairs, jnp.array([3]))
    assert after.diverged.tolist() == [1, 0, 0]
    assert np.isnan(first[0]).all()
    steps = -(-3000 // config.batch_size)
    assert after.state.opt_state.count.tolist() == [0, 3 * steps, 3 * steps]
    for place in (1, 2):
        first_state = start(jnp.uint32(place))
        alone = run_epochs(config, first_state, keys, pairs, jnp.arange(1, 4), **loss)[1]
        np.testing.assert_allclose(np.append(first[place], second[place]), alone, rtol=1e-5)


def test_a_sweep_of_one_order_is_members_last_and_its_metrics_agree():
    pairs = tutorial_pairs(COLOURS, 20_000)
    config, vary = Config(epochs=300, seed=4), ("init",)
    members = sweeps.grid(config, [0, 3, 4], [2, 3])
    plan = sweeps.plan_sweep(config, ITEMS, pairs, members, vary=vary, devices=jax.devices()[:1])
    assert plan.members_last
    found = sweeps.sweep(config, ITEMS, pairs, [0, 3, 4], [2, 3], vary=vary)
    fitted = train.fit(Config(epochs=300, seed=4, dim=2), ITEMS, pairs)
    member = found.member(seed=4, dim=2)
    assert member.kernel == pytest.approx(fitted.kernel, rel=1e-3)
    assert member.loss[-1] == pytest.approx(fitted.loss[-1], abs=5e-4)
    alone = sweeps.sweep(config, ITEMS, pairs, [4], [2], vary=vary)
    expected = tables.evaluate_members(alone, COLOURS.rgb, pairs)
    place = found.members.index(alone.members[0])
    for name, values in tables.evaluate_members(found, COLOURS.rgb, pairs).items():
        assert values[place] == pytest.approx(expected[name][0], abs=5e-4), name


def test_members_that_differ_in_a_step_are_not_members_last():
    config = Config(epochs=2)

    class Device:
        def __init__(self, platform="cpu"):
            self.platform = platform

    def plan(config=config, vary=("init",), axes=None, devices=None):
        members = sweeps.grid(config, [0, 1], [2], axes)
        swept = tuple(axes or ())
        return sweeps.plan_sweep(
            config, ITEMS, PAIRS, members, swept=swept, vary=vary, devices=devices or [Device()]
        )

    assert plan().members_last
    assert plan(axes={"initial_scale": [0.01, 0.1]}).members_last
    assert not plan(vary=("init", "order")).members_last
    assert not plan(vary=("init", "labels")).members_last
    assert not plan(vary=("init", "pairs")).members_last
    assert plan(axes={"learning_rate": [1e-3, 1e-2]}).members_last
    assert not plan(axes={"label_constant": [0.1, 0.2]}).members_last
    assert not plan(Config(epochs=2, optimizer="sgd")).members_last
    assert not plan(devices=[Device(), Device()]).members_last  # one member on each
    assert plan(devices=[Device("gpu")]).members_last


def test_batches_and_chunks_change_nothing(monkeypatch):
    config = Config(epochs=20)
    whole = sweeps.sweep(
        config, ITEMS, PAIRS, range(5), [2], vary=["init"], snapshots=3, schedule=[0, 20]
    )
    monkeypatch.setattr(memory, "LAST_PER_CORE", 2)
    monkeypatch.setattr(sweeps, "CHUNK", 7)
    cut = sweeps.sweep(
        config, ITEMS, PAIRS, range(5), [2], vary=["init"], snapshots=3, schedule=[0, 20]
    )
    for name, values in whole.arrays().items():
        expected = values.astype(float)
        assert cut.arrays()[name].shape == values.shape
        assert np.abs(cut.arrays()[name] - expected).max() <= 1e-5 * np.abs(expected).max(), name
