"""Claim 4: in 3-D "the RGB colour clusters can start to be separated independently"."""

from __future__ import annotations

import pandas as pd

from colour_embed.config import Config
from colour_embed.evaluate.geometry import linear_map_disparity, procrustes_disparity
from colour_embed.evaluate.intervals import select_dimension
from colour_embed.evaluate.truth import make_truth
from colour_embed.viz.intervals import plot_lines
from colour_embed.viz.style import letter, panels, reference_line
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
    drawn_floor,
    evidence,
    intervals,
    line,
    row_where,
    rows_where,
    shares,
    train,
)

DIMS = tuple(range(1, 9))
CHANNELS = ("red", "green", "blue")
COLOURS = dict(zip(CHANNELS, ("#d7191c", "#1a9641", "#2c4bff")))
CHANNEL_MEASURES = tuple(f"r2_{name}" for name in CHANNELS)
SEPARATED = 0.9  # R^2 of every channel
TRUE_DIM = 3


def run(setting: Setting) -> dict[str, pd.DataFrame]:
    config = Config(head="negative", epochs=setting.epochs)
    everything = ("init", "order", "labels", "pairs")
    found = train(setting, "dimension", config, setting.some_seeds(), DIMS, vary=everything)
    rgb, runs = setting.colours.rgb, found.runs
    for member in range(len(runs)):
        vectors = found.vectors(member)
        for place, name in enumerate(CHANNEL_MEASURES):
            explained = 1 - linear_map_disparity(vectors, rgb[:, place : place + 1])
            runs.loc[member, name] = explained
        # The member table's column differs from 4 dimensions on, and is replaced.
        runs.loc[member, "procrustes"] = procrustes_disparity(vectors, rgb)
    runs["least_r2"] = runs[list(CHANNEL_MEASURES)].min(axis=1)
    floor = make_truth(rgb, config.label_constant).floor
    measures = ("train_loss", "heldout_loss", "excess_kl", "spearman", "procrustes")
    by_dim = runs.groupby("dim")["heldout_loss"].agg(["mean", "sem"]).reset_index()
    lowest = runs.loc[runs.groupby("seed")["heldout_loss"].idxmin(), ["seed", "dim"]]
    lowest["is_true"] = lowest["dim"] == TRUE_DIM
    return {
        "runs": runs,
        "summary": intervals(runs, ["dim"], [*measures, *CHANNEL_MEASURES, "least_r2"]),
        "selection": by_dim.assign(
            selected=by_dim["dim"]
            == select_dimension(by_dim["dim"], by_dim["mean"], by_dim["sem"]),
            floor=floor,
        ),
        "lowest": shares(lowest, [], "is_true"),
    }


