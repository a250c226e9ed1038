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
    STATISTIC,
    TUTORIAL_PAIRS,
    Evidence,
    Finding,
    Setting,
    Study,
    Tables,
    evidence,
    failures,
    intervals,
    line,
    mark_failures,
    paired,
    percent,
    row_where,
    rows_where,
    told,
    train,
    within,
)

SHARES = (0.02, 0.05, 0.1, 0.225, 0.4, 0.6)
TUTORIAL = 0.225
RULE, PAIRS, POSITIVES = METHODS = ("label constant", "pairs held", "positives held")
DIMS = (2, 3)
SHOWN = (-0.12, 0.04)  # changes that the figure shows
TOLERANCE = 0.02  # largest change of Spearman that counts as unchanged
MEASURES = ("spearman", "procrustes", "excess_kl", "probability_error", "mean_probability")


def run(setting: Setting) -> dict[str, pd.DataFrame]:
    config, plain = Config(head="negative", epochs=setting.epochs), make_truth(setting.colours.rgb)
    seeds, rgb = setting.some_seeds(3), setting.colours.rgb
    constants = {constant_of(share, rgb): share for share in SHARES}
    found = train(
        setting,
        "ratio: constant",
        config,
        seeds,
        DIMS,
        axes={"label_constant": list(constants)},
    )
    truths = {constant: make_truth(rgb, constant) for constant in constants}
    own = [truths[constant] for constant in found.runs["label_constant"]]
    _describe(found, RULE, [constants[value] for value in found.runs["label_constant"]], own)
    tables = [found.runs]
    for share in SHARES:
        for method in (PAIRS, POSITIVES):
            count = TUTORIAL_PAIRS if method == PAIRS else TUTORIAL_PAIRS * TUTORIAL / share
            pairs = len(setting.some_pairs(round(count)))
            shape = dataclasses.replace(config, epochs=setting.epochs_for(pairs))
            for seed in seeds:
                drawn, held_out, truth = resampled(share, plain, pairs, seed)
                found = train(
                    setting,
                    f"ratio: {percent(share)}",
                    shape,
                    [seed],
                    DIMS,
                    pairs=drawn,
                    vary=("init", "order"),
                    known=(truth, held_out),
                )
                _describe(found, method, [share] * len(found.runs), [truth] * len(found.runs))
                tables.append(found.runs)
    cell = ["method", "dim", "share"]
    runs = mark_failures(pd.concat(tables, ignore_index=True), cell)
    changes = pd.concat(
        [
            paired(
                runs,
                "spearman",
                {"method": method, "dim": dim, "share": share},
                {"method": method, "dim": dim, "share": TUTORIAL},
            ).assign(method=method, dim=dim, share=share)
            for method in METHODS
            for dim in DIMS
            for share in SHARES
            if share != TUTORIAL
        ],
        ignore_index=True,
    )
    return {
        "runs": runs,
        "summary": intervals(runs, cell, MEASURES),
        "changes": changes,
        "change": intervals(changes, cell, ["value"]),
    }


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


def resampled(
    share: float, plain: Truth, count: int, seed: int
) -> tuple[data.Pairs, data.Pairs, Truth]:
    """Sample pairs by the tutorial's rule, subsampling negatives or positives to a given share.

    A positive is kept with probability a and a negative with b, one of them 1, so that P(label = 1)
    of a kept pair is a P / (a P + b (1 - P)).

    Args:
        share: Share of positives among the kept pairs.
        plain: The truth without subsampling.
        count: Number of pairs to keep.
        seed: Seed of the pairs and labels, and of the held-out labels.

    Returns:
        The training pairs; the held-out pairs, labelled with the same probability; and the truth
        with that probability.
    """
    random = np.random.default_rng([seed, round(share * 1000), count])
    rgb, items = plain.coordinates, len(plain.coordinates)
    base = 1 / items + (1 - 1 / items) * plain.probability.mean()
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
    probability = kept_probability(plain.probability, odds)
    truth = dataclasses.replace(plain, probability=probability, floor=best_loss(probability))
    # The library labels held-out pairs by the rule without subsampling, so they are relabelled.
    held_out = held_out_pairs(items, index, rgb, data.LABEL_CONSTANT, seed)
    chance = kept_probability(probability_similar(data.pair_diff(held_out.index, rgb)), odds)
    label = (random.random(len(chance)) < chance).astype(np.float32)
    return pairs, data.Pairs(held_out.index, label), truth


def kept_probability(probability: np.ndarray, odds: float) -> np.ndarray:
    """Return P(label = 1) of kept pairs if positives are kept `odds` times as often."""
    # In this form rounding cannot leave 0..1.
    return 1 / (1 + (1 - probability) / np.maximum(odds * probability, 1e-300))


