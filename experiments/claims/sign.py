"""Claim 1: "It doesn't matter" that similar pairs are labelled 1 at a distance near 0."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import expit

from colour_embed.config import Config
from colour_embed.evaluate import geometry, scores
from colour_embed.evaluate.intervals import bootstrap_interval
from colour_embed.evaluate.truth import base_rate_loss
from colour_embed.viz.intervals import STATISTIC, Line, plot_lines, plot_outcomes, plot_rows
from colour_embed.viz.style import letter, panels
from experiments.claims.common import (
    FAILS,
    HOLDS,
    IN_PART,
    THRESHOLD,
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
PATH_START = 0.3  # initial weights of the two ends of a path: this one and its negative
POINTS = 41  # in each half of a path
MEANS = f"b, e, f: {STATISTIC}"
NEEDED = 0.9  # share of trainings that must recover for "it doesn't matter" to hold


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
    """Compute the loss along two paths from a trapped training to a recovered one, by seed.

    Both trainings start from the same embedding. Each path minimises the loss over the bias at
    every point.

    "straight": weight and vectors are interpolated linearly, after the recovered vectors are
    aligned to the trapped ones. "through zero": the weight shrinks to zero with the trapped
    vectors, and grows again with the recovered ones; at zero the loss does not depend on the
    vectors.
    """
    pairs, rows = setting.tutorial_pairs, []
    for seed in setting.some_seeds(8):
        ends = []
        for start in (PATH_START, -PATH_START):
            chosen = {"seed": seed, "initial_kernel": start, "initial_scale": 0.05}
            place = rows_where(found.runs, **chosen).index[0]
            ends.append((float(found.result.kernel[place]), found.vectors(place)))
        (weight, trapped), (other_weight, recovered) = ends
        aligned = geometry.align(recovered, trapped)
        for kind in ("straight", "through zero"):
            bias = float(found.result.bias[place])
            for share in np.linspace(0, 1, 2 * POINTS - 1):
                if kind == "straight":
                    here = (1 - share) * weight + share * other_weight
                    vectors = (1 - share) * trapped + share * aligned
                else:
                    side = (weight, trapped) if share <= 0.5 else (other_weight, recovered)
                    here, vectors = abs(1 - 2 * share) * side[0], side[1]
                squared = ((vectors[pairs.index[:, 0]] - vectors[pairs.index[:, 1]]) ** 2).sum(1)
                bias, loss = best_bias(here * squared, pairs.label, bias)
                rows.append((seed, kind, share, here, bias, loss))
    names = ["seed", "path", "share", "weight", "bias", "loss"]
    base_rate = base_rate_loss(pairs.label)
    return pd.DataFrame(rows, columns=names).assign(base_rate_loss=base_rate)


def best_bias(logits: np.ndarray, label: np.ndarray, start: float) -> tuple[float, float]:
    """Minimise the cross-entropy of logits [N] plus a bias by Newton's method; (bias, loss)."""
    bias = start
    for _ in range(50):
        probability = expit(logits + bias)
        slope = float(np.mean(probability - label))
        curvature = float(np.mean(probability * (1 - probability)))
        # Steps are clipped, as Newton's method diverges where the curvature vanishes.
        step = float(np.clip(slope / max(curvature, 1e-12), -1, 1))
        bias -= step
        if abs(step) < 1e-10:
            break
    return bias, scores.cross_entropy(logits + bias, label)


