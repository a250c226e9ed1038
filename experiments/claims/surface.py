"""Claim 5: normalised to length one, 3-D would be "back to a 2D surface"."""

from __future__ import annotations

import numpy as np
import pandas as pd

from colour_embed.config import Config
from colour_embed.evaluate.truth import make_truth
from colour_embed.viz.intervals import plot_lines
from colour_embed.viz.style import letter, panels
from experiments.claims.common import (
    FAILS,
    HOLDS,
    IN_PART,
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

PLAIN, NORMALISED = (1, 2, 3, 4), (2, 3, 4)
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
        for dim in NORMALISED
    ]
    found += [
        evidence(
            f"held-out loss, {rows} {dim}-D, nats per pair",
            row_where(summary, rows=rows, dim=dim, measure="heldout_loss"),
        )
        for rows, dim in (("plain", 2), ("normalised", 3), ("plain", 3), ("normalised", 4))
    ]
    answer = (
        f"By held-out loss the normalised 3-D embedding lies {place['value']:.2f} of the way from "
        "plain 2-D to plain 3-D. With unit vectors a third coordinate "
        + (
            "changes the loss by less than a quarter of what a free third coordinate does."
            if abs(place["value"]) < 0.25
            else "improves the loss by less than half of what a free third coordinate does."
            if 0 < place["value"] < HALFWAY
            else "increases the loss."
            if place["value"] < 0
            else "improves the loss by at least half of what a free third coordinate does."
        )
    )
    return Finding(verdict, found, answer)


def draw(tables: Tables):
    summary = tables["summary"]
    figure, axes = panels(1, 3, height=2.8)
    shown = (
        ("heldout_loss", "held-out loss (nats per pair)"),
        ("spearman", "Spearman with RGB distances"),
        ("knn_overlap", "overlap of 10 nearest neighbours"),
    )
    for ax, (measure, label) in zip(axes.ravel(), shown):
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
    letter(axes.ravel())
    return figure


STUDY = Study(
    name="surface",
    claim="Normalised vectors in 3-D are no better than plain vectors in 2-D.",
    quote="Many embeddings are normalised such that the magnitude of each embedded vector is one "
    "[...] but then we'd be back to a 2D surface",
    question="Unit vectors of d coordinates lie on a sphere of d - 1 dimensions. Is their "
    "held-out loss that of d - 1 free coordinates, or of d?",
    method="{seeds} seeds: plain embeddings in 1 to 4 dimensions, normalised ones in 2, 3 and 4, "
    "a weight constrained to be negative, {epochs} epochs. The place of normalised d by held-out "
    "loss L, within each seed, is (L(plain d-1) - L(normalised d)) / (L(plain d-1) - L(plain d)): "
    "0 is the loss of d - 1 free coordinates, 1 that of d.",
    rule="Place of normalised 3-D: holds if the whole 95 % interval is under 0.5; holds in part "
    "if some of it is; does not hold if none is.",
    caption="Plain and normalised embeddings by the degrees of freedom of a vector: d for plain "
    "vectors, d - 1 on the unit sphere.",
    run=run,
    judge=judge,
    draw=draw,
)
