"""Binary cross-entropy from logits, with an explicit derivative."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike


def cross_entropy(logit: ArrayLike, label: ArrayLike) -> Array:
    """Return the binary cross-entropy of sigmoid(logit), in nats, for a label in 0..1, elementwise.

    It is computed as max(z, 0) - y z + log(1 + exp(-|z|)), which does not overflow. The derivative
    with respect to z is defined as sigmoid(z) - y: autodiff of the formula is wrong at z = 0, the
    initial logit of a self-pair. The derivative with respect to the label is not defined.
    """
    return loss_and_error(logit, label)[0]


@jax.custom_jvp
def loss_and_error(logit: ArrayLike, label: ArrayLike) -> tuple[Array, Array]:
    """Return the cross-entropy of `cross_entropy` and sigmoid(logit) - label, elementwise.

    Both use one exponential: with two, 64 members in one program take 12 % longer.
    """
    loss, probability = _loss_and_probability(logit, label)
    return loss, probability - label


def _loss_and_probability(logit, label):
    small = jnp.exp(-jnp.abs(logit))
    loss = jnp.maximum(logit, 0) - label * logit + jnp.log(1 + small)
    return loss, jnp.where(logit >= 0, 1, small) / (1 + small)


@loss_and_error.defjvp
def _loss_and_error_jvp(primals, tangents):
    logit, label = primals
    loss, probability = _loss_and_probability(logit, label)
    error = probability - label
    slope = probability * (1 - probability)
    return (loss, error), (error * tangents[0], slope * tangents[0])
