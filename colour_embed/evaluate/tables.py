"""All measures of all members of a sweep, a table with a row per member, and one per dimension."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.spatial.distance import squareform

from colour_embed.config import Config, InputError
from colour_embed.data import Pairs
from colour_embed.evaluate import geometry, intervals, scores
from colour_embed.evaluate.truth import Truth, held_out_pairs, make_truth
from colour_embed.heads import HEADS
from colour_embed.runs import SweepResult

if TYPE_CHECKING:
    import pandas as pd

MEASURES = (
    "heldout_loss",
    "excess_kl",
    "auc",
    "brier",
    "spearman",
    "procrustes",
    "trustworthiness",
    "continuity",
    "knn_overlap",
    "recovered",
)
"""The keys of `evaluate_members`."""

SUMMARISED = ("train_loss", "train_mse", *(name for name in MEASURES if name != "recovered"))
"""The columns of the member table that the summary gives intervals of."""


# --------------------------------------------------------------------------------------------------
# Measures


def evaluate_members(
    result: SweepResult,
    truth: np.ndarray | Truth,
    pairs: Pairs | Callable[[Config], np.ndarray],
    *,
    held_out: Pairs | None = None,
    workers: int | None = None,
) -> dict[str, np.ndarray]:
    """All measures of all members of a sweep, each against its own truth and held-out pairs.

    The held-out pairs of a member are those that its training holds in neither order. Members that
    are trained on the same pairs share their labels, which the config's seed draws; the member's
    own seed draws those of a member with pairs of its own.

    What depends on the truth alone is computed once. The members are spread over threads, since
    NumPy's sorts and arithmetic release Python's lock.

    Args:
        result: The sweep. Each member is measured by its own head and label constant.
        truth: float64 [items, 3], the coordinates whose distances make the labels, by each member's
            `label_constant`; or a ready `Truth` for all members.
        pairs: The training pairs of all members; or, for a sweep that draws pairs per member, a
            function of the member that returns its index, int32 [N, 2], such as
            `lambda member: sweeps.training_pairs(items, pairs, member, vary)`.
        held_out: Pairs to measure all members by, in place of those that follow from the label
            rule; of two different items each.
        workers: Threads; by default as many as there are cores.

    Returns:
        Arrays [M], by the names in `MEASURES`: bool for "recovered", float64 for the others.

        - heldout_loss, auc, brier: `scores.cross_entropy`, `auc` and `brier` of the held-out pairs.
        - excess_kl: `scores.excess_kl` over all pairs.
        - spearman, trustworthiness, continuity, knn_overlap: see `geometry`.
        - procrustes: `geometry.procrustes_disparity` up to 3 dimensions, and
          `linear_map_disparity` for more, which are not comparable with each other.
        - recovered: whether spearman is at least 0.5.

        A member whose vectors, distances or logits are not finite is NaN throughout, and not
        recovered.

    Raises:
        InputError: the truth and the sweep differ in their number of items, or a held-out pair is
            not of two different items.

    Example:
        >>> import colour_embed as ce
        >>> colours = ce.load_colours("css4")
        >>> pairs = ce.tutorial_pairs(colours, 1000)
        >>> result = ce.sweep(ce.Config(epochs=2), len(colours), pairs, range(2), [2, 3])
        >>> measures = ce.evaluate_members(result, colours.rgb, pairs)
        >>> measures["auc"].shape, measures["recovered"].tolist()
        ((4,), [False, False, False, False])
    """
    items = result.embedding.shape[1]
    given = truth if isinstance(truth, Truth) else None
    coordinates = np.asarray(truth if given is None else given.coordinates, np.float64)
    if len(coordinates) != items:
        raise InputError(f"the truth holds {len(coordinates)} items and the sweep {items}")

    @functools.cache
    def truth_of(constant: float) -> Truth:
        return given or make_truth(coordinates, constant)

    @functools.cache
    def drawn_for(constant: float, training: bytes, seed: int) -> _HeldOut:
        index = np.frombuffer(training, np.int32).reshape(-1, 2)
        return _HeldOut.of(held_out_pairs(items, index, coordinates, constant, seed), items)

    shared = None if held_out is None else _HeldOut.of(held_out, items)
    known = []
    for member in result.members:
        own, chosen = truth_of(member.label_constant), shared
        if chosen is None:
            index = pairs(member) if callable(pairs) else pairs.index
            seed = (member if callable(pairs) else result.config).seed
            chosen = drawn_for(own.constant, np.asarray(index, np.int32).tobytes(), seed)
        known.append((own, chosen))
    rows = _over_members(
        lambda place: _measures(result, place, *known[place]), len(result), workers
    )
    table = np.array(rows, np.float64).reshape(len(result), len(MEASURES))
    measures = {name: table[:, place].copy() for place, name in enumerate(MEASURES)}
    return {**measures, "recovered": measures["recovered"] == 1}


def spearman_of_members(
    vectors: np.ndarray, truth: Truth, workers: int | None = None
) -> np.ndarray:
    """`geometry.distance_spearman` of vectors [M, items, dim], the truth ranked once: float64 [M].

    Args:
        vectors: Those of narrower members padded with columns of zeros.
        truth: Of all members.
        workers: Threads; by default as many as there are cores.

    Example:
        >>> coordinates = np.random.default_rng(0).random((20, 3))
        >>> spearman_of_members(coordinates[None], make_truth(coordinates)).round(6).tolist()
        [1.0]
    """

    def correlation(place: int) -> float:
        distances = np.sqrt(geometry.squared_distances(vectors[place]))
        return geometry.rank_correlation(distances, truth.rank)

    return np.array(_over_members(correlation, len(vectors), workers))


class _HeldOut(NamedTuple):
    """Held-out pairs: where they stand in the order of `truth.all_pairs`, and their labels [N]."""

    place: np.ndarray
    label: np.ndarray

    @classmethod
    def of(cls, pairs: Pairs, items: int) -> _HeldOut:
        index = np.asarray(pairs.index, np.int64)
        low, high = index.min(axis=1), index.max(axis=1)
        if np.any((low < 0) | (high >= items) | (low == high)):
            raise InputError(f"held-out pairs must be of two different ids in 0..{items - 1}")
        return cls(low * (2 * items - low - 1) // 2 + high - low - 1, pairs.label)


def _over_members(function: Callable[[int], object], count: int, workers: int | None) -> list:
    """The results for each member's place, in threads."""

    def quietly(place: int) -> object:
        # A thread starts with NumPy's default of warning, whatever the caller's.
        with np.errstate(all="ignore"):
            return function(place)

    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        return list(pool.map(quietly, range(count)))


