"""The heads: by hand, in JAX and in NumPy alike, their slopes, and what they can and cannot say."""

import csv
import dataclasses
import functools
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, rel_entr

from colour_embed import animation, data, sweeps, train
from colour_embed.config import Config
from colour_embed.engine.optimizers import make_optimizer
from colour_embed.engine.start import init_training
from colour_embed.engine.state import member_keys
from colour_embed.evaluate import scores, tables
from colour_embed.evaluate.truth import all_pairs, held_out_pairs, make_truth
from colour_embed.heads import HEADS, Head
from colour_embed.model import init_params, logits
from colour_embed.runs import SweepResult

ONE = math.log(math.e - 1)  # the parameter whose softplus is 1

# Two rows at distance 0 are an item's own; the others lie at 0.5, 1, 2 and sqrt(1.25).
ROWS = np.array([[0.0, 0.0], [0.5, 0.0], [0.0, 1.0], [2.0, 0.0]])
PAIRS = np.array([[0, 0], [0, 1], [0, 2], [0, 3], [1, 2], [1, 3]])
SQUARED = np.array([0.0, 0.25, 1.0, 4.0, 1.25, 2.25])
DOT = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 1.0])

# (smoothing, parameter, bias, logits of PAIRS to five digits)
BY_HAND = {
    "free": (0.1, -2.0, 1.0, [1.0, 0.5, -1.0, -7.0, -1.5, -3.5]),
    "negative": (0.1, ONE, 1.0, [1.0, 0.75, 0.0, -3.0, -0.25, -1.25]),
    # 3 / (r + 0.5) - 1.
    "inverse": (0.5, 3.0, -1.0, [5.0, 3.0, 1.0, -1 / 3, 5 / 7, 1 / 11]),
    "dot": (0.1, ONE, 0.5, [0.5, 0.5, 0.5, 0.5, 0.5, 1.5]),
    # S(u) = log(1 + e^u), u = 2 - 2 d and S(2) = 2.126928, so that p = 1e-4 + 0.9998 S(u) / S(2):
    # d = 0.001 (where the root is bounded): S = 2.125167, p = 0.999072;
    # d = 0.500001: 1.313260, 0.617421;  d = 1: 0.693147, 0.325926;  d = 2: 0.126928, 0.059765;
    # d = 1.118034: 0.582063, 0.273709;  d = 1.5: 0.313262, 0.147354.
    "matched": (0.5, ONE, 0.25, [7.23158, 0.72862, -0.47667, -2.50571, -0.72589, -1.50551]),
}


def _weight(head, parameter, xp):
    return HEADS[head].weight(parameter, xp)


def _logits(head, smoothing, weight, bias, feature, xp):
    return HEADS[head].logit(feature, weight, bias, smoothing, xp)


def _params(head, rows=ROWS):
    _, parameter, bias, _ = BY_HAND[head]
    return {
        "embedding": {"embedding": jnp.asarray(rows, jnp.float32)},
        "dense": {"kernel": jnp.array([[parameter]]), "bias": jnp.array([bias])},
    }


def _kl(probability, logit):
    """Mean KL(Bernoulli(probability) || Bernoulli(sigmoid(logit))) from its two terms."""
    own = rel_entr(probability, expit(logit)) + rel_entr(1 - probability, expit(-logit))
    return own.mean()


# Values


@pytest.mark.parametrize("head", HEADS)
def test_logits_by_hand(head):
    smoothing, parameter, bias, expected = BY_HAND[head]
    relation = DOT if (HEADS[head].feature == "dot_product") else SQUARED
    # The matched ones are written to five places, and steep where the probability is nearly one.
    tolerance = {"rtol": 2e-5 if head == "matched" else 1e-6, "atol": 1e-6}
    kernel = _weight(head, parameter, np)
    by_numpy = _logits(head, smoothing, kernel, bias, relation, np)
    np.testing.assert_allclose(by_numpy, expected, **tolerance)
    assert by_numpy.dtype == np.float64
    config = Config(head=head, smoothing=smoothing)
    plain = logits(config, _params(head), jnp.asarray(PAIRS))
    jitted = jax.jit(functools.partial(logits, config))(_params(head), jnp.asarray(PAIRS))
    for found in (plain, jitted):
        np.testing.assert_allclose(found, expected, **tolerance)
        assert found.dtype == jnp.float32


