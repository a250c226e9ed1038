"""Claim 1: near pairs are labelled 1 though their distance is near 0, and "it doesn't matter"."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import expit

from colour_embed.config import Config
from colour_embed.evaluate import geometry, scores
from colour_embed.evaluate.intervals import bootstrap_interval
from colour_embed.evaluate.truth import base_rate_loss
from colour_embed.viz.intervals import Line, plot_lines, plot_outcomes, plot_rows
from colour_embed.viz.style import letter, panels
from experiments.claims.common import (
    FAILS,
    HOLDS,
    IN_PART,
    Evidence,
    Finding,
    Setting,
    Study,
    Tables,
    evidence,
    interval,
    intervals,
    row_where,
    rows_where,
    shares,
    train,
)

HEADS: dict[str, dict] = {
    "free weight": {"head": "free"},
    "negative weight": {"head": "negative"},
    "inverse, smoothed by 0.01": {"head": "inverse", "smoothing": 0.01},
    "inverse, smoothed by 0.1": {"head": "inverse", "smoothing": 0.1},
    "inverse, smoothed by 1": {"head": "inverse", "smoothing": 1.0},
    "inverse, smoothed by 10": {"head": "inverse", "smoothing": 10.0},
    "matched link": {"head": "matched", "smoothing": 0.1},
    "dot product": {"head": "dot"},
}
DIMS = (2, 3)
STARTS = (-1.0, -0.3, -0.1, -0.03, 0.0, 0.01, 0.03, 0.05, 0.1, 0.3, 1.0)
AXES = {
    "learning_rate": (3e-4, 1e-3, 3e-3, 1e-2, 3e-2),
    "initial_scale": (0.005, 0.05, 0.5, 2.0),
}
PATH_START = 0.3  # the path leads from the run that starts here to the one that starts at -0.3
POINTS = 41  # of each half of a path
NEEDED = 0.9  # of all runs: what "it doesn't matter" must at least mean


def run(setting: Setting) -> dict[str, pd.DataFrame]:
    tables = []
    for name, head in HEADS.items():
        config = Config(epochs=setting.epochs, **head)
        found = train(setting, f"sign: {name}", config, setting.some_seeds(), DIMS)
        found.runs.insert(0, "name", name)
        tables.append(found.runs)
    heads = pd.concat(tables, ignore_index=True)
    heads["start"] = np.where(heads["kernel_init"] > 0, "positive", "negative")
    measures = ["excess_kl", "spearman"]
    recovered = heads.assign(**{name: heads[name].where(heads["recovered"]) for name in measures})
    starts, path = [], pd.DataFrame()
    for axis, values in AXES.items():
        found = train(
            setting,
            f"sign: {axis}",
            Config(epochs=setting.epochs),
            setting.some_seeds(8),
            [2],
            axes={"initial_kernel": STARTS, axis: values},
        )
        found.runs.insert(0, "axis", axis)
        found.runs.insert(1, "setting", found.runs[axis])
        starts.append(found.runs)
        if axis == "initial_scale":
            path = _paths(setting, found)
    grid = pd.concat(starts, ignore_index=True)
    return {
        "runs": heads,
        "starts_runs": grid,
        "shares": shares(heads, ["name", "dim"]),
        "shares_by_start": shares(heads, ["name", "dim", "start"]),
        "quality": intervals(recovered, ["name", "dim"], measures),
        "starts": shares(grid, ["axis", "setting", "initial_kernel"]),
        "path": path,
    }


def _paths(setting: Setting, found) -> pd.DataFrame:
    """The loss on the way from a run that stuck to one that did not, of the same initial map.

    "straight": weight and map move in proportion, the map of the other run turned toward this one.
    "through zero": the weight alone shrinks to zero, the maps are exchanged there, where they count
    for nothing, and the weight grows again. On both the bias is the best at every point.
    """
    pairs, rows = setting.tutorial_pairs, []
    for seed in setting.some_seeds(8):
        ends = []
        for start in (PATH_START, -PATH_START):
            wanted = {"seed": seed, "initial_kernel": start, "initial_scale": 0.05}
            place = rows_where(found.runs, **wanted).index[0]
            ends.append((float(found.result.kernel[place]), found.vectors(place)))
        (weight, stuck), (other_weight, good) = ends
        turned = geometry.align(good, stuck)
        for kind in ("straight", "through zero"):
            bias = float(found.result.bias[place])
            for share in np.linspace(0, 1, 2 * POINTS - 1):
                if kind == "straight":
                    here = (1 - share) * weight + share * other_weight
                    vectors = (1 - share) * stuck + share * turned
                else:
                    side = (weight, stuck) if share <= 0.5 else (other_weight, good)
                    here, vectors = abs(1 - 2 * share) * side[0], side[1]
                squared = ((vectors[pairs.index[:, 0]] - vectors[pairs.index[:, 1]]) ** 2).sum(1)
                bias, loss = best_bias(here * squared, pairs.label, bias)
                rows.append((seed, kind, share, here, bias, loss))
    names = ["seed", "path", "share", "weight", "bias", "loss"]
    base_rate = base_rate_loss(pairs.label)
    return pd.DataFrame(rows, columns=names).assign(base_rate_loss=base_rate)


def best_bias(logits: np.ndarray, label: np.ndarray, start: float) -> tuple[float, float]:
    """The bias of least cross-entropy for logits [N] that lack one, and that loss; by Newton."""
    bias = start
    for _ in range(50):
        probability = expit(logits + bias)
        slope = float(np.mean(probability - label))
        curvature = float(np.mean(probability * (1 - probability)))
        # A step of at most one keeps Newton's method from leaping where the curve is flat.
        step = float(np.clip(slope / max(curvature, 1e-12), -1, 1))
        bias -= step
        if abs(step) < 1e-10:
            break
    return bias, scores.cross_entropy(logits + bias, label)


def judge(tables: Tables) -> Finding:
    free = row_where(tables["shares"], name="free weight", dim=2)
    verdict = HOLDS if free["low"] >= NEEDED else IN_PART if free["high"] >= NEEDED else FAILS
    by_start = rows_where(tables["shares_by_start"], name="free weight", dim=2)
    found = [evidence("free weight, 2-D: share of runs that recover colour", free)]
    found += [
        evidence(f"of those that start with a {row['start']} weight", row)
        for _, row in by_start.iterrows()
    ]
    for name in ("negative weight", "inverse, smoothed by 1", "matched link", "dot product"):
        row = row_where(tables["shares"], name=name, dim=2)
        found.append(evidence(f"{name}, 2-D: share that recover", row))
    path = tables["path"]
    zero = rows_where(path, path="through zero")
    stuck = zero[zero["share"] == 0]["loss"].to_numpy()
    barrier = np.array([group["loss"].max() for _, group in zero.groupby("seed")])
    low, high = bootstrap_interval(barrier - stuck, np.mean)
    height = float(np.mean(barrier - stuck))
    found.append(Evidence("barrier between the signs, nats per pair", height, low, high))
    base_rate = float(path["base_rate_loss"].iloc[0])
    found.append(Evidence("loss of guessing the base rate, nats per pair", base_rate))
    quality = rows_where(tables["quality"], measure="excess_kl", dim=3)
    for _, best in quality.dropna().nsmallest(1, "value").iterrows():
        found.append(evidence(f"least excess in 3-D, {best['name']}, nats per pair", best))

    def of_those(name):
        rows = rows_where(tables["shares_by_start"], name=name, dim=2)
        return " and ".join(
            f"{int(row['successes'])} of {row['members']} that start {row['start']}"
            for _, row in rows.iterrows()
        )

    others = ", ".join(
        f"{int(row['successes'])} of {row['members']} with the {name}"
        for name in ("negative weight", "matched link", "dot product")
        for row in [row_where(tables["shares"], name=name, dim=2)]
    )
    answer = (
        f"With the tutorial's dense unit {of_those('free weight')} recover colour. A path from one "
        "sign to the other leads through a weight of zero, where every pair gets the same answer "
        f"and the loss cannot be under that of guessing the base rate, {base_rate:.4f}; the stuck "
        f"runs lie {height:.4f} below that"
        + (", so nothing that only goes down gets across. " if height > 0 else ". ")
        + f"With an inverse distance, smoothed by 1, {of_those('inverse, smoothed by 1')} recover. "
        f"Of heads whose sign is fixed, {others} do."
    )
    return Finding(verdict, found, answer)


def draw(tables: Tables):
    figure, axes = panels(3, 2, height=7.6)
    names = list(HEADS)
    by_start, quality = tables["shares_by_start"], tables["quality"]

    def in_order(table, **wanted):
        rows = rows_where(table, **wanted).set_index("name").reindex(names)
        return interval(rows.reset_index())

    plot_rows(
        names,
        {
            f"starts {start}": in_order(by_start, dim=2, start=start)
            for start in ("negative", "positive")
        },
        axes[0, 0],
        xlabel="share of runs that recover, $d$ = 2",
        statistic="share and 95 % interval",
        xlim=(-0.05, 1.05),
    )
    plot_rows(
        names,
        {f"$d$ = {dim}": in_order(quality, dim=dim, measure="excess_kl") for dim in DIMS},
        axes[0, 1],
        xlabel="excess KL (nats per pair)",
    )
    labels = {"learning_rate": "learning rate", "initial_scale": "initial scale"}
    for ax, (axis, label) in zip(axes[1], labels.items()):
        cells = rows_where(tables["starts"], axis=axis)
        grids = [
            cells.pivot(index="setting", columns="initial_kernel", values=name).to_numpy(int)
            for name in ("successes", "members")
        ]
        plot_outcomes(
            *grids,
            [f"{value:g}" for value in sorted(cells["setting"].unique())],
            [f"{value:g}" for value in sorted(cells["initial_kernel"].unique())],
            ax,
            xlabel="first value of the dense weight",
            ylabel=label,
            title="runs that recover",
        )
    path = tables["path"]
    base_rate = float(path["base_rate_loss"].iloc[0])
    for ax, kind in zip(axes[2], ("straight", "through zero")):
        chosen = intervals(rows_where(path, path=kind), ["share"], ["loss"])
        plot_lines(
            {kind: Line(chosen["share"].to_numpy(float), interval(chosen))},
            ax,
            xlabel="way from stuck (0) to good (1)",
            ylabel="training loss (nats per pair)",
            bands=True,
            references={"guessing the base rate": base_rate},
        )
    letter(axes.ravel())
    return figure


STUDY = Study(
    name="sign",
    claim="The dense unit finds the right sign by itself.",
    quote="It doesn't matter! [...] If the weight is negative and bias positive, it will act as "
    "an inverting mechanism.",
    question="Similar pairs are labelled 1 while their distance is near 0. Does the dense unit "
    "turn this around by itself, whatever it starts from, and do other heads?",
    method="{seeds} seeds each of five kinds of head (the tutorial's free weight, a weight held "
    "negative, an inverse distance with Lidstone smoothing at four constants, a link matched to "
    "how the labels were made, a dot product with free bias) in 2 and 3 dimensions, {epochs} "
    "epochs. Then the free weight's first value is set by hand, {eighth} seeds a cell, at five "
    "learning rates and four scales of the initial embedding. Last, the loss along two paths from "
    "a run that stuck to one that did not, from the same initial embedding, with the best bias at "
    "every point. A run has recovered colour from a Spearman correlation of distances of 0.5 up.",
    rule="Share of the free weight's 2-D runs that recover, with its Wilson interval: holds if "
    "all of it is at or above 0.9; holds in part if some of it is; does not hold if none is.",
    caption="a: share of runs that recover by the sign of the head's first weight. b: excess KL "
    "of the runs that did. c, d: runs that recover by the first weight, at several learning rates "
    "and scales. e, f: the loss along two paths between the signs; interquartile mean over seeds.",
    run=run,
    judge=judge,
    draw=draw,
)
