"""The bootstrap of positions: what is repeated, what is weighed, and what comes of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from versions import same_bits_in_company

import colour_embed as ce
from colour_embed import sweeps
from colour_embed.config import InputError
from colour_embed.data import Pairs
from colour_embed.pairs import positions
from colour_embed.pairs.fit import fit_pairs

ITEMS = 12


def _pairs(count=600, seed=0):
    """Pairs of items on a line, of which the last is in few."""
    random = np.random.default_rng(seed)
    index = random.integers(0, ITEMS, (count, 2)).astype(np.int32)
    index = index[index[:, 0] != index[:, 1]]
    rare = (index == ITEMS - 1).any(axis=1)
    index = index[~rare | (np.cumsum(rare) <= 6)]
    near = np.abs(np.diff(index, axis=1)[:, 0])
    label = random.uniform(size=len(index)) < np.exp(-near / 3)
    return Pairs(index, label.astype(np.float32))


@pytest.fixture(scope="module")
def fit():
    config = ce.Config(dim=2, head="negative", learning_rate=0.02)
    stopping = ce.Stopping(max_steps=3000, evaluate_every=50)
    return fit_pairs(config, ITEMS, _pairs(), restarts=3, stopping=stopping)


@same_bits_in_company
@pytest.mark.parametrize("drops", [0, 2])
def test_a_draw_of_equal_weights_is_the_fit(monkeypatch, drops):
    """Bit for bit: the same initial values, order, epochs, rates and drops."""
    config = ce.Config(dim=2, head="negative", learning_rate=0.02)
    rule = ce.Stopping(max_steps=3000, evaluate_every=20, patience=4, drops=drops)
    fitted = fit_pairs(config, ITEMS, _pairs(), restarts=3, stopping=rule)

    def ones(seed, pair, xp):
        return jnp.ones(jnp.broadcast_shapes(jnp.shape(seed), jnp.shape(pair)), jnp.uint32)

    monkeypatch.setattr(sweeps, "poisson_weights", ones)
    jax.clear_caches()
    vectors, kernel = positions.bootstrap_maps(fitted, _pairs(), 5)
    jax.clear_caches()
    for draw in range(5):
        np.testing.assert_array_equal(vectors[draw][:-1], fitted.embedding[:-1])
    assert set(kernel.tolist()) == {fitted.kernel}


def test_rare_items_are_the_least_certain(fit):
    spread = positions.bootstrap_positions(fit, _pairs(), 40)
    assert spread.covariance.shape == (ITEMS, 2, 2)
    trace = np.trace(spread.covariance, axis1=1, axis2=2)
    assert np.argmax(trace) == ITEMS - 1
    assert (trace[:-1] > 0).all()
    assert (spread.draws[:-1] == 40).all()
    again = positions.bootstrap_positions(fit, _pairs(), 40)
    np.testing.assert_array_equal(again.covariance, spread.covariance)
    with pytest.raises(InputError, match="bootstrap is 3: give at least 4 draws, or 0"):
        positions.bootstrap_positions(fit, _pairs(), 3)


def test_an_item_without_pairs_has_no_position(fit):
    pairs = _pairs()
    lonely = Pairs(np.concatenate([pairs.index, [[0, 11]]]).astype(np.int32)[-1:], np.ones(1))
    alone = fit_pairs(fit.config, ITEMS, lonely, restarts=1, stopping=ce.Stopping(max_steps=20))
    vectors, _ = positions.bootstrap_maps(alone, lonely, 30)
    missing = np.isnan(vectors[:, 0]).any(axis=1)
    assert 2 < missing.sum() < 25  # exp(-1) of 30 draws weigh the only pair by 0
    assert np.isnan(vectors[:, 5]).all()  # in no pair at all


def test_the_estimator_has_the_covariances():
    pairs = _pairs()
    model = ce.PairEmbedding(restarts=2, tolerance=1e-2, bootstrap=10)
    with pytest.warns(UserWarning, match="labels that differ"):
        model.fit(pairs.index, pairs.label)
    assert model.position_covariance_.shape == (ITEMS, 2, 2)
    assert np.isfinite(model.position_covariance_[:-1]).all()
