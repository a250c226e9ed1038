"""Claim 7: the tutorial takes 100,000 pairs; how many are enough, and where memorising begins."""

from __future__ import annotations

import numpy as np
import pandas as pd

from colour_embed import data
from colour_embed.config import Config
from colour_embed.evaluate.truth import best_loss, make_truth, probability_similar
from colour_embed.viz.intervals import plot_lines
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
    intervals,
    line,
    row_where,
    rows_where,
    train,
)

COUNTS = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
TUTORIAL = 100_000
DIM = 3
ENOUGH = 0.01  # nats per pair: what more pairs may still take off the loss of fresh labels
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
    """As many epochs as take the tutorial's number of steps, to the nearest whole one."""
    batch_size = Config().batch_size
    steps = setting.epochs * -(-setting.pairs // batch_size)
    return max(1, round(steps / -(-pairs // batch_size)))


def own_floors(setting: Setting, found, pairs: data.Pairs) -> np.ndarray:
    """The expected loss of whoever knows the truth on each member's own pairs, [members]."""
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
        evidence(f"loss of fresh labels, {count:,} pairs, nats per pair", fresh[count])
        for count in COUNTS
    ]
    found += [
        evidence(
            f"Spearman with true distances, {count:,} pairs",
            row_where(summary, pairs=count, measure="spearman"),
        )
        for count in (COUNTS[0], COUNTS[2], TUTORIAL, COUNTS[-1])
    ]
    memorising = [
        count
        for count in COUNTS
        if row_where(summary, pairs=count, measure="train_loss")["high"]
        < row_where(summary, pairs=count, measure="own_floor")["low"]
    ]
    found.append(Evidence("fewest pairs that are enough", min(enough)))
    if memorising:
        found.append(Evidence("most pairs at which training memorises", max(memorising)))
    answer = (
        f"More than {min(enough):,} pairs take no more than {ENOUGH} nats off the loss of fresh "
        f"labels: 100,000 are {'' if TUTORIAL in enough else 'not yet '}enough by that measure. "
        + (
            f"With {max(memorising):,} pairs or fewer the training loss lies under what knowing "
            "the truth would give, so labels are being memorised; at 1,000 pairs the loss of fresh "
            f"labels is {fresh[COUNTS[0]]['value']:.2f}, against {most:.3f} with a million."
            if memorising
            else "At none of these numbers does training memorise."
        )
    )
    return Finding(verdict, found, answer)


def draw(tables: Tables):
    summary = tables["summary"]
    figure, axes = panels(1, 2, height=3.0)
    losses = {
        "training pairs": "train_loss",
        "fresh labels of all pairs": "fresh_loss",
        "knowing the truth, training pairs": "own_floor",
    }
    ticks = [1_000, 10_000, 100_000, 1_000_000]
    labels = [f"{count:,}" for count in ticks]
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
    geometry = {"Spearman with true distances": "spearman", "Procrustes disparity": "procrustes"}
    plot_lines(
        {name: line(rows_where(summary, measure=key), "pairs") for name, key in geometry.items()},
        axes[0, 1],
        xlabel="pairs",
        ylabel="geometry against RGB",
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
    question="How do the training loss, the loss of fresh labels and the map depend on the number "
    "of pairs, and where does memorising begin?",
    method="From 1,000 to 1,000,000 pairs, {half} seeds each in 3 dimensions, a weight held "
    "negative, as many steps as the tutorial takes ({epochs} epochs of 100,000 pairs); the seed "
    "changes the initial values, the order, the pairs and their labels. The loss of fresh labels "
    "is exact: the truth's entropy over all pairs plus the excess. Training memorises where its "
    "loss lies, with its interval, under the expected loss of whoever knows the truth, on the "
    "same pairs.",
    rule="Loss of fresh labels at 100,000 pairs less that at 1,000,000: holds if it is at most "
    "0.01 nats even between the unfavourable ends of the two intervals; holds in part if between "
    "the means; does not hold otherwise.",
    caption="a: losses by number of pairs, at the same number of steps. b: the map against RGB.",
    run=run,
    judge=judge,
    draw=draw,
)
