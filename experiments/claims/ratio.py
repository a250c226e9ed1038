"""Claim 2: the ratio of positives "won't actually change how the rest of this example runs"."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.spatial.distance import pdist
from scipy.special import expit

from colour_embed import data
from colour_embed.config import Config
from colour_embed.evaluate.truth import (
    Truth,
    all_pairs,
    best_loss,
    held_out_pairs,
    make_truth,
    probability_similar,
)
from colour_embed.viz.intervals import plot_lines
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
    difference,
    evidence,
    intervals,
    line,
    percent,
    row_where,
    rows_where,
    train,
)

SHARES = (0.02, 0.05, 0.1, 0.225, 0.4, 0.6)
TUTORIAL = 0.225
METHODS = ("label constant", "resampling")
DIMS = (2, 3)
SHOWN = (-0.12, 0.04)  # changes that the figure shows
TOLERANCE = 0.02  # largest change of Spearman that counts as unchanged
MEASURES = ("spearman", "procrustes", "excess_kl", "probability_error", "mean_probability")
_SEED = 20_200_726  # of the resampled pairs


def run(setting: Setting) -> dict[str, pd.DataFrame]:
    config = Config(head="negative", epochs=setting.epochs)
    seeds, rgb = setting.some_seeds(2), setting.colours.rgb
    constants = {constant_of(share, rgb): share for share in SHARES}
    found = train(
        setting,
        "ratio: constant",
        config,
        seeds,
        DIMS,
        axes={"label_constant": list(constants)},
        vary=("init", "order", "labels"),
    )
    truths = {constant: make_truth(rgb, constant) for constant in constants}
    own = [truths[constant] for constant in found.runs["label_constant"]]
    _describe(found, METHODS[0], [constants[value] for value in found.runs["label_constant"]], own)
    tables = [found.runs]
    for share in SHARES:
        pairs, held_out, truth = resampled(share, rgb, setting.pairs)
        found = train(
            setting,
            f"ratio: {percent(share)}",
            config,
            seeds,
            DIMS,
            pairs=pairs,
            known=(truth, held_out),
        )
        _describe(found, METHODS[1], [share] * len(found.runs), [truth] * len(found.runs))
        tables.append(found.runs)
    runs = pd.concat(tables, ignore_index=True)
    return {"runs": runs, "summary": intervals(runs, ["method", "dim", "share"], MEASURES)}


def _describe(found, method, share, truths) -> None:
    """Add the cell's method and share, and the errors of its probabilities, to its table."""
    found.runs.insert(0, "method", method)
    found.runs.insert(1, "share", share)
    error, mean = [], []
    for member, truth in enumerate(truths):
        squared = pdist(found.vectors(member), "sqeuclidean")
        probability = expit(found.result.kernel[member] * squared + found.result.bias[member])
        error.append(np.abs(probability - truth.probability).mean())
        mean.append(probability.mean())
    found.runs["probability_error"], found.runs["mean_probability"] = error, mean
    found.runs["true_mean_probability"] = [truth.probability.mean() for truth in truths]


def constant_of(share: float, rgb: np.ndarray) -> float:
    """Return the label constant at which this share of the tutorial's pairs is positive."""
    items = len(rgb)
    diff = data.pair_diff(all_pairs(items), rgb)

    def surplus(constant):
        # A drawn pair holds the same item twice with probability 1 / items, and is then positive.
        other = probability_similar(diff, constant).mean()
        return 1 / items + (1 - 1 / items) * other - share

    return float(brentq(surplus, 1e-5, 100.0))


def resampled(share: float, rgb: np.ndarray, count: int) -> tuple[data.Pairs, data.Pairs, Truth]:
    """Sample pairs by the tutorial's rule, subsampling negatives or positives to a given share.

    A positive is kept with probability a and a negative with b, one of them 1, so that P(label = 1)
    of a kept pair is a P / (a P + b (1 - P)).

    Args:
        share: Share of positives among the kept pairs.
        rgb: [items, 3].
        count: Number of pairs to keep.

    Returns:
        The training pairs; the held-out pairs, labelled with the same probability; and the truth
        with that probability.
    """
    random = np.random.default_rng([_SEED, round(share * 1000)])
    items = len(rgb)
    base = (probability_similar(data.pair_diff(all_pairs(items), rgb))).mean()
    base = 1 / items + (1 - 1 / items) * base
    odds = share / (1 - share) / (base / (1 - base))
    keep = np.array([min(1, 1 / odds), min(1, odds)])  # of a negative, of a positive
    kept = []
    while sum(len(part) for part in kept) < count:
        index = random.integers(0, items, (count, 2)).astype(np.int32)
        label = data.label_pairs(index, rgb, data.LABEL_CONSTANT, random.random(count))
        passed = random.random(count) < keep[label.astype(int)]
        kept.append(np.column_stack([index, label])[passed])
    table = np.concatenate(kept)[:count]
    index = table[:, :2].astype(np.int32)
    pairs = data.Pairs(index, table[:, 2].astype(np.float32))
    truth = make_truth(rgb)
    probability = kept_probability(truth.probability, odds)
    truth = dataclasses.replace(truth, probability=probability, floor=best_loss(probability))
    # The library labels held-out pairs by the rule without subsampling, so they are relabelled.
    held_out = held_out_pairs(items, index, rgb, data.LABEL_CONSTANT, 0)
    chance = kept_probability(probability_similar(data.pair_diff(held_out.index, rgb)), odds)
    label = (random.random(len(chance)) < chance).astype(np.float32)
    return pairs, data.Pairs(held_out.index, label), truth


