"""Claim 5: normalised to length one, 3-D would be "back to a 2D surface"."""

from __future__ import annotations

import numpy as np
import pandas as pd

from colour_embed.config import Config
from colour_embed.evaluate.truth import make_truth
from colour_embed.viz.intervals import plot_lines, plot_rows
from colour_embed.viz.style import letter, panels
from experiments.claims.common import (
    FAILS,
    HOLDS,
    IN_PART,
    MARGIN,
    THRESHOLD,
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

PLAIN, NORMALISED = (1, 2, 3, 4), (2, 3, 4)
DECIDED = (2, 3)  # where plain d is better than plain d - 1, so that there is a way between them
MEASURES = ("train_loss", "heldout_loss", "spearman", "knn_overlap")
HALFWAY = 0.5


def run(setting: Setting) -> dict[str, pd.DataFrame]:
    tables = []
    for name, dims in (("plain", PLAIN), ("normalised", NORMALISED)):
        config = Config(
            dim=2, head="negative", normalise=name == "normalised", epochs=setting.epochs
        )
        found = train(setting, f"surface: {name}", config, setting.some_seeds(), dims)
        found.runs.insert(0, "rows", name)
        # Degrees of freedom of a vector: one fewer than its coordinates on the unit sphere.
        found.runs.insert(1, "ways", found.runs["dim"] - (name == "normalised"))
        tables.append(found.runs)
    runs = pd.concat(tables, ignore_index=True)
    places = []
    for dim in NORMALISED:
        # The three share a seed's initial values, so they are compared within the seed.
        by_seed = runs.pivot(index="seed", columns=["rows", "dim"], values="heldout_loss")
        fewer, as_many = by_seed["plain", dim - 1], by_seed["plain", dim]
        for seed, place in ((fewer - by_seed["normalised", dim]) / (fewer - as_many)).items():
            places.append((seed, dim, place))
    places = pd.DataFrame(places, columns=["seed", "dim", "place"])
    floor = make_truth(setting.colours.rgb, config.label_constant).floor
    return {
        "runs": runs,
        "summary": intervals(runs, ["rows", "dim", "ways"], MEASURES).assign(floor=floor),
        "places": intervals(places, ["dim"], ["place"]),
    }


def judge(tables: Tables) -> Finding:
    summary, places = tables["summary"], tables["places"]
    place = row_where(places, dim=3)
    verdict = HOLDS if place["high"] < HALFWAY else IN_PART if place["low"] < HALFWAY else FAILS
    found = [
        evidence(
            f"place of normalised {dim}-D between plain {dim - 1}-D (0) and plain {dim}-D (1)",
            row_where(places, dim=dim),
        )
        for dim in DECIDED
    ]
    found += [
        evidence(
            f"held-out loss, {rows} {dim}-D, nats per pair",
            row_where(summary, rows=rows, dim=dim, measure="heldout_loss"),
        )
        for rows, dim in (("plain", 2), ("normalised", 3), ("plain", 3), ("normalised", 4))
    ]

    def lower(dim, *, by):
        """Return plain d - 1 less normalised d or plain d: what the last coordinate lowers."""
        loss = rows_where(summary, measure="heldout_loss")
        return difference(
            row_where(loss, rows="plain", dim=dim - 1), row_where(loss, rows=by, dim=dim)
        )

    gain, free = lower(3, by="normalised"), lower(3, by="plain")
    apart, loss = lower(4, by="normalised"), lower(4, by="plain")
    found += [
        evidence(f"held-out loss, plain {dim - 1}-D less {by} {dim}-D, nats per pair", row)
        for dim, by, row in (
            (3, "normalised", gain),
            (3, "plain", free),
            (4, "normalised", apart),
            (4, "plain", loss),
        )
    ]
    effect = (
        "The interval includes 0, so that no effect of the third coordinate of unit vectors is "
        "established"
        if place["low"] <= 0 <= place["high"]
        else "The interval is below 0: the third coordinate of unit vectors increases the loss"
        if place["high"] < 0
        else "The interval is above 0: the third coordinate of unit vectors lowers the loss, by "
        f"{'less than' if place['value'] < HALFWAY else 'at least'} half of what a free one does"
    )
    small = max(abs(gain["low"]), abs(gain["high"])) <= MARGIN
    answer = (
        "By held-out loss the place of normalised 3-D between plain 2-D (0) and plain 3-D (1) is "
        f"{told(place)}. {effect}. Its loss is {told(gain, 4)} nats per pair below that of plain "
        f"2-D, which is {'' if small else 'not '}within the margin of {MARGIN} nats that counts "
        "as no difference in the study of the number of pairs. The loss of plain 3-D is "
        f"{told(free, 4)} below that of plain 2-D."
    )
    if loss["high"] < 0:
        answer += (
            f" Plain 4-D is worse than plain 3-D, by {-loss['value']:.4f}, so that normalised 4-D "
            f"has no place between them; its loss is {abs(apart['value']):.4f} "
            f"{'above' if apart['value'] < 0 else 'below'} that of plain 3-D."
        )
    return Finding(verdict, found, answer)


def draw(tables: Tables):
    summary = tables["summary"]
    figure, axes = panels(2, 2, height=5.0)
    shown = (
        ("heldout_loss", "held-out loss (nats per pair)"),
        ("spearman", "Spearman with RGB distances"),
        ("knn_overlap", "overlap of 10 nearest neighbours"),
    )
    for ax, (measure, label) in zip(axes.ravel()[[0, 2, 3]], shown):
        lines = {
            f"{rows} vectors": line(rows_where(summary, rows=rows, measure=measure), "ways")
            for rows in ("plain", "normalised")
        }
        floor = {"Bayes-optimal": float(summary["floor"].iloc[0])}
        plot_lines(
            lines,
            ax,
            xlabel="degrees of freedom of a vector",
            ylabel=label,
            ticks=np.arange(1, 5),
            references=floor if measure == "heldout_loss" else None,
        )
    places = pd.DataFrame([row_where(tables["places"], dim=dim) for dim in DECIDED])
    plot_rows(
        [f"normalised {dim}-D" for dim in DECIDED],
        {"normalised vectors": interval(places)},
        axes[0, 1],
        xlabel="place from plain $d - 1$ (0) to plain $d$ (1)",
        references={THRESHOLD: HALFWAY},
        xlim=(-0.05, 1.05),
    )
    letter(axes.ravel())
    return figure


STUDY = Study(
    name="surface",
    claim="Normalised vectors in 3-D behave like plain vectors in 2-D, not like those in 3-D.",
    quote="Many embeddings are normalised such that the magnitude of each embedded vector is one "
    "[...] but then we'd be back to a 2D surface",
    question="Unit vectors of d coordinates lie on a sphere of d - 1 dimensions. Is their "
    "held-out loss that of d - 1 free coordinates, or of d?",
    method="{seeds} seeds: plain embeddings in 1 to 4 dimensions, normalised ones in 2, 3 and 4, "
    "a weight constrained to be negative, {epochs} epochs. The place of normalised d by held-out "
    "loss L, within each seed, is (L(plain d-1) - L(normalised d)) / (L(plain d-1) - L(plain d)): "
    "0 is the loss of d - 1 free coordinates, 1 that of d. All seeds share the pairs and their "
    "labels.",
    rule="Place of normalised 3-D: holds if the whole 95 % interval is under 0.5; holds in part "
    "if some of it is; does not hold if none is.",
    caption="a, c, d: plain and normalised embeddings by the degrees of freedom of a vector: d for "
    "plain vectors, d - 1 on the unit sphere. b: what decides, the place of normalised 3-D.",
    run=run,
    judge=judge,
    draw=draw,
    shared="the pairs and their labels",
)
