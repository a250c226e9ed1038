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
    STATISTIC,
    Evidence,
    Finding,
    Setting,
    Study,
    Tables,
    evidence,
    failures,
    interval,
    intervals,
    line,
    mark_failures,
    row_where,
    rows_where,
    told,
    train,
    verdict_of,
)

DIMS = (1, 2, 3)
RATES = (3e-4, 1e-3, 3e-3, 1e-2)
TUTORIAL_RATE = 1e-3
MOMENTS = 36
MOST = 0.9  # share of the way from the start to the end
MEASURES = ("epochs_to_structure", "epochs_to_fit", "log_ratio", "radii")


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
    runs = mark_failures(found.runs, ["dim", "learning_rate"])
    # The mean loss of an epoch belongs to its middle; the way starts at the base-rate loss.
    fall = runs["base_rate_loss"].to_numpy()[:, None] - found.result.loss
    middle = np.arange(fall.shape[1]) + 0.5
    runs["epochs_to_structure"] = [epochs_to(moments, row, MOST) for row in spearman]
    runs["epochs_to_fit"] = [epochs_to(middle, row, MOST) for row in fall]
    ratio = runs["epochs_to_structure"] / runs["epochs_to_fit"]
    runs["log_ratio"] = np.log(ratio.where(ratio > 0))  # missing if it is there from the start
    # Adam moves a coordinate by about its learning rate a step, so this many radii at the most.
    steps = runs["epochs_to_structure"] * -(-setting.pairs // Config().batch_size)
    radius = [_radius(found.vectors(member)) for member in range(len(runs))]
    runs["radii"] = steps * runs["learning_rate"] / radius
    curves = pd.DataFrame(
        {
            "dim": np.repeat(runs["dim"], len(moments)),
            "learning_rate": np.repeat(runs["learning_rate"], len(moments)),
            "epoch": np.tile(moments, len(runs)),
            "spearman": spearman.ravel(),
        }
    )
    powers = runs.groupby(["dim", "seed"])[["learning_rate", "epochs_to_structure"]].apply(_power)
    powers = powers.rename("power").reset_index()
    return {
        "runs": runs,
        "summary": intervals(runs, ["dim", "learning_rate"], MEASURES),
        "powers": intervals(powers, ["dim"], ["power"]),
        "curves": intervals(curves, ["dim", "learning_rate", "epoch"], ["spearman"]),
    }


def _radius(vectors: np.ndarray) -> float:
    """Return the root mean square distance of vectors [items, dim] from their mean, per axis."""
    return float(np.sqrt(vectors.var(axis=0).mean()))


def _power(rows: pd.DataFrame) -> float:
    """Fit the slope of log(epochs) over log(learning rate) by least squares, where epochs > 0."""
    logs = np.log(rows[rows["epochs_to_structure"] > 0].to_numpy(float))
    if len(logs) < 2:
        return float("nan")
    return float(np.polyfit(*logs.T, 1)[0])


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


def judge(tables: Tables) -> Finding:
    summary, powers = tables["summary"], tables["powers"]

    def of(measure, dim, rate=TUTORIAL_RATE):
        return row_where(summary, measure=measure, dim=dim, learning_rate=rate)

    first = [of("log_ratio", dim)["high"] < 0 for dim in (2, 3)]
    found = [
        evidence(
            f"log of epochs to structure over epochs to fit, {dim}-D, learning rate {rate:g}",
            of("log_ratio", dim, rate),
        )
        for rate in RATES
        for dim in DIMS
    ]
    found += [
        evidence(f"epochs to 90 % of the {text}, {dim}-D, learning rate 0.001", of(name, dim))
        for name, text in (
            ("epochs_to_structure", "final rank correlation"),
            ("epochs_to_fit", "fall of the loss"),
        )
        for dim in DIMS
    ]
    found += [
        evidence(f"way that Adam can go until then, {dim}-D, in radii of the map", of("radii", dim))
        for dim in DIMS
    ]
    found += [
        evidence(f"power of the learning rate, {dim}-D", row_where(powers, dim=dim)) for dim in DIMS
    ]
    found.append(failures(rows_where(tables["runs"], learning_rate=TUTORIAL_RATE)))
    flat = row_where(powers, dim=2)
    ratio = {dim: np.exp(of("log_ratio", dim)["value"]) for dim in (2, 3)}
    found += [
        Evidence(f"epochs to structure over epochs to fit, {dim}-D, geometric mean", ratio[dim])
        for dim in (2, 3)
    ]
    answer = (
        "At the tutorial's learning rate the rank correlation reaches 90 % of its final value "
        f"after {told(of('epochs_to_structure', 2), 1)} epochs in 2-D and "
        f"{told(of('epochs_to_structure', 3), 1)} in 3-D; the loss has fallen by 90 % of the way "
        f"from the base-rate loss after {told(of('epochs_to_fit', 2), 1)} and "
        f"{told(of('epochs_to_fit', 3), 1)}. The ratio is {ratio[2]:.2f} and {ratio[3]:.2f}. Until "
        "then Adam, which moves a coordinate by about its learning rate a step, can have gone "
        f"{told(of('radii', 2), 1)} and {told(of('radii', 3), 1)} radii of the final map. The "
        "number of epochs itself depends on the learning rate: in 2-D it goes as "
        f"the learning rate to the power {told(flat, 2)}, where -1 "
        f"{'is' if flat['low'] <= -1 <= flat['high'] else 'is not'} in the interval."
    )
    return Finding(verdict_of(first), found, answer)


def draw(tables: Tables):
    figure, axes = panels(1, 3, height=2.9)
    runs, summary = tables["runs"], tables["summary"]
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
        statistic=STATISTIC,
    )
    for ax, measure, label in (
        (axes[0, 1], "epochs_to_structure", "epochs to 90 % of final Spearman"),
        (axes[0, 2], "log_ratio", "log (epochs to structure / to fit)"),
    ):
        lines = {}
        for dim in DIMS:
            rows = rows_where(summary, dim=dim, measure=measure)
            lines[f"$d$ = {dim}"] = line(rows, "learning_rate", runs)
        decides = measure == "log_ratio"
        plot_lines(
            lines,
            ax,
            xlabel="learning rate",
            ylabel=label,
            log_x=True,
            log_y=not decides,
            ticks=RATES,
            references={"structure with the fit": 0.0} if decides else None,
            statistic=STATISTIC,
        )
    letter(axes.ravel())
    return figure


