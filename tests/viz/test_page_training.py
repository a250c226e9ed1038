"""The training of the page in a browser: the library's own numbers, from the same keys."""

import importlib.resources

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from viz import test_page_browser

from colour_embed.config import Config
from colour_embed.data import LABEL_CONSTANT, load_colours, tutorial_pairs
from colour_embed.engine.batches import epoch_order
from colour_embed.engine.shuffle import index_order
from colour_embed.engine.start import start_params
from colour_embed.engine.state import member_keys
from colour_embed.evaluate.truth import (
    base_rate_loss,
    best_loss,
    pair_distance,
    probability_similar,
)
from colour_embed.heads import HEADS
from colour_embed.sweeps import training_labels, training_pairs

pytestmark = test_page_browser.pytestmark
browser = test_page_browser.browser
SCRIPT = importlib.resources.files("colour_embed.viz") / "templates" / "train.js"
SEEDS = (0, 7, 2**32 - 1)


@pytest.fixture(scope="module")
def script(browser):
    """A function that evaluates an expression of `learning` with arguments."""
    page = browser.new_page()
    page.add_script_tag(content=SCRIPT.read_text(encoding="utf-8"))

    def evaluate(expression, *arguments):
        body = expression if expression.startswith("{") else f"({expression})"
        return page.evaluate(f"(given) => {body}", list(arguments))

    yield evaluate
    page.close()


def words(key):
    return np.asarray(jax.random.key_data(key)).tolist()


@pytest.mark.parametrize("seed", SEEDS)
def test_keys_and_draws_are_those_of_jax(script, seed):
    keys = member_keys(np.uint32(seed))
    found = script("learning.memberKeys(given[0])", seed)
    assert found == {name: words(key) for name, key in zip(keys._fields, keys)}
    key, given = keys.order, words(keys.order)
    assert script("learning.foldIn(given[0], 499)", given) == words(jax.random.fold_in(key, 499))
    assert script("[...learning.bits(given[0], 50)]", given) == jax.random.bits(key, (50,)).tolist()
    drawn = script("[...learning.uniform(given[0], 1000)]", given)
    np.testing.assert_array_equal(np.float32(drawn), jax.random.uniform(key, (1000,), jnp.float32))
    for span in (2, 646, 65537):
        found = script("[...learning.integers(given[0], 1000, given[1])]", given, span)
        wanted = jax.random.randint(key, (1000,), 0, span, jnp.int32)
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("count", [1, 2, 91, 97, 4095, 4096, 100_000, 99_991])
def test_the_order_of_the_pairs_is_the_librarys(script, count):
    keys = member_keys(np.uint32(7))
    for epoch in (1, 500):
        found = script("[...learning.epochOrder(learning.memberKeys(7), ...given)]", epoch, count)
        key = jax.random.fold_in(keys.order, epoch)
        order = np.asarray(epoch_order(key, count, min(512, count))).ravel()[:count]
        np.testing.assert_array_equal(found, order)
        np.testing.assert_array_equal(found, index_order(key, jnp.arange(count), count))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("dim", [1, 2, 3])
def test_the_initial_values_are_the_librarys_bit_for_bit(script, seed, dim):
    for scale, first in ((0.05, None), (0.3, 0.7)):
        config = Config(dim=dim, initial_scale=scale, initial_kernel=first)
        keys = member_keys(np.uint32(seed))
        params = start_params(config, 646, keys.init, config.hyperparams())
        settings = {"dim": dim, "scale": scale, "firstWeight": first}
        found = script(
            "[...learning.initialValues(learning.memberKeys(given[0]), 646, given[1])]",
            *(seed, settings),
        )
        wanted = np.concatenate(
            [
                np.ravel(params["embedding"]["embedding"]),
                np.ravel(params["dense"]["kernel"]),
                params["dense"]["bias"],
            ]
        )
        np.testing.assert_array_equal(np.float32(found), wanted)


def test_the_sign_of_the_first_weight(script):
    made = "learning.initialValues(learning.memberKeys(3), 4, { dim: 2, scale: 0.05, ...given[0] })"
    drawn = script(f"{made}[8]", {})
    for sign in (1, -1):
        assert script(f"{made}[8]", {"sign": sign}) == sign * abs(drawn)
        assert script(f"{made}[8]", {"sign": sign, "firstWeight": -0.5}) == sign * 0.5


