"""The model: an embedding, the squared distance of two of its rows, and a head.

Flax is imported only here. The parameters of an NNX module are returned as a plain pytree, and the
logits are a pure function of that pytree and the pairs.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jaxtyping import Float, Int

from colour_embed.config import Config
from colour_embed.heads import HEADS

AnyArray = Array | np.ndarray

Params = dict[str, Any]
"""{"embedding": {"embedding": [items, dim]}, "dense": {"kernel": [1, 1], "bias": [1]}}"""


class PairModel(nnx.Module):
    """Module of a pair's logit, such as kernel * |e_i - e_j|^2 + bias, by the config's head.

    The initialisers are those of Keras. The embedding is uniform in (-initial_scale,
    initial_scale). Each column has its own key, so that its values do not depend on `dim`. The
    dense kernel is Glorot uniform, that is uniform in (-sqrt(3), sqrt(3)) for one input and one
    output. The bias is 0; `engine.start` adds the config's initial bias.
    """

    def __init__(  # noqa: D107
        self, items: int, config: Config, *, initial_scale, rngs: nnx.Rngs
    ):
        self.embedding = nnx.Embed(
            items,
            config.dim,
            embedding_init=functools.partial(_uniform_columns, scale=initial_scale),
            rngs=rngs,
        )
        self.dense = nnx.Linear(1, 1, kernel_init=nnx.initializers.glorot_uniform(), rngs=rngs)
        self.head = config.head
        self.smoothing = config.smoothing
        self.normalise = config.normalise

    def __call__(
        self, first: Int[AnyArray, " pairs"], second: Int[AnyArray, " pairs"]
    ) -> Float[Array, "pairs ..."]:
        """Return logits [N] of the pairs with the items first [N] and second [N].

        Parameters with a trailing member axis give logits [N, members].
        """
        # Calling the layer would round float64 parameters to float32.
        table = self.embedding.embedding[...]
        head = HEADS[self.head]
        dot = head.feature == "dot_product"
        if self.normalise or dot:
            rows = table[first], table[second]
            one, other = map(_unit_rows, rows) if self.normalise else rows
            feature = jnp.sum(one * other if dot else (one - other) ** 2, axis=1)
        else:
            feature = jnp.sum(_difference(table, first, second) ** 2, axis=1)
        # Shape [1] or [1, members], which broadcasts against the feature without rank promotion.
        dense: Any = self.dense
        weight = head.weight(dense.kernel[...], jnp)[0]
        return head.logit(feature, weight, dense.bias[...], self.smoothing, jnp)


@jax.custom_vjp
def _difference(
    table: Float[AnyArray, "items dim ..."],
    first: Int[AnyArray, " pairs"],
    second: Int[AnyArray, " pairs"],
) -> Float[Array, "pairs dim ..."]:
    """Return the rows of the first items minus those of the second items, [N, dim, ...].

    The derivative equals autodiff's, but is accumulated in one table, where autodiff adds two; with
    two, an epoch takes 1.07 times as long (results/benchmark/levers.md). The zeros are one vector:
    with a table of zeros, 64 members in one program take 7 % longer.
    """
    return table[first] - table[second]


def _difference_forward(table, first, second):
    return _difference(table, first, second), (first, second, table)


def _difference_backward(kept, slope):
    first, second, table = kept
    zeros = jax.lax.optimization_barrier(jnp.zeros(table.size, table.dtype)).reshape(table.shape)
    gradient = jax.lax.platform_dependent(
        *(zeros.at[first].add(slope), second, slope),
        # Adding -slope takes 64 members in one program 1.15 times as long.
        cpu=lambda table, ids, slope: table.at[ids].subtract(slope),
        # XLA's deterministic ops compute `subtract` wrongly (jax 0.11.2).
        default=lambda table, ids, slope: table.at[ids].add(-slope),
    )
    return gradient, None, None


_difference.defvjp(_difference_forward, _difference_backward)


def _uniform_columns(key, shape, dtype=jnp.float32, *, scale):
    items, dim = shape
    keys = jax.vmap(lambda column: jax.random.fold_in(key, column))(jnp.arange(dim))
    columns = jax.vmap(lambda k: jax.random.uniform(k, (items,), dtype, -1.0, 1.0))(keys)
    return scale * columns.T


def _unit_rows(table: Any) -> Any:
    """Return rows of unit length; squared lengths are at least 1e-12, as in TensorFlow."""
    squared_length = jnp.sum(table**2, axis=1, keepdims=True)
    return table * jax.lax.rsqrt(jnp.maximum(squared_length, 1e-12))


def init_params(config: Config, items: int, key: Array, *, initial_scale=None) -> Params:
    """Return the initial parameters of the model for `items` items.

    Args:
        config: dim, head and normalise are used; initial_scale too if the argument is None.
        items: Number of rows of the embedding.
        key: A JAX key.
        initial_scale: Bound of the uniform initial embedding; may be traced.

    Returns:
        The parameters as nested dicts of float32 arrays; see `Params`.

    Example:
        >>> params = init_params(Config(dim=3), 10, jax.random.key(0))
        >>> jax.tree.map(jnp.shape, params)
        {'dense': {'bias': (1,), 'kernel': (1, 1)}, 'embedding': {'embedding': (10, 3)}}
    """
    scale = config.initial_scale if initial_scale is None else initial_scale
    model = PairModel(items, config, initial_scale=scale, rngs=nnx.Rngs(params=key))
    return nnx.to_pure_dict(nnx.state(model, nnx.Param))


@functools.cache
def _graphdef(config: Config, items: int) -> Any:
    """Return the structure of the module without its values; evaluated abstractly."""
    model = nnx.eval_shape(
        lambda: PairModel(items, config, initial_scale=1.0, rngs=nnx.Rngs(params=0))
    )
    return nnx.split(model, nnx.Param, ...)[::2]


def logits(
    config: Config,
    params: Params,
    first: Int[AnyArray, " pairs"] | Int[AnyArray, "pairs 2"],
    second: Int[AnyArray, " pairs"] | None = None,
) -> Float[Array, "pairs ..."]:
    """Return the logits of pairs, the log-odds that a pair is similar.

    Args:
        config: head, smoothing and normalise are used.
        params: As `init_params` returns them.
        first: int32 [N], ids of the first items; or int32 [N, 2], ids of both items.
        second: int32 [N], ids of the second items; None if `first` is [N, 2].

    Returns:
        float32 [N].

    Example:
        >>> params = init_params(Config(), 10, jax.random.key(0))
        >>> logits(Config(), params, jnp.array([[0, 1], [2, 2]])).shape
        (2,)
    """
    if second is None:
        first, second = first[..., 0], first[..., 1]
    items, dim = params["embedding"]["embedding"].shape[:2]
    structure = Config(
        dim=dim, head=config.head, smoothing=config.smoothing, normalise=config.normalise
    )
    graphdef, rest = _graphdef(structure, items)
    model: Any = nnx.merge(graphdef, nnx.State(params), rest)
    return model(first, second)


def embedding_vectors(config: Config, params: Params) -> AnyArray:
    """Return the vectors [items, dim] whose distances the head reads: unit rows if normalised."""
    table = params["embedding"]["embedding"]
    return _unit_rows(table) if config.normalise else table


def parameter_table(params: Params) -> list[tuple[str, tuple[int, ...], int]]:
    """Return (name, shape, size) of each parameter, as in a Keras summary."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return [
        (jax.tree_util.keystr(path, simple=True, separator="."), leaf.shape, leaf.size)
        for path, leaf in leaves
    ]