def kept_probability(probability: np.ndarray, odds: float) -> np.ndarray:
    """Return P(label = 1) of kept pairs if positives are kept `odds` times as often."""
    # In this form rounding cannot leave 0..1.
    return 1 / (1 + (1 - probability) / np.maximum(odds * probability, 1e-300))


def _unchanged(summary: pd.DataFrame) -> pd.DataFrame:
    """Compare the Spearman of each cell with that at the tutorial's share."""
    rows = []
    chosen = rows_where(summary, measure="spearman")
    for (method, dim), cells in chosen.groupby(["method", "dim"]):
        middle = row_where(cells, share=TUTORIAL)["value"]
        for _, cell in cells[cells["share"] != TUTORIAL].iterrows():
            same = abs(cell["value"] - middle) <= TOLERANCE
            rows.append((method, dim, cell["share"], cell["value"] - middle, same))
    return pd.DataFrame(rows, columns=["method", "dim", "share", "change", "same"])


def judge(tables: Tables) -> Finding:
    summary = tables["summary"]
    cells = _unchanged(summary)
    share = cells["same"].mean()
    verdict = HOLDS if share == 1 else IN_PART if share >= 0.5 else FAILS
    found = [
        evidence(
            f"Spearman in {dim}-D at {percent(share)} positives, by {method}",
            row_where(summary, measure="spearman", method=method, dim=dim, share=share),
        )
        for method in METHODS
        for dim in DIMS
        for share in (SHARES[0], TUTORIAL, SHARES[-1])
    ]
    found += [
        evidence(
            f"excess KL in 3-D at {percent(share)} positives, by {method}",
            row_where(summary, measure="excess_kl", method=method, dim=3, share=share),
        )
        for method in METHODS
        for share in (SHARES[0], TUTORIAL, SHARES[-1])
    ]
    worst = cells.loc[cells["change"].abs().idxmax()]
    answer = (
        f"In {int(cells['same'].sum())} of {len(cells)} settings the Spearman correlation of "
        f"distances with RGB is within {TOLERANCE} of that at {percent(TUTORIAL)} positives. The "
        f"largest change is {worst['change']:+.3f}, in {worst['dim']}-D at "
        f"{percent(worst['share'])} positives by {worst['method']}. The predicted probabilities "
        "depend on the share by design, so panels c and d compare each setting with its own true "
        "probabilities."
    )
    return Finding(verdict, found, answer)


def draw(tables: Tables):
    summary = tables["summary"]
    figure, axes = panels(2, 2, height=5.4)
    shown = (
        ("spearman", "Spearman with RGB distances"),
        ("spearman", "Spearman less that at 22.5 %"),
        ("excess_kl", "excess KL (nats per pair)"),
        ("probability_error", "mean error of the probability"),
    )
    for ax, (measure, label) in zip(axes.ravel(), shown):
        decides = ax is axes[0, 1]
        lines = {}
        for method in METHODS:
            for dim in DIMS:
                rows = rows_where(summary, measure=measure, method=method, dim=dim)
                if decides:
                    rows = difference(rows, row_where(rows, share=TUTORIAL))
                    rows.loc[rows["share"] == TUTORIAL, ["low", "high"]] = np.nan
                lines[f"{method}, $d$ = {dim}"] = line(rows, "share")
        plot_lines(
            lines,
            ax,
            xlabel="share of positive pairs",
            ylabel=label,
            log_x=True,
            ticks=SHARES,
            tick_labels=[percent(share) for share in SHARES],
            references={f"{THRESHOLD}, up": TOLERANCE, f"{THRESHOLD}, down": -TOLERANCE}
            if decides
            else None,
        )
    axes[0, 1].set_ylim(SHOWN)
    letter(axes.ravel())
    return figure


STUDY = Study(
    name="ratio",
    claim="The share of positive pairs does not change the embedding.",
    quote="You can generate whatever ratio you like, it won't actually change how the rest of "
    "this example runs.",
    question="Are the embedding and the predicted probabilities the same from 2 % to 60 % "
    "positive pairs?",
    method="Six shares of positives, obtained by two methods: by the constant of the label rule, "
    "and by subsampling negatives (or positives). {half} seeds, 2 and 3 dimensions, a weight "
    "constrained to be negative, {epochs} epochs of 100,000 pairs. The seed changes the initial "
    "values, the order and, in the first method, the labels. In both methods P(label = 1) is known "
    "for every pair, and calibration is measured against it over all pairs.",
    rule="Spearman's correlation of distances with RGB, interquartile mean, at each share against "
    "that at 22.5 %: holds if all twenty differ by no more than 0.02; holds in part if at least "
    "half do; does not hold otherwise.",
    caption="By the share of positive pairs, set by the label rule's constant or by resampling. a: "
    "rank correlation with RGB. b: what decides, its change from that at 22.5 %; the bars join the "
    f"ends of the two intervals that are furthest apart, and changes below {SHOWN[0]:g} are cut "
    "off. c, d: error of the probabilities against each setting's true ones.",
    run=run,
    judge=judge,
    draw=draw,
    shared="the pairs, and by resampling their labels",
)
