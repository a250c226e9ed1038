"""The dimension of an embedding of user pairs, selected by a sweep over splits of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from colour_embed.config import Config, Stopping
from colour_embed.data import Pairs
from colour_embed.evaluate.scores import cross_entropies
from colour_embed.pairs.fit import pair_logits
from colour_embed.pairs.sampling import pair_keys
from colour_embed.pairs.selection import Selection, grouped_splits, selected_dimension
from colour_embed.runs import Progress, SweepResult
from colour_embed.sweeps import sweep

AUTO = "auto"
"""The value of dim by which it is selected."""

AUTO_DIMS, AUTO_SEEDS, AUTO_SPLITS = range(1, 7), range(4), 5
"""The dimensions, seeds and splits of a dimension that is selected automatically."""


def choose_dimension(
    config: Config,
    items: int,
    pairs: Pairs,
    dims: Sequence[int] = AUTO_DIMS,
    *,
    seeds: Sequence[int] = AUTO_SEEDS,
    splits: int = AUTO_SPLITS,
    share: float = 0.1,
    stopping: Stopping | None = None,
    devices: Sequence[Any] | None = None,
    report: Callable[[Progress], None] | None = None,
) -> Selection:
    """Train on several splits of the pairs and return the selected dimension.

    Args:
        config: The shared config; its seed is that of the splits and of the order of the pairs.
        items: Number of items.
        pairs: The pairs.
        dims: The dimensions that are compared; those above `items` - 1 are left out.
        seeds: The seeds, of which the one with the least held-out loss counts.
        splits: Number of splits.
        share: Share of the pairs that each split holds out.
        stopping: The early stopping rule; by default `Stopping()`.
        devices: As for `sweep`.
        report: Called with the progress over all splits.

    Raises:
        InputError: the pairs cannot be split, or as for `sweep`.

    Example:
        >>> import colour_embed as ce
        >>> pairs = ce.tutorial_pairs(ce.load_colours("css4"), 500)
        >>> few = Stopping(max_steps=60)
        >>> config = Config(head="negative", learning_rate=0.01)
        >>> found = choose_dimension(config, 148, pairs, [1, 2], splits=2, stopping=few)
        >>> found.selected in (1, 2), found.splits
        (True, 2)
    """
    dims = [dim for dim in dims if dim <= max(1, items - 1)]
    held_out = grouped_splits(pairs, items, share, splits, config.seed)
    results = []
    for place, apart in enumerate(held_out):

        def of_all(event: Progress, place: int = place) -> None:
            total = splits * event.total
            report(event._replace(done=place * event.total + event.done, total=total, rate=None))

        results.append(
            sweep(
                *(config, items, pairs.take(~apart), seeds, dims),
                vary=("init",),
                stopping=stopping or Stopping(),
                held_out=pairs.take(apart),
                devices=devices,
                report=None if report is None else of_all,
            )
        )
    return select(results, pairs, held_out)


def select(results: Sequence[SweepResult], pairs: Pairs, held_out: np.ndarray) -> Selection:
    """Return the dimension that the held-out losses of these sweeps select.

    Args:
        results: One sweep with early stopping for each split, over the same dims.
        pairs: All N pairs.
        held_out: bool [J, N], the rows that each sweep held out.
    """
    dims = sorted({member.dim for member in results[0].members})
    losses = np.array(
        [
            [_losses(result, best_place(result, dim), pairs.take(apart)) for dim in dims]
            for result, apart in zip(results, held_out)
        ]
    )
    return selected_dimension(dims, losses, held_out, pair_keys(pairs.index), pairs.weight)


def best_place(result: SweepResult, dim: int) -> int:
    """Return the place of the member of this dim with the least loss at its best evaluation."""
    places = [place for place, member in enumerate(result.members) if member.dim == dim]
    return places[int(np.argmin(result.evaluations.best_loss[places]))]


def _losses(result: SweepResult, place: int, pairs: Pairs) -> np.ndarray:
    logits = pair_logits(result.members[place], result.params_of(place), pairs.index)
    trained = np.isfinite(result.evaluations.best_loss[place])
    return np.where(trained, cross_entropies(logits, pairs.label), np.nan)
