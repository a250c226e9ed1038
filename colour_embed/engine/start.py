"""The initial state of a training."""

from __future__ import annotations

import jax.numpy as jnp
import optax
from jax import Array
from jax.typing import ArrayLike

from colour_embed.config import Config, Hyperparams
from colour_embed.engine.lazy import init_lazy
from colour_embed.engine.optimizers import LAZY_ADAM, make_optimizer
from colour_embed.engine.state import MemberKeys, Training, TrainState
from colour_embed.model import Params, init_params


def start_params(
    config: Config,
    items: int,
    key: Array,
    hyperparams: Hyperparams,
    dim: ArrayLike | None = None,
) -> Params:
    """Return the initial parameters of a training.

    Args:
        config: `dim` and the model's fields are used.
        items: Number of items.
        key: `MemberKeys.init`.
        hyperparams: initial_scale, initial_kernel and initial_bias are used; may be traced.
        dim: The number of columns in use. The others are 0, have gradient 0 and stay 0. May be
            traced, so that one program serves several dimensions.
    """
    params = init_params(config, items, key, initial_scale=hyperparams.initial_scale)
    drawn, given = params["dense"]["kernel"], hyperparams.initial_kernel
    params["dense"]["kernel"] = jnp.where(jnp.isnan(given), drawn, given)
    params["dense"]["bias"] += hyperparams.initial_bias
    if dim is not None:
        in_use = jnp.arange(config.dim) < dim
        params["embedding"]["embedding"] *= in_use.astype(jnp.float32)[None, :]
    return params


def init_training(
    config: Config,
    items: int,
    keys: MemberKeys,
    hyperparams: Hyperparams,
    *,
    dim: ArrayLike | None = None,
    optimizer: optax.GradientTransformation | None = None,
) -> Training:
    """Return a training before its first epoch; the arguments are those of `start_params`."""
    params = start_params(config, items, keys.init, hyperparams, dim)
    return training_from(config, params, hyperparams, optimizer)


def training_from(
    config: Config,
    params: Params,
    hyperparams: Hyperparams,
    optimizer: optax.GradientTransformation | None = None,
) -> Training:
    """Return a training with these parameters and a freshly initialised `opt_state`."""
    is_lazy = optimizer is None and config.optimizer == LAZY_ADAM
    optimizer = optimizer or make_optimizer(config, hyperparams)
    init = init_lazy if is_lazy else optimizer.init
    return Training(TrainState(params, init(params)), jnp.zeros((), jnp.int32))
