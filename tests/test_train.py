"""Training: the optimiser and a step by hand, an epoch against NumPy, and what fit promises."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import reference
from epochs import batch_weights
from scipy import stats

from colour_embed import train
from colour_embed.config import Config, InputError
from colour_embed.data import Pairs
from colour_embed.engine import batches
from colour_embed.engine.batches import (
    PACKED_ITEMS,
    PackedPairs,
    can_pack,
    device_pairs,
    epoch_order,
)
from colour_embed.engine.loss import cross_entropy
from colour_embed.engine.optimizers import keras_adam, make_optimizer
from colour_embed.engine.schedule import snapshot_epochs, tutorial_frames
from colour_embed.engine.state import member_keys
from colour_embed.model import init_params, logits
from colour_embed.train import Batch, TrainState, fit, train_step

ITEMS, COUNT, BATCH = 20, 75, 32  # three steps an epoch, the last of 11 pairs


def make_pairs(count=COUNT, items=ITEMS, seed=0):
    generator = np.random.default_rng(seed)
    index = generator.integers(0, items, (count, 2), dtype=np.int32)
    label = generator.integers(0, 2, count).astype(np.float32)
    return Pairs(index, label)


PAIRS = make_pairs()
SGD = optax.sgd(0.01)  # one object, since another would be compiled anew


def small(**fields):
    """A run on PAIRS; all share one compiled program where their static fields agree."""
    return Config(**{"epochs": 6, "batch_size": BATCH, "learning_rate": 0.01} | fields)


def run(config, **arguments):
    return fit(config, ITEMS, PAIRS, **{"snapshots": "every", "chunk": 3} | arguments)


def assert_same_fit(first, second):
    for name in ("loss", "mse", "epoch", "snapshots"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=name)
    jax.tree.map(np.testing.assert_array_equal, first.params, second.params)


# The optimiser


def test_keras_adam_by_hand():
    # Gradients 2 and -1 with rate 0.1, decays 0.5 and 0.75, epsilon 0.5.
    # Step 1: m = 1, v = 1; 0.1 * sqrt(0.25) / 0.5 * 1 / (1 + 0.5) = 1/15.
    # Step 2: m = 0, v = 1; nothing moves.
    # Step 3, gradient 3: m = 1.5, v = 3; 0.1 * sqrt(1 - 0.75^3) / (1 - 0.5^3) * 1.5 / (3^.5 + 0.5).
    optimizer = keras_adam(0.1, beta1=0.5, beta2=0.75, epsilon=0.5)
    params = jnp.array([1.0])
    state = optimizer.init(params)
    third = -0.1 * np.sqrt(1 - 0.75**3) / (1 - 0.5**3) * 1.5 / (np.sqrt(3) + 0.5)
    for gradient, expected in ((2.0, -1 / 15), (-1.0, 0.0), (3.0, third)):
        updates, state = optimizer.update(jnp.array([gradient]), state, params)
        np.testing.assert_allclose(updates, [expected], rtol=1e-6, atol=1e-9)
    assert state.count == 3


def test_keras_adam_defaults_are_those_of_keras():
    gradient = jnp.array([1e-7])
    optimizer = keras_adam()
    update, _ = optimizer.update(gradient, optimizer.init(gradient))
    # m = 1e-8, v = 1e-17; epsilon stands outside the correction, so it dwarfs sqrt(v) here.
    expected = -1e-3 * np.sqrt(0.001) / 0.1 * 1e-8 / (np.sqrt(1e-17) + 1e-7)
    np.testing.assert_allclose(update, [expected], rtol=1e-5)


def test_keras_adam_is_not_the_adam_of_optax():
    gradient = jnp.array([1e-6, 1.0])
    ours, theirs = keras_adam(1e-3, epsilon=1e-7), optax.adam(1e-3, eps=1e-7)
    small_step, _ = ours.update(gradient, ours.init(gradient))
    large_step, _ = theirs.update(gradient, theirs.init(gradient))
    # At the first step optax divides by |g| + eps and Keras by |g| + eps / sqrt(1 - beta2).
    np.testing.assert_allclose(large_step[0], -1e-3 * 1e-6 / (1e-6 + 1e-7), rtol=1e-4)
    scaled = 1e-7 / np.sqrt(0.001)
    np.testing.assert_allclose(small_step[0], -1e-3 * 1e-6 / (1e-6 + scaled), rtol=1e-4)
    # Where the gradient is large against epsilon both are the same.
    np.testing.assert_allclose(small_step[1], large_step[1], rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "options", "peer"),
    [
        ("sgd", {"momentum": 0.9}, lambda: optax.sgd(0.01, momentum=0.9)),
        ("adamw", {"weight_decay": 0.3}, lambda: optax.adamw(0.01, weight_decay=0.3)),
        ("keras_adam", {}, lambda: keras_adam(0.01)),
    ],
)
def test_named_optimisers_are_those_of_optax(name, options, peer):
    config = small(optimizer=name, optimizer_options=options)
    made = make_optimizer(config, config.hyperparams())
    params, gradient = jnp.array([1.0, -2.0]), jnp.array([0.5, 0.1])
    states = [optimizer.init(params) for optimizer in (made, peer())]
    for _ in range(2):
        (ours, states[0]), (theirs, states[1]) = (
            optimizer.update(gradient, state, params)
            for optimizer, state in zip((made, peer()), states)
        )
    np.testing.assert_array_equal(ours, theirs)
    assert float(ours[0]) != 0


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("no_such", {}, "'no_such' is not known: give keras_adam or one of optax's"),
        ("keras-adam", {}, "'keras-adam' is not known: did you mean 'keras_adam'"),
        ("tree", {}, "'tree' is not known"),
        ("sgd", {"wieght_decay": 0.1}, "wieght_decay.*options that it takes"),
        ("constant_schedule", {}, "optimizer 'constant_schedule'"),
        ("keras_adam", {"eps": 1e-8}, "keras_adam takes no options: set beta1"),
    ],
)
def test_wrong_optimisers_are_refused(name, options, message):
    with pytest.raises(InputError, match=message) as caught:
        run(small(optimizer=name, optimizer_options=options))
    assert "\n" not in str(caught.value)


def test_an_optimiser_of_the_user_takes_the_place_of_the_configured():
    named = run(small(optimizer="sgd"))
    given = run(small(), optimizer=SGD)
    np.testing.assert_allclose(given.loss, named.loss, rtol=1e-6)
    assert not np.array_equal(given.snapshots[0], given.snapshots[-1])


# A step and an epoch


@pytest.mark.parametrize("jitted", [False, True])
def test_train_step_by_hand(jitted):
    # Two items at distance 1 on a line, weight -2, bias 2: z = 0, p = 1/2, loss log 2, mse 1/4.
    # Label 1: dz = -1/2, so dk = -1/2, db = -1/2, and each end moves by 2 * dz * k = 2, -2.
    params = {
        "embedding": {"embedding": jnp.array([[1.0, 0.0], [0.0, 0.0], [5.0, 5.0]])},
        "dense": {"kernel": jnp.array([[-2.0]]), "bias": jnp.array([2.0])},
    }
    optimizer = optax.sgd(0.1)
    batch = Batch(jnp.array([0]), jnp.array([1]), jnp.array([1.0]), jnp.array([1.0]))

    def step(state, batch):
        def scores(*arguments):
            return logits(Config(), *arguments)

        return train_step(state, batch, logits_fn=scores, optimizer=optimizer)

    step = jax.jit(step) if jitted else step
    state, metrics = step(TrainState(params, optimizer.init(params)), batch)
    np.testing.assert_allclose(metrics.loss, np.log(2), rtol=1e-6)
    np.testing.assert_allclose(metrics.mse, 0.25, rtol=1e-6)
    moved = state.params["embedding"]["embedding"]
    np.testing.assert_allclose(moved, [[0.8, 0], [0.2, 0], [5, 5]], rtol=1e-6)
    np.testing.assert_allclose(state.params["dense"]["kernel"], [[-1.95]], rtol=1e-6)
    np.testing.assert_allclose(state.params["dense"]["bias"], [2.05], rtol=1e-6)


def test_train_step_takes_any_pytree_and_any_logits():
    def scores(weight, first, second):
        return weight * (first - second)

    optimizer = optax.sgd(1.0)
    batch = Batch(jnp.array([3.0, 1.0]), jnp.array([1.0, 1.0]), jnp.ones(2), jnp.array([0.5, 0.5]))
    weight = jnp.array(0.0)
    state = TrainState(weight, optimizer.init(weight))
    state, _ = train_step(state, batch, logits_fn=scores, optimizer=optimizer)
    assert float(state.params) == pytest.approx(0.5)  # mean of -(0 - 1)/2 * (2, 0)


def test_loss_is_finite_at_extreme_logits():
    optimizer = optax.sgd(1.0)
    batch = Batch(jnp.array([1.0, -1.0]), jnp.zeros(2), jnp.array([0.0, 1.0]), jnp.full(2, 0.5))
    weight = jnp.array(1e4)
    state, metrics = train_step(
        TrainState(weight, optimizer.init(weight)),
        batch,
        logits_fn=lambda weight, first, second: weight * first,
        optimizer=optimizer,
    )
    assert float(metrics.loss) == 1e4
    assert float(state.params) == 1e4 - 1


def test_batch_weights_average_each_batch_over_what_it_holds():
    weights = batch_weights(100_000, 512)
    assert weights.shape == (196, 512)
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights.sum(axis=1, dtype=np.float64), 1, rtol=1e-6)
    assert np.all(weights[:195] == np.float32(1 / 512))
    assert np.all(weights[195, :160] == np.float32(1 / 160))
    assert not weights[195, 160:].any()
    np.testing.assert_array_equal(batch_weights(4, 2), np.full((2, 2), 0.5))


@pytest.mark.parametrize(("count", "batch_size"), [(75, 32), (64, 32), (5, 100), (1, 1)])
def test_epoch_order_holds_every_pair_once(count, batch_size):
    order = np.asarray(epoch_order(jax.random.key(0), count, batch_size))
    weights = batch_weights(count, batch_size)
    assert order.shape == weights.shape
    np.testing.assert_array_equal(np.sort(order[weights > 0]), np.arange(count))
    assert order.min() >= 0
    assert order.max() < count


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("head", ["free", "negative"])
def test_fit_is_the_reference_replayed_in_the_same_order(head, normalise):
    # Metrics are means over an epoch's pairs while the weights move; a small batch counts less.
    config = small(head=head, normalise=normalise, epochs=3, seed=4)
    result = run(config)
    keys = member_keys(np.uint32(4))
    present = batch_weights(COUNT, BATCH) > 0
    order = [
        np.asarray(epoch_order(jax.random.fold_in(keys.order, epoch), COUNT, BATCH))[present]
        for epoch in (1, 2, 3)
    ]
    start = init_params(config, ITEMS, keys.init)
    params, loss, mse = reference.train(
        reference.nested(reference.leaves(start)),
        PAIRS.index,
        PAIRS.label,
        order,
        BATCH,
        head=head,
        normalise=normalise,
        learning_rate=0.01,
    )
    np.testing.assert_allclose(result.loss, loss, rtol=1e-5)
    np.testing.assert_allclose(result.mse, mse, rtol=1e-5)
    ours = reference.leaves(result.params)
    for name, theirs in reference.leaves(params).items():
        assert reference.relative_difference(ours[name], theirs) < 1e-4, name
    assert result.kernel == pytest.approx(
        -np.logaddexp(0, ours["kernel"].item()) if head == "negative" else ours["kernel"].item()
    )
    assert result.bias == ours["bias"].item()
    if normalise:
        np.testing.assert_allclose(np.linalg.norm(result.embedding, axis=1), 1, rtol=1e-6)
    # Not bitwise: unit rows taken outside the compiled program are rounded differently.
    np.testing.assert_allclose(result.embedding, result.snapshots[-1], rtol=1e-6)


def test_orders_differ_between_epochs_and_seeds():
    orders = [
        np.asarray(epoch_order(jax.random.fold_in(member_keys(seed).order, epoch), COUNT, BATCH))
        for seed in (0, 1)
        for epoch in (1, 2)
    ]
    assert len(np.unique([order.ravel() for order in orders], axis=0)) == 4


# Snapshots


def test_tutorial_frames_are_those_of_the_tutorial():
    frames = tutorial_frames(500)
    literal = np.unique((np.linspace(1, 499 ** (1 / 2), 300) ** 2).astype(int))
    np.testing.assert_array_equal(frames, literal + 1)  # epochs count from one, its list from zero
    assert (len(frames), frames[0], frames[-1]) == (263, 2, 500)


def test_tutorial_frames_ascend_to_the_last_epoch():
    for epochs in range(1, 1001):
        frames = tutorial_frames(epochs)
        assert (frames[0] >= 1, frames[-1]) == (True, epochs)
        assert np.all(np.diff(frames) > 0)


def test_a_run_of_no_epochs_has_no_frames():
    assert len(tutorial_frames(0)) == 0


def test_snapshot_epochs_of_each_schedule():
    np.testing.assert_array_equal(snapshot_epochs("every", 3), [0, 1, 2, 3])
    np.testing.assert_array_equal(snapshot_epochs("none", 3), [])
    np.testing.assert_array_equal(snapshot_epochs([3, 1, 1], 3), [1, 3])
    np.testing.assert_array_equal(snapshot_epochs([], 3), [])
    tutorial = snapshot_epochs("tutorial", 500)
    assert tutorial[0] == 0
    np.testing.assert_array_equal(tutorial[1:], tutorial_frames(500))


@pytest.mark.parametrize(
    ("schedule", "message"),
    [("all", "'all': give one of every, tutorial, none"), ([7], "0..6"), ([-1], "0..6")],
)
def test_wrong_schedules_are_refused(schedule, message):
    with pytest.raises(InputError, match=message):
        run(small(), snapshots=schedule)


def test_fit_keeps_the_wanted_epochs():
    every = run(small())
    assert every.epoch.tolist() == list(range(7))
    assert every.snapshots.shape == (7, ITEMS, 2)
    assert every.snapshots.dtype == np.float32
    assert every.loss.shape == every.mse.shape == (6,)
    assert (every.status, every.diverged_epoch) == ("done", None)
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(every.params))
    # Epochs 1 to 3 are one chunk of which nothing is wanted; the rest must not move for it.
    some = run(small(), snapshots=[5, 6])
    assert some.epoch.tolist() == [5, 6]
    np.testing.assert_allclose(some.snapshots, every.snapshots[[5, 6]], rtol=1e-6)
    none = run(small(), snapshots="none")
    assert none.epoch.size == 0
    assert none.snapshots.shape == (0, ITEMS, 2)
    np.testing.assert_allclose(none.loss, every.loss, rtol=1e-6)


def test_epoch_zero_is_the_start():
    result = run(small(seed=3))
    start = init_params(small(), ITEMS, member_keys(3).init)
    np.testing.assert_array_equal(result.snapshots[0], start["embedding"]["embedding"])
    untrained = run(small(seed=3, epochs=0))
    assert untrained.loss.size == 0
    assert untrained.epoch.tolist() == [0]
    np.testing.assert_array_equal(untrained.embedding, result.snapshots[0])


# A training as a pure function


def test_make_train_is_fit_under_jit_of_vmap_and_vmap_of_jit():
    """Over seeds, dimensions and learning rates; within 1e-4 after 20 epochs."""
    config = small(epochs=20, dim=3, head="negative")
    pure = train.make_train(config, ITEMS, PAIRS, snapshots=[0, 7, 20])
    seeds, dims, rates = jnp.array([0, 1, 2]), jnp.array([2, 3, 1]), [0.01, 0.003, 0.03]

    def one(seed, dim, rate):
        return pure(seed, config.hyperparams()._replace(learning_rate=rate), dim)

    arguments = seeds, dims, jnp.array(rates)
    for ways in (jax.jit(jax.vmap(one)), jax.vmap(jax.jit(one))):
        state, metrics, snapshots = ways(*arguments)
        assert metrics.loss.shape == (3, 20)
        assert snapshots.shape == (3, 3, ITEMS, 3)
        for place, (seed, dim, rate) in enumerate(zip(seeds, dims, rates)):
            own = dataclasses.replace(config, seed=int(seed), dim=int(dim), learning_rate=rate)
            fitted = run(own, snapshots=[0, 7, 20])
            table = state.params["embedding"]["embedding"][place]
            assert not table[:, int(dim) :].any()
            for found, expected in (
                (metrics.loss[place], fitted.loss),
                (metrics.mse[place], fitted.mse),
                (table[:, : int(dim)], fitted.embedding),
                (snapshots[place, :, :, : int(dim)], fitted.snapshots),
            ):
                assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("optimizer", ["lazy_adam", "adam", "sgd"])
def test_make_train_takes_every_optimiser(optimizer):
    config = small(optimizer=optimizer)
    state, metrics, snapshots = jax.jit(train.make_train(config, ITEMS, PAIRS))(0)
    fitted = run(config, snapshots="tutorial")
    np.testing.assert_allclose(metrics.loss, fitted.loss, rtol=1e-5)
    np.testing.assert_allclose(snapshots, fitted.snapshots, rtol=1e-4, atol=1e-6)
    assert jax.tree.all(jax.tree.map(lambda leaf: bool(np.isfinite(leaf).all()), state.params))


def test_make_train_draws_the_kernel_where_none_is_given():
    pure = train.make_train(small(), ITEMS, PAIRS, snapshots="none")
    drawn, _, kept = pure(3)
    assert kept.shape == (0, ITEMS, 2)
    again, _, _ = pure(3, small().hyperparams()._replace(initial_kernel=jnp.nan))
    other, _, _ = pure(3, small().hyperparams()._replace(initial_kernel=0.5))
    kernels = [state.params["dense"]["kernel"].item() for state in (drawn, again, other)]
    assert kernels[0] == kernels[1] != kernels[2]


# What a run may depend on


def test_same_run_twice_is_the_same_bitwise():
    assert_same_fit(run(small(seed=5)), run(small(seed=5)))


@pytest.mark.parametrize("chunk", [1, 4, 100])
def test_result_does_not_depend_on_the_chunk(chunk):
    assert_same_fit(run(small(seed=5)), run(small(seed=5), chunk=chunk))


def test_seed_and_rate_matter_but_compile_nothing_new():
    first = run(small(seed=1))
    start, loop = train._start._cache_size(), train._run._cache_size()
    others = [run(small(seed=2)), run(small(seed=1, learning_rate=0.02)), run(small(epsilon=1e-2))]
    others.append(run(small(initial_scale=0.5, beta1=0.5, beta2=0.9)))
    assert (train._start._cache_size(), train._run._cache_size()) == (start, loop)
    assert not any(np.array_equal(first.loss, other.loss) for other in others)
    run(small(head="negative", batch_size=31))
    assert train._run._cache_size() == loop + 1  # the counter does count


def test_progress_is_reported_after_each_chunk():
    seen = []
    result = run(small(epochs=7), report=seen.append)
    assert [(progress.done, progress.total) for progress in seen] == [(3, 7), (6, 7), (7, 7)]
    assert [progress.loss for progress in seen] == result.loss[[2, 5, 6]].tolist()
    assert seen[0].seconds_left is None
    assert seen[1].seconds_left > 0
    assert seen[2].seconds_left == 0


# Wrong input


@pytest.mark.parametrize(("row", "value"), [(0, ITEMS), (74, -1)])
def test_ids_out_of_range_are_refused(row, value):
    index = PAIRS.index.copy()
    index[row, 1] = value
    with pytest.raises(InputError, match=rf"pair {row} has ids \[\d+, {value}\], outside 0..19"):
        fit(small(), ITEMS, Pairs(index, PAIRS.label))


def test_no_pairs_are_refused():
    with pytest.raises(InputError, match="no pairs: give at least one"):
        fit(small(), ITEMS, make_pairs(0))


# Runs that end early


@pytest.mark.parametrize("epoch", [1, 4, 5])  # the first of all, the first of a chunk, a later one
def test_a_diverging_run_ends_before_the_epoch_that_broke_it(epoch):
    # The rate is NaN from the second step of that epoch on; chunks are of three epochs.
    broken = 3 * (epoch - 1) + 1
    optimizer = optax.sgd(lambda count: jnp.where(count < broken, 0.01, jnp.nan))
    result = run(small(), optimizer=optimizer)
    assert (result.status, result.diverged_epoch) == ("diverged", epoch)
    assert len(result.loss) == len(result.mse) == epoch - 1
    assert result.epoch.tolist() == list(range(epoch))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(result.params))
    assert np.isfinite(result.snapshots).all()
    # It is the run that did not break, as far as that went.
    whole = run(small(), optimizer=SGD)
    np.testing.assert_allclose(result.snapshots, whole.snapshots[:epoch], rtol=1e-5)
    np.testing.assert_array_equal(result.embedding, result.snapshots[-1])


def test_a_rate_that_overflows_diverges():
    # One step an epoch: the first takes every row to 1e30, whose square overflows in the second.
    result = run(small(learning_rate=1e30, batch_size=COUNT))
    assert (result.status, result.diverged_epoch) == ("diverged", 2)
    assert result.loss.shape == (1,)


def test_ctrl_c_in_the_report_returns_what_is_done():
    def report(progress):
        if progress.done == 3:
            raise KeyboardInterrupt

    result = run(small(), report=report)
    assert result.status == "interrupted"
    assert result.epoch.tolist() == [0, 1, 2, 3]
    assert len(result.loss) == 3
    np.testing.assert_array_equal(result.embedding, result.snapshots[-1])
    whole = run(small())
    np.testing.assert_array_equal(result.snapshots, whole.snapshots[:4])


def test_other_errors_in_the_report_are_not_swallowed():
    def report(progress):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(small(), report=report)


INTERRUPTED = """
import json
import numpy as np
from colour_embed.config import Config
from colour_embed.data import Pairs
from colour_embed.train import fit

