"""Claim 4: in 3-D "the RGB colour clusters can start to be separated independently"."""

from __future__ import annotations

import numpy as np
import pandas as pd

from colour_embed import data
from colour_embed.config import Config
from colour_embed.evaluate.geometry import (
    distance_spearman,
    linear_map_disparity,
    procrustes_disparity,
)
from colour_embed.evaluate.intervals import select_dimension
from colour_embed.viz.intervals import plot_lines
from colour_embed.viz.style import letter, panels, reference_line
from experiments.claims.common import (
    STATISTIC,
    THRESHOLD,
    Evidence,
    Finding,
    Setting,
    Study,
    Tables,
    drawn_floor,
    evidence,
    failures,
    intervals,
    line,
    mark_failures,
    row_where,
    rows_where,
    shares,
    told,
    train,
    verdict_of,
)

DIMS = tuple(range(1, 9))
CHANNELS = ("red", "green", "blue")
COLOURS = dict(zip(CHANNELS, ("#d7191c", "#1a9641", "#2c4bff")))
CHANNEL_MEASURES = tuple(f"r2_{name}" for name in CHANNELS)
MEASURES = (
    "train_loss",
    "heldout_loss",
    "excess_kl",
    "spearman",
    "spearman_of_printed",
    "procrustes",
)
SEPARATED = 0.9  # R^2 of every channel
TRUE_DIM = 3


def run(setting: Setting) -> dict[str, pd.DataFrame]:
    config = Config(head="negative", epochs=setting.epochs)
    found = train(setting, "dimension", config, setting.some_seeds(), DIMS)
    rgb, runs = setting.colours.rgb, mark_failures(found.runs, ["dim"])
    printed = ~inferred_rows()
    for member in range(len(runs)):
        vectors = found.vectors(member)
        for place, name in enumerate(CHANNEL_MEASURES):
            explained = 1 - linear_map_disparity(vectors, rgb[:, place : place + 1])
            runs.loc[member, name] = explained
        # The member table's column differs from 4 dimensions on, and is replaced.
        runs.loc[member, "procrustes"] = procrustes_disparity(vectors, rgb)
        runs.loc[member, "spearman_of_printed"] = distance_spearman(vectors[printed], rgb[printed])
    runs["least_r2"] = runs[list(CHANNEL_MEASURES)].min(axis=1)
    by_dim = runs.groupby("dim")["heldout_loss"].agg(["mean", "sem"]).reset_index()
    lowest = runs.loc[runs.groupby("seed")["heldout_loss"].idxmin(), ["seed", "dim"]]
    lowest["is_true"] = lowest["dim"] == TRUE_DIM
    return {
        "runs": runs,
        "summary": intervals(runs, ["dim"], [*MEASURES, *CHANNEL_MEASURES, "least_r2"]),
        "selection": by_dim.assign(
            selected=by_dim["dim"]
            == select_dimension(by_dim["dim"], by_dim["mean"], by_dim["sem"]),
            floor=runs["floor"].iloc[0],
        ),
        "lowest": shares(lowest, [], "is_true"),
    }


def inferred_rows() -> np.ndarray:
    """Return a mask, bool [items], of the tutorial's colours that no printed row pins down."""
    return (pd.read_csv(data.TUTORIAL_TABLE)["source"] == "inferred").to_numpy()


