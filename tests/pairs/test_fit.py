"""Trainings of people's own pairs: what counts how much, when they end, and which one is kept."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh
from versions import same_bits_in_company

from colour_embed import sweeps, train
from colour_embed.config import Config, InputError
from colour_embed.data import Pairs
from colour_embed.engine import batches, stopping
from colour_embed.engine.optimizers import LAZY_ADAM
from colour_embed.model import init_params
from colour_embed.pairs import fit as pair_fit
from colour_embed.pairs.fit import PairFit, Stopping, fit_pairs, pair_logits

ITEMS, COUNT = 12, 40
CONFIG = Config(dim=2, batch_size=64, learning_rate=0.05, head="negative", initial_scale=0.5)
HUGE = 10**6  # a patience that never ends, and a tolerance that nothing gains


def make_pairs(index, label, weight=None):
    weight = np.ones(len(label)) if weight is None else weight
    floats = (np.asarray(values, np.float32) for values in (label, weight))
    return Pairs(np.asarray(index, np.int32).reshape(-1, 2), *floats)


def random_pairs(count=COUNT, items=ITEMS, seed=0, weighted=False):
    generator = np.random.default_rng(seed)
    index = generator.integers(0, items, (count, 2))
    label = generator.integers(0, 2, count)
    return make_pairs(index, label, generator.uniform(0, 2, count) if weighted else None)


PAIRS = random_pairs()


def few_steps(steps=40, look=10):
    return Stopping(max_steps=steps, evaluate_every=look, patience=HUGE)


def run(config=CONFIG, pairs=PAIRS, items=ITEMS, **arguments) -> PairFit:
    return fit_pairs(config, items, pairs, **{"restarts": 1, "stopping": few_steps()} | arguments)


def loss_of(fit, pairs):
    """The weighted mean loss in float64, from the fit's parameters."""
    logit = pair_logits(fit.config, fit.params, pairs.index).astype(np.float64)
    return np.average(np.logaddexp(0, logit) - pairs.label * logit, weights=pairs.weight)


def start(items=ITEMS, seed=5):
    return jax.device_get(init_params(CONFIG, items, jax.random.key(seed)))


def assert_same_training(first, second, tolerance):
    np.testing.assert_allclose(first.loss, second.loss, rtol=0, atol=tolerance)
    for ours, theirs in zip(jax.tree.leaves(first.params), jax.tree.leaves(second.params)):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance)


# What a pair counts


def test_weighted_loss_by_hand():
    # Squared distances 25 and 4, so logits -2 and 0.1; log(1 + e^2) = 2.126928, and
    # 0.75 * 0.1 + log(1 + e^-0.1) = 0.719397; (3 * 2.126928 + 0.719397) / 4 = 1.775045.
    table = np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 2.0]], np.float32)
    dense = {"kernel": np.full((1, 1), -0.1, np.float32), "bias": np.full(1, 0.5, np.float32)}
    pairs = make_pairs([[0, 1], [2, 0]], [1, 0.25], [3, 1])
    config = dataclasses.replace(CONFIG, head="free")
    initial = {"embedding": {"embedding": table}, "dense": dense}
    fit = run(config, pairs, 3, initial=initial, stopping=few_steps(1, 1))
    np.testing.assert_allclose(pair_logits(config, initial, pairs.index), [-2, 0.1], rtol=1e-6)
    np.testing.assert_allclose(fit.loss, [[1.775045]], rtol=1e-6)  # before the one step
    np.testing.assert_allclose(fit.restart_loss, [loss_of(fit, pairs)], rtol=1e-6)
    assert fit.restart_loss[0] < 1.775045


def test_a_pair_given_twice_at_half_the_weight_is_that_pair():
    twice = make_pairs(
        np.concatenate([PAIRS.index, PAIRS.index[:1]]),
        np.append(PAIRS.label, PAIRS.label[0]),
        [0.5, *np.ones(COUNT - 1), 0.5],
    )
    assert_same_training(run(pairs=twice), run(), 1e-6)