def judge(tables: Tables) -> Finding:
    summary, change = tables["summary"], tables["change"]
    same = np.array([within(row, TOLERANCE) for _, row in change.iterrows()])
    verdict = HOLDS if same.all() else IN_PART if same.mean() >= 0.5 else FAILS
    found = [
        evidence(
            f"change of Spearman, {dim}-D, {percent(share)} positives, {method}",
            row_where(change, method=method, dim=dim, share=share),
        )
        for method in METHODS
        for dim in DIMS
        for share in SHARES
        if share != TUTORIAL
    ]
    found += [
        evidence(
            f"Spearman, {dim}-D, {percent(share)} positives, {method}",
            row_where(summary, measure="spearman", method=method, dim=dim, share=share),
        )
        for method in METHODS
        for dim in DIMS
        for share in (SHARES[0], TUTORIAL, SHARES[-1])
    ]
    found += [
        evidence(
            f"excess, 3-D, {percent(share)} positives, {method}, nats per pair",
            row_where(summary, measure="excess_kl", method=method, dim=3, share=share),
        )
        for method in METHODS
        for share in (SHARES[0], TUTORIAL, SHARES[-1])
    ]
    found += [
        Evidence(
            f"settings with the same Spearman, of {(change['method'] == method).sum()}, {method}",
            int(same[(change["method"] == method).to_numpy()].sum()),
        )
        for method in METHODS
    ]
    found.append(failures(tables["runs"]))
    worst = change.loc[change["value"].abs().idxmax()]
    few = {
        method: row_where(change, method=method, dim=3, share=SHARES[0])
        for method in (PAIRS, POSITIVES)
    }
    answer = (
        f"In {int(same.sum())} of {len(change)} settings the Spearman correlation of distances "
        f"with RGB is within {TOLERANCE} of that at {percent(TUTORIAL)} positives, by its whole "
        f"interval. The largest change is {told(worst)}, in {worst['dim']}-D at "
        f"{percent(worst['share'])} positives with the {worst['method']}. At a fixed number of "
        "pairs a lower share of positives means fewer of them, which tell most: at "
        f"{percent(SHARES[0])} the correlation in 3-D changes by {told(few[PAIRS])} with the "
        f"number of pairs held, and by {told(few[POSITIVES])} with the number of positives held "
        "and negatives added."
    )
    return Finding(verdict, found, answer)


def draw(tables: Tables):
    summary, change = tables["summary"], tables["change"]
    figure, axes = panels(2, 2, height=5.4)
    shown = (
        ("spearman", "Spearman with RGB distances"),
        ("value", "Spearman less that at 22.5 %"),
        ("excess_kl", "excess (nats per pair)"),
        ("probability_error", "mean error of the probability"),
    )
    for ax, (measure, label) in zip(axes.ravel(), shown):
        decides = measure == "value"
        table, members = (change, tables["changes"]) if decides else (summary, tables["runs"])
        lines = {
            f"{method}, $d$ = {dim}": line(
                rows_where(table, measure=measure, method=method, dim=dim), "share", members
            )
            for method in METHODS
            for dim in DIMS
        }
        plot_lines(
            lines,
            ax,
            xlabel="share of positive pairs",
            ylabel=label,
            log_x=True,
            ticks=SHARES,
            tick_labels=[percent(share) for share in SHARES],
            references={"margin, up": TOLERANCE, "margin, down": -TOLERANCE} if decides else None,
            statistic=STATISTIC,
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
    method="Six shares of positives, obtained in three ways: by the constant of the label rule, as "
    "the tutorial suggests; by keeping some of the negatives or positives at a fixed number of "
    "100,000 pairs; and the same at a fixed number of 22,500 positives, to which negatives are "
    "added. The second way changes the number of positives with their share, the third does not. "
    "{third} replicates, 2 and 3 dimensions, a weight constrained to be negative, as many steps as "
    "{epochs} epochs of 100,000 pairs. In all three P(label = 1) is known for every pair, and "
    "the excess is measured against it over all pairs.",
    estimand="Spearman's correlation of distances with RGB at each share less that at 22.5 %, "
    "paired by replicate.",
    margin="0.02 of Spearman, two-sided (equivalence).",
    rule="Holds if the whole 95 % interval of the change lies within 0.02 in all thirty settings; "
    "holds in part if in at least half; does not hold otherwise.",
    flips="To hold in part: at least fifteen settings within the margin.",
    caption="By the share of positive pairs, in three ways. a: rank correlation with RGB. b: what "
    f"decides, its change from that at 22.5 %; changes below {SHOWN[0]:g} are cut off. c, d: error "
    "of the probabilities against each setting's true ones.",
    run=run,
    judge=judge,
    draw=draw,
)
