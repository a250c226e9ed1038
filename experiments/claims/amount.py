"""Claim 7: 100,000 pairs are enough; below which number of pairs does training overfit?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from colour_embed import data
from colour_embed.config import Config
from colour_embed.evaluate.truth import best_loss, make_truth, probability_similar
from colour_embed.viz.intervals import Line, plot_lines
from colour_embed.viz.style import letter, panels
from experiments.claims.common import (
    FAILS,
    HOLDS,
    IN_PART,
    MARGIN,
    THRESHOLD,
    Evidence,
    Finding,
    Setting,
    Study,
    Tables,
    difference,
    evidence,
    interval,
    intervals,
    line,
    row_where,
    rows_where,
    told,
    train,
)

COUNTS = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
TUTORIAL = 100_000
DIM = 3
ENOUGH = MARGIN  # largest gain from more pairs that counts as enough
MEASURES = ("train_loss", "own_floor", "fresh_loss", "excess_kl", "spearman", "procrustes")


def run(setting: Setting) -> dict[str, pd.DataFrame]:
    tables = []
    rgb = setting.colours.rgb
    for count in COUNTS:
        pairs = data.tutorial_pairs(setting.colours, max(2, count * setting.pairs // TUTORIAL))
        config = Config(head="negative", epochs=epochs_for(len(pairs), setting))
        everything = ("init", "order", "labels", "pairs")
        found = train(
            setting,
            f"amount: {count:,}",
            config,
            setting.some_seeds(2),
            [DIM],
            pairs=pairs,
            vary=everything,
        )
        found.runs.insert(0, "pairs", count)
        found.runs["steps"] = config.epochs * -(-len(pairs) // config.batch_size)
        floor = make_truth(rgb, config.label_constant).floor
        found.runs["fresh_loss"] = floor + found.runs["excess_kl"]
        found.runs["floor"] = floor
        found.runs["own_floor"] = own_floors(setting, found, pairs)
        tables.append(found.runs)
    runs = pd.concat(tables, ignore_index=True)
    return {
        "runs": runs,
        "summary": intervals(runs, ["pairs"], MEASURES).assign(floor=runs["floor"].iloc[0]),
    }


def epochs_for(pairs: int, setting: Setting) -> int:
    """Return the number of epochs with about as many steps as the tutorial's training."""
    batch_size = Config().batch_size
    steps = setting.epochs * -(-setting.pairs // batch_size)
    return max(1, round(steps / -(-pairs // batch_size)))


def own_floors(setting: Setting, found, pairs: data.Pairs) -> np.ndarray:
    """Return the Bayes-optimal loss on each member's training pairs, [members]."""
    from colour_embed.sweeps import training_pairs

    rgb = setting.colours.rgb
    floors = []
    for member in found.result.members:
        index = training_pairs(len(rgb), pairs, member, ("pairs",))
        diff = data.pair_diff(index, rgb)
        floors.append(best_loss(probability_similar(diff)))
    return np.array(floors)


def judge(tables: Tables) -> Finding:
    summary = tables["summary"]
    fresh = {count: row_where(summary, pairs=count, measure="fresh_loss") for count in COUNTS}
    most = fresh[COUNTS[-1]]["value"]
    enough = [count for count in COUNTS if fresh[count]["value"] - most <= ENOUGH]
    safely = fresh[TUTORIAL]["high"] - fresh[COUNTS[-1]]["low"] <= ENOUGH
    verdict = HOLDS if safely else IN_PART if TUTORIAL in enough else FAILS
    found = [
        evidence(f"loss on fresh labels, {count:,} pairs, nats per pair", fresh[count])
        for count in COUNTS
    ]
    found += [
        evidence(
            f"Spearman with RGB distances, {count:,} pairs",
            row_where(summary, pairs=count, measure="spearman"),
        )
        for count in (COUNTS[0], COUNTS[2], TUTORIAL, COUNTS[-1])
    ]
    overfitted = [
        count
        for count in COUNTS
        if row_where(summary, pairs=count, measure="train_loss")["high"]
        < row_where(summary, pairs=count, measure="own_floor")["low"]
    ]
    gap = difference(fresh[TUTORIAL], fresh[COUNTS[-1]])
    found.append(evidence("loss on fresh labels, 100,000 pairs less 1,000,000, nats per pair", gap))
    found.append(Evidence("fewest pairs that are enough", min(enough)))
    if overfitted:
        found.append(Evidence("most pairs at which training overfits", max(overfitted)))
    answer = (
        f"More than {min(enough):,} pairs lower the loss on fresh labels by at most {ENOUGH} nats. "
        f"By that measure 100,000 pairs are {'' if TUTORIAL in enough else 'not yet '}enough: "
        f"1,000,000 lower it by {told(gap, 4)} nats, where the brackets hold the ends of "
        "the two intervals that are furthest apart. That is "
        f"{abs(gap['value'] - ENOUGH):.4f} nats {'above' if gap['value'] > ENOUGH else 'below'} "
        f"the threshold of {ENOUGH}, or {100 * abs(gap['value'] / ENOUGH - 1):.0f} % of it. "
        + (
            f"With {max(overfitted):,} pairs or fewer the training loss is below the Bayes-optimal "
            "loss on the same pairs, which shows overfitting. "
            if overfitted
            else "By a training loss below the Bayes-optimal loss on the same pairs, training "
            "overfits at none of these numbers of pairs. "
        )
        + "That is sufficient for overfitting, not necessary: with more pairs training may overfit "
        f"too. At 1,000 pairs the loss on fresh labels is {fresh[COUNTS[0]]['value']:.2f}, against "
        f"{most:.3f} at 1,000,000."
    )
    return Finding(verdict, found, answer)


def _short(count: int) -> str:
    """Format a number of pairs for a tick, such as "100 k"."""
    return f"{count // 1_000_000} M" if count >= 1_000_000 else f"{count // 1000} k"


def draw(tables: Tables):
    summary = tables["summary"]
    figure, axes = panels(1, 3, height=3.0)
    losses = {
        "training pairs": "train_loss",
        "fresh labels, all pairs": "fresh_loss",
        "Bayes-optimal, training pairs": "own_floor",
    }
    ticks = [1_000, 10_000, 100_000, 1_000_000]
    labels = [_short(count) for count in ticks]
    plot_lines(
        {name: line(rows_where(summary, measure=key), "pairs") for name, key in losses.items()},
        axes[0, 0],
        xlabel="pairs",
        ylabel="loss (nats per pair)",
        log_x=True,
        log_y=True,
        ticks=ticks,
        tick_labels=labels,
    )
    fresh = rows_where(summary, measure="fresh_loss")
    most = row_where(fresh, pairs=COUNTS[-1])
    gain = difference(fresh[fresh["pairs"].between(TUTORIAL, COUNTS[-2])], most)
    plot_lines(
        {"fresh labels, all pairs": Line(gain["pairs"].to_numpy(float), interval(gain))},
        axes[0, 1],
        xlabel="pairs",
        ylabel=f"loss less that at {_short(COUNTS[-1])} pairs (nats)",
        log_x=True,
        ticks=gain["pairs"].tolist(),
        tick_labels=[_short(count) for count in gain["pairs"]],
        references={THRESHOLD: ENOUGH},
    )
    axes[0, 1].set_xlim(TUTORIAL / 2, 2 * COUNTS[-2])
    axes[0, 1].set_ylim(bottom=0)
    geometry = {"Spearman with RGB distances": "spearman", "Procrustes disparity": "procrustes"}
    plot_lines(
        {name: line(rows_where(summary, measure=key), "pairs") for name, key in geometry.items()},
        axes[0, 2],
        xlabel="pairs",
        ylabel="comparison with RGB",
        log_x=True,
        ticks=ticks,
        tick_labels=labels,
    )
    letter(axes.ravel())
    return figure


STUDY = Study(
    name="amount",
    claim="A hundred thousand pairs are enough.",
    quote="Great! A hundred thousand colour combinations.",
    question="How do the training loss, the loss on fresh labels and the embedding depend on the "
    "number of pairs, and at which numbers does training overfit?",
    method="From 1,000 to 1,000,000 pairs, {half} seeds each in 3 dimensions, a weight "
    "constrained to be negative, and the tutorial's number of steps ({epochs} epochs of 100,000 "
    "pairs). The seed changes the initial values, the order, the pairs and their labels. The loss "
    "on fresh labels is exact: the Bayes-optimal loss over all pairs plus the excess KL. A "
    "training loss whose interval is below that of the Bayes-optimal loss on the same pairs (here "
    "the mean entropy of their labels) shows overfitting.",
    rule="Loss on fresh labels at 100,000 pairs less that at 1,000,000: holds if it is at most "
    "0.01 nats even between the unfavourable ends of the two intervals; holds in part if between "
    "the means; does not hold otherwise.",
    caption="a: losses by number of pairs (k: thousand, M: million), at the same number of steps. "
    "b: what decides, the loss on fresh labels less that at 1,000,000 pairs; the bars join the "
    "ends of the two intervals that are furthest apart. c: comparison of the embedding with RGB.",
    run=run,
    judge=judge,
    draw=draw,
)