def judge(tables: Tables) -> Finding:
    summary, selection = tables["summary"], tables["selection"]
    flat = row_where(summary, dim=2, measure="least_r2")
    solid = row_where(summary, dim=3, measure="least_r2")
    selected = int(row_where(selection, selected=True)["dim"])
    lowest = tables["lowest"].iloc[0]
    separated = solid["low"] >= SEPARATED and flat["high"] < solid["low"]
    parts = bool(separated) + (selected == TRUE_DIM)
    verdict = (FAILS, IN_PART, HOLDS)[parts]
    found = [
        evidence(f"R^2 of {name} in {dim}-D", row_where(summary, dim=dim, measure=f"r2_{name}"))
        for dim in (2, 3)
        for name in CHANNELS
    ]
    found += [
        evidence(
            f"Procrustes disparity in {dim}-D", row_where(summary, dim=dim, measure="procrustes")
        )
        for dim in (2, 3, 4)
    ]
    found += [
        evidence(
            f"held-out loss in {dim}-D, nats per pair",
            row_where(summary, dim=dim, measure="heldout_loss"),
        )
        for dim in (2, 3, 4)
    ]
    found.append(Evidence("dimension that the held-out loss selects", selected))
    found.append(evidence("share of seeds whose held-out loss is least in 3-D", lowest))
    floor = float(selection["floor"].iloc[0])
    found.append(
        Evidence("Bayes-optimal loss, mean over all pairs of two colours, nats per pair", floor)
    )
    training = {dim: row_where(summary, dim=dim, measure="train_loss")["value"] for dim in DIMS}
    below = [dim for dim in DIMS if training[dim] < floor]
    overfitting = (
        f"from {min(below)} dimensions on it is below the Bayes-optimal loss, {floor:.4f}, which "
        "shows overfitting"
        if below
        else f"it stays above the Bayes-optimal loss, {floor:.4f}"
    )
    answer = (
        f"A linear map predicts each of the three channels with an R^2 of {solid['value']:.3f} or "
        f"more in 3-D; in 2-D the R^2 of the worst channel is {flat['value']:.3f}. The held-out "
        f"loss, which does not depend on RGB, selects d = {selected}, and is least in 3-D for "
        f"{int(lowest['successes'])} of {lowest['members']} seeds. The training loss is least at "
        f"d = {min(training, key=training.get)}; {overfitting}. (That is sufficient for "
        f"overfitting, not necessary. {floor:.4f} is the expected loss over all pairs of two "
        "different colours; on the tutorial's drawn pairs and labels the same probabilities have "
        f"the loss {drawn_floor():.4f}, which is the one beside the tutorial's training losses.)"
    )
    return Finding(verdict, found, answer)


def draw(tables: Tables):
    summary = tables["summary"]
    figure, axes = panels(1, 3, height=2.9)
    losses = {"training": "train_loss", "held-out pairs": "heldout_loss"}
    plot_lines(
        {name: line(rows_where(summary, measure=key), "dim") for name, key in losses.items()},
        axes[0, 0],
        xlabel="dimension $d$",
        ylabel="loss (nats per pair)",
        references={"Bayes-optimal": float(tables["selection"]["floor"].iloc[0])},
        ticks=DIMS,
    )
    selected = row_where(tables["selection"], selected=True)["dim"]
    reference_line(axes[0, 0], selected, "selected dimension", upright=True)
    plot_lines(
        {name: line(rows_where(summary, measure=f"r2_{name}"), "dim") for name in CHANNELS},
        axes[0, 1],
        xlabel="dimension $d$",
        ylabel="$R^2$ of the channel",
        ticks=DIMS,
        references={THRESHOLD: SEPARATED},
        colours=COLOURS,
    )
    plot_lines(
        {"all channels": line(rows_where(summary, measure="procrustes"), "dim")},
        axes[0, 2],
        xlabel="dimension $d$",
        ylabel="Procrustes disparity to RGB",
        ticks=DIMS,
    )
    letter(axes.ravel())
    return figure


STUDY = Study(
    name="dimension",
    claim="In 3-D the three channels separate, and held-out loss selects three dimensions.",
    quote="with the beauty of one more dimension, we can see that the RGB colour clusters can "
    "start to be separated independently",
    question="How well is each channel predicted from 1 to 8 dimensions, and does the held-out "
    "loss select the true number?",
    method="{seeds} seeds in each of 1 to 8 dimensions, a weight constrained to be negative, "
    "{epochs} epochs. The seed changes the initial values, the order, the pairs and their labels. "
    "Each channel is predicted linearly from the embedding, cross-validated over items. Procrustes "
    "alignment allows rotation, reflection and one scale. The held-out pairs are all that training "
    "does not hold in either order.",
    rule="Two parts: the worst channel's R^2 in 3-D at or above 0.9 at the lower end of its "
    "interval, and above that in 2-D with no overlap; and the one-standard-error rule on the "
    "held-out loss selects 3. Holds if both do, holds in part if one does.",
    caption="a: training and held-out loss by dimension. b: R^2 of the linear prediction of each "
    "channel from the embedding; the threshold is that of the worst channel in 3-D. c: Procrustes "
    "disparity to RGB.",
    run=run,
    judge=judge,
    draw=draw,
)
