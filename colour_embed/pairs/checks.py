"""The checks and warnings that the program `train` and the estimator share. No jax."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from colour_embed.config import InputError
from colour_embed.data import Pairs
from colour_embed.io.faults import quoted
from colour_embed.pairs.sampling import contradictions, group_sizes
from colour_embed.pairs.vocabulary import look_alikes

if TYPE_CHECKING:
    from colour_embed.pairs.fit import PairFit

LABEL_ROUNDING = 4 * float(np.finfo(np.float32).eps)
"""How far a label may lie outside 0..1, as float32 arithmetic leaves a cosine of 1; 5e-7."""


class PairWarning(UserWarning):
    """The category of the estimator's warnings of its pairs and of what it learnt of them."""


def pair_warnings(
    items: Sequence[Any],
    index: np.ndarray,
    label: np.ndarray,
    weight: np.ndarray,
    *,
    self_pairs: int = 0,
    positives_only: bool = False,
    fixed: int = 0,
    kinds: Sequence[Sequence[str]] | None = None,
) -> list[str]:
    """Return a line for each condition of pairs that are kept or dropped, but may surprise.

    The conditions are names that look alike, self-pairs, equal labels, contradictions, separate
    groups and isolated items. A pair of weight 0 counts for none of them.

    Args:
        items: The items, ids or names; the id of an item in `index` is its position.
        index: integers [N, 2], pairs of two different items.
        label: float32 [N] in 0..1.
        weight: [N], 0 or more, not all 0.
        self_pairs: Number of pairs of an item with itself, which were dropped.
        positives_only: Whether every pair is known to be similar; equal labels are then expected.
        fixed: Number of first items that have positions already; they count as connected.
        kinds: The names of each kind of items, if there are two; only within one they are compared.

    Example:
        >>> import numpy as np
        >>> pair_warnings(["oak", "elm", "fir"], np.array([[0, 1]]), np.ones(1), np.ones(1))[-1]
        '1 item in no pair: kept, but no pair determines the position'
    """
    if not weight.all():
        index, label = index[weight > 0], label[weight > 0]
    kinds = kinds or [[item for item in items if isinstance(item, str)]]
    warnings = [line for names in kinds for line in look_alikes(names)]
    if self_pairs:
        warnings.append(
            f"{counted(self_pairs, 'pair')} of an item with itself: dropped, as the "
            "distance of an item to itself is 0"
        )
    if not positives_only and label.min() == label.max():
        value = str(label[0]).removesuffix(".0")
        hint = ""
        if value == "1":
            hint = (
                "; where only similar pairs are known, draw dissimilar ones, as positives_only of "
                "train or draw_negatives does"
            )
        warnings.append(
            f"all {counted(len(label), 'label')} are {value}: kept, but there is nothing to tell "
            f"apart{hint}"
        )
    against = contradictions(index, label)
    if against.pairs:
        example = " and ".join(shown(items[item]) for item in against.example)
        warnings.append(
            f"{counted(against.pairs, 'pair')} in {against.rows:,} rows with labels that differ, "
            f"such as {example}: kept, and the model learns their mean"
        )
    if fixed:
        chain = np.stack(
            [np.zeros(fixed, index.dtype), np.arange(fixed, dtype=index.dtype)], axis=1
        )
        index = np.concatenate([index, chain])
    sizes, isolated = group_sizes(index, len(items))
    if len(sizes) > 1:
        warnings.append(
            f"{len(sizes):,} groups of items that no pairs connect, the largest of {sizes[0]:,} "
            f"and the smallest of {sizes[-1]:,} items: kept, but the positions of the groups "
            "relative to each other are arbitrary"
        )
    if isolated:
        warnings.append(
            f"{counted(isolated, 'item')} in no pair: kept, but no pair determines the position"
        )
    return warnings


def convergence_warnings(fit: PairFit, max_steps: int, option: str = "") -> list[str]:
    """Return a line if the training ended before the loss converged, and one if restarts diverged.

    Args:
        fit: The training.
        max_steps: Its limit.
        option: What precedes the name of an option: "--" for a program.
    """
    warnings = []
    if fit.stopped == "steps":
        warnings.append(
            f"stopped at {option}max_steps={max_steps}, before the loss converged: more may help"
        )
    diverged = fit.restart_stopped.count("diverged")
    if diverged:
        kept = ", and the best before that is kept" if fit.stopped == "diverged" else ""
        of = counted(len(fit.restart_stopped), "restart")
        warnings.append(
            f"{diverged} of {of} became NaN or infinite{kept}: "
            f"a smaller {option}learning_rate may help"
        )
    return warnings


def quality_warnings(fit: PairFit, judged: Pairs, option: str = "") -> list[str]:
    """Return a line if the training is in the sign trap, and one if it predicts nothing.

    Args:
        fit: The training.
        judged: The pairs of `PairFit.restart_loss`: held out, or without those the training pairs.
        option: As for `convergence_warnings`.
    """
    from scipy.special import entr  # here, as the reader of tables loads no SciPy

    warnings = []
    if fit.trapped:
        warnings.append(
            f"sign trap: the weight of the head is {fit.kernel:+.2f}, so similar items are pushed "
            f"apart; give {option}head=negative"
        )
    rate = base_rate(judged)
    if not fit.restart_loss[fit.best] < entr(rate) + entr(1 - rate):
        warnings.append(
            "the loss is not below the base-rate loss, that of predicting the share of similar "
            "pairs: check that the labels depend on the items"
        )
    return warnings


def base_rate(pairs: Pairs) -> float:
    """Return the weighted mean label."""
    return float(np.average(pairs.label.astype(np.float64), weights=pairs.weight))


def clipped_labels(label: np.ndarray) -> np.ndarray:
    """Return labels with those within `LABEL_ROUNDING` outside 0..1 moved to 0 or 1.

    Example:
        >>> import numpy as np
        >>> clipped_labels(np.array([-1e-8, 0.5, 1.0000001, 1.1])).tolist()
        [0.0, 0.5, 1.0, 1.1]
    """
    near = (label >= -LABEL_ROUNDING) & (label <= 1 + LABEL_ROUNDING)
    return np.where(near, np.clip(label, 0, 1), label)


def without_self_pairs(pairs: Pairs) -> Pairs:
    """Return the pairs of two different items.

    Raises:
        InputError: there are none.
    """
    kept = pairs.index[:, 0] != pairs.index[:, 1]
    if not kept.any():
        raise InputError("every pair is of an item with itself; give pairs of different items")
    return pairs if kept.all() else pairs.take(kept)


def counted(count: int, thing: str) -> str:
    """Return a count and its thing, such as "1 pair" and "2 pairs"."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def digits(value: float) -> str:
    """Return a number with all its digits, a whole one without a point."""
    return repr(float(value)).removesuffix(".0")


def shown(item: Any) -> str:
    """Return an item for a message: a name in quotes and truncated, an id as its digits."""
    item = item.item() if isinstance(item, np.generic) else item
    return quoted(item) if isinstance(item, str) else repr(item)
