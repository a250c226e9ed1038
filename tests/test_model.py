"""The model: its initial values, its logits by hand, and the edges of its gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference

from colour_embed.config import HEADS, Config, InputError
from colour_embed.model import embedding_vectors, init_params, logits, parameter_table

BY_HAND = {
    "embedding": {"embedding": jnp.array([[0.0, 0.0], [3.0, 4.0], [0.0, 2.0]])},
    "dense": {"kernel": jnp.array([[-0.5]]), "bias": jnp.array([1.0])},
}
PAIRS = jnp.array([[0, 1], [1, 2], [2, 0], [1, 1]])


def start(seed=0, items=646, **fields):
    return init_params(Config(**fields), items, jax.random.key(seed))


# Parameters


@pytest.mark.parametrize(("dim", "total"), [(2, 1294), (3, 1940)])
def test_parameters_are_as_many_as_in_the_tutorial(dim, total):
    table = parameter_table(start(dim=dim))
    assert sum(size for _, _, size in table) == total
    assert {name: shape for name, shape, _ in table} == {
        "embedding.embedding": (646, dim),
        "dense.kernel": (1, 1),
        "dense.bias": (1,),
    }


def test_params_are_nested_dicts_of_float32_arrays():
    params = start()
    assert type(params) is dict
    assert all(type(part) is dict for part in params.values())
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(params))
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}


def test_initial_embedding_fills_its_range_evenly():
    embedding = np.asarray(start(dim=50)["embedding"]["embedding"])
    assert embedding.min() >= -0.05
    assert embedding.max() <= 0.05
    # 32,300 uniform values come within 0.1 % of both ends, and quarter themselves.
    assert embedding.min() < -0.0499
    assert embedding.max() > 0.0499
    quarters = np.histogram(embedding, 4, (-0.05, 0.05))[0] / embedding.size
    np.testing.assert_allclose(quarters, 0.25, atol=0.01)
    wide = np.asarray(start(dim=50, initial_scale=2.0)["embedding"]["embedding"])
    np.testing.assert_allclose(wide, embedding * 40, rtol=1e-6)


def test_dense_unit_starts_glorot_uniform_with_bias_zero():
    keys = jax.random.split(jax.random.key(0), 4000)
    params = jax.vmap(lambda key: init_params(Config(), 3, key))(keys)
    kernel = np.asarray(params["dense"]["kernel"]).ravel()
    limit = np.sqrt(3)
    assert limit * 0.999 < kernel.max() <= limit
    assert -limit <= kernel.min() < -limit * 0.999
    assert abs(np.mean(kernel < 0) - 0.5) < 0.03
    assert not np.asarray(params["dense"]["bias"]).any()


def test_a_column_does_not_depend_on_how_many_stand_beside_it():
    two, four = (np.asarray(start(dim=dim)["embedding"]["embedding"]) for dim in (2, 4))
    np.testing.assert_array_equal(two, four[:, :2])
    assert len(np.unique(four[0])) == 4  # the columns differ from each other
    for name in ("kernel", "bias"):
        np.testing.assert_array_equal(start(dim=2)["dense"][name], start(dim=4)["dense"][name])


def test_another_key_gives_other_parameters():
    first, second = start(seed=0), start(seed=1)
    assert np.all(first["embedding"]["embedding"] != second["embedding"]["embedding"])
    assert first["dense"]["kernel"] != second["dense"]["kernel"]


# Logits


def test_logits_by_hand():
    # Squared distances 25, 13, 4 and 0.
    result = logits(Config(), BY_HAND, PAIRS)
    np.testing.assert_allclose(result, [-11.5, -5.5, -1.0, 1.0], rtol=1e-6)
    assert result.dtype == jnp.float32


def test_normalised_logits_by_hand():
    # The unit rows are (0, 0), (0.6, 0.8) and (0, 1): squared distances 1, 0.4, 1 and 0.
    result = logits(Config(normalise=True), BY_HAND, PAIRS)
    np.testing.assert_allclose(result, [0.5, 0.8, 0.5, 1.0], rtol=1e-6)


def test_negative_head_by_hand():
    weight = -np.log1p(np.exp(-0.5))
    result = logits(Config(head="negative"), BY_HAND, PAIRS)
    expected = weight * np.array([25, 13, 4, 0]) + 1
    np.testing.assert_allclose(result, expected, rtol=1e-6)


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("head", HEADS)
def test_logits_are_the_same_in_every_way_of_calling(head, normalise):
    config = Config(dim=3, head=head, normalise=normalise)
    params = start(dim=3)
    pairs = jnp.asarray(np.random.default_rng(0).integers(0, 646, (200, 2)))
    result = logits(config, params, pairs)
    np.testing.assert_array_equal(logits(config, params, pairs[:, 0], pairs[:, 1]), result)
    jitted = jax.jit(lambda params, pairs: logits(config, params, pairs))(params, pairs)
    # Products of both signs cancel, which leaves them the rounding of the largest.
    np.testing.assert_allclose(jitted, result, rtol=5e-6, atol=1e-6 * np.abs(result).max())
    # Swapping the sides changes nothing: distance and dot product are symmetric.
    np.testing.assert_array_equal(logits(config, params, pairs[:, ::-1]), result)


def test_float64_parameters_are_not_rounded():
    with jax.enable_x64(True):
        params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), BY_HAND)
        params["embedding"]["embedding"] += 1e-12 * jnp.arange(6.0).reshape(3, 2)
        moved = logits(Config(), params, PAIRS)
        assert moved.dtype == jnp.float64
        rows = np.asarray(params["embedding"]["embedding"])
        distance = ((rows[PAIRS[:, 0]] - rows[PAIRS[:, 1]]) ** 2).sum(axis=1)
        np.testing.assert_allclose(moved, 1 - 0.5 * distance, rtol=1e-15)


def test_one_item_is_enough():
    params = start(items=1)
    assert logits(Config(), params, jnp.array([[0, 0]])).tolist() == [0.0]


def test_items_vectors_are_unit_rows_where_normalised():
    params = start(dim=3)
    lengths = np.linalg.norm(embedding_vectors(Config(dim=3, normalise=True), params), axis=1)
    np.testing.assert_allclose(lengths, 1, rtol=1e-6)
    plain = embedding_vectors(Config(dim=3), params)
    np.testing.assert_array_equal(plain, params["embedding"]["embedding"])


def test_tiny_rows_are_divided_by_1e_6():
    table = jnp.array([[0.0, 0.0], [3e-8, 4e-8], [3e-5, -4e-5]])
    vectors = embedding_vectors(Config(normalise=True), {"embedding": {"embedding": table}})
    np.testing.assert_allclose(vectors, [[0, 0], [0.03, 0.04], [0.6, -0.8]], rtol=1e-6)


# Gradient


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("head", ["free", "negative"])
def test_self_pairs_score_the_bias_and_move_no_row(head, normalise):
    config = Config(head=head, normalise=normalise)
    params = start(items=5)
    params["dense"]["bias"] = jnp.array([0.25])
    params["embedding"]["embedding"] = params["embedding"]["embedding"].at[4].set(0.0)
    own = jnp.array([[1, 1], [3, 3], [4, 4]])
    np.testing.assert_array_equal(logits(config, params, own), [0.25] * 3)
    gradient = jax.grad(lambda params: jnp.sum(logits(config, params, own)))(params)
    np.testing.assert_array_equal(gradient["embedding"]["embedding"], np.zeros((5, 2)))
    np.testing.assert_array_equal(gradient["dense"]["kernel"], [[0.0]])
    np.testing.assert_array_equal(gradient["dense"]["bias"], [3.0])


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("head", HEADS)
def test_gradient_is_that_of_the_formulas(head, normalise):
    config = Config(dim=3, head=head, normalise=normalise)
    params = start(dim=3, items=20, initial_scale=1.0)
    generator = np.random.default_rng(1)
    first, second = generator.integers(0, 20, (2, 60))
    label = generator.integers(0, 2, 60).astype(np.float32)

    def loss(params):
        logit = logits(config, params, first, second)
        return jnp.mean(jax.nn.softplus(logit) - label * logit)

    expected = reference.value_and_gradient(
        reference.nested(reference.leaves(params)),
        first,
        second,
        label,
        np.full(60, 1 / 60),
        head,
        normalise,
    )[2]
    ours = reference.leaves(jax.grad(loss)(params))
    # The matched link's slope is 1 / (p (1 - p)), which is 1e4 where p is nearly certain.
    bound = 1e-4 if head == "matched" else 2e-6
    for name, theirs in reference.leaves(expected).items():
        assert reference.relative_difference(ours[name], theirs) < bound, name


def test_normalise_in_one_dimension_is_refused():
    with pytest.raises(InputError, match="normalise with dim 1"):
        start(dim=1, normalise=True)


def test_shapes_must_match_exactly():
    # conftest.py turns silent broadcasting between ranks into an error; this says that it does.
    with pytest.raises(ValueError, match="rank_promotion"):
        jnp.ones((2, 3)) + jnp.ones(3)
