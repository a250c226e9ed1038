"""Claim 7: 100,000 pairs are enough; and which dimension is best at which number of pairs."""

from __future__ import annotations

import numpy as np
import pandas as pd

from colour_embed.config import Config
from colour_embed.pairs.selection import identifiable_parameters
from colour_embed.viz.intervals import Line, plot_lines, plot_outcomes
from colour_embed.viz.style import letter, panels
from experiments.claims.common import (
    FAILS,
    HOLDS,
    IN_PART,
    MARGIN,
    STATISTIC,
    TUTORIAL_PAIRS,
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
    paired,
    row_where,
    rows_where,
    shares,
    told,
    train,
    within,
)

COUNTS = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
DIMS = tuple(range(1, 7))
DECIDED = (2, 3)
SHOWN = 1e-3  # nats: the least loss and the linear part of the regret in the figure
MEASURES = ("train_loss", "own_floor", "fresh_loss", "excess_kl", "spearman", "procrustes")
TRUTH, GEOMETRY = "excess over the truth", "Spearman with RGB"
CRITERIA = {
    TRUTH: "excess_kl",
    GEOMETRY: "less_spearman",
    "held-out loss": "heldout_loss",
    "AIC": "aic",
    "BIC": "bic",
}
"""The column that each criterion minimises over the dimensions."""


def run(setting: Setting) -> dict[str, pd.DataFrame]:
    tables = []
    for count in COUNTS:
        pairs = setting.some_pairs(count)
        config = Config(head="negative", epochs=setting.epochs_for(len(pairs)))
        seeds = setting.some_seeds(3)
        found = train(setting, f"amount: {count:,}", config, seeds, DIMS, pairs=pairs)
        runs = found.runs
        runs.insert(0, "pairs", count)
        parameters = np.array(
            [
                identifiable_parameters(config.head, config.normalise, len(setting.colours), dim)
                for dim in runs["dim"]
            ]
        )
        # Per pair, so that they compare with the loss: AIC / 2n and BIC / 2n.
        runs["aic"] = runs["train_loss"] + parameters / len(pairs)
        runs["bic"] = runs["train_loss"] + parameters * np.log(len(pairs)) / (2 * len(pairs))
        runs["less_spearman"] = -runs["spearman"]
        runs["overfits"] = runs["train_loss"] < runs["own_floor"]
        tables.append(runs)
    runs = mark_failures(pd.concat(tables, ignore_index=True), ["pairs", "dim"])
    gains = pd.concat(
        [
            paired(
                runs,
                "excess_kl",
                {"dim": dim, "pairs": count},
                {"dim": dim, "pairs": COUNTS[-1]},
            ).assign(dim=dim, pairs=count)
            for dim in DECIDED
            for count in COUNTS[COUNTS.index(TUTORIAL_PAIRS) : -1]
        ],
        ignore_index=True,
    )
    chosen = pd.concat([chosen_dimensions(runs, *one) for one in CRITERIA.items()])
    return {
        "runs": runs,
        "summary": intervals(runs, ["dim", "pairs"], MEASURES),
        "overfitting": shares(runs, ["dim", "pairs"], "overfits"),
        "gains": gains,
        "gain": intervals(gains, ["dim", "pairs"], ["value"]),
        "chosen": chosen,
        "regret": intervals(chosen, ["criterion", "pairs"], ["regret", "dim"]),
    }


def chosen_dimensions(runs: pd.DataFrame, criterion: str, column: str) -> pd.DataFrame:
    """Return the dimension that a criterion chooses for each number of pairs and replicate.

    Returns:
        criterion, pairs, seed, dim, and regret: the excess of that dimension less the least.
    """
    groups = runs.groupby(["pairs", "seed"])
    best = runs.loc[groups[column].idxmin()].set_index(["pairs", "seed"])
    regret = best["excess_kl"] - groups["excess_kl"].min()
    table = best[["dim"]].assign(regret=regret).reset_index()
    table.insert(0, "criterion", criterion)
    return table


def _counted(chosen: pd.DataFrame, criterion: str) -> np.ndarray:
    """Return how many replicates choose each dimension at each number of pairs, int [D, N]."""
    rows = rows_where(chosen, criterion=criterion)
    return np.array(
        [[len(rows_where(rows, dim=dim, pairs=count)) for count in COUNTS] for dim in DIMS]
    )


