"""What a training came to, in NumPy: known probabilities, scores, geometry, intervals and tables.

- truth: the exact probability of every label, and the losses that no model can beat.
- scores: cross-entropy, AUC, Brier score, calibration, from logits.
- geometry: alignment, recovered distances, nearest neighbours, from vectors.
- uncertainty: covariances and ellipses of positions, from repeated trainings.
- intervals: Wilson and bootstrap intervals, the interquartile mean, the choice of a dimension.
- tables: `evaluate_members` and the tables of a sweep.
- ranks, cielab: what the above use.

Importing this package loads none of its modules, and none of its modules loads JAX.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from colour_embed.evaluate.truth import pair_distance

__all__ = ["pair_distance"]


def __getattr__(name: str) -> Any:
    if name != "pair_distance":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from colour_embed.evaluate.truth import pair_distance

    return pair_distance