def judge(tables: Tables) -> Finding:
    free = row_where(tables["shares"], name="free weight", dim=2)
    verdict = HOLDS if free["low"] >= NEEDED else IN_PART if free["high"] >= NEEDED else FAILS
    by_start = rows_where(tables["shares_by_start"], name="free weight", dim=2)
    found = [evidence("free weight, 2-D: share of trainings that recover", free)]
    found += [
        evidence(f"free weight, 2-D, {row['start']} initial weight: share that recover", row)
        for _, row in by_start.iterrows()
    ]
    for name in ("negative weight", "inverse, smoothed by 1", "matched link", "dot product"):
        row = row_where(tables["shares"], name=name, dim=2)
        found.append(evidence(f"{name}, 2-D: share that recover", row))
    path = tables["path"]
    zero = rows_where(path, path="through zero")
    trapped = zero[zero["share"] == 0]["loss"].to_numpy()
    barrier = np.array([group["loss"].max() for _, group in zero.groupby("seed")])
    low, high = bootstrap_interval(barrier - trapped, np.mean)
    height = float(np.mean(barrier - trapped))
    found.append(Evidence("barrier between the signs, nats per pair", height, low, high))
    base_rate = float(path["base_rate_loss"].iloc[0])
    found.append(Evidence("base-rate loss, nats per pair", base_rate))
    quality = rows_where(tables["quality"], measure="excess_kl", dim=3)
    for _, best in quality.dropna().nsmallest(1, "value").iterrows():
        found.append(evidence(f"least excess KL in 3-D, {best['name']}, nats per pair", best))

    def of_those(name):
        rows = rows_where(tables["shares_by_start"], name=name, dim=2)
        return " and ".join(
            f"{int(row['successes'])} of {row['members']} trainings with a {row['start']} initial "
            "weight"
            for _, row in rows.iterrows()
        )

    others = ", ".join(
        f"{int(row['successes'])} of {row['members']} with the {name}"
        for name in ("negative weight", "matched link", "dot product")
        for row in [row_where(tables["shares"], name=name, dim=2)]
    )
    answer = (
        f"With the tutorial's dense unit, {of_those('free weight')} recover colour. Every path "
        "from one sign to the other passes through a weight of zero, where all pairs have the same "
        f"probability and the loss is at least the base-rate loss, {base_rate:.4f}. The trapped "
        f"trainings lie {height:.4f} below that"
        + (", so gradient descent cannot cross it. " if height > 0 else ". ")
        + f"With the inverse distance smoothed by 1, {of_those('inverse, smoothed by 1')} recover. "
        f"Trainings that recover with heads of fixed sign: {others}."
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
            f"{start} initial weight": in_order(by_start, dim=2, start=start)
            for start in ("negative", "positive")
        }
        | {"any initial weight": in_order(tables["shares"], dim=2)},
        axes[0, 0],
        xlabel="share of trainings that recover, $d$ = 2",
        references={THRESHOLD: NEEDED},
        statistic="a: share and 95 % interval",
        xlim=(-0.05, 1.05),
    )
    plot_rows(
        names,
        {f"$d$ = {dim}": in_order(quality, dim=dim, measure="excess_kl") for dim in DIMS},
        axes[0, 1],
        xlabel="excess KL (nats per pair)",
        statistic=MEANS,
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
            xlabel="initial dense weight",
            ylabel=label,
            title="dark: {0} of {0}; white: 0 of {0}".format(grids[1].max()),
        )
    path = tables["path"]
    base_rate = float(path["base_rate_loss"].iloc[0])
    for ax, kind in zip(axes[2], ("straight", "through zero")):
        chosen = intervals(rows_where(path, path=kind), ["share"], ["loss"])
        plot_lines(
            {kind: Line(chosen["share"].to_numpy(float), interval(chosen))},
            ax,
            xlabel="path from trapped (0) to recovered (1)",
            ylabel="training loss (nats per pair)",
            bands=True,
            statistic=MEANS,
            references={"base-rate loss": base_rate},
        )
    letter(axes.ravel())
    return figure


STUDY = Study(
    name="sign",
    claim="The dense unit learns the right sign from any initial weight.",
    quote="It doesn't matter! [...] If the weight is negative and bias positive, it will act as "
    "an inverting mechanism.",
    question="Similar pairs are labelled 1 at a distance near 0, so the weight must become "
    "negative. Does training reach a negative weight from any initial value, and what do other "
    "heads do?",
    method="{seeds} seeds each of five kinds of head in 2 and 3 dimensions, {epochs} epochs: the "
    "tutorial's free weight, a weight constrained to be negative, an inverse distance with "
    "Lidstone smoothing at four constants, a link matched to the label rule, and a dot product "
    "with free bias. Then the initial value of the free weight is varied at five learning rates "
    "and four scales of the initial embedding, {eighth} seeds a cell. Last, the loss is evaluated "
    "along two paths from a trapped training to a recovered one with the same initial embedding, "
    "minimised over the bias at every point. A training recovers colour if the Spearman "
    "correlation of its distances with RGB is at least 0.5. All seeds share the pairs and their "
    "labels.",
    rule="Share of the free weight's 2-D trainings that recover, with its Wilson interval: holds "
    "if the whole interval is at or above 0.9; holds in part if some of it is; does not hold if "
    "none is.",
    caption="a: share of trainings that recover, by the sign of the head's initial weight and of "
    "all; the threshold is that of the free weight. b: excess KL of the trainings that recover. "
    "c, d: number of the trainings that recover, by the initial weight, at several learning rates "
    "and scales; cells between none and all show their counts. e, f: the loss along two paths "
    "between the signs; interquartile mean over seeds.",
    run=run,
    judge=judge,
    draw=draw,
    shared="the pairs and their labels",
)