STUDY = Study(
    name="emergence",
    claim="Structure emerges quickly: before the loss is fitted.",
    quote="From the starting randomly initialised mess, quickly structure emerges.",
    question="Is the order of the distances there before the probabilities are?",
    method="{half} replicates in 1, 2 and 3 dimensions at four learning rates, a weight "
    "constrained to be negative, {epochs} epochs. Spearman's correlation of distances with RGB is "
    "evaluated at 36 snapshots, spaced evenly in log(1 + epoch). The time of structure is that "
    "after which it stays at 0.9 of its final value; the time of the fit is that after which the "
    "training loss has fallen by 0.9 of its way from the base-rate loss to its final value. Both "
    "are interpolated. Their ratio does not depend on the unit of time, nor on the number of "
    "epochs, as long as training has converged.",
    estimand="Mean over replicates of log(time of structure / time of the fit) at the tutorial's "
    "learning rate, in 2-D and in 3-D.",
    margin="None: the sign of the logarithm.",
    rule="Holds if the 95 % interval of the log ratio is below 0 in 2-D and in 3-D, in part if in "
    "one.",
    flips="The loss is fitted before the order of the distances is there.",
    caption="a: rank correlation with RGB distances during training, learning rate 0.001. b: "
    "epochs to 90 % of the final value, by learning rate. c: what decides at 0.001, the log of "
    "the ratio of the two times.",
    run=run,
    judge=judge,
    draw=draw,
)