def _measures(
    result: SweepResult, place: int, truth: Truth, held_out: _HeldOut
) -> tuple[float, ...]:
    """The values of `MEASURES` for one member."""
    member, vectors = result.members[place], result.vectors(place).astype(np.float64)
    head = HEADS[member.head]
    squared = geometry.squared_distances(vectors)
    dot = head.feature == "dot_product"
    feature = squareform(vectors @ vectors.T, checks=False) if dot else squared
    weight, bias = float(result.kernel[place]), float(result.bias[place])
    logits = head.logit(feature, weight, bias, member.smoothing, np)
    # Distances of finite parameters can overflow too; either way there is nothing to measure.
    if not (np.isfinite(vectors).all() and np.isfinite(logits).all()):
        return (float("nan"),) * len(MEASURES)
    seen = logits.take(held_out.place)
    spearman = geometry.rank_correlation(np.sqrt(squared), truth.rank)
    wide = member.dim > 3
    disparity = geometry.linear_map_disparity if wide else geometry.procrustes_disparity
    values = {
        "heldout_loss": scores.cross_entropy(seen, held_out.label),
        "excess_kl": scores.excess_kl(logits, truth.probability, truth.floor),
        "auc": scores.auc(seen, held_out.label),
        "brier": scores.brier(seen, held_out.label),
        "spearman": spearman,
        "procrustes": disparity(vectors, truth.coordinates),
        **geometry.compare_neighbourhoods(squared, truth.near, truth.beyond)._asdict(),
        "recovered": float(spearman >= geometry.RECOVERED_SPEARMAN),
    }
    return tuple(values[name] for name in MEASURES)


# --------------------------------------------------------------------------------------------------
# Tables


