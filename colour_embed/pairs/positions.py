"""How far to trust the positions of a fit: a bootstrap over the distinct pairs.

Each bootstrap draw weighs every distinct pair by an independent Poisson(1) count, and repeats the
fit from its initial values, in its order of pairs, for its epochs and learning rates. The spread of
the drawn positions says how far another sample of pairs could have moved an item. It leaves out
what all draws share: the bias of the fit, its initial values, and other minima of the loss.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from colour_embed.config import InputError
from colour_embed.data import Pairs
from colour_embed.engine.bootstrap import pair_ids, poisson_weights
from colour_embed.engine.start import start_params
from colour_embed.engine.state import member_keys
from colour_embed.evaluate.uncertainty import Spread, has_origin, map_scale, position_covariance
from colour_embed.pairs.fit import PairFit
from colour_embed.runs import Progress
from colour_embed.sweeps import finish_sweep, grid, start_sweep, sweep_result


def bootstrap_positions(
    fit: PairFit,
    pairs: Pairs,
    draws: int = 100,
    *,
    devices: Sequence[Any] | None = None,
    report: Callable[[Progress], None] | None = None,
) -> Spread:
    """Return the covariance of each item's position over bootstrap draws of the training pairs.

    The maps of the draws are brought to the scale of the fit's and aligned to it; see
    `evaluate.uncertainty`. In a draw that weighs all pairs of an item by 0, the item has no
    position.

    Args:
        fit: A fit by `fit_pairs` that started from its own initial values.
        pairs: Its training pairs.
        draws: Number of draws, B.
        devices: As for `sweep`.
        report: Called after each part.

    Returns:
        covariance, float64 [items, dim, dim] in the units of `fit.embedding`, and the number of
        draws of each item.

    Raises:
        InputError: there are fewer draws than dimensions plus two.

    Example:
        >>> import colour_embed as ce
        >>> from colour_embed.pairs.fit import fit_pairs
        >>> pairs = ce.tutorial_pairs(ce.load_colours("css4"), 500)
        >>> config = ce.Config(head="negative", learning_rate=0.01)
        >>> fit = fit_pairs(config, 148, pairs, restarts=1, stopping=ce.Stopping(max_steps=20))
        >>> bootstrap_positions(fit, pairs, 4).covariance.shape
        (148, 2, 2)
    """
    config = fit.config
    if draws < config.dim + 2:
        raise InputError(f"bootstrap is {draws}: give at least {config.dim + 2} draws, or 0")
    found = bootstrap_maps(fit, pairs, draws, devices=devices, report=report)
    kind = config.head, config.normalise
    own = float(map_scale(*kind, np.array([fit.kernel]))[0])
    spread = position_covariance(
        own * fit.embedding,
        found[0],
        map_scale(*kind, found[1]),
        shift=not has_origin(*kind),
    )
    return spread._replace(covariance=spread.covariance / own**2)


def bootstrap_maps(
    fit: PairFit,
    pairs: Pairs,
    draws: int,
    *,
    devices: Sequence[Any] | None = None,
    report: Callable[[Progress], None] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the vectors of the draws, float64 [draws, items, dim], and their kernels [draws].

    The arguments are those of `bootstrap_positions`. The vectors of an item without pairs in a draw
    are NaN.
    """
    config, items = fit.config, len(fit.embedding)
    keys = member_keys((config.seed + fit.best) % 2**32)
    initial = jax.device_get(start_params(config, items, keys.init, config.hyperparams()))
    run = start_sweep(
        *(config, items, pairs, grid(config, range(draws), [config.dim])),
        vary=("bootstrap",),
        initial=initial,
        segments=fit.segments,
        devices=devices,
    )
    finish_sweep(run, report)
    result = sweep_result(config, run)
    vectors = result.embedding.astype(np.float64)
    vectors[~np.isfinite(result.kernel)] = np.nan
    ids = pair_ids(*pairs.index.T, items)
    for draw in range(draws):
        there = poisson_weights(draw, ids) > 0
        if pairs.weight is not None:
            there &= pairs.weight > 0
        vectors[draw, np.bincount(pairs.index[there].ravel(), minlength=items) == 0] = np.nan
    return vectors, result.kernel.astype(np.float64)