@functools.partial(jax.jit, static_argnames="head")
def _by_jax(head, smoothing, parameter, bias, relation):
    kernel = _weight(head, parameter, jnp)
    return _logits(head, smoothing, kernel, bias, relation, jnp)


@pytest.mark.parametrize("head", HEADS)
@given(
    parameter=st.floats(-5, 5, width=32),
    bias=st.floats(-3, 3, width=32),
    smoothing=st.sampled_from([0.01, 0.1, 1.0, 10.0]),
    seed=st.integers(0, 1000),
)
def test_jax_and_numpy_agree(head, parameter, bias, smoothing, seed):
    low = -10 if (HEADS[head].feature == "dot_product") else 0
    relation = np.random.default_rng(seed).uniform(low, 10, 50).astype(np.float32)
    relation[0] = 0
    kernel = _weight(head, float(parameter), np)
    arguments = smoothing, kernel, bias, relation.astype(np.float64)
    expected = _logits(head, *arguments, np)
    value, _, _ = reference.head_and_slopes(head, smoothing, parameter, arguments[-1])
    np.testing.assert_allclose(expected, value + bias, rtol=1e-9, atol=1e-9)
    in_single = _by_jax(head, *map(jnp.float32, (smoothing, parameter, bias)), relation)
    # 1 - p, of the order of 1e-4 at the least, carries p's rounding of 6e-8.
    extra = 2e-3 if head == "matched" else 0
    np.testing.assert_allclose(
        in_single, expected, rtol=2e-5, atol=extra + 1e-5 * np.abs(expected).max() + 1e-30
    )
    with jax.enable_x64(True):
        in_double = _by_jax(head, *map(jnp.float64, (smoothing, parameter, bias, relation)))
        np.testing.assert_allclose(in_double, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("xp", [np, jnp])
@given(parameter=st.floats(-80, 80))
def test_a_fixed_sign_stays(xp, parameter):
    given_as = xp.asarray(parameter)
    softplus = max(parameter, 0) + math.log1p(math.exp(-abs(parameter)))
    for head, sign in (("negative", -1), ("matched", 1), ("dot", 1)):
        weight = float(_weight(head, given_as, xp))
        assert sign * weight > 0
        assert weight == pytest.approx(sign * softplus, rel=1e-5)
    for head in ("free", "inverse"):
        assert _weight(head, given_as, xp) is given_as


# The matched link


WEIGHTS = st.floats(0.05, 20)
WIDTHS = st.floats(1e-3, 10)


@given(weight=WEIGHTS, smoothing=WIDTHS, seed=st.integers(0, 1000))
def test_matched_probability_falls_with_distance_within_its_bounds(weight, smoothing, seed):
    distance = np.sort(np.random.default_rng(seed).uniform(0, 5, 200))
    logit = _logits("matched", smoothing, weight, 0.0, distance**2, np)
    assert np.isfinite(logit).all()
    probability = expit(logit)
    assert np.all((probability >= 1e-4 * (1 - 1e-9)) & (probability <= 1 - 1e-4 * (1 - 1e-9)))
    assert np.all(np.diff(logit) <= 1e-12)
    # Far out the rounded corner is too small for the sum that it is part of.
    steep = weight * distance < 1 + 10 * smoothing
    assert np.all(np.diff(logit[steep]) < 0)


@given(weight=WEIGHTS, smoothing=st.floats(1e-4, 1), seed=st.integers(0, 1000))
def test_matched_link_tends_to_the_rule_as_its_corner_sharpens(weight, smoothing, seed):
    distance = np.random.default_rng(seed).uniform(0, 2 / weight, 200)
    rule = np.maximum(0, 1 - weight * distance)
    probability = expit(_logits("matched", smoothing, weight, 0.0, distance**2, np))
    # The corner is log 2 of its width too high, and so is what one is scaled by; the root moves
    # distances by a thousandth at the most, and certain answers are held off by 1e-4.
    most = 2 * math.log(2) * smoothing + 1e-3 * weight + 1e-4
    assert np.abs(probability - rule).max() <= most


def test_matched_link_can_be_what_made_the_labels():
    # An affine head leaves 0.0056 for the true RGB, whatever its weights.
    rgb = data.load_colours().rgb
    truth = make_truth(rgb)
    relation = ((rgb[:, None] - rgb) ** 2).sum(axis=2)[np.triu_indices(len(rgb), 1)]
    excess = [
        scores.excess_kl(
            _logits("matched", width, 1 / math.sqrt(0.6), 0.0, relation, np), truth.probability
        )
        for width in (0.2, 0.05, 0.01)
    ]
    assert excess == sorted(excess, reverse=True)
    assert excess[-1] < 0.0006


# Gradient


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("head", HEADS)
def test_gradient_is_finite_where_vectors_coincide(head, normalise):
    config = Config(head=head, normalise=normalise, smoothing=0.01)
    # Pairs of an item with itself, of two items in one place, and of two at zero.
    rows = np.array([[0.3, -0.2], [0.3, -0.2], [0.0, 0.0], [0.0, 0.0], [1e-20, 0.0]])
    pairs = jnp.array([[0, 0], [0, 1], [2, 2], [2, 3], [2, 4], [0, 2]])

    def total(params):
        return jnp.sum(logits(config, params, pairs))

    for gradient in (jax.grad(total), jax.jit(jax.grad(total))):
        for leaf in jax.tree.leaves(gradient(_params(head, rows))):
            assert np.isfinite(leaf).all()


def _problem(seed=2, items=12, count=40):
    generator = np.random.default_rng(seed)
    flat = {
        "embedding": generator.normal(size=(items, 2)),
        "kernel": np.array([[0.4]]),
        "bias": np.array([-0.3]),
    }
    index = generator.integers(0, items, (count, 2))
    index[0] = 3, 3
    label = generator.integers(0, 2, count).astype(np.float64)
    return reference.nested(flat), index, label


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("head", HEADS)
def test_gradient_in_float64_is_the_slope(head, normalise):
    params, index, label = _problem()
    config = Config(head=head, normalise=normalise, smoothing=0.3)
    weight = np.full(len(label), 1 / len(label))

    def by_formula(flat):
        return reference.value_and_gradient(
            reference.nested(flat), *index.T, label, weight, head, normalise, smoothing=0.3
        )

    with jax.enable_x64(True):

        def loss(params):
            logit = logits(config, params, jnp.asarray(index))
            return jnp.mean(jax.nn.softplus(logit) - label * logit)

        ours = reference.leaves(jax.grad(loss)(jax.tree.map(jnp.asarray, params)))
    flat = reference.leaves(params)
    expected = reference.leaves(by_formula(flat)[2])
    for name, values in flat.items():
        assert reference.relative_difference(ours[name], expected[name]) < 1e-12, name
        place = tuple(size // 2 for size in values.shape)
        moved = []
        for step in (1e-6, -1e-6):
            copy = values.copy()
            copy[place] += step
            moved.append(by_formula(flat | {name: copy})[0])
        assert ours[name][place] == pytest.approx((moved[0] - moved[1]) / 2e-6, abs=1e-8), name


@pytest.mark.parametrize(("double", "bound"), [(False, 2e-5), (True, 1e-12)])
@pytest.mark.parametrize("head", HEADS)
def test_a_train_step_is_that_of_the_formulas(head, double, bound):
    params, index, label = _problem()
    config = Config(head=head, smoothing=0.3, learning_rate=0.01)
    expected, loss, mse = reference.train(
        params, index, label, [range(len(label))], 64, head=head, smoothing=0.3, learning_rate=0.01
    )
    with jax.enable_x64(double):
        kind = jnp.float64 if double else jnp.float32
        start = jax.tree.map(lambda leaf: jnp.asarray(leaf, kind), params)
        optimizer = make_optimizer(config, config.hyperparams())
        batch = train.Batch(
            *jnp.asarray(index, jnp.int32).T,
            jnp.asarray(label, kind),
            jnp.full(len(label), 1 / len(label), kind),
        )
        step = functools.partial(
            train.train_step, logits_fn=functools.partial(logits, config), optimizer=optimizer
        )
        state, found = jax.jit(step)(train.TrainState(start, optimizer.init(start)), batch)
        assert float(found.loss) == pytest.approx(loss[0], rel=bound)
        assert float(found.mse) == pytest.approx(mse[0], rel=bound)
        before, ours = reference.leaves(params), reference.leaves(state.params)
    for name, theirs in reference.leaves(expected).items():
        # What the step adds, since what it is added to would hide it.
        assert (
            reference.relative_difference(ours[name] - before[name], theirs - before[name])
            < 100 * bound
        ), name


# Measures


@pytest.mark.parametrize("head", HEADS)
def test_members_are_measured_by_their_own_head(head):
    generator = np.random.default_rng(7)
    rgb, items = generator.random((25, 3)), 25
    truth = make_truth(rgb)
    held_out = held_out_pairs(items, np.array([[0, 1], [4, 2]]), rgb, 0.2, 0)
    embedding = np.zeros((2, items, 3))
    embedding[0, :, :2], embedding[1] = rgb[:, :2], 2 * rgb - 1
    parameter, bias, smoothing = np.array([0.8, -1.5]), np.array([0.4, -0.6]), 0.3
    config = Config(head=head, smoothing=smoothing)
    nothing = np.zeros((2, 0))
    result = SweepResult(
        config,
        [dataclasses.replace(config, dim=dim) for dim in (2, 3)],
        embedding,
        _weight(head, parameter, np),
        bias,
        parameter,
        nothing,
        nothing,
        np.zeros(2, int),
        np.zeros(0, int),
        np.zeros((0, 0, items, 3)),
    )
    found = tables.evaluate_members(result, truth, None, held_out=held_out)
    first, second = all_pairs(items).T
    for member in range(2):
        one, other = embedding[member, first], embedding[member, second]
        relation = (one * other if head == "dot" else (one - other) ** 2).sum(axis=1)
        value, _, _ = reference.head_and_slopes(head, smoothing, parameter[member], relation)
        logit = value + bias[member]
        excess = _kl(truth.probability, logit)
        assert found["excess_kl"][member] == pytest.approx(excess, rel=1e-9)
        own = [pair not in {(0, 1), (2, 4)} for pair in zip(first, second)]
        loss = np.mean(np.logaddexp(0, logit[own]) - held_out.label * logit[own])
        assert found["heldout_loss"][member] == pytest.approx(loss, rel=1e-9)


# Where the weight starts


@pytest.mark.parametrize("head", HEADS)
def test_initial_kernel_is_where_the_weight_starts_and_none_is_the_draw(head):
    def start(seed, **fields):
        config = Config(head=head, **fields)
        keys = member_keys(np.uint32(seed))
        return init_training(config, 9, keys, config.hyperparams()).state.params, keys

    for seed in range(3):
        drawn, keys = start(seed)
        expected = init_params(Config(head=head), 9, keys.init)
        jax.tree.map(np.testing.assert_array_equal, drawn, expected)
        for value in (-0.3, 0.0, 1.25):
            given_params, _ = start(seed, initial_kernel=value)
            np.testing.assert_array_equal(given_params["dense"]["kernel"], [[np.float32(value)]])
            np.testing.assert_array_equal(
                given_params["embedding"]["embedding"], drawn["embedding"]["embedding"]
            )


COLOURS = data.load_colours()
SWEPT = len(COLOURS), data.tutorial_pairs(COLOURS, 2000)


def test_the_drawn_weight_is_the_same_as_ever():
    # The committed sweep was made before the weight's start could be given.
    with (Path(__file__).parent.parent / "results" / "sweep" / "runs.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["dim"] == "2" and row["head"] == "free"]
    assert len(rows) >= 4
    found = sweeps.sweep(Config(epochs=1), *SWEPT, [int(row["seed"]) for row in rows[:4]], [2])
    expected = np.array([row["kernel_init"] for row in rows[:4]], np.float32)
    np.testing.assert_array_equal(found.initial_kernel, expected)


@pytest.mark.parametrize(("vary", "as_one"), [(("init",), True), (("init", "order"), False)])
def test_initial_kernel_is_an_axis_in_both_layouts(vary, as_one):
    config, values = Config(epochs=3, seed=1), (-0.3, 0.0, 0.3)
    axes = {"initial_kernel": values}
    members = sweeps.grid(config, [0, 1], [2], axes)
    about = {"swept": tuple(axes), "vary": vary, "devices": jax.devices()[:1]}
    assert sweeps.plan_sweep(config, *SWEPT, members, **about).members_last == as_one
    found = sweeps.sweep(config, *SWEPT, [0, 1], [2], axes=axes, vary=vary)
    np.testing.assert_array_equal(found.initial_kernel, np.float32(values * 2))
    for value in values:
        # The config's own seed is 1, whose member has its order whatever varies.
        member = found.member(seed=1, dim=2, initial_kernel=value)
        assert member.config == Config(epochs=3, seed=1, initial_kernel=value)
        fitted = train.fit(member.config, *SWEPT)
        assert reference.relative_difference(member.embedding, fitted.embedding) < 1e-5
        assert member.kernel == pytest.approx(fitted.kernel, rel=1e-4, abs=1e-6)


# Where the bias starts


@pytest.mark.parametrize("head", HEADS)
def test_initial_bias_is_added_to_the_heads_own(head):
    def start(**fields):
        config = Config(head=head, **fields)
        return init_training(config, 9, member_keys(np.uint32(3)), config.hyperparams())

    drawn, moved = (start(**fields).state.params for fields in ({}, {"initial_bias": -1.25}))
    own = drawn["dense"].pop("bias")
    np.testing.assert_array_equal(moved["dense"].pop("bias"), own + np.float32(-1.25))
    jax.tree.map(np.testing.assert_array_equal, drawn, moved)


def test_initial_bias_is_that_of_a_fit_before_its_first_step():
    # Nothing is trained: the parameters of the fit are the initial ones.
    fitted = train.fit(Config(epochs=0, initial_bias=0.75), *SWEPT)
    assert fitted.bias == 0.75
    assert fitted.kernel == train.fit(Config(epochs=0), *SWEPT).kernel


@pytest.mark.parametrize("vary", [("init",), ("init", "order")])
def test_initial_bias_is_an_axis_in_both_layouts(vary):
    config, values = Config(epochs=1, seed=1, learning_rate=1e-6), (-0.5, 0.0, 2.0)
    found = sweeps.sweep(config, *SWEPT, [0, 1], [2], axes={"initial_bias": values}, vary=vary)
    # Adam moves a parameter by at most about its learning rate a step, here 4 of them.
    np.testing.assert_allclose(found.bias, values * 2, atol=1e-5)
    for value in values:
        # The config's own seed is 1, whose member has its order whatever varies.
        member = found.member(seed=1, dim=2, initial_bias=value)
        fitted = train.fit(member.config, *SWEPT)
        assert member.loss == pytest.approx(fitted.loss, rel=1e-5)
        assert member.bias == pytest.approx(fitted.bias, abs=1e-6)
    assert len(set(found.loss[:3, 0])) == 3


# A head of one's own


def test_a_new_head_is_one_entry_that_every_program_takes(monkeypatch):
    """Log-odds that fall with the logarithm of the distance; its weight is always positive."""
    head = Head(
        feature="squared_distance",
        weight=lambda parameter, xp: xp.logaddexp(parameter, 0.0),
        logit=lambda feature, weight, bias, smoothing, xp: bias - weight * xp.log1p(feature),
        attracts=lambda weight: weight > 0,
    )
    monkeypatch.setitem(HEADS, "log", head)
    colours, pairs = COLOURS, data.tutorial_pairs(COLOURS, 20_000)
    config = Config(head="log", epochs=40, learning_rate=0.01)
    fitted = train.fit(config, len(colours), pairs)
    assert fitted.loss[-1] < 0.75 * fitted.loss[0]
    assert fitted.kernel > 0
    assert not fitted.trapped
    made = sweeps.sweep(config, len(colours), pairs, [0, 1], [2, 3], snapshots=4)
    assert reference.relative_difference(made.member(seed=0, dim=2).loss, fitted.loss) < 1e-4
    assert not made.trapped.any()
    measures = tables.evaluate_members(made, colours.rgb, pairs)
    assert measures["recovered"].all()
    assert not any(animation._failures(made, made.members))
    assert animation.animate_grid(made, colours.rgb).frames == len(made.epoch)


@pytest.mark.parametrize(
    ("head", "weight", "trapped"),
    [
        ("free", 1.0, True),
        ("free", -1.0, False),
        ("negative", -1.0, False),
        ("inverse", 1.0, False),
        ("inverse", -1.0, True),
        ("matched", 1.0, False),
        ("dot", 1.0, False),
    ],
)
def test_the_head_alone_judges_the_sign_trap(head, weight, trapped):
    assert bool(HEADS[head].attracts(weight)) != trapped