def member_table(
    result: SweepResult, measures: Mapping[str, np.ndarray], axes: Sequence[str] = ()
) -> pd.DataFrame:
    """A table with a row per member: its config, its initial weight, and its measures.

    Args:
        result: The sweep.
        measures: From `evaluate_members`.
        axes: The hyperparameters that were swept, a column each.

    Returns:
        The columns seed, dim, kernel_init, kernel, bias, train_loss, train_mse, the measures,
        diverged, head, normalise, batch_size, and the axes in sorted order. `diverged` is the epoch
        in which a member became NaN, or 0. The losses of such a member are missing, and its
        measures are those of its last good epoch.
    """
    import pandas as pd

    ended = result.loss.shape[1] > 0

    def fields(*names: str) -> dict[str, list]:
        return {name: [getattr(member, name) for member in result.members] for name in names}

    return pd.DataFrame(
        {
            **fields("seed", "dim"),
            "kernel_init": result.initial_kernel,
            "kernel": result.kernel,
            "bias": result.bias,
            "train_loss": result.loss[:, -1] if ended else np.nan,
            "train_mse": result.mse[:, -1] if ended else np.nan,
            **{name: measures[name] for name in MEASURES if name in measures},
            "diverged": result.diverged,
            **fields("head", "normalise", "batch_size", *sorted(axes)),
        }
    )


def group_columns(table: pd.DataFrame) -> list[str]:
    """The columns of a member table that tell groups apart: program, hyperparameters, then dim."""
    own = {"seed", "dim", "kernel_init", "kernel", "bias", "recovered", "diverged", *SUMMARISED}
    return [*(name for name in table.columns if name not in own), "dim"]


def summary_table(
    table: pd.DataFrame, cross_seed: Mapping[tuple, float] | None = None
) -> pd.DataFrame:
    """A table with a row per group of members that differ in their seed alone.

    The share recovered is over all members of the group, with a 95 % Wilson interval. The recovered
    and the failed members are summarised apart: their number, and for each measure the
    interquartile mean with a 95 % bootstrap interval over the seeds. `selected` marks the dimension
    that the one-standard-error rule selects by the held-out loss of the recovered members.

    Args:
        table: From `member_table`, of one or several sweeps.
        cross_seed: Mean Procrustes disparity between the recovered members of a group, by the
            group's values in the order of `group_columns`.

    Returns:
        One row per group.
    """
    import pandas as pd

    groups = group_columns(table)
    rows = []
    for values, members in table.groupby(groups, sort=True):
        recovered = members["recovered"].to_numpy(bool)
        low, high = intervals.wilson_interval(int(recovered.sum()), len(members))
        row = {
            **dict(zip(groups, values)),
            "members": len(members),
            "diverged": int((members["diverged"] > 0).sum()),
            "recovered_share": recovered.mean(),
            "recovered_share_low": low,
            "recovered_share_high": high,
        }
        for name, chosen in (("recovered", recovered), ("failed", ~recovered)):
            row[f"{name}_members"] = int(chosen.sum())
            for measure in SUMMARISED:
                found = members.loc[chosen, measure].dropna().to_numpy(float)
                row[f"{name}_{measure}"] = intervals.interquartile_mean(found)
                interval = intervals.bootstrap_interval(found, intervals.interquartile_mean)
                row[f"{name}_{measure}_low"], row[f"{name}_{measure}_high"] = interval
        row["cross_seed_procrustes"] = (cross_seed or {}).get(values, np.nan)
        rows.append(row)
    summary = pd.DataFrame(rows)
    summary["selected"] = _selected(table, summary, groups)
    # The dimension first, as in the member table.
    return summary[["dim", *(name for name in summary.columns if name != "dim")]]


def _selected(table: pd.DataFrame, summary: pd.DataFrame, groups: list[str]) -> np.ndarray:
    """bool [rows], which hold the dimension that the one-standard-error rule selects.

    One dimension is selected within each group of the other columns.
    """
    good = table[table["recovered"] & np.isfinite(table["heldout_loss"])]
    statistics = good.groupby(groups)["heldout_loss"].agg(["mean", "sem", "count"]).reset_index()
    statistics = statistics[statistics["count"] > 1]
    keys = [name for name in groups if name != "dim"]
    selected = np.zeros(len(summary), bool)
    for values, rows in statistics.groupby(keys, sort=True):
        dim = intervals.select_dimension(
            rows["dim"].to_numpy(), rows["mean"].to_numpy(), rows["sem"].to_numpy()
        )
        match = summary["dim"] == dim
        for name, value in zip(keys, values):
            match &= summary[name] == value
        selected |= match.to_numpy()
    return selected