def judge(tables: Tables) -> Finding:
    gain, summary, chosen = tables["gain"], tables["summary"], tables["chosen"]
    at_tutorial = {dim: row_where(gain, dim=dim, pairs=TUTORIAL_PAIRS) for dim in DECIDED}
    enough = [within(row, MARGIN) for row in at_tutorial.values()]
    less = [row["low"] > MARGIN for row in at_tutorial.values()]
    verdict = HOLDS if all(enough) else FAILS if all(less) else IN_PART
    found = [
        evidence(f"excess at {count:,} pairs less that at 1,000,000, {dim}-D, nats per pair", row)
        for dim in DECIDED
        for count in COUNTS[COUNTS.index(TUTORIAL_PAIRS) : -1]
        for row in [row_where(gain, dim=dim, pairs=count)]
    ]
    found += [
        evidence(
            f"excess, {count:,} pairs, 3-D, nats per pair",
            row_where(summary, dim=3, pairs=count, measure="excess_kl"),
        )
        for count in COUNTS
    ]
    found += [
        evidence(
            f"share of replicates with a training loss below that of the truth, 3-D, {count:,}",
            row_where(tables["overfitting"], dim=3, pairs=count),
        )
        for count in COUNTS
    ]
    usual = {
        name: [DIMS[place] for place in _counted(chosen, name).argmax(axis=0)] for name in CRITERIA
    }
    for name in CRITERIA:
        found += [
            Evidence(f"dimension of most replicates by {name}, {count:,} pairs", dim)
            for count, dim in zip(COUNTS, usual[name])
        ]
    found += [
        evidence(
            f"regret of the {name}, {count:,} pairs, nats per pair",
            row_where(tables["regret"], criterion=name, pairs=count, measure="regret"),
        )
        for name in list(CRITERIA)[2:]
        for count in (COUNTS[0], COUNTS[2], TUTORIAL_PAIRS, COUNTS[-1])
    ]
    found += [
        failures(rows_where(tables["runs"], dim=3, pairs=count), f"3-D, {count:,} pairs")
        for count in COUNTS
    ]
    words = {True: "within", False: "not within"}
    apart = [
        f"{one} and {other} at {count:,}"
        for count, one, other in zip(COUNTS, usual[TRUTH], usual[GEOMETRY])
        if one != other
    ]
    answer = (
        "Ten times as many pairs lower the excess by "
        + " and ".join(
            f"{told(at_tutorial[dim], 4)} nats in {dim}-D, which is "
            f"{words[bool(one)]} the margin of {MARGIN}"
            for dim, one in zip(DECIDED, enough)
        )
        + ". The dimension of the least excess, in most replicates, is "
        + ", ".join(f"{dim} at {count:,}" for count, dim in zip(COUNTS, usual[TRUTH]))
        + f" pairs. {_useless(tables)}"
        + (
            "The dimension whose distances agree best with RGB is another one where that of the "
            f"least excess is {'; '.join(apart)} pairs."
            if apart
            else "The dimension whose distances agree best with RGB is the same at every number."
        )
    )
    return Finding(verdict, found, answer)


def _useless(tables: Tables) -> str:
    """Say at which numbers of pairs no dimension predicts better than the base rate does."""
    runs = tables["runs"]
    base_rate = (runs["base_rate_loss"] - runs["floor"]).mean()
    excess = rows_where(tables["summary"], measure="excess_kl").groupby("pairs")["value"].min()
    counts = excess.index[excess > base_rate]
    if not len(counts):
        return ""
    return (
        f"At {'; '.join(f'{count:,}' for count in counts)} pairs that choice is empty: the "
        "least mean excess of any dimension is above that of always predicting the base rate, "
        f"{base_rate:.2f}. "
    )


def _short(count: int) -> str:
    """Format a number of pairs for a tick, such as "100 k"."""
    return f"{count // 1_000_000} M" if count >= 1_000_000 else f"{count // 1000} k"