@pytest.mark.parametrize(("seed", "count"), [(0, 3000), (5, 1)])
def test_drawn_pairs_and_labels_are_those_of_a_sweep(script, seed, count):
    colours = load_colours()
    pairs = tutorial_pairs(colours, count)
    member = Config(seed=seed, label_constant=0.4)
    index = training_pairs(len(colours), pairs, member, ("pairs",))
    label = training_labels(index, member, colours.rgb)
    found = script(
        """{
            const keys = learning.memberKeys(given[0]);
            const pairs = learning.drawnPairs(keys, given[1], 646);
            const label = learning.drawnLabels(keys, pairs, given[2], 0.4);
            const floor = learning.floorOf({ ...pairs, label }, given[2], 0.4);
            const rest = [floor, learning.baseRateLoss(label)];
            return [[...pairs.first], [...pairs.second], [...label], rest];
        }""",
        *(seed, count, np.round(255 * colours.rgb).astype(int).ravel().tolist()),
    )
    np.testing.assert_array_equal(np.transpose(found[:2]), index)
    assert np.count_nonzero(found[2] != label) <= 1  # at the very edge of the rule
    probability = probability_similar(pair_distance(colours, index), 0.4)
    wanted = best_loss(probability, found[2]), base_rate_loss(np.array(found[2]))
    np.testing.assert_allclose(found[3], wanted, rtol=1e-9)


def test_the_floor_of_the_tutorials_labels(script):
    colours = load_colours()
    pairs = tutorial_pairs(colours, 20_000)
    arrays = [*pairs.index.T.tolist(), pairs.label.tolist()]
    rgb = np.round(255 * colours.rgb).astype(int).ravel().tolist()
    floor = script(
        "learning.floorOf({ first: given[0], second: given[1], label: given[2] }, given[3], 0.2)",
        *(*arrays, rgb),
    )
    probability = probability_similar(pair_distance(colours, pairs.index), LABEL_CONSTANT)
    assert floor == pytest.approx(best_loss(probability, pairs.label), rel=1e-9)


CASES = [
    *((head, False, 2) for head in HEADS),
    *((head, True, 3) for head in HEADS),
    ("free", False, 1),
    ("negative", False, 3),
]


@pytest.mark.parametrize(("head", "normalise", "dim"), CASES)
def test_sixty_steps_are_those_of_the_float64_reference(script, head, normalise, dim):
    items, count, batch, seed = 60, 3000, 256, 4  # 11 steps of 256 and one of 184: five epochs
    random = np.random.default_rng(0)
    index = random.integers(0, items, (count, 2))
    index[:20, 1] = index[:20, 0]  # self-pairs
    label = (random.random(count) < 0.3).astype(np.float64)
    config = Config(seed=seed, dim=dim, head=head, normalise=normalise)
    keys = member_keys(np.uint32(seed))
    start = start_params(config, items, keys.init, config.hyperparams())
    order = [
        index_order(jax.random.fold_in(keys.order, one), jnp.arange(count), count)
        for one in range(1, 6)
    ]
    params, loss, _ = reference.train(
        *(start, index, label, np.array(order), batch),
        head=head,
        normalise=normalise,
        learning_rate=0.01,
    )
    settings = {"seed": seed, "dim": dim, "head": head, "normalise": normalise, "batch": batch}
    settings |= {"rate": 0.01, "scale": 0.05}
    found = script(
        """{
            const [settings, first, second, label] = given;
            const training = learning.startTraining(settings, 60, { first, second, label });
            const losses = [1, 2, 3, 4, 5].map(() => learning.trainEpoch(training));
            return [[...training.values], losses, training.step];
        }""",
        *(settings, *index.T.tolist(), label.tolist()),
    )
    assert found[2] == 60
    np.testing.assert_allclose(found[1], loss, rtol=1e-6)
    values = np.array(found[0])
    wanted = reference.leaves(params)
    for ours, name in (
        (values[:-2].reshape(items, dim), "embedding"),
        (values[-2:-1], "kernel"),
        (values[-1:], "bias"),
    ):
        theirs = wanted[name].reshape(ours.shape)
        assert reference.relative_difference(ours, theirs) < 1e-6, name


@pytest.mark.parametrize("head", list(HEADS))
def test_a_head_attracts_as_in_the_registry(script, head):
    for weight in (-1.0, 1.0):
        found = script("learning.FORMS[given[0]].attracts(given[1])", head, weight)
        assert found == bool(HEADS[head].attracts(weight))
        k = script("learning.FORMS[given[0]].weight(given[1])", head, weight)
        assert k == pytest.approx(float(HEADS[head].weight(weight, np)), rel=1e-12)
