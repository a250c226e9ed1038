"""The heads: how two vectors become the log-odds that their items are similar.

Each head is one entry of `HEADS` and serves JAX and NumPy alike: `xp` is the module whose arrays
are given. To add a head, add an entry; `Config(head=...)` then accepts its name.

| head | logit |
|---|---|
| free | k s + b: the tutorial's dense unit, whose weight k may take either sign |
| negative | -softplus(k) s + b: a weight that cannot be positive |
| inverse | k / (s + smoothing) + b: an inverse distance with Lidstone smoothing |
| matched | log-odds of a softened 1 - softplus(k) d, plus b: how the labels were made |
| dot | softplus(k) <e_i, e_j> + b |

s is the squared distance of the two vectors, d its root and <,> the dot product.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

_LEAST_PROBABILITY = 1e-4  # of the matched head: bounds the loss of a certain and wrong answer
_LEAST_SQUARE = 1e-6  # keeps the slope of the root finite where two vectors coincide


class Head(NamedTuple):
    """How the feature of a pair becomes a logit.

    Attributes:
        feature: What is read of two vectors, "squared_distance" or "dot_product".
        weight: (parameter, xp) -> the effective weight, such as the parameter's softplus.
        logit: (feature [N], effective weight, bias, smoothing, xp) -> logits [N]. `smoothing` is
            `Config.smoothing`, for the heads that use it.
        attracts: effective weight -> whether training pulls similar items together under it.
            Where it is false, the run is in the sign trap.

    Example:
        >>> import numpy as np
        >>> head = HEADS["negative"]
        >>> weight = head.weight(0.0, np)
        >>> print(round(float(weight), 4), bool(head.attracts(weight)))
        -0.6931 True
    """

    feature: Literal["squared_distance", "dot_product"]
    weight: Callable[[Any, Any], Any]
    logit: Callable[[Any, Any, Any, float, Any], Any]
    attracts: Callable[[Any], Any]


def _affine(feature: Any, weight: Any, bias: Any, smoothing: float, xp: Any) -> Any:
    return weight * feature + bias


def _inverse(feature: Any, weight: Any, bias: Any, smoothing: float, xp: Any) -> Any:
    return weight * (1.0 / (feature + smoothing)) + bias


def _matched(feature: Any, weight: Any, bias: Any, smoothing: float, xp: Any) -> Any:
    # max(0, u) with a rounded corner, scaled to 1 for u = 1; smoothing is the corner's width.
    distance = xp.sqrt(feature + _LEAST_SQUARE)
    rounded = xp.logaddexp((1.0 - weight * distance) / smoothing, 0.0)
    share = rounded / xp.logaddexp(1.0 / smoothing, 0.0)
    probability = _LEAST_PROBABILITY + (1.0 - 2.0 * _LEAST_PROBABILITY) * share
    return xp.log(probability) - xp.log1p(-probability) + bias


def _as_given(parameter: Any, xp: Any) -> Any:
    return parameter


def _softplus(parameter: Any, xp: Any) -> Any:
    return xp.logaddexp(parameter, 0.0)


def _minus_softplus(parameter: Any, xp: Any) -> Any:
    return -xp.logaddexp(parameter, 0.0)


def _below_zero(weight: Any) -> Any:
    return weight < 0


def _above_zero(weight: Any) -> Any:
    return weight > 0


HEADS: dict[str, Head] = {
    "free": Head("squared_distance", _as_given, _affine, _below_zero),
    "negative": Head("squared_distance", _minus_softplus, _affine, _below_zero),
    "inverse": Head("squared_distance", _as_given, _inverse, _above_zero),
    "matched": Head("squared_distance", _softplus, _matched, _above_zero),
    "dot": Head("dot_product", _softplus, _affine, _above_zero),
}
"""All heads by name."""