def draw(tables: Tables):
    summary, runs, gain = tables["summary"], tables["runs"], tables["gain"]
    figure, axes = panels(4, 2, height=9.0)
    losses = {
        "training pairs": "train_loss",
        "fresh labels, all pairs": "fresh_loss",
        "the truth, training pairs": "own_floor",
    }
    ticks = [1_000, 10_000, 100_000, 1_000_000]
    over = {
        "xlabel": "pairs",
        "log_x": True,
        "ticks": ticks,
        "tick_labels": [_short(count) for count in ticks],
        "statistic": STATISTIC,
    }
    plot_lines(
        {
            name: line(rows_where(summary, dim=3, measure=key), "pairs", runs)
            for name, key in losses.items()
        },
        axes[0, 0],
        ylabel="loss, $d$ = 3 (nats per pair)",
        log_y=True,
        **over,
    )
    axes[0, 0].set_ylim(bottom=SHOWN)
    counts = [count for count in COUNTS if TUTORIAL_PAIRS <= count < COUNTS[-1]]
    lines = {}
    for dim in DECIDED:
        rows = rows_where(gain, dim=dim)
        lines[f"$d$ = {dim}"] = Line(rows["pairs"].to_numpy(float), interval(rows, tables["gains"]))
    plot_lines(
        lines,
        axes[0, 1],
        ylabel="excess less that at 1 M (nats)",
        references={"margin": MARGIN},
        **over | {"ticks": counts, "tick_labels": [_short(count) for count in counts]},
    )
    axes[0, 1].set_xlim(TUTORIAL_PAIRS / 2, 2 * COUNTS[-2])
    seeds = runs["seed"].nunique()
    trials = np.full((len(DIMS), len(COUNTS)), seeds)
    for ax, name in zip(axes.ravel()[2:], CRITERIA):
        plot_outcomes(
            _counted(tables["chosen"], name),
            trials,
            [str(dim) for dim in DIMS],
            [_short(count) for count in COUNTS],
            ax,
            xlabel="pairs",
            ylabel="dimension $d$",
            title=f"chosen by {name} (dark: {seeds} of {seeds})",
        )
    regret = rows_where(tables["regret"], measure="regret")
    plot_lines(
        {
            name: line(rows_where(regret, criterion=name), "pairs", tables["chosen"])
            for name in list(CRITERIA)[2:]
        },
        axes[3, 1],
        ylabel="regret of the choice (nats)",
        **over,
    )
    axes[3, 1].set_yscale("symlog", linthresh=SHOWN)
    axes[3, 1].set_ylim(bottom=-SHOWN / 2)
    letter(axes.ravel())
    return figure


STUDY = Study(
    name="amount",
    claim="A hundred thousand pairs are enough, within 0.01 nats.",
    quote="Great! A hundred thousand colour combinations.",
    question="What do more pairs gain, and which dimension is best at which number of pairs?",
    method="From 1,000 to 1,000,000 pairs, {third} replicates each in 1 to 6 dimensions, a weight "
    "constrained to be negative, and the tutorial's number of steps ({epochs} epochs of 100,000 "
    "pairs) at its constant learning rate. The excess is exact: the mean Kullback-Leibler "
    "divergence from the true probabilities over all pairs. For each number of pairs and "
    "replicate, five criteria choose a dimension: the excess, which needs the truth; the rank "
    "correlation of the distances with RGB, which does too; the loss on the pairs that training "
    "does not hold; AIC and BIC of the training loss, with C d - d (d + 1) / 2 + 1 parameters. The "
    "regret of a choice is its excess less the least. A training loss below that of the true "
    "probabilities on the same pairs and labels shows overfitting; that is sufficient, not "
    "necessary.",
    estimand="Excess at 100,000 pairs less that at 1,000,000, paired by replicate, in 2-D and 3-D.",
    margin="0.01 nats per pair.",
    rule="Holds if the whole 95 % interval of the difference is within 0.01 nats in 2-D and in "
    "3-D; does not hold if it is above 0.01 in both; holds in part otherwise.",
    flips="To hold: the interval in 3-D within the margin. Not to hold: that in 2-D above it.",
    caption="a: losses by number of pairs (k: thousand, M: million), at the same number of steps; "
    f"losses below {SHOWN:g} are cut off. b: what decides, the excess less that at 1,000,000 "
    "pairs. c to g: number of the replicates whose best dimension it is, by the excess, by the "
    "rank correlation with RGB, by held-out loss, AIC and BIC; cells between none and all show "
    "their counts. h: regret of the choices; the axis is linear below "
    f"{SHOWN:g}.",
    run=run,
    judge=judge,
    draw=draw,
)
