"""Claim 6: "From the starting randomly initialised mess, quickly structure emerges"."""

from __future__ import annotations

import numpy as np
import pandas as pd

from colour_embed.config import Config
from colour_embed.evaluate.tables import spearman_of_members
from colour_embed.evaluate.truth import make_truth
from colour_embed.viz.intervals import Line, plot_lines
from colour_embed.viz.style import letter, panels
from experiments.claims.common import (
    FAILS,
    HOLDS,
    IN_PART,
    THRESHOLD,
    Finding,
    Setting,
    Study,
    Tables,
    evidence,
    interval,
    intervals,
    line,
    row_where,
    rows_where,
    train,
)

DIMS = (1, 2, 3)
RATES = (3e-4, 1e-3, 3e-3, 1e-2)
TUTORIAL_RATE, TUTORIAL_PAIRS = 1e-3, 100_000
MOMENTS = 36
MOST = 0.9  # share of the final rank correlation
QUICKLY = 0.1  # share of the tutorial's epochs


def run(setting: Setting) -> dict[str, pd.DataFrame]:
    moments = np.unique(np.geomspace(1, setting.epochs + 1, MOMENTS).round().astype(int) - 1)
    found = train(
        setting,
        "emergence",
        Config(head="negative", epochs=setting.epochs),
        setting.some_seeds(2),
        DIMS,
        axes={"learning_rate": RATES},
        snapshots=moments.tolist(),
    )
    truth, snapshots = make_truth(setting.colours.rgb), found.result.snapshots
    spearman = np.stack(
        [spearman_of_members(snapshots[:, place], truth) for place in range(len(moments))],
        axis=1,
    )
    found.runs["epochs_to_most"] = [epochs_to(moments, row, MOST) for row in spearman]
    curves = pd.DataFrame(
        {
            "dim": np.repeat(found.runs["dim"], len(moments)),
            "learning_rate": np.repeat(found.runs["learning_rate"], len(moments)),
            "epoch": np.tile(moments, len(found.runs)),
            "spearman": spearman.ravel(),
        }
    )
    return {
        "runs": found.runs,
        "summary": intervals(found.runs, ["dim", "learning_rate"], ["epochs_to_most"]).assign(
            epochs=setting.epochs, pairs=setting.pairs
        ),
        "curves": intervals(curves, ["dim", "learning_rate", "epoch"], ["spearman"]),
    }


def epochs_to(epoch: np.ndarray, quality: np.ndarray, share: float) -> float:
    """Return the epoch after which quality [F] stays at a share of its last value.

    Returns:
        The epoch, interpolated linearly in log(1 + epoch); NaN if the last value is not positive.
    """
    target = share * quality[-1]
    if not quality[-1] > 0:
        return float("nan")
    below = np.flatnonzero(quality < target)
    if not below.size:
        return float(epoch[0])
    last = below[-1]
    low, high = quality[last], quality[last + 1]
    ends = np.log1p(epoch[last : last + 2])
    return float(np.expm1(ends[0] + (target - low) / (high - low) * (ends[1] - ends[0])))


def _power(rows: pd.DataFrame) -> float:
    """Fit the slope of log(epochs) over log(learning rate) by least squares, where epochs > 0."""
    logs = np.log(rows[rows["value"] > 0][["learning_rate", "value"]].to_numpy(float))
    if len(logs) < 2:
        return float("nan")
    return float(np.polyfit(*logs.T, 1)[0])


def judge(tables: Tables) -> Finding:
    summary = tables["summary"]
    at_tutorial = {dim: row_where(summary, dim=dim, learning_rate=TUTORIAL_RATE) for dim in DIMS}
    epochs = int(summary["epochs"].iloc[0])
    quick = [at_tutorial[dim]["high"] <= QUICKLY * epochs for dim in (2, 3)]
    verdict = HOLDS if all(quick) else IN_PART if any(quick) else FAILS
    found = [
        evidence(
            f"epochs to 90 % of the final rank correlation, {dim}-D, learning rate {rate:g}",
            row_where(summary, dim=dim, learning_rate=rate),
        )
        for rate in RATES
        for dim in DIMS
    ]
    shown = {dim: at_tutorial[dim]["value"] for dim in (2, 3)}
    # Tables without the column are of the tutorial's number of pairs.
    pairs = int(summary["pairs"].iloc[0]) if "pairs" in summary else TUTORIAL_PAIRS
    steps = -(-pairs // Config().batch_size)
    answer = (
        f"At the tutorial's learning rate the rank correlation reaches 90 % of its final value "
        f"after {shown[2]:.1f} epochs in 2-D and {shown[3]:.1f} in 3-D, of {epochs}; in steps, "
        f"{steps * shown[2]:,.0f} and {steps * shown[3]:,.0f}. The share of an "
        "arbitrary number of epochs says nothing by itself. The time scales about with "
        "1 / learning rate: in 2-D the number of epochs scales with the learning rate to the power "
        f"{_power(rows_where(summary, dim=2)):.2f}."
        if all(row["value"] > 0 for row in at_tutorial.values())
        else "The rank correlation does not become positive."
    )
    return Finding(verdict, found, answer)


def draw(tables: Tables):
    figure, axes = panels(1, 2, height=2.9)
    curves = rows_where(tables["curves"], learning_rate=TUTORIAL_RATE)
    bands = {}
    for dim in DIMS:
        rows = rows_where(curves, dim=dim)
        bands[f"$d$ = {dim}"] = Line(rows["epoch"].to_numpy(float) + 1, interval(rows))
    plot_lines(
        bands,
        axes[0, 0],
        xlabel="1 + epoch",
        ylabel="Spearman with RGB distances",
        log_x=True,
        bands=True,
    )
    plot_lines(
        {
            f"$d$ = {dim}": line(rows_where(tables["summary"], dim=dim), "learning_rate")
            for dim in DIMS
        },
        axes[0, 1],
        xlabel="learning rate",
        ylabel="epochs to 90 % of final Spearman",
        log_x=True,
        log_y=True,
        ticks=RATES,
        references={THRESHOLD: QUICKLY * float(tables["summary"]["epochs"].iloc[0])},
    )
    letter(axes.ravel())
    return figure


STUDY = Study(
    name="emergence",
    claim="Structure emerges quickly.",
    quote="From the starting randomly initialised mess, quickly structure emerges.",
    question="After how many epochs does the rank correlation with RGB distances reach 90 % of "
    "its final value?",
    method="{half} seeds in 1, 2 and 3 dimensions at four learning rates, a weight constrained to "
    "be negative, {epochs} epochs. Spearman's correlation of distances with RGB is evaluated at 36 "
    "snapshots, spaced evenly in log(1 + epoch). The epoch after which it stays at 0.9 of its "
    "final value is interpolated between them. All seeds share the pairs and their labels.",
    rule="At the tutorial's learning rate, in 2-D and in 3-D: holds if the upper end of the 95 % "
    "interval of that epoch is within a tenth of all epochs in both, in part if in one.",
    caption="a: rank correlation with RGB distances during training, learning rate 0.001. b: "
    "epochs to 90 % of the final value, by learning rate; the threshold is that of 2-D and 3-D at "
    "0.001.",
    run=run,
    judge=judge,
    draw=draw,
    shared="the pairs and their labels",
)
