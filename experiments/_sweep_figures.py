"""A sweep's figures, drawn from the tables and arrays of its run folder and from nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from colour_embed import data
from colour_embed.config import InputError
from colour_embed.evaluate import geometry
from colour_embed.evaluate.truth import (
    base_rate_loss,
    best_loss,
    make_truth,
    pair_distance,
    probability_similar,
)
from colour_embed.io import run_folder
from colour_embed.viz.curves import plot_losses
from colour_embed.viz.embedding import plot_members
from colour_embed.viz.intervals import plot_quality_by_dimension, plot_recovery_by_weight
from colour_embed.viz.style import save_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

PROGRAM = ("head", "normalise", "batch_size")
"""The columns that tell the members of one compiled program from those of another."""

COLUMNS = {
    "runs": ("seed", "dim", "kernel_init", "spearman", "recovered", "diverged", *PROGRAM),
    "summary": (
        *("dim", "selected", *PROGRAM),
        *(f"recovered_heldout_loss{end}" for end in ("", "_low", "_high")),
    ),
}
"""What is drawn of the tables."""

SEEDS = 6
"""How many seeds of each dimension the figure of the members shows."""


def draw(folder: Path, out: Path, say: Callable[[str], None] = print) -> list[Path]:
    """Draw all figures of a run: for each of its programs losses, quality, recovery and members.

    Args:
        folder: The run's folder.
        out: Where the figures go; may be the same.
        say: Told a line about what had to be left out.

    Returns:
        The files written.

    Raises:
        InputError: the sweep is not finished, or a file of it is missing or damaged.
    """
    about = run_folder.read_json(
        folder / run_folder.MARKER,
        ["finished", "pairs", "programs", "dims", "axes", "snapshots"],
    )
    if not about["finished"]:
        raise InputError(f"{folder}: the sweep is not finished; run it again with --resume")
    colours = run_folder.read_colours(folder)
    pairs = data.tutorial_pairs(colours, about["pairs"])
    best = best_loss(probability_similar(pair_distance(colours, pairs.index)), pairs.label)
    base_rate = base_rate_loss(pairs.label)
    runs, summary = (_read_table(folder / f"{name}.csv") for name in COLUMNS)
    programs, dims = about["programs"], sorted(set(about["dims"]))
    losses = run_folder.read_arrays(folder / "curves.npz", [f"{name}_loss" for name in programs])
    path, embeddings = folder / "embeddings.npz", None
    if path.exists() or not about["snapshots"]:
        names = [f"{name}_d{dim}" for name in programs for dim in dims]
        embeddings = run_folder.read_arrays(path, names)
    else:
        say(
            "members left out: embeddings.npz is missing; with snapshots of "
            f"{about['snapshots']} members in it, it may have been too large to commit"
        )
    drawn = []
    for name, program in programs.items():
        members, loss = _of_program(runs, program), losses[f"{name}_loss"]
        figures = {
            "losses": _plot_losses(members, loss, best, base_rate),
            "recovery": _plot_recovery(members),
        }
        if not about["axes"]:
            floor = make_truth(colours.rgb, program["label_constant"]).floor
            figures["quality"] = _plot_quality(_of_program(summary, program), floor)
        if embeddings is not None:
            by_dim = {dim: embeddings[f"{name}_d{dim}"] for dim in dims}
            figures["members"] = _plot_members(members, by_dim, colours.rgb)
        suffix = f"_{name}" if len(programs) > 1 else ""
        for stem, figure in figures.items():
            if figure is not None:
                drawn += save_figure(figure, out / f"{stem}{suffix}")
    return drawn


def _read_table(path: Path) -> pd.DataFrame:
    """A table of the run."""
    import pandas as pd

    with run_folder.reading(path):
        return pd.read_csv(path, usecols=COLUMNS[path.stem], dtype={"kernel_init": np.float32})


def _of_program(table: pd.DataFrame, program: Mapping[str, Any]) -> pd.DataFrame:
    """The rows of one compiled program."""
    return table[np.logical_and.reduce([table[key] == program[key] for key in PROGRAM])]


def _plot_losses(
    members: pd.DataFrame, loss: np.ndarray, best: float, base_rate: float
) -> Figure | None:
    """The losses [M, E] of the recovered members by dimension; None where there are none."""
    dims, recovered = members["dim"].to_numpy(), members["recovered"].to_numpy(bool)
    whole = members["diverged"].to_numpy() == 0
    bands = {
        f"d = {dim} ({int((recovered & (dims == dim)).sum())} recovered)": loss[
            recovered & (dims == dim)
        ]
        for dim in np.unique(dims)
        if (recovered & whole & (dims == dim)).any() and loss.shape[1]
    }
    if not bands:
        return None
    return plot_losses(bands, best=best, base_rate=base_rate).figure


def _plot_quality(summary: pd.DataFrame, floor: float) -> Figure | None:
    """The held-out loss of the recovered by dimension; None where none recovered."""
    rows = summary[summary["recovered_heldout_loss"].notna()]
    if not len(rows):
        return None
    selected = rows.loc[rows["selected"], "dim"]
    return plot_quality_by_dimension(
        dims=rows["dim"].to_numpy(),
        mean=rows["recovered_heldout_loss"].to_numpy(),
        low=rows["recovered_heldout_loss_low"].to_numpy(),
        high=rows["recovered_heldout_loss_high"].to_numpy(),
        selected=int(selected.iloc[0]) if len(selected) else None,
        floor=floor,
    ).figure


def _plot_recovery(members: pd.DataFrame) -> Figure:
    """Who recovered, by the weight that it started from."""
    return plot_recovery_by_weight(
        members["kernel_init"].to_numpy(),
        members["recovered"].to_numpy(bool),
        members["dim"].to_numpy(),
        spearman=members["spearman"].to_numpy(float),
    ).figure


def _plot_members(
    members: pd.DataFrame, embeddings: Mapping[int, np.ndarray], rgb: np.ndarray
) -> Figure:
    """The first seeds of each dimension, turned toward RGB's widest plane; failures included.

    Args:
        members: The rows of the program.
        embeddings: dim -> [members of this dim, C, dim], in the order of the rows.
        rgb: [C, 3].
    """
    plane = geometry.principal_axes(rgb, 2)
    panels, titles, failed = [], [], []
    for dim, vectors in embeddings.items():
        first = members[members["dim"] == dim].iloc[:SEEDS]
        panels.append([_turned(one, plane) for one in vectors[:SEEDS]])
        titles.append([f"d = {dim}, seed {seed}" for seed in first["seed"]])
        failed.append(~first["recovered"].to_numpy(bool))
    return plot_members(panels, rgb, titles, failed=np.array(failed))


def _turned(vectors: np.ndarray, plane: np.ndarray) -> np.ndarray:
    """Item vectors [C, d] as they lie closest to the plane [C, 2]: two columns, zeros for d = 1."""
    if not np.isfinite(vectors).all():  # beyond half precision, which ends at 65504
        return np.full(plane.shape, np.nan)
    if vectors.shape[1] == 1:
        return np.pad(geometry.align(vectors, plane[:, :1]), ((0, 0), (0, 1)))
    return geometry.align(geometry.principal_axes(vectors, 2), plane)
