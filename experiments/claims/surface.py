"""Claim 5: normalised to length one, 3-D would be "back to a 2D surface"."""

from __future__ import annotations

import numpy as np
import pandas as pd

from colour_embed.config import Config
from colour_embed.viz.intervals import plot_lines, plot_rows
from colour_embed.viz.style import letter, panels
from experiments.claims.common import (
    FAILS,
    HOLDS,
    IN_PART,
    MARGIN,
    STATISTIC,
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
    told,
    train,
    within,
)

PLAIN, NORMALISED = (1, 2, 3, 4), (2, 3, 4)
MEASURES = ("train_loss", "excess_kl", "heldout_loss", "spearman", "knn_overlap")
COMPARED = {
    "normalised 2-D less plain 1-D": (("normalised", 2), ("plain", 1)),
    "normalised 3-D less plain 2-D": (("normalised", 3), ("plain", 2)),
    "normalised 4-D less plain 3-D": (("normalised", 4), ("plain", 3)),
    "plain 3-D less plain 2-D": (("plain", 3), ("plain", 2)),
    "plain 4-D less plain 3-D": (("plain", 4), ("plain", 3)),
}
DECIDES, FREE = list(COMPARED)[1], list(COMPARED)[3]


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
    runs = mark_failures(pd.concat(tables, ignore_index=True), ["rows", "dim"])
    differences = pd.concat(
        [
            paired(
                runs,
                "excess_kl",
                *({"rows": rows, "dim": dim} for rows, dim in cells),
            ).assign(compared=name)
            for name, cells in COMPARED.items()
        ],
        ignore_index=True,
    )
    return {
        "runs": runs,
        "summary": intervals(runs, ["rows", "dim", "ways"], MEASURES),
        "differences": differences,
        "effects": intervals(differences, ["compared"], ["value"]),
    }


def judge(tables: Tables) -> Finding:
    summary, effects = tables["summary"], tables["effects"]
    effect, free = (row_where(effects, compared=name) for name in (DECIDES, FREE))
    same = within(effect, MARGIN)
    apart = effect["low"] > MARGIN or effect["high"] < -MARGIN
    verdict = HOLDS if same else FAILS if apart else IN_PART
    found = [
        evidence(f"excess, {name}, nats per pair", row_where(effects, compared=name))
        for name in COMPARED
    ]
    found += [
        evidence(
            f"excess, {rows} {dim}-D, nats per pair",
            row_where(summary, rows=rows, dim=dim, measure="excess_kl"),
        )
        for rows, dim in (("plain", 2), ("normalised", 3), ("plain", 3), ("normalised", 4))
    ]
    share = effect["value"] / free["value"]
    found.append(Evidence("the difference as a share of what a free third coordinate gains", share))
    found.append(failures(tables["runs"]))
    differs = effect["low"] > 0 or effect["high"] < 0
    answer = (
        "The excess of normalised 3-D less that of plain 2-D is "
        f"{told(effect, 4)} nats per pair, {'within' if same else 'not wholly within'} the margin "
        f"of {MARGIN}. "
        + (
            f"It is not zero: {'the' if effect['value'] < 0 else 'without gain, the'} third "
            f"coordinate of unit vectors {'lowers' if effect['value'] < 0 else 'raises'} the loss "
            f"by {abs(effect['value']):.4f}. "
            if differs
            else "Its interval includes 0. "
        )
        + f"A free third coordinate changes the loss by {told(free, 4)}, so that the difference is "
        f"{share:.2f} of that. Plain 4-D less plain 3-D is "
        f"{told(row_where(effects, compared='plain 4-D less plain 3-D'), 4)}, and normalised 4-D "
        f"less plain 3-D {told(row_where(effects, compared='normalised 4-D less plain 3-D'), 4)}."
    )
    return Finding(verdict, found, answer)


def draw(tables: Tables):
    summary, effects, runs = tables["summary"], tables["effects"], tables["runs"]
    figure, axes = panels(2, 2, height=5.0)
    shown = (
        ("excess_kl", "excess (nats per pair)"),
        ("spearman", "Spearman with RGB distances"),
        ("knn_overlap", "overlap of 10 nearest neighbours"),
    )
    for ax, (measure, label) in zip(axes.ravel()[[0, 2, 3]], shown):
        lines = {
            f"{rows} vectors": line(rows_where(summary, rows=rows, measure=measure), "ways", runs)
            for rows in ("plain", "normalised")
        }
        plot_lines(
            lines,
            ax,
            xlabel="degrees of freedom of a vector",
            ylabel=label,
            ticks=np.arange(1, 5),
            statistic=STATISTIC,
        )
    rows = pd.DataFrame([row_where(effects, compared=name) for name in COMPARED])
    plot_rows(
        list(COMPARED),
        {"difference, paired by replicate": interval(rows, tables["differences"])},
        axes[0, 1],
        xlabel="difference of the excess (nats per pair)",
        references={"margin, down": -MARGIN, "margin, up": MARGIN},
        statistic=STATISTIC,
    )
    letter(axes.ravel())
    return figure


STUDY = Study(
    name="surface",
    claim="Normalised vectors in 3-D predict as plain vectors in 2-D do, within 0.01 nats.",
    quote="Many embeddings are normalised such that the magnitude of each embedded vector is one "
    "[...] but then we'd be back to a 2D surface",
    question="Unit vectors of d coordinates lie on a sphere of d - 1 dimensions. Is their loss "
    "that of d - 1 free coordinates?",
    method="{seeds} replicates: plain embeddings in 1 to 4 dimensions, normalised ones in 2, 3 and "
    "4, a weight constrained to be negative, {epochs} epochs. All seven trainings of a replicate "
    "share its pairs, labels and initial values. The excess is the mean Kullback-Leibler "
    "divergence from the true probabilities over all pairs, which needs no held-out labels.",
    estimand="Excess of normalised 3-D less that of plain 2-D, paired by replicate.",
    margin="0.01 nats per pair, two-sided (equivalence).",
    rule="Holds if the whole 95 % interval lies within 0.01 nats of zero; does not hold if it lies "
    "wholly outside; holds in part otherwise.",
    flips="The interval leaves the margin: unit vectors gain 0.01 nats by their third coordinate.",
    caption="a, c, d: plain and normalised embeddings by the degrees of freedom of a vector: d for "
    "plain vectors, d - 1 on the unit sphere. b: differences of the excess; the second row "
    "decides.",
    run=run,
    judge=judge,
    draw=draw,
)
