"""Draw the figures of a sweep from the tables and arrays in its run folder alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
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
"""The columns that identify the compiled program of a member."""

COLUMNS = {
    "runs": ("seed", "dim", "kernel_init", "spearman", "recovered", "diverged", *PROGRAM),
    "summary": (
        *("dim", "selected", *PROGRAM),
        *(f"recovered_heldout_loss{end}" for end in ("", "_low", "_high")),
    ),
}
"""The columns that the figures use, by table."""

SEEDS = 6
"""Seeds of each dimension in the figure of the members."""

SETTINGS = 8
"""The most values of the further axes that get figures of their own."""


def draw(folder: Path, out: Path, say: Callable[[str], None] = print) -> list[Path]:
    """Draw losses, quality, recovery and members of each program of a sweep.

    Args:
        folder: The run folder.
        out: Folder for the figures; may be the same.
        say: Called with a line about each figure that cannot be drawn.

    Returns:
        Paths of the files written.

    Raises:
        InputError: the sweep is not finished, or one of its files is missing or damaged.
    """
    about = run_folder.read_json(
        folder / run_folder.MARKER,
        ["finished", "pairs", "programs", "dims", "axes", "snapshots"],
    )
    if not about["finished"]:
        raise InputError(f"{folder}: the sweep is not finished; run it again with --resume")
    if "splits" in about:
        from experiments import _pair_sweep_figures

        return _pair_sweep_figures.draw(folder, out)
    colours = run_folder.read_colours(folder)
    pairs = data.tutorial_pairs(colours, about["pairs"])
    distance = pair_distance(colours, pairs.index)

    def references(constant: float) -> tuple[float, float]:
        """Return the best loss and the base-rate loss of the labels."""
        probability = probability_similar(distance, constant)
        if "label_constant" in about["axes"]:  # each member has labels of its own
            return best_loss(probability), base_rate_loss(probability)
        return best_loss(probability, pairs.label), base_rate_loss(pairs.label)

    axes = list(about["axes"])
    runs, summary = (_read_table(folder / f"{name}.csv", axes) for name in COLUMNS)
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
    settings = list(itertools.product(*about["axes"].values()))
    if len(settings) > SETTINGS:
        say(f"figures of the first {SETTINGS} of {len(settings)} settings; runs.csv holds all")
    for (name, program), setting in itertools.product(programs.items(), settings[:SETTINGS]):
        members, values = of_program(runs, program), dict(zip(axes, setting))
        chosen = _with_values(members, values)
        constant = values.get("label_constant", program["label_constant"])
        figures = {
            "losses": _plot_losses(
                members[chosen], losses[f"{name}_loss"][chosen], *references(constant)
            ),
            "recovery": _plot_recovery(members[chosen]),
        }
        rows = of_program(summary, program)
        floor = make_truth(colours.rgb, constant).floor
        figures["quality"] = _plot_quality(rows[_with_values(rows, values)], floor)
        if embeddings is not None:
            by_dim = {
                dim: embeddings[f"{name}_d{dim}"][chosen[members["dim"] == dim]] for dim in dims
            }
            figures["members"] = _plot_members(members[chosen], by_dim, colours.rgb)
        further = [f"{axis}_{value:g}" for axis, value in values.items()]
        suffix = "".join(f"_{part}" for part in [*([name] if len(programs) > 1 else []), *further])
        for stem, figure in figures.items():
            if figure is not None:
                drawn += save_figure(figure, out / f"{stem}{suffix}")
    return drawn


def _read_table(path: Path, axes: Sequence[str]) -> pd.DataFrame:
    """Read the columns of a table of the run that the figures use."""
    import pandas as pd

    with run_folder.reading(path):
        return pd.read_csv(
            path, usecols=[*COLUMNS[path.stem], *axes], dtype={"kernel_init": np.float32}
        )


def of_program(table: pd.DataFrame, program: Mapping[str, Any]) -> pd.DataFrame:
    """Select the rows of one compiled program."""
    return table[np.logical_and.reduce([table[key] == program[key] for key in PROGRAM])]


def _with_values(table: pd.DataFrame, values: Mapping[str, float]) -> np.ndarray:
    """Return which rows have these values of the further axes."""
    chosen = [np.isclose(table[axis], value, rtol=1e-12) for axis, value in values.items()]
    return np.logical_and.reduce([np.ones(len(table), bool), *chosen])


def _plot_losses(
    members: pd.DataFrame, loss: np.ndarray, best: float, base_rate: float
) -> Figure | None:
    """Plot the losses [M, E] of the recovered members by dimension; None if there are none."""
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
    """Plot the held-out loss of the recovered members by dimension; None if there are none."""
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
    """Plot the recovery of the members by their initial weight."""
    return plot_recovery_by_weight(
        members["kernel_init"].to_numpy(),
        members["recovered"].to_numpy(bool),
        members["dim"].to_numpy(),
        spearman=members["spearman"].to_numpy(float),
    ).figure


def _plot_members(
    members: pd.DataFrame, embeddings: Mapping[int, np.ndarray], rgb: np.ndarray
) -> Figure:
    """Plot the first seeds of each dimension, aligned to the principal plane of RGB.

    Args:
        members: The rows of the program.
        embeddings: dim -> [members of this dim, C, dim], in the order of the rows.
        rgb: [C, 3].
    """
    plane = geometry.principal_axes(rgb, 2)
    panels, titles, failed = [], [], []
    for dim, vectors in embeddings.items():
        first = members[members["dim"] == dim].iloc[:SEEDS]
        panels.append([turned(one, plane) for one in vectors[:SEEDS]])
        titles.append([f"d = {dim}, seed {seed}" for seed in first["seed"]])
        failed.append(~first["recovered"].to_numpy(bool))
    return plot_members(panels, rgb, titles, failed=np.array(failed))


def turned(vectors: np.ndarray, plane: np.ndarray) -> np.ndarray:
    """Align item vectors [C, d] to the plane [C, 2]; the second column is zero for d = 1."""
    if not np.isfinite(vectors).all():  # overflow of half precision, beyond 65504
        return np.full(plane.shape, np.nan)
    if vectors.shape[1] == 1:
        return np.pad(geometry.align(vectors, plane[:, :1]), ((0, 0), (0, 1)))
    return geometry.align(geometry.principal_axes(vectors, 2), plane)
