"""Claim 1: "It doesn't matter" that similar pairs are labelled 1 at a distance near 0."""

from __future__ import annotations

import numpy as np
import pandas as pd

from colour_embed.config import Config
from colour_embed.viz.intervals import plot_rows
from colour_embed.viz.style import legend_above, letter, panels, reference_line
from experiments.claims.common import (
    FAILS,
    HOLDS,
    IN_PART,
    STATISTIC,
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
FREE = "free weight"
NEEDED = 0.9  # share of trainings that must recover for "it doesn't matter" to hold


def run(setting: Setting) -> dict[str, pd.DataFrame]:
    tables = []
    for name, head in HEADS.items():
        config = Config(epochs=setting.epochs, **head)
        seeds = setting.some_seeds(1 if name == FREE else 2)
        found = train(setting, f"sign: {name}", config, seeds, DIMS)
        found.runs.insert(0, "name", name)
        tables.append(found.runs)
    runs = pd.concat(tables, ignore_index=True)
    runs["start"] = np.where(runs["kernel_init"] > 0, "positive", "negative")
    runs["below_pass"] = runs["base_rate_loss"] - runs["train_loss"]
    trapped = rows_where(runs, name=FREE, recovered=False)
    recovered = runs.assign(excess_of_recovered=runs["excess_kl"].where(runs["recovered"]))
    return {
        "runs": runs,
        "shares": shares(runs, ["name", "dim"]),
        "shares_by_start": shares(runs, ["name", "dim", "start"]),
        "quality": intervals(recovered, ["name", "dim"], ["excess_kl", "excess_of_recovered"]),
        "trapped": intervals(trapped, ["dim"], ["below_pass"]),
    }


def judge(tables: Tables) -> Finding:
    by_start, runs = tables["shares_by_start"], tables["runs"]
    free = row_where(tables["shares"], name=FREE, dim=2)
    verdict = HOLDS if free["low"] >= NEEDED else IN_PART if free["high"] >= NEEDED else FAILS
    found = [
        evidence(
            f"{FREE}, {dim}-D: share of trainings that recover",
            row_where(tables["shares"], name=FREE, dim=dim),
        )
        for dim in DIMS
    ]
    found += [
        evidence(f"{FREE}, {row['dim']}-D, {row['start']} initial weight: share that recover", row)
        for _, row in rows_where(by_start, name=FREE).iterrows()
    ]
    found += [
        evidence(f"{name}, 2-D: share that recover", row_where(tables["shares"], name=name, dim=2))
        for name in HEADS
        if name != FREE
    ]
    found += [
        evidence(f"inverse heads, {row['start']} initial weight: share that recover", row)
        for _, row in shares(runs[runs["head"] == "inverse"], ["start"]).iterrows()
    ]
    found += [
        evidence(f"trapped trainings below the mountain pass, {row['dim']}-D, nats per pair", row)
        for _, row in tables["trapped"].iterrows()
    ]
    trapped = rows_where(runs, name=FREE, recovered=False)
    least = float(trapped["below_pass"].min()) if len(trapped) else float("nan")
    found.append(Evidence("least of them, nats per pair", least))
    found += [
        evidence(
            f"excess of the trainings that recover, {row['name']}, 3-D, nats per pair "
            f"(share {_share(tables, row)})",
            row,
        )
        for _, row in rows_where(tables["quality"], measure="excess_of_recovered", dim=3)
        .dropna()
        .iterrows()
    ]

    def of_those(name):
        rows = rows_where(by_start, name=name, dim=2)
        return " and ".join(
            f"{int(row['successes'])} of {row['members']} with a {row['start']} initial weight"
            for _, row in rows.iterrows()
        )

    fixed = ", ".join(
        f"{int(row['successes'])} of {row['members']} with the {name}"
        for name in ("negative weight", "matched link", "dot product")
        for row in [row_where(tables["shares"], name=name, dim=2)]
    )
    answer = (
        f"With the tutorial's dense unit, of the trainings in 2-D {of_those(FREE)} recover colour. "
        "Every path from one sign to the other passes through a weight of zero, where all pairs "
        "have the same probability and the loss is at least that of the base rate. "
        + (
            f"All {len(trapped)} trapped trainings, in 2-D and 3-D, lie below it, the nearest by "
            f"{least:.4f} nats per pair, so that gradient descent cannot cross. "
            if least > 0
            else ""
        )
        + "Smoothing the inverse distance moves the trap to the other sign and does not take it "
        f"away: with the constant 1, {of_those('inverse, smoothed by 1')} recover. Heads without a "
        f"sign to learn recover: {fixed}."
    )
    return Finding(verdict, found, answer)


def _share(tables: Tables, row: pd.Series) -> str:
    """Format how many of a head's trainings recover, such as "20 of 24"."""
    found = row_where(tables["shares"], name=row["name"], dim=row["dim"])
    return f"{int(found['successes'])} of {int(found['members'])}"


def draw(tables: Tables):
    figure, axes = panels(2, 2, height=5.6)
    names = list(HEADS)
    by_start, quality, runs = tables["shares_by_start"], tables["quality"], tables["runs"]

    def in_order(table, members=None, **wanted):
        rows = rows_where(table, **wanted).set_index("name").reindex(names).reset_index()
        return interval(rows.assign(**wanted)[table.columns], members)

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
        {f"$d$ = {dim}": in_order(quality, runs, dim=dim, measure="excess_kl") for dim in DIMS},
        axes[0, 1],
        xlabel="excess of all trainings (nats per pair)",
        statistic=f"b: {STATISTIC}",
    )
    for ax, dim in zip(axes[1], DIMS):
        rows = rows_where(runs, name=FREE, dim=dim)
        for recovered, marker, name in ((True, "o", "recovered"), (False, "x", "trapped")):
            some = rows_where(rows, recovered=recovered)
            ax.plot(
                some["kernel_init"],
                some["train_loss"],
                linestyle="none",
                marker=marker,
                markersize=4,
                color="#0072B2" if recovered else "#D55E00",
                label=name,
            )
        reference_line(ax, float(rows["base_rate_loss"].mean()), "mountain pass")
        ax.set(xlabel="initial weight", ylabel=f"training loss, $d$ = {dim} (nats per pair)")
    legend_above(axes[1, 1])
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
    method="Five kinds of head in 2 and 3 dimensions, {epochs} epochs: the tutorial's free weight "
    "({seeds} replicates), and with {half} replicates each a weight constrained to be negative, an "
    "inverse distance with Lidstone smoothing at four constants, a link matched to the label rule, "
    "and a dot product with free bias. A training recovers colour if the Spearman correlation of "
    "its distances with RGB is at least 0.5. The mountain pass is the loss of the base rate on the "
    "replicate's own labels.",
    estimand="Share of the free weight's trainings in 2-D that recover colour, from initial "
    "weights as Keras draws them.",
    margin="A share of 0.9.",
    rule="By the share's Wilson interval: holds if the whole interval is at or above 0.9; holds "
    "in part if some of it is; does not hold if none is.",
    flips="At least 0.9 of the trainings recover; a threshold of the initial weight above 1.39 "
    "would do it (see the law of the threshold).",
    caption="a: share of trainings that recover, by the sign of the head's initial weight and of "
    "all; the threshold is that of the free weight. b: excess of all trainings; those that fail "
    "stand apart. c, d: training loss of the free weight by its initial value, against the mean "
    "height of the mountain pass between the signs.",
    run=run,
    judge=judge,
    draw=draw,
)