def test_a_soft_label_is_a_mixture_of_hard_ones():
    soft = make_pairs(PAIRS.index, [0.25, *PAIRS.label[1:]])
    hard = make_pairs(
        np.concatenate([PAIRS.index, PAIRS.index[:1]]),
        [1, *PAIRS.label[1:], 0],
        [0.25, *np.ones(COUNT - 1), 0.75],
    )
    assert_same_training(run(pairs=soft), run(pairs=hard), 2e-6)


def test_a_soft_label_is_what_the_probability_comes_to():
    pairs = make_pairs([[0, 1], [1, 2]], [0.3, 0.8])
    fit = run(
        pairs=pairs, items=3, stopping=Stopping(max_steps=2000, evaluate_every=100, tolerance=0)
    )
    probability = 1 / (1 + np.exp(-pair_logits(CONFIG, fit.params, pairs.index)))
    np.testing.assert_allclose(probability, [0.3, 0.8], atol=1e-3)


def test_only_the_ratios_of_weights_matter():
    pairs = random_pairs(weighted=True)
    first, second = run(pairs=pairs), run(pairs=dataclasses.replace(pairs, weight=8 * pairs.weight))
    assert_same_training(first, second, 0)
    assert_same_training(
        run(), run(pairs=make_pairs(PAIRS.index, PAIRS.label, np.full(COUNT, 7.0))), 0
    )


def test_a_pair_without_weight_changes_nothing():
    weight = np.append(np.ones(COUNT), 0)
    index = np.concatenate([PAIRS.index, [[ITEMS, ITEMS + 1]]])
    pairs = make_pairs(index, np.append(PAIRS.label, 1), weight)
    fit = run(pairs=pairs, items=ITEMS + 2)
    np.testing.assert_array_equal(fit.snapshots[-1][-2:], fit.snapshots[0][-2:])
    assert (fit.snapshots[-1][:-2] != fit.snapshots[0][:-2]).all()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("count", [16, 40])