generator = np.random.default_rng(0)
index = generator.integers(0, 20, (5000, 2), dtype=np.int32)
pairs = Pairs(index, generator.integers(0, 2, 5000).astype(np.float32))
config = Config(epochs=2_000_000, batch_size=10)
result = fit(
    config, 20, pairs, snapshots="none", chunk=40,
    report=lambda progress: print(progress.done, flush=True),
)
finite = bool(np.isfinite(result.embedding).all())
print(json.dumps([result.status, len(result.loss), finite]))
"""


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_ctrl_c_from_the_keyboard_returns_what_is_done():
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED],
        cwd=Path(__file__).parent.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        # Two chunks have been reported, so that the third is under way.
        reported = [int(process.stdout.readline()) for _ in range(2)]
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert reported == [40, 80]
    assert process.returncode == 0, errors
    status, epochs, finite = json.loads(output.splitlines()[-1])
    assert status == "interrupted"
    assert finite
    assert epochs >= 80
    assert epochs % 40 == 0


# Learning


def test_known_geometry_is_found():
    # 16 points of a grid; a pair is similar with a probability that falls with its distance.
    generator = np.random.default_rng(0)
    points = np.stack(np.meshgrid(range(4), range(4)), axis=-1).reshape(16, 2).astype(float)
    index = generator.integers(0, 16, (2000, 2), dtype=np.int32)
    squared = ((points[index[:, 0]] - points[index[:, 1]]) ** 2).sum(axis=1)
    label = (generator.random(2000) < reference.sigmoid(2 - squared)).astype(np.float32)
    config = Config(epochs=60, batch_size=100, head="negative", learning_rate=0.02)
    result = fit(config, 16, Pairs(index, label), snapshots="none", chunk=60)
    first, second = np.triu_indices(16, 1)
    true = np.linalg.norm(points[first] - points[second], axis=1)
    found = np.linalg.norm(result.embedding[first] - result.embedding[second], axis=1)
    assert stats.spearmanr(true, found).statistic > 0.9
    assert result.kernel < 0
    assert result.loss[-1] < 0.7 * result.loss[0]


# The jax below


def test_this_jax_sums_a_long_matrix_vector_product_rightly():
    # jax 0.10.2 gets this wrong on CPUs from 32,769 rows on (jax issue 39103).
    generator = np.random.default_rng(0)
    matrix = generator.normal(size=(40_000, 8)).astype(np.float32)
    vector = generator.normal(size=8).astype(np.float32)
    for reduce in (jnp.sum, jnp.max):
        result = jax.jit(lambda a, b, reduce=reduce: reduce(a @ b))(matrix, vector)
        exact = {jnp.sum: np.sum, jnp.max: np.max}[reduce](matrix.astype(float) @ vector)
        assert float(result) == pytest.approx(exact, rel=1e-3)


def test_packed_pairs_are_the_same_pairs():
    random = np.random.default_rng(0)
    index = random.integers(0, PACKED_ITEMS, (1000, 2))
    index[0] = PACKED_ITEMS - 1
    label = random.integers(0, 2, 1000).astype(np.float32)
    plain = device_pairs(Pairs(index, label), PACKED_ITEMS)
    packed = PackedPairs.of(plain)
    assert packed.count == plain.count == 1000
    chosen, weight = jnp.asarray(random.permutation(1000)), jnp.zeros(1000)
    batches = (pairs.take(chosen).batch(weight) for pairs in (packed, plain))
    for found, expected in zip(*batches):
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


def test_pairs_are_packed_only_where_they_fit():
    assert can_pack(PACKED_ITEMS, np.array([0.0, 1.0]))
    assert not can_pack(PACKED_ITEMS + 1, np.array([0.0, 1.0]))
    assert not can_pack(10, np.array([0.0, 0.5]))


def test_training_on_packed_pairs_is_training_on_the_plain_ones(monkeypatch):
    random = np.random.default_rng(1)
    pairs = Pairs(random.integers(0, 50, (700, 2)), random.integers(0, 2, 700) * 1.0)
    config = Config(dim=2, epochs=5, batch_size=64)
    packed = train.fit(config, 50, pairs)
    monkeypatch.setattr(batches, "can_pack", lambda items, label: False)
    plain = train.fit(config, 50, pairs)
    np.testing.assert_allclose(packed.embedding, plain.embedding, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(packed.loss, plain.loss, rtol=1e-6)


def test_cross_entropy_and_its_derivative():
    logits = jnp.array([-100.0, -1.0, 0.0, 2.0, 100.0])
    for label in (0.0, 0.3, 1.0):
        expected = np.logaddexp(0, np.asarray(logits, float)) - label * np.asarray(logits, float)
        np.testing.assert_allclose(cross_entropy(logits, label), expected, rtol=1e-6, atol=1e-7)
        slope = jax.vmap(jax.grad(cross_entropy), (0, None))(logits, label)
        np.testing.assert_allclose(slope, jax.nn.sigmoid(logits) - label, atol=1e-7)
