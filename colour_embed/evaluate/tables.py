"""Tables of a sweep: a row per member, and a row per dimension with intervals over the seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from colour_embed.data import held_out_pairs
from colour_embed.evaluate import scores
from colour_embed.sweeps import SweepData, SweepResult, member_config, training_index

if TYPE_CHECKING:
    import pandas as pd

SUMMARISED = (
    "train_loss",
    "train_mse",
    *(name for name in scores.MEASURES if name != "recovered"),
)
"""The columns of the member table that the summary gives intervals of."""


def measure(result: SweepResult, data: SweepData, vary: Sequence[str]) -> dict[str, np.ndarray]:
    """All measures of all members, each against its own truth and its own held-out pairs.

    Args:
        result: The sweep.
        data: What it trained on; the truth is needed.
        vary: What its members' seeds changed.

    Returns:
        Arrays [M]; see `scores.measure_members`.
    """
    truths, pairs = {}, {}
    constants = [member_config(result.config, one).label_constant for one in result.members]
    # Held-out pairs are those that training never drew, so they differ only where its pairs do.
    seeds = [one.seed if "pairs" in vary else None for one in result.members]
    for member, constant, seed in zip(result.members, constants, seeds):
        if constant not in truths:
            truths[constant] = scores.make_truth(data.truth, constant)
        if (constant, seed) not in pairs:
            index = training_index(data, member, vary)
            pairs[constant, seed] = held_out_pairs(
                data.items, index, data.truth, constant, result.config.seed
            )
    return scores.measure_members(
        result.embedding,
        np.array([member.dim for member in result.members]),
        result.kernel,
        result.bias,
        [truths[constant] for constant in constants],
        [pairs[key] for key in zip(constants, seeds)],
        head=result.config.head,
        smoothing=result.config.smoothing,
    )


def member_table(result: SweepResult, measures: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """A row per member: what it is, where it started, and what it came to.

    `diverged` is the epoch in which a member became NaN, or 0; the losses of such a member are
    missing, and its measures are those of its last good epoch.
    """
    import pandas as pd

    ended = result.loss.shape[1] > 0
    columns = {
        "seed": [member.seed for member in result.members],
        "dim": [member.dim for member in result.members],
        "kernel_init": result.initial_kernel,
        "kernel": result.kernel,
        "bias": result.bias,
        "train_loss": result.loss[:, -1] if ended else np.nan,
        "train_mse": result.mse[:, -1] if ended else np.nan,
        **{name: measures[name] for name in SUMMARISED if name in measures},
        "recovered": measures["recovered"],
        "diverged": result.diverged,
        "head": result.config.head,
        "normalise": result.config.normalise,
        "batch_size": result.config.batch_size,
    }
    for name, _ in result.members[0].numbers:
        columns[name] = [dict(member.numbers)[name] for member in result.members]
    return pd.DataFrame(columns)


def group_columns(table: pd.DataFrame) -> list[str]:
    """The columns that tell groups of members apart: the program, the swept numbers, then dim."""
    known = {"seed", "dim", "kernel_init", "kernel", "bias", "recovered", "diverged", *SUMMARISED}
    return [*(name for name in table.columns if name not in known), "dim"]


def summary_table(
    table: pd.DataFrame, cross_seed: Mapping[tuple, float] | None = None
) -> pd.DataFrame:
    """A row per group of members that differ in their seed alone.

    The share recovered is over all members of the group, with a 95 % Wilson interval. Then, apart
    for the recovered and the failed, their number and for each measure the interquartile mean
    with a 95 % bootstrap interval over the seeds. `selected` marks the dimension that the
    one-standard-error rule picks by the held-out loss of the recovered members.

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
        low, high = scores.wilson_interval(int(recovered.sum()), len(members))
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
                row[f"{name}_{measure}"] = (
                    scores.interquartile_mean(found) if len(found) else np.nan
                )
                interval = scores.bootstrap_interval(found, scores.interquartile_mean)
                row[f"{name}_{measure}_low"], row[f"{name}_{measure}_high"] = interval
        row["cross_seed_procrustes"] = (cross_seed or {}).get(values, np.nan)
        rows.append(row)
    summary = pd.DataFrame(rows)
    summary["selected"] = _selected(table, summary, groups)
    # The dimension first, as in the member table.
    return summary[["dim", *(name for name in summary.columns if name != "dim")]]


def _selected(table, summary, groups) -> np.ndarray:
    """Which rows hold the dimension that the one-standard-error rule picks, within each program."""
    good = table[table["recovered"] & np.isfinite(table["heldout_loss"])]
    statistics = good.groupby(groups)["heldout_loss"].agg(["mean", "sem", "count"]).reset_index()
    statistics = statistics[statistics["count"] > 1]
    keys = [name for name in groups if name != "dim"]
    selected = np.zeros(len(summary), bool)
    for values, rows in statistics.groupby(keys, sort=True):
        dim = scores.select_dimension(
            rows["dim"].to_numpy(), rows["mean"].to_numpy(), rows["sem"].to_numpy()
        )
        match = summary["dim"] == dim
        for name, value in zip(keys, values):
            match &= summary[name] == value
        selected |= match.to_numpy()
    return selected
