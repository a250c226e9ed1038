"""Binary cross-entropy from logits, with its derivative written out."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike


@jax.custom_jvp
def cross_entropy(logit: ArrayLike, label: ArrayLike) -> Array:
    """Binary cross-entropy in nats of sigmoid(logit) under a label in 0..1, elementwise.

    max(z, 0) - y z + log(1 + exp(-|z|)), which does not overflow. Its derivative by z is given as
    sigmoid(z) - y: that of the formula is wrong at z = 0, where a pair of an item with itself
    starts. The label has no derivative here.
    """
    return jnp.maximum(logit, 0) - label * logit + jnp.log(1 + jnp.exp(-jnp.abs(logit)))


@cross_entropy.defjvp
def _cross_entropy_jvp(primals, tangents):
    logit, label = primals
    return cross_entropy(logit, label), (jax.nn.sigmoid(logit) - label) * tangents[0]
