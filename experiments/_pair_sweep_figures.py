"""Draw the figures of a sweep of own pairs from the tables and arrays in its run folder alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from colour_embed.evaluate import geometry
from colour_embed.io import run_folder
from colour_embed.viz.curves import plot_losses
from colour_embed.viz.embedding import group_colours, plot_members
from colour_embed.viz.intervals import plot_quality_by_dimension
from colour_embed.viz.style import save_figure
from experiments._sweep_figures import SEEDS, of_program, turned

_GREY = 0.35


def draw(folder: Path, out: Path) -> list[Path]:
    """Draw the held-out loss by dimension, its curves, and the members of each program.

    Args:
        folder: The run folder.
        out: Folder for the figures; may be the same.

    Returns:
        Paths of the files written.

    Raises:
        InputError: a file is missing or damaged.
    """
    about = run_folder.read_json(folder / run_folder.MARKER, ["programs", "dims", "axes", "splits"])
    with run_folder.reading(folder / "summary.csv"):
        summary = pd.read_csv(folder / "summary.csv")
    programs = dict.fromkeys(name.rsplit("_", 1)[0] for name in about["programs"])
    drawn = []
    for program in programs:
        suffix = f"_{program}" if len(programs) > 1 else ""
        rows = of_program(summary, about["programs"][f"{program}_all"])
        for values, part in rows.groupby(list(about["axes"])) if about["axes"] else [((), rows)]:
            named = [f"{axis}_{value:g}" for axis, value in zip(about["axes"], values)]
            drawn += save_figure(_plot_quality(part), out / "_".join([f"quality{suffix}", *named]))
        drawn += save_figure(_plot_curves(folder, program, about), out / f"losses{suffix}")
        drawn += save_figure(_plot_members(folder, program, about), out / f"members{suffix}")
    return drawn


def _plot_quality(rows: pd.DataFrame) -> Any:
    """Plot the held-out loss by dimension, with the error of its difference from the best."""
    rows = rows[np.isfinite(rows["heldout_loss"])].sort_values("dim")
    loss, error = rows["heldout_loss"].to_numpy(), rows["standard_error"].to_numpy()
    selected = rows.loc[rows["selected"], "dim"]
    return plot_quality_by_dimension(
        rows["dim"].to_numpy(),
        loss,
        loss - error,
        loss + error,
        selected=int(selected.iloc[0]) if len(selected) else None,
        statistic="mean, ± standard error of the difference from the best",
    ).figure


def _plot_curves(folder: Path, program: str, about: dict) -> Any:
    """Plot the held-out losses of the first split's members by dimension, against evaluations."""
    name = f"{program}_split0"
    curves = run_folder.read_arrays(folder / "curves.npz", [f"{name}_heldout", f"{name}_step"])
    dims = _runs_of(folder, name, about)["dim"].to_numpy()
    losses = curves[f"{name}_heldout"]
    seen = np.isfinite(losses).any(axis=0)
    bands = {f"d = {dim}": losses[dims == dim][:, seen] for dim in np.unique(dims)}
    ax = plot_losses(bands)
    ax.set_xlabel(f"evaluation, every {curves[f'{name}_step'][0]} steps")
    ax.set_ylabel("held-out loss (nats per pair)")
    return ax.figure


def _plot_members(folder: Path, program: str, about: dict) -> Any:
    """Plot the first seeds of each dimension, trained on all pairs and aligned to the first."""
    dims = sorted(set(about["dims"]))
    name = f"{program}_all"
    vectors = run_folder.read_arrays(folder / "embeddings.npz", [f"{name}_d{dim}" for dim in dims])
    with run_folder.reading(folder / "items.npz"), np.load(folder / "items.npz") as items:
        rgb = np.full((len(items["name"]), 3), _GREY)
        if "rgb" in items:
            rgb = items["rgb"] / 255
        elif "group" in items:
            rgb = group_colours(items["group"].tolist())
    # All are aligned to the first member of the largest dimension.
    plane = geometry.principal_axes(vectors[f"{name}_d{dims[-1]}"][0].astype(np.float64), 2)
    runs = _runs_of(folder, name, about)
    panels, titles = [], []
    for dim in dims:
        panels.append([turned(one.astype(np.float64), plane) for one in vectors[f"{name}_d{dim}"]])
        rows = runs[runs["dim"] == dim].to_dict("records")
        values = [", ".join(f"{row[axis]:g}" for axis in about["axes"]) for row in rows]
        titles.append(
            [f"d = {dim}, seed {row['seed']} {value}".rstrip() for row, value in zip(rows, values)]
        )
    panels, titles = ([one[:SEEDS] for one in rows] for rows in (panels, titles))
    return plot_members(panels, rgb, titles)


def _runs_of(folder: Path, name: str, about: dict) -> pd.DataFrame:
    """Return the rows of runs.csv of one program."""
    with run_folder.reading(folder / "runs.csv"):
        runs = pd.read_csv(folder / "runs.csv", dtype={"split": str})
    split = name.rsplit("_", 1)[1].removeprefix("split")
    return of_program(runs[runs["split"] == split], about["programs"][name])
