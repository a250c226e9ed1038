"""The checks of pairs that the reader of tables and the estimator share. No jax."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from colour_embed.io.faults import quoted
from colour_embed.pairs.sampling import contradictions, group_sizes


def pair_warnings(
    items: Sequence[Any],
    index: np.ndarray,
    label: np.ndarray,
    weight: np.ndarray,
    *,
    self_pairs: int = 0,
    positives_only: bool = False,
) -> list[str]:
    """Return a line for each condition of pairs that are kept or dropped, but may surprise.

    The conditions are self-pairs, equal labels, contradictions, separate groups and isolated items.
    A pair of weight 0 counts for none of them.

    Args:
        items: The items, ids or names; the id of an item in `index` is its position.
        index: integers [N, 2], pairs of two different items.
        label: float32 [N] in 0..1.
        weight: [N], 0 or more, not all 0.
        self_pairs: Number of pairs of an item with itself, which were dropped.
        positives_only: Whether every pair is known to be similar; equal labels are then expected.

    Example:
        >>> import numpy as np
        >>> pair_warnings(["oak", "elm", "fir"], np.array([[0, 1]]), np.ones(1), np.ones(1))[-1]
        '1 item in no pair: kept, but no pair determines the position'
    """
    if not weight.all():
        index, label = index[weight > 0], label[weight > 0]
    warnings = []
    # A check of names that look alike belongs here.
    if self_pairs:
        warnings.append(
            f"{counted(self_pairs, 'pair')} of an item with itself: dropped, as the "
            "distance of an item to itself is 0"
        )
    if not positives_only and label.min() == label.max():
        value = str(label[0]).removesuffix(".0")
        hint = ""
        if value == "1":
            hint = "; where only similar pairs are known, positives_only draws dissimilar ones"
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


def counted(count: int, thing: str) -> str:
    """Return a count and its thing, such as "1 pair" and "2 pairs"."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def shown(item: Any) -> str:
    """Return an item for a message: a name in quotes and truncated, an id as its digits."""
    item = item.item() if isinstance(item, np.generic) else item
    return quoted(item) if isinstance(item, str) else repr(item)
