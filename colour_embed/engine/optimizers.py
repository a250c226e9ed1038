"""Optimisers: Keras's Adam, and any optax optimiser by name."""

from __future__ import annotations

import difflib
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from colour_embed.config import Config, Hyperparams, InputError

KERAS_ADAM = "keras_adam"
LAZY_ADAM = "lazy_adam"


class KerasAdamState(NamedTuple):
    """The number of steps, and the moving averages of the gradient and of its square."""

    count: Any
    mean: optax.Updates
    mean_square: optax.Updates


def keras_adam(
    learning_rate=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-7
) -> optax.GradientTransformation:
    r"""Return Adam as Keras computes it, with epsilon outside the bias correction.

    .. math::
        m_t &= \beta_1 m_{t-1} + (1-\beta_1) g_t, \quad
        v_t = \beta_2 v_{t-1} + (1-\beta_2) g_t^2 \\
        p_t &= p_{t-1} - \eta \frac{\sqrt{1-\beta_2^t}}{1-\beta_1^t} \frac{m_t}{\sqrt{v_t}+\epsilon}

    `optax.adam` corrects v before it adds epsilon, which equals an epsilon that shrinks over time.

    Args:
        learning_rate: eta. All arguments may be traced, so that a sweep can vmap over them.
        beta1: Decay rate of the mean of the gradient.
        beta2: Decay rate of the mean of the squared gradient.
        epsilon: The "epsilon hat" of the paper, before its section 2.1.

    Returns:
        An optax gradient transformation.

    References:
        D. Kingma and J. Ba, "Adam: a method for stochastic optimization", ICLR 2015.

    Example:
        >>> import optax
        >>> optimizer = keras_adam(learning_rate=0.1)
        >>> params = {"x": jnp.array([1.0])}
        >>> updates, _ = optimizer.update({"x": jnp.array([2.0])}, optimizer.init(params))
        >>> print(f"{optax.apply_updates(params, updates)['x'][0]:.3f}")
        0.900
    """

    def init(params):
        zeros = functools.partial(jax.tree.map, jnp.zeros_like)
        return KerasAdamState(jnp.zeros((), jnp.int32), zeros(params), zeros(params))

    def update(updates, state, params=None):
        del params
        count: Any = optax.safe_increment(state.count)

        def scaled(mean, mean_square):
            rate = learning_rate_at(count.astype(mean.dtype), learning_rate, beta1, beta2)
            return -rate * mean / (jnp.sqrt(mean_square) + epsilon)

        mean = optax.tree.update_moment(updates, state.mean, beta1, 1)
        mean_square = optax.tree.update_moment(updates, state.mean_square, beta2, 2)
        return jax.tree.map(scaled, mean, mean_square), KerasAdamState(count, mean, mean_square)

    return optax.GradientTransformation(init, update)


def learning_rate_at(step: Any, learning_rate: Any, beta1: Any, beta2: Any) -> Any:
    """Return the learning rate of Keras's Adam, with its bias correction, at a step from 1 on."""
    return learning_rate * jnp.sqrt(1 - beta2**step) / (1 - beta1**step)


def make_optimizer(config: Config, hyperparams: Hyperparams) -> optax.GradientTransformation:
    """Return the optimiser of a config.

    Args:
        config: `optimizer` and `optimizer_options` are used. For "lazy_adam" the result is Keras's
            Adam, which `lazy.lazy_step` applies to the rows of a batch.
        hyperparams: learning_rate, beta1, beta2 and epsilon are used; may be traced.

    Raises:
        InputError: optax has no optimiser of that name, or it does not take those options.
    """
    options = dict(config.optimizer_options)
    if config.optimizer in (KERAS_ADAM, LAZY_ADAM):
        if options:
            raise InputError(
                f"{config.optimizer} takes no options: set beta1, beta2 and epsilon themselves"
            )
        return keras_adam(
            hyperparams.learning_rate, hyperparams.beta1, hyperparams.beta2, hyperparams.epsilon
        )
    make = getattr(optax, config.optimizer, None)
    if not callable(make):
        known = (name for name in dir(optax) if callable(getattr(optax, name)))
        near = difflib.get_close_matches(config.optimizer, [KERAS_ADAM, LAZY_ADAM, *known], 1)
        hint = f"did you mean {near[0]!r}?" if near else "give keras_adam or one of optax's"
        raise InputError(f"optimizer {config.optimizer!r} is not known: {hint}")
    try:
        optimizer = make(learning_rate=hyperparams.learning_rate, **options)
    except TypeError as error:
        raise InputError(
            f"optimizer {config.optimizer!r} with options {sorted(options)}: {error}; "
            "give an optimiser of optax and options that it takes"
        ) from None
    if not isinstance(optimizer, optax.GradientTransformation):
        raise InputError(f"optimizer {config.optimizer!r} is no optimiser: name one of optax's")
    try:
        params = {"x": jnp.zeros(1)}
        jax.eval_shape(lambda: optimizer.update(params, optimizer.init(params), params))
    except TypeError:
        raise InputError(
            f"optimizer {config.optimizer!r} needs more than the gradient, such as the loss as a "
            "function: name one of optax's that takes the gradient alone"
        ) from None
    return optimizer


def masked(inner: optax.GradientTransformation, frozen: Any) -> optax.GradientTransformation:
    """Return an optimiser that updates only the embedding rows that are not frozen."""

    def update(gradient: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        updates: Any
        updates, state = inner.update(gradient, state, params)
        rows = updates["embedding"]["embedding"]
        moved = {"embedding": {"embedding": jnp.where(frozen[:, None], 0.0, rows)}}
        return {**jax.tree.map(jnp.zeros_like, updates), **moved}, state

    step: Any = update
    return optax.GradientTransformation(inner.init, step)