def test_the_loss_of_many_pairs_is_taken_in_parts(monkeypatch, count, weighted):
    monkeypatch.setattr(batches, "EVALUATED", 16)
    pairs = random_pairs(count, weighted=weighted)
    parts, shares = batches.in_parts(batches.device_pairs(pairs, ITEMS))
    assert parts.label.shape == shares.shape == (-(-count // 16), 16)
    assert np.sum(shares) == pytest.approx(1, abs=1e-6)
    assert (np.ravel(shares)[count:] == 0).all()
    fit = run(held_out=pairs, restarts=3)
    assert loss_of(fit, pairs) == pytest.approx(fit.restart_loss.min(), rel=1e-6)


def test_logits_of_many_pairs_are_taken_in_parts(monkeypatch):
    params = start()
    whole = pair_logits(CONFIG, params, PAIRS.index)
    monkeypatch.setattr(pair_fit, "EVALUATED", 16)
    np.testing.assert_allclose(pair_logits(CONFIG, params, PAIRS.index), whole, rtol=1e-6)
    none = pair_logits(CONFIG, params, PAIRS.index[:0])
    assert (none.shape, none.dtype) == ((0,), np.float32)


def test_the_loss_of_a_million_pairs_takes_little_memory():
    """The rows of all pairs at once would be 64 MB, and of both sides twice that."""
    shape = (16, 2**16)
    ids = jax.ShapeDtypeStruct(shape, jnp.int32)
    values = jax.ShapeDtypeStruct(shape, jnp.float32)
    config = Config(dim=16)
    params = jax.eval_shape(
        jax.vmap(lambda key: init_params(config, 1000, key)), jax.random.split(jax.random.key(0))
    )
    mesh = Mesh(np.array(jax.devices()[:1]), ("members",))
    program = sweeps._Program(config, 1000, frozenset(), False, False, False, 1, mesh, 1000)
    given = (batches.DevicePairs(ids, ids, values), values)
    compiled = sweeps._evaluate.lower(program, given, params).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 2**25


# When it ends


def test_the_plateau_rule_by_hand():
    """Nothing gains so much: a first look, and from then on each one lowers the rate or ends it."""
    told = []
    stopping = Stopping(max_steps=HUGE, evaluate_every=1, tolerance=HUGE, patience=1, drops=2)
    fit = run(stopping=stopping, report=told.append)
    assert fit.stopped == "plateau"
    assert fit.step.tolist() == [1, 2, 3, 4]
    assert [each.drops for each in told] == [0, 1, 2, 2]
    assert [each.done for each in told] == [1, 2, 3, HUGE]  # the last has ended
    assert {each.total for each in told} == {HUGE}
    # Each step was the best so far. An Adam that starts anew moves each value by its rate.
    moved = np.abs(np.diff(fit.snapshots, axis=0)).max(axis=(1, 2))
    np.testing.assert_allclose(moved[[0, 2, 3]], [0.05, 0.005, 0.0005], rtol=1e-3)


@pytest.mark.parametrize("falls", [0, 2])
def test_a_training_that_comes_to_its_end_says_so(falls):
    """The loss of two pairs that have their probabilities is their entropy, which none can beat."""
    pairs = make_pairs([[0, 1], [1, 2]], [0.3, 0.8])
    stopping = Stopping(evaluate_every=20, patience=4, drops=falls)
    told = []
    fit = run(
        pairs=pairs, items=3, held_out=pairs, restarts=3, stopping=stopping, report=told.append
    )
    assert fit.stopped == "plateau"
    entropy = -np.mean([p * np.log(p) + (1 - p) * np.log(1 - p) for p in (0.3, 0.8)])
    assert fit.restart_loss.min() == pytest.approx(entropy, abs=1e-4)
    for look, event in enumerate(told):
        assert event.loss == np.nanmin(fit.heldout_loss[: look + 1])
    assert [event.drops for event in told] == sorted(event.drops for event in told)
    assert told[-1].drops == falls


@pytest.mark.parametrize(
    ("count", "max_steps", "look"),
    [(40, 1, 200), (40, 33, 10), (640, 25, 3), (640, 500, 70)],
)
def test_no_more_steps_than_the_most(count, max_steps, look):
    fit = run(pairs=random_pairs(count), stopping=few_steps(max_steps, look))
    epoch = -(-count // 64)
    most = max(epoch, round(max_steps / epoch) * epoch)
    assert fit.stopped == "steps"
    assert most - max(epoch, look) - epoch < fit.step[-1] <= most
    assert (np.diff(fit.step) >= epoch).all()
    assert (np.diff(fit.step) == fit.step[0]).all()


def overfitting(learning_rate=0.05, **arguments):
    """Few pairs in many dimensions, and others whose labels they say nothing of."""
    config = dataclasses.replace(CONFIG, dim=5, learning_rate=learning_rate)
    held_out = random_pairs(30, seed=1, weighted=True)
    fit = run(config, held_out=held_out, **{"stopping": few_steps(200)} | arguments)
    return fit, held_out


def test_held_out_pairs_choose_the_moment():
    fit, held_out = overfitting(restarts=3)
    place = int(np.argmin(fit.heldout_loss[:, fit.best]))
    assert fit.heldout_loss[-1, fit.best] > fit.heldout_loss[place, fit.best] + 0.1
    assert fit.best_step == fit.step[place]
    np.testing.assert_array_equal(fit.restart_loss, fit.heldout_loss.min(axis=0))
    assert loss_of(fit, held_out) == pytest.approx(fit.restart_loss[fit.best], rel=1e-5)
    at_best = fit.snapshots[fit.snapshot_step == fit.best_step]
    np.testing.assert_array_equal(at_best, fit.embedding[None])


def test_no_held_out_pairs_are_none():
    fit = run(held_out=random_pairs(0))
    assert fit.heldout_loss is None
    assert_same_training(fit, run(), 0)


# Which one is kept


def test_the_best_restart_is_kept():
    fit = run(restarts=3)
    assert len(set(fit.restart_loss.tolist())) == 3
    assert fit.best == np.argmin(fit.restart_loss)
    assert loss_of(fit, PAIRS) == pytest.approx(fit.restart_loss.min(), rel=1e-5)
    assert (fit.loss.shape, fit.loss.dtype) == ((4, 3), np.float32)


@pytest.mark.parametrize("optimizer", ["keras_adam", LAZY_ADAM])
def test_a_restart_does_not_depend_on_the_others(optimizer):
    config = dataclasses.replace(CONFIG, optimizer=optimizer)
    few, many = (run(config, restarts=restarts).loss for restarts in (1, 3))
    np.testing.assert_allclose(few, many[:, :1], rtol=1e-4)


@same_bits_in_company
def test_members_drop_and_stop_by_their_own_losses():
    """A restart has the same bits alone as in company, whenever it or the others drop or stop."""
    config = dataclasses.replace(CONFIG, dim=3, learning_rate=0.02)
    held_out = random_pairs(30, seed=1)
    stopping = Stopping(max_steps=2000, evaluate_every=4, patience=5, tolerance=1e-3)
    given = {"vary": ("init",), "stopping": stopping, "held_out": held_out, "snapshots": 9}
    several = sweeps.sweep(config, ITEMS, PAIRS, range(9), [3], **given)
    found = several.evaluations
    assert len(set(found.steps.tolist())) > 2
    for seed in (1, 5, 8):
        alone = sweeps.sweep(config, ITEMS, PAIRS, [seed], [3], **given)
        np.testing.assert_array_equal(alone.embedding[0], several.embedding[seed])
        np.testing.assert_array_equal(alone.loss[0], several.loss[seed])
        np.testing.assert_array_equal(alone.snapshots[0], several.snapshots[seed])
        for name in ("best_loss", "best_step", "steps", "stopped"):
            values = getattr(alone.evaluations, name), getattr(found, name)
            assert values[0][0] == values[1][seed], name
        losses = alone.evaluations.heldout_loss[0]
        drops, waited, mark = 0, 0, np.inf  # the rule once more, on the losses that were seen
        seen = losses[np.isfinite(losses)]
        for loss in seen:
            improved = loss < mark - stopping.tolerance
            mark, waited = (loss, 0) if improved else (mark, waited + 1)
            if waited == stopping.patience:
                drops, waited = drops + 1, 0
        assert drops == 2
        assert alone.evaluations.stopped == ["plateau"]
        assert alone.evaluations.steps[0] == 4 * len(seen)


def test_the_first_restart_starts_as_the_seed_does():
    pairs = Pairs(PAIRS.index, PAIRS.label)
    config = dataclasses.replace(CONFIG, seed=7, epochs=1)
    expected = train.fit(config, ITEMS, pairs, snapshots=[0, 1])
    fit = run(config, stopping=few_steps(2, 2))
    assert fit.snapshot_step.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(fit.snapshots[0], expected.snapshots[0])
    np.testing.assert_allclose(fit.snapshots[1], expected.snapshots[1], rtol=1e-5)
    other = run(dataclasses.replace(config, seed=8), stopping=few_steps(2, 2))
    assert (other.snapshots[0] != fit.snapshots[0]).all()


# Given parameters


def test_it_starts_from_given_parameters():
    initial = start()
    fit = run(initial=initial, restarts=5)
    np.testing.assert_array_equal(fit.snapshots[0], initial["embedding"]["embedding"])
    assert fit.loss.shape == (4, 1)
    assert fit.kernel != -np.logaddexp(0, initial["dense"]["kernel"][0, 0])


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [("keras_adam", {}), ("adamw", {"weight_decay": 0.1}), (LAZY_ADAM, {})],
)
def test_frozen_rows_and_the_head_stay_bit_for_bit(optimizer, options):
    config = dataclasses.replace(CONFIG, optimizer=optimizer, optimizer_options=options)
    initial, frozen = start(), np.arange(ITEMS) % 3 > 0
    fit = run(config, initial=initial, frozen=frozen)
    before, after = (each["embedding"]["embedding"] for each in (initial, fit.params))
    np.testing.assert_array_equal(after[frozen], before[frozen])
    assert (after[~frozen] != before[~frozen]).all()
    jax.tree.map(np.testing.assert_array_equal, fit.params["dense"], initial["dense"])
    assert fit.restart_loss[0] < fit.loss[0, 0]


# When it is broken off


def test_an_interrupted_training_is_the_best_so_far():
    told = []

    def report(event):
        told.append(event)
        if len(told) == 2:
            raise KeyboardInterrupt

    fit = run(report=report, restarts=3)
    assert fit.stopped == "interrupted"
    assert fit.step.tolist() == [10, 20]
    assert_same_training(fit, run(stopping=few_steps(20), restarts=3), 0)


def test_a_training_interrupted_before_its_first_look_is_where_it_started(monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(sweeps, "_advance", interrupted)
    fit = run(restarts=2, held_out=PAIRS)
    assert fit.stopped == "interrupted"
    assert fit.loss.shape == fit.heldout_loss.shape == (0, 2)
    assert np.isinf(fit.restart_loss).all()
    np.testing.assert_array_equal(fit.embedding, fit.snapshots[0])


def test_a_training_that_diverges_says_so():
    fit = run(dataclasses.replace(CONFIG, learning_rate=1e30), restarts=3)
    assert fit.stopped == "diverged"
    assert np.isinf(fit.restart_loss).all()
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(fit.params))
    assert np.isfinite(fit.snapshots).all()


@pytest.mark.parametrize("held_out", [None, PAIRS])
def test_a_restart_that_diverged_does_not_hide_the_others(monkeypatch, held_out):
    begin = sweeps._start

    def spoilt(*arguments):
        training = begin(*arguments)
        dense = training.state.params["dense"]
        dense["bias"] = dense["bias"].at[0].set(jnp.nan)
        return training

    monkeypatch.setattr(sweeps, "_start", spoilt)
    fit = run(restarts=3, held_out=held_out, stopping=Stopping(max_steps=400, evaluate_every=10))
    assert np.isinf(fit.restart_loss[0])
    assert np.isfinite(fit.restart_loss[1:]).all()
    assert fit.best > 0
    assert fit.best_step > 100


def test_a_loss_that_is_no_number_does_not_hide_the_others(monkeypatch):
    """Parameters may be numbers and their loss none, where logits overflow on both sides."""
    losses = sweeps._evaluate
    monkeypatch.setattr(
        sweeps, "_evaluate", lambda *arguments: losses(*arguments).at[1].set(jnp.nan)
    )
    fit = run(restarts=3, stopping=Stopping(max_steps=400, evaluate_every=10))
    assert np.isinf(fit.restart_loss[1])
    assert fit.best_step > 100


# Snapshots


def test_snapshots_are_of_the_best_restart():
    fit = run(restarts=3)
    assert fit.snapshot_step.tolist() == [0, 5, 10, 15, 20, 25, 30, 35, 40]
    assert (fit.snapshots.shape, fit.snapshots.dtype) == ((9, ITEMS, 2), np.float32)
    np.testing.assert_array_equal(fit.snapshots[-1], fit.embedding)


def test_snapshots_that_take_too_much_memory_are_left_out(monkeypatch):
    monkeypatch.setattr(stopping, "_SNAPSHOT_BYTES", 500)
    fit = run()
    assert (fit.snapshots.shape, fit.snapshots.dtype) == ((0, ITEMS, 2), np.float32)
    assert fit.snapshot_step.tolist() == []


def test_snapshots_of_unit_rows_are_unit_rows():
    fit = run(dataclasses.replace(CONFIG, normalise=True))
    np.testing.assert_allclose(np.linalg.norm(fit.snapshots, axis=-1), 1, rtol=1e-5)


# The lazy optimiser


def test_where_every_step_names_every_item_lazy_is_plain():
    assert len(np.unique(PAIRS.index)) == ITEMS
    lazy = dataclasses.replace(CONFIG, optimizer=LAZY_ADAM)
    assert_same_training(run(lazy, restarts=3), run(restarts=3), 1e-4)


def test_lazy_moves_free_rows_as_plain_does_beside_frozen_ones():
    initial, frozen = start(), np.arange(ITEMS) % 3 > 0
    lazy = dataclasses.replace(CONFIG, optimizer=LAZY_ADAM)
    one, other = (run(config, initial=initial, frozen=frozen) for config in (lazy, CONFIG))
    assert_same_training(one, other, 1e-4)


def test_lazy_starts_again_when_the_rate_falls():
    lazy = dataclasses.replace(CONFIG, optimizer=LAZY_ADAM)
    stopping = Stopping(max_steps=HUGE, evaluate_every=1, tolerance=HUGE, patience=1, drops=1)
    fit = run(lazy, stopping=stopping)
    moved = np.abs(np.diff(fit.snapshots, axis=0)).max(axis=(1, 2))
    np.testing.assert_allclose(moved[[0, 2]], [0.05, 0.005], rtol=1e-3)


# What is refused


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"restarts": 0}, "restarts is 0: give a whole number of at least 1"),
        ({"restarts": True}, "restarts is True"),
        ({"restarts": 2.0}, "restarts is 2.0"),
        ({"frozen": np.zeros(ITEMS, bool)}, "frozen rows need the vectors they have"),
        (
            {"frozen": np.zeros(3, bool), "initial": start()},
            r"frozen has the shape \(3,\): give one bool for each item",
        ),
        ({"initial": start(items=3)}, r"shape \(3, 2\): give \(12, 2\)"),
        ({"initial": start()["embedding"]}, "give the embedding and the dense unit's kernel"),
        ({"pairs": random_pairs(0)}, "there are no pairs"),
        ({"pairs": make_pairs([[0, ITEMS]], [1])}, r"pair 0 has ids \[0, 12\]"),
        ({"held_out": make_pairs([[-1, 0]], [1])}, r"pair 0 has ids \[-1, 0\]"),
        ({"pairs": make_pairs([[0, 1]], [1], [0])}, "weights must be finite, 0 or more, and not"),
        ({"pairs": make_pairs([[0, 1]] * 2, [1, 0], [3, -1])}, "weights must be finite"),
        ({"pairs": make_pairs([[0, 1]] * 2, [1, 0], [1, np.nan])}, "weights must be finite"),
        ({"pairs": make_pairs([[0, 1]] * 2, [1, 0], [1, np.inf])}, "weights must be finite"),
        ({"config": dataclasses.replace(CONFIG, optimizer="lazy")}, "'lazy' is not known"),
        (
            {
                "config": dataclasses.replace(
                    CONFIG, optimizer=LAZY_ADAM, optimizer_options={"weight_decay": 0.1}
                )
            },
            "lazy_adam takes no options",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        run(**arguments)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"max_steps": 0}, "max_steps is 0: give a whole number of at least 1"),
        ({"evaluate_every": 0}, "evaluate_every is 0"),
        ({"evaluate_every": 2.5}, "evaluate_every is 2.5"),
        ({"patience": True}, "patience is True"),
        ({"drops": -1}, "drops is -1: give a whole number of at least 0"),
        ({"tolerance": -1e-9}, "tolerance is -1e-09: give a finite number of 0 or more"),
        ({"tolerance": np.nan}, "tolerance is nan"),
        ({"tolerance": np.inf}, "tolerance is inf"),
    ],
)
def test_stopping_rules_that_say_nothing_are_refused(values, message):
    with pytest.raises(InputError, match=message):
        Stopping(**values)
