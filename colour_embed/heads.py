"""The heads: how two vectors become the log-odds that their items are similar.

Each formula stands here once, for JAX and for NumPy: `xp` is the module whose arrays are given.

| head | logit |
|---|---|
| free | k s + b: the tutorial's dense unit, whose weight k may take either sign |
| negative | -softplus(k) s + b: a weight that cannot be positive |
| inverse | k / (s + smoothing) + b: an inverse distance with Lidstone smoothing |
| matched | log-odds of a softened 1 - softplus(k) d, plus b: how the labels were made |
| dot | softplus(k) <e_i, e_j> + b |

s is the squared distance of the two vectors and d its root.
"""

from __future__ import annotations

from typing import Any

_LEAST_PROBABILITY = 1e-4  # of the matched head: a certain answer that is wrong would cost infinity
_LEAST_SQUARE = 1e-6  # keeps the slope of the root finite where two vectors coincide


def uses_dot_product(head: str) -> bool:
    """Whether the head reads the dot product of two vectors, and not their squared distance."""
    return head == "dot"


def effective_kernel(kernel: Any, head: str, xp: Any) -> Any:
    """The weight that a head multiplies with: its parameter, or a softplus that fixes its sign."""
    if head == "negative":
        return -xp.logaddexp(kernel, 0.0)
    if head in ("matched", "dot"):
        return xp.logaddexp(kernel, 0.0)
    return kernel


def logits(head: str, smoothing: float, kernel: Any, bias: Any, relation: Any, xp: Any) -> Any:
    """The log-odds that pairs are similar.

    Args:
        head: One of `config.HEADS`.
        smoothing: Of the heads inverse (added to the squared distance) and matched (the width, in
            probability, over which the corner of max(0, 1 - k d) is rounded).
        kernel: The `effective_kernel`.
        bias: The logit where the rest is zero.
        relation: Squared distances [N], or dot products where the head `uses_dot_product`.
        xp: numpy or jax.numpy.

    Returns:
        Logits [N].
    """
    if head == "inverse":
        relation = 1.0 / (relation + smoothing)
    if head != "matched":
        return kernel * relation + bias
    # max(0, u) with a rounded corner, and 1 for u = 1.
    distance = xp.sqrt(relation + _LEAST_SQUARE)
    rounded = xp.logaddexp((1.0 - kernel * distance) / smoothing, 0.0)
    share = rounded / xp.logaddexp(1.0 / smoothing, 0.0)
    probability = _LEAST_PROBABILITY + (1.0 - 2.0 * _LEAST_PROBABILITY) * share
    return xp.log(probability) - xp.log1p(-probability) + bias