def judge(tables: Tables) -> Finding:
    summary, selection = tables["summary"], tables["selection"]
    flat = row_where(summary, dim=2, measure="least_r2")
    solid = row_where(summary, dim=3, measure="least_r2")
    selected = int(row_where(selection, selected=True)["dim"])
    lowest = tables["lowest"].iloc[0]
    separated = solid["low"] >= SEPARATED and flat["high"] < solid["low"]
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
    found += [
        evidence("Spearman in 3-D", row_where(summary, dim=3, measure="spearman")),
        evidence(
            "Spearman in 3-D without the 16 inferred rows",
            row_where(summary, dim=3, measure="spearman_of_printed"),
        ),
        Evidence("dimension that the held-out loss selects", selected),
        evidence("share of replicates whose held-out loss is least in 3-D", lowest),
    ]
    found += [failures(rows_where(tables["runs"], dim=dim), f"{dim}-D") for dim in (2, 3)]
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
    over = row_where(summary, dim=2, measure="excess_kl")
    answer = (
        f"A linear map predicts the worst of the three channels with an R^2 of {told(solid)} in "
        f"3-D and of {told(flat)} in 2-D. The held-out loss, which does not depend on RGB, selects "
        f"d = {selected}, and is least in 3-D for {int(lowest['successes'])} of "
        f"{lowest['members']} replicates. That is at 100,000 pairs: with fewer pairs another "
        "dimension can predict best (see the study of the number of pairs). The training loss is "
        f"least at d = {min(training, key=training.get)}; {overfitting}. A training loss below it "
        "is sufficient for overfitting, not necessary: in 2-D the excess over the true "
        f"probabilities is {told(over, 4)} with a training loss above it. ({floor:.4f} is the "
        "expected loss over all pairs of two different colours; on the tutorial's drawn pairs and "
        f"labels the same probabilities have the loss {drawn_floor():.4f}, which is the one beside "
        "the tutorial's training losses.)"
    )
    return Finding(verdict_of([separated, selected == TRUE_DIM]), found, answer)


def draw(tables: Tables):
    summary, runs = tables["summary"], tables["runs"]
    figure, axes = panels(1, 3, height=2.9)
    losses = {"training": "train_loss", "held-out pairs": "heldout_loss"}
    plot_lines(
        {name: line(rows_where(summary, measure=key), "dim", runs) for name, key in losses.items()},
        axes[0, 0],
        xlabel="dimension $d$",
        ylabel="loss (nats per pair)",
        references={"Bayes-optimal": float(tables["selection"]["floor"].iloc[0])},
        ticks=DIMS,
        statistic=STATISTIC,
    )
    selected = row_where(tables["selection"], selected=True)["dim"]
    reference_line(axes[0, 0], selected, "selected dimension", upright=True)
    plot_lines(
        {name: line(rows_where(summary, measure=f"r2_{name}"), "dim", runs) for name in CHANNELS},
        axes[0, 1],
        xlabel="dimension $d$",
        ylabel="$R^2$ of the channel",
        ticks=DIMS,
        statistic=STATISTIC,
        references={THRESHOLD: SEPARATED},
        colours=COLOURS,
    )
    plot_lines(
        {"all channels": line(rows_where(summary, measure="procrustes"), "dim", runs)},
        axes[0, 2],
        xlabel="dimension $d$",
        ylabel="Procrustes disparity to RGB",
        ticks=DIMS,
        statistic=STATISTIC,
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
    method="{seeds} replicates in each of 1 to 8 dimensions, a weight constrained to be negative, "
    "{epochs} epochs. Each channel is predicted linearly from the embedding, cross-validated over "
    "items. Procrustes alignment allows rotation, reflection and one scale. The held-out pairs are "
    "all that training does not hold in either order.",
    estimand="R^2 of the worst channel in 2-D and in 3-D; the dimension of the least held-out "
    "loss by the one-standard-error rule.",
    margin="R^2 of 0.9; one standard error.",
    rule="Two parts: the worst channel's R^2 in 3-D at or above 0.9 at the lower end of its "
    "interval, and above that in 2-D with no overlap; and the one-standard-error rule on the "
    "held-out loss selects 3. Holds if both do, holds in part if one does.",
    flips="To hold in part: another dimension is selected, or the worst channel's R^2 in 3-D is "
    "below 0.9.",
    caption="a: training and held-out loss by dimension. b: R^2 of the linear prediction of each "
    "channel from the embedding; the threshold is that of the worst channel in 3-D. c: Procrustes "
    "disparity to RGB.",
    run=run,
    judge=judge,
    draw=draw,
)
